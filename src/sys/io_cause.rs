//! The reason and the remedy of each operating system error.
//!
//! Every message about such an error takes its reason and its remedy from [`explain`].
//!
//! Rationale: a remedy for the usual cause sends the user the wrong way if another cause was seen.

use std::borrow::Cow;
use std::io::Error;

/// The cause of an operating system error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoCause {
    /// The disk is full.
    DiskFull,
    /// The user's quota is used up.
    QuotaFull,
    /// The file system is read-only.
    ReadOnly,
    /// The owner or the permissions forbid the call.
    AccessDenied,
    /// Something other than the permissions forbids the call, such as a sandbox.
    NotPermitted,
    /// The disk reported an error.
    DiskError,
    /// The file would exceed the file size limit.
    FileTooLarge,
    /// This process has too many open files.
    TooManyFiles,
    /// All processes together have too many open files.
    SystemFilesFull,
    /// The system has no locks left, or the file system has none.
    NoLocks,
    /// The file system does not support the operation.
    Unsupported,
    /// The file system, the kernel or a sandbox does not implement the system call.
    NotImplemented,
    /// The file was on a network file system, and is not there any more.
    Stale,
    /// The path is a symbolic link, or a file instead of a directory.
    LinkOrFile,
    /// The path is a socket or a device, which cannot be opened as a file.
    NotAFile,
    /// The path or a name in it is too long.
    NameTooLong,
    /// The file or directory does not exist.
    NotFound,
    /// The system has no memory left.
    NoMemory,
    /// The user's processes have reached their limit.
    TooManyProcesses,
    /// The file is not a program for this machine.
    NotAProgram,
    /// The arguments and the environment of a program are too long.
    ArgumentsTooLong,
    /// The program's file is open for writing.
    ProgramBusy,
    /// The other machine refused the connection.
    ConnectionRefused,
    /// The network or the other machine cannot be reached.
    Unreachable,
    /// The other machine did not respond.
    TimedOut,
    /// The other end closed the connection.
    Disconnected,
    /// No local address or port is free.
    NoLocalAddress,
    /// The machine does not support the address family, such as IPv6.
    NoAddressFamily,
    /// Any other cause.
    Other,
}

/// The object of a system call. The remedy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A file or directory of the store.
    Store,
    /// A file that the user names, such as a secret, a plugin or a CA file.
    UserFile,
    /// The configuration file or its directory, which is written.
    ConfigFile,
    /// A file in the directory for temporary files.
    TempFile,
    /// A program that is started.
    Program,
    /// A connection to a service.
    Service,
    /// A connection to a proxy.
    Proxy,
    /// The terminal.
    Terminal,
    /// A standard stream.
    Stream,
}

/// Returns the cause of an error.
pub fn cause(error: &Error) -> IoCause {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => IoCause::DiskFull,
        Some(libc::EDQUOT) => IoCause::QuotaFull,
        Some(libc::EROFS) => IoCause::ReadOnly,
        Some(libc::EACCES) => IoCause::AccessDenied,
        Some(libc::EPERM) => IoCause::NotPermitted,
        Some(libc::EIO) => IoCause::DiskError,
        Some(libc::EFBIG) => IoCause::FileTooLarge,
        Some(libc::EMFILE) => IoCause::TooManyFiles,
        Some(libc::ENFILE) => IoCause::SystemFilesFull,
        Some(libc::ENOLCK) => IoCause::NoLocks,
        Some(libc::ENOSYS) => IoCause::NotImplemented,
        Some(libc::ESTALE) => IoCause::Stale,
        Some(libc::ELOOP | libc::ENOTDIR) => IoCause::LinkOrFile,
        Some(libc::ENXIO | libc::ENODEV) => IoCause::NotAFile,
        Some(libc::ENAMETOOLONG) => IoCause::NameTooLong,
        Some(libc::ENOENT) => IoCause::NotFound,
        Some(libc::ENOMEM | libc::ENOBUFS) => IoCause::NoMemory,
        Some(libc::EAGAIN) => IoCause::TooManyProcesses,
        Some(libc::ENOEXEC) => IoCause::NotAProgram,
        Some(libc::E2BIG) => IoCause::ArgumentsTooLong,
        Some(libc::ETXTBSY) => IoCause::ProgramBusy,
        Some(libc::ECONNREFUSED) => IoCause::ConnectionRefused,
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => {
            IoCause::Unreachable
        }
        Some(libc::ETIMEDOUT) => IoCause::TimedOut,
        Some(libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE) => IoCause::Disconnected,
        Some(libc::EADDRNOTAVAIL) => IoCause::NoLocalAddress,
        Some(libc::EAFNOSUPPORT) => IoCause::NoAddressFamily,
        Some(code) if is_unsupported(code) => IoCause::Unsupported,
        Some(_) => IoCause::Other,
        None => cause_of_kind(error.kind()),
    }
}

/// Returns the cause of an error that has no number of the operating system.
fn cause_of_kind(kind: std::io::ErrorKind) -> IoCause {
    use std::io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => IoCause::NotFound,
        Kind::PermissionDenied => IoCause::AccessDenied,
        Kind::UnexpectedEof => IoCause::Disconnected,
        Kind::TimedOut => IoCause::TimedOut,
        _ => IoCause::Other,
    }
}

/// Returns whether this is the number of an operation that a file system doesn't support. Some
/// systems have two numbers for it, some have one.
pub fn is_unsupported(code: i32) -> bool {
    code == libc::ENOTSUP || code == libc::EOPNOTSUPP
}

/// Returns the reason and the remedy for an error message: `the disk is full; free some space`.
pub fn explain(error: &Error, subject: Subject) -> String {
    let cause = cause(error);
    let reason = match (cause, subject) {
        (IoCause::DiskError, Subject::Terminal) => "the terminal was closed".into(),
        (IoCause::DiskError, Subject::Stream) => "the other end reports an error".into(),
        _ => reason(error),
    };
    format!("{reason}; {}", remedy(cause, subject))
}

/// Returns the reason of an error. For a cause that has no text here, the reason is the system's own
/// text with the error's number.
pub fn reason(error: &Error) -> Cow<'static, str> {
    Cow::Borrowed(match cause(error) {
        IoCause::DiskFull => "the disk is full",
        IoCause::QuotaFull => "your disk quota is used up",
        IoCause::ReadOnly => "the file system is read-only",
        IoCause::AccessDenied => "permission denied",
        IoCause::NotPermitted => "operation not permitted",
        IoCause::DiskError => "the disk reports an error",
        IoCause::FileTooLarge => "the file size limit is reached",
        IoCause::TooManyFiles => "too many open files",
        IoCause::SystemFilesFull => "too many open files on this machine",
        IoCause::NoLocks => "its file system has no locks",
        IoCause::Unsupported => "its file system does not support this operation",
        IoCause::NotImplemented => "its file system or a sandbox does not implement this operation",
        IoCause::LinkOrFile => "there is a link or a file at this path",
        IoCause::NotAFile => "it is not a regular file",
        IoCause::NameTooLong => "its path is too long",
        IoCause::NotFound => "it does not exist",
        IoCause::NoMemory => "the system has no memory left",
        IoCause::NotAProgram => "it is not a program for this machine",
        IoCause::ArgumentsTooLong => "its arguments and environment are too long",
        IoCause::ProgramBusy => "another process is writing it",
        IoCause::ConnectionRefused => "connection refused",
        IoCause::Unreachable => "network unreachable",
        IoCause::TimedOut => "connection timed out",
        IoCause::Disconnected => "connection closed by the other end",
        IoCause::NoLocalAddress => "no local port or address is free",
        IoCause::NoAddressFamily => "this machine does not support its kind of address",
        IoCause::Stale | IoCause::TooManyProcesses | IoCause::Other => {
            return Cow::Owned(error.to_string());
        }
    })
}

/// Returns what the user can do about a cause.
fn remedy(cause: IoCause, subject: Subject) -> &'static str {
    match cause {
        IoCause::DiskFull | IoCause::QuotaFull => "free some space",
        IoCause::FileTooLarge => "raise the limit (`ulimit -f`)",
        IoCause::TooManyFiles => "raise the limit (`ulimit -n`), or close some files",
        IoCause::SystemFilesFull => "raise `fs.file-max`, or end some programs",
        IoCause::NoMemory => "end some programs, or raise the memory limit",
        IoCause::TooManyProcesses => "raise the limit (`ulimit -u`), or end some programs",
        _ => match subject {
            Subject::Store => store_remedy(cause),
            Subject::UserFile => file_remedy(cause, "use a file on a local disk"),
            Subject::ConfigFile => file_remedy(
                cause,
                "set XDG_CONFIG_HOME to a directory that you can write to",
            ),
            Subject::TempFile => "set TMPDIR to another directory",
            Subject::Program => program_remedy(cause),
            Subject::Service => connection_remedy(
                cause,
                "check that it is running, and check its URL and port",
                "check the URL and the network",
            ),
            Subject::Proxy => connection_remedy(
                cause,
                "check that the proxy is running, and correct its host and port",
                "check the proxy, and correct its host and port",
            ),
            Subject::Terminal => {
                "run the command at a terminal, or use --secret-file or --secret-fd"
            }
            Subject::Stream => "check the file, pipe or terminal that the stream goes to",
        },
    }
}

const CHECK_PERMISSIONS: &str =
    "check the owner and permissions of it and of its directory with `ls -ld`";
const CHECK_SANDBOX: &str =
    "check whether it is immutable (`lsattr`), or whether a sandbox forbids the operation";

fn store_remedy(cause: IoCause) -> &'static str {
    match cause {
        IoCause::ReadOnly => "set `store` to file:/PATH with a writable path, or to memory",
        IoCause::AccessDenied => CHECK_PERMISSIONS,
        IoCause::NotPermitted => CHECK_SANDBOX,
        IoCause::DiskError => "check the disk",
        IoCause::NoLocks | IoCause::Unsupported | IoCause::NotImplemented | IoCause::Stale => {
            "set `store` to file:/PATH on a local disk"
        }
        IoCause::LinkOrFile => "remove the link or file",
        IoCause::NotAFile => "remove it",
        IoCause::NameTooLong => "set `store` to file:/PATH with a shorter path",
        IoCause::NotFound => "create it, or set `store` to file:/PATH",
        _ => "check its type and owner with `ls -ld`",
    }
}

/// `elsewhere` is the remedy for a file system that can't be used.
fn file_remedy(cause: IoCause, elsewhere: &'static str) -> &'static str {
    match cause {
        IoCause::ReadOnly
        | IoCause::NoLocks
        | IoCause::Unsupported
        | IoCause::NotImplemented
        | IoCause::Stale => elsewhere,
        IoCause::AccessDenied => CHECK_PERMISSIONS,
        IoCause::NotPermitted => CHECK_SANDBOX,
        IoCause::DiskError => "check the disk",
        IoCause::LinkOrFile => "use the path that `realpath` prints",
        IoCause::NotAFile => "use the path of a regular file",
        IoCause::NameTooLong => "use a shorter path",
        IoCause::NotFound => "create it or correct the path",
        _ => "check its type and owner with `ls -ld`",
    }
}

fn program_remedy(cause: IoCause) -> &'static str {
    match cause {
        IoCause::NotFound => {
            "install it or correct its path; for a script, check the path after `#!` too"
        }
        IoCause::AccessDenied => {
            "make it executable with `chmod +x`, and check the owners and permissions of its directories"
        }
        IoCause::NotPermitted => CHECK_SANDBOX,
        IoCause::LinkOrFile | IoCause::NameTooLong => "correct its path",
        IoCause::NotAProgram => {
            "compile it for this machine; for a script, write `#!` and the path of its interpreter on the first line"
        }
        IoCause::ArgumentsTooLong => "shorten the arguments, or unset long environment variables",
        IoCause::ProgramBusy => "retry when it is written",
        IoCause::DiskError => "check the disk",
        _ => "check its path and permissions",
    }
}

/// `refused` is the remedy for a refused connection, `other` for a cause that is not known better.
fn connection_remedy(cause: IoCause, refused: &'static str, other: &'static str) -> &'static str {
    match cause {
        IoCause::ConnectionRefused => refused,
        IoCause::Unreachable => "check the network",
        IoCause::AccessDenied | IoCause::NotPermitted => {
            "check whether a firewall or a sandbox forbids the connection"
        }
        IoCause::NoLocalAddress => "close some connections, and retry",
        IoCause::NoAddressFamily => "use an address of another kind, or enable IPv6",
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number, its reason, and its remedy for a file of the store.
    const STORE: [(i32, &str, &str); 19] = [
        (libc::ENOSPC, "the disk is full", "free some space"),
        (
            libc::EDQUOT,
            "your disk quota is used up",
            "free some space",
        ),
        (
            libc::EROFS,
            "the file system is read-only",
            "set `store` to file:/PATH with a writable path, or to memory",
        ),
        (libc::EACCES, "permission denied", CHECK_PERMISSIONS),
        (libc::EPERM, "operation not permitted", CHECK_SANDBOX),
        (libc::EIO, "the disk reports an error", "check the disk"),
        (
            libc::EFBIG,
            "the file size limit is reached",
            "raise the limit (`ulimit -f`)",
        ),
        (
            libc::EMFILE,
            "too many open files",
            "raise the limit (`ulimit -n`), or close some files",
        ),
        (
            libc::ENFILE,
            "too many open files on this machine",
            "raise `fs.file-max`, or end some programs",
        ),
        (
            libc::ENOLCK,
            "its file system has no locks",
            "set `store` to file:/PATH on a local disk",
        ),
        (
            libc::ENOSYS,
            "its file system or a sandbox does not implement this operation",
            "set `store` to file:/PATH on a local disk",
        ),
        (
            libc::EOPNOTSUPP,
            "its file system does not support this operation",
            "set `store` to file:/PATH on a local disk",
        ),
        (
            libc::ESTALE,
            "Stale file handle (os error 116)",
            "set `store` to file:/PATH on a local disk",
        ),
        (
            libc::ELOOP,
            "there is a link or a file at this path",
            "remove the link or file",
        ),
        (libc::ENXIO, "it is not a regular file", "remove it"),
        (
            libc::ENAMETOOLONG,
            "its path is too long",
            "set `store` to file:/PATH with a shorter path",
        ),
        (
            libc::ENOENT,
            "it does not exist",
            "create it, or set `store` to file:/PATH",
        ),
        (
            libc::ENOMEM,
            "the system has no memory left",
            "end some programs, or raise the memory limit",
        ),
        (
            libc::EBUSY,
            "Device or resource busy (os error 16)",
            "check its type and owner with `ls -ld`",
        ),
    ];

    #[cfg(target_os = "linux")]
    #[test]
    fn each_error_of_the_store_has_its_reason_and_its_remedy() {
        for (code, reason, remedy) in STORE {
            assert_eq!(
                explain(&Error::from_raw_os_error(code), Subject::Store),
                format!("{reason}; {remedy}")
            );
        }
    }

    #[test]
    fn the_remedy_fits_the_subject() {
        for (code, subject, expected) in [
            (
                libc::EACCES,
                Subject::UserFile,
                "permission denied; check the owner and permissions of it and of its directory with `ls -ld`",
            ),
            (
                libc::EROFS,
                Subject::ConfigFile,
                "the file system is read-only; set XDG_CONFIG_HOME to a directory that you can write to",
            ),
            (
                libc::EROFS,
                Subject::TempFile,
                "the file system is read-only; set TMPDIR to another directory",
            ),
            (
                libc::ENOSPC,
                Subject::TempFile,
                "the disk is full; free some space",
            ),
            (
                libc::EACCES,
                Subject::Program,
                "permission denied; make it executable with `chmod +x`, and check the owners and permissions of its directories",
            ),
            (
                libc::ENOEXEC,
                Subject::Program,
                "it is not a program for this machine; compile it for this machine; for a script, write `#!` and the path of its interpreter on the first line",
            ),
            (
                libc::ECONNREFUSED,
                Subject::Service,
                "connection refused; check that it is running, and check its URL and port",
            ),
            (
                libc::ECONNREFUSED,
                Subject::Proxy,
                "connection refused; check that the proxy is running, and correct its host and port",
            ),
            (
                libc::EHOSTUNREACH,
                Subject::Proxy,
                "network unreachable; check the network",
            ),
            (
                libc::EACCES,
                Subject::Service,
                "permission denied; check whether a firewall or a sandbox forbids the connection",
            ),
            (
                libc::EMFILE,
                Subject::Service,
                "too many open files; raise the limit (`ulimit -n`), or close some files",
            ),
        ] {
            assert_eq!(explain(&Error::from_raw_os_error(code), subject), expected);
        }
    }
}
