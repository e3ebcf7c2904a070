//! System calls on the standard streams and on inherited descriptors.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// Returns the width in columns of the terminal at a standard stream. None if the stream is not a
/// terminal or the width is unknown.
pub fn terminal_width(stream: &impl AsRawFd) -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the pointer is valid for one `winsize`, and the call writes nothing else.
    let failed = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: a `winsize` consists of four integers, for which zero is a valid value.
    let size = unsafe { size.assume_init() };
    (failed == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

const STANDARD_STREAMS: [libc::c_int; 3] =
    [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
/// Which standard streams were closed when this program was started.
static CLOSED_AT_START: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Records which standard streams are closed. Call it before Rust's runtime starts. The runtime
/// opens /dev/null in place of a closed stream, and then the program cannot detect that its output
/// is lost.
pub extern "C" fn record_closed_streams() {
    for (number, was_closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        // SAFETY: the call takes only integers, and fails if the descriptor is not open.
        was_closed.store(
            unsafe { libc::fcntl(number, libc::F_GETFD) } == -1,
            Ordering::Relaxed,
        );
    }
}

/// Whether standard output was closed when this program was started, as with `>&-`.
pub fn stdout_was_closed() -> bool {
    CLOSED_AT_START[1].load(Ordering::Relaxed)
}

/// Closes each /dev/null that Rust's runtime opened in place of a standard stream. The stream is
/// then closed again for the program that replaces this one. Call this function after all files are
/// open. Otherwise a new descriptor would get the number of a standard stream.
pub fn close_recorded_streams() {
    for (number, was_closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        if was_closed.load(Ordering::Relaxed) {
            // SAFETY: the call takes only an integer. The descriptor is the /dev/null that Rust's
            // runtime opened, and no object in this program owns it.
            unsafe { libc::close(number) };
        }
    }
}

/// A standard output that is closed: every write fails.
pub struct ClosedStdout;

impl Write for ClosedStdout {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closes standard output for its reader while the program continues. Later output is lost.
///
/// # Errors
/// Returns the errors of opening `/dev/null` and of replacing the descriptor.
pub fn detach_stdout() -> io::Result<()> {
    let dev_null = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: `dev_null` is open, and descriptor 1 stays open: it now refers to /dev/null.
    let failed = unsafe { libc::dup2(dev_null.as_raw_fd(), libc::STDOUT_FILENO) };
    if failed == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A stream whose reads block even if its descriptor is non-blocking.
///
/// Rationale: `O_NONBLOCK` is a property of the open file, which several processes can share. A
/// process with an event loop may leave it set.
pub struct BlockingStdin<T>(pub T);

impl<T: Read + AsRawFd> Read for BlockingStdin<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            let mut polled = libc::pollfd {
                fd: self.0.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: the pointer is valid for the one entry, and its descriptor is open as long as
            // `self` exists.
            unsafe { libc::poll(&mut polled, 1, -1) };
        }
    }
}

/// Duplicates a descriptor that this process inherited from its parent.
///
/// # Errors
/// Returns the system's error if the descriptor is not open.
pub fn open_inherited_fd(number: i32) -> io::Result<File> {
    // SAFETY: the call takes only integers, and fails if the descriptor is not open.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above created this descriptor, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(duplicate) })
}

/// Creates a standard input that contains these bytes. They are in memory only, not in a named
/// file.
///
/// # Errors
/// Returns the errors of the system calls.
pub fn memfd_stdin(bytes: &[u8]) -> io::Result<Stdio> {
    memory_file(bytes).map(Stdio::from)
}

/// Creates a descriptor that contains these bytes, and that stays open in the program that replaces
/// this one. The bytes are in memory only, not in a named file.
///
/// # Errors
/// Returns the errors of the system calls.
pub fn inheritable_input(bytes: &[u8]) -> io::Result<OwnedFd> {
    let input = memory_file(bytes)?;
    // SAFETY: the call takes only integers, and the descriptor is open as long as `input` exists.
    let failed = unsafe { libc::fcntl(input.as_raw_fd(), libc::F_SETFD, 0) };
    if failed == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(input)
    }
}

fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the name is a C string that outlives the call.
        let number = unsafe { libc::memfd_create(c"keyferry".as_ptr(), libc::MFD_CLOEXEC) };
        if number == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above created this descriptor, and nothing else owns it.
        let mut file = unsafe { File::from_raw_fd(number) };
        file.write_all(bytes)?;
        io::Seek::rewind(&mut file)?;
        Ok(file.into())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(bytes)?;
        Ok(reader.into())
    }
}
