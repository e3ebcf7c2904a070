//! Runs a test in a user namespace of its own, as rootless containers run programs.

use std::fs;
use std::io::{Error, PipeReader, PipeWriter, Read, Result, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::{child, own_process, skip};

/// Skips the current test unless root can create user namespaces and mounts.
#[must_use = "the caller returns if the test is skipped"]
#[expect(unsafe_code, reason = "system calls")]
pub fn without() -> bool {
    if skip::without_root() {
        return true;
    }
    let mut command = Command::new("true");
    // SAFETY: `unshare` is a system call, which may run between fork and exec.
    unsafe { command.pre_exec(unshare) };
    let status = command.stdin(Stdio::null()).status();
    let is_allowed = status.is_ok_and(|status| status.success());
    if !is_allowed {
        skip::report("no user namespace can be created; run the tests with CAP_SYS_ADMIN");
    }
    !is_allowed
}

/// Runs one ignored test of this program in a new user namespace and a new mount namespace. Each
/// line of `map` has the first ID in the namespace, the first ID outside, and their number. Panics
/// unless the test passes.
pub fn run(test: &str, variables: &[(&str, &str)], map: &str) {
    let (mut pids, pid) = pipe().unwrap();
    let (go, mut goes) = pipe().unwrap();
    thread::scope(|scope| {
        // Dropped at the end of this scope, also by a panic, so that the thread below ends.
        let mut command = own_process::ignored_test(test, variables);
        enter_namespace(&mut command, pid, go);
        scope.spawn(move || write_map(&mut pids, &mut goes, map));
        let ended = child::run(&mut command, Duration::from_secs(120));
        assert!(
            ended.status.success() && ended.out.contains("1 passed"),
            "{}",
            ended.said()
        );
    });
}

/// Makes a command create the namespaces, and wait until they have a map.
#[expect(unsafe_code, reason = "system calls")]
fn enter_namespace(command: &mut Command, pid: PipeWriter, go: PipeReader) {
    let enter = move || {
        unshare()?;
        // SAFETY: the call takes no arguments.
        let own_pid = unsafe { libc::getpid() }.to_ne_bytes();
        let mut byte = 0_u8;
        // SAFETY: the buffer has this many bytes, and the descriptor is open.
        unsafe { libc::write(pid.as_raw_fd(), own_pid.as_ptr().cast(), own_pid.len()) };
        // SAFETY: as above, for one byte.
        unsafe { libc::read(go.as_raw_fd(), (&raw mut byte).cast(), 1) };
        Ok(())
    };
    // SAFETY: the function only makes system calls, which may run between fork and exec.
    unsafe { command.pre_exec(enter) };
}

#[expect(unsafe_code, reason = "system calls")]
fn unshare() -> Result<()> {
    // SAFETY: the call takes a number.
    match unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

/// Maps the users of the process whose ID arrives, and lets it go on.
fn write_map(pids: &mut PipeReader, go: &mut PipeWriter, map: &str) {
    let mut pid = [0; 4];
    if pids.read_exact(&mut pid).is_err() {
        return;
    }
    let process = format!("/proc/{}", i32::from_ne_bytes(pid));
    for name in ["uid_map", "gid_map"] {
        fs::write(Path::new(&process).join(name), map).unwrap();
    }
    go.write_all(b"1").unwrap();
}

/// Mounts a file or directory on itself, read-only. Call this in the namespace.
pub fn mount_read_only(path: &Path) {
    for options in [&["--bind"][..], &["-o", "remount,bind,ro"]] {
        let mut mount = Command::new("mount");
        mount.args(options).arg(path);
        if options == ["--bind"] {
            mount.arg(path);
        }
        let ended = child::run(&mut mount, Duration::from_secs(20));
        assert!(ended.status.success(), "{path:?}: {}", ended.said());
    }
}
