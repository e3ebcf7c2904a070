//! System calls on the standard streams and on inherited descriptors.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// The width of the terminal at standard output in columns, if it is a terminal and tells.
pub fn terminal_width() -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the call fills a `winsize`, which this is, or fails.
    let failed = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: a `winsize` is four numbers, for which all zeros are a value.
    let size = unsafe { size.assume_init() };
    (failed == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

const STANDARD_STREAMS: [libc::c_int; 3] =
    [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
/// Which standard streams were closed when this program was started.
static CLOSED_AT_START: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Records which standard streams are closed. Call it before Rust's own start, which opens
/// /dev/null in their place: later calls can't tell that output is lost.
pub extern "C" fn record_closed_streams() {
    for (number, was_closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        // SAFETY: the call takes numbers, and fails where the descriptor is not open.
        was_closed.store(
            unsafe { libc::fcntl(number, libc::F_GETFD) } == -1,
            Ordering::Relaxed,
        );
    }
}

/// Whether this program was started without a standard output, as by `>&-`.
pub fn stdout_was_closed() -> bool {
    CLOSED_AT_START[1].load(Ordering::Relaxed)
}

/// Closes the streams that were closed at the start again, for a program that replaces this one.
/// Call it after everything else was opened: a new descriptor would get their numbers.
pub fn close_recorded_streams() {
    for (number, was_closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        if was_closed.load(Ordering::Relaxed) {
            // SAFETY: the call takes a number; what stands there is the /dev/null of Rust's start,
            // whose loss nobody here notices.
            unsafe { libc::close(number) };
        }
    }
}

/// A closed standard output: every write fails.
pub struct ClosedStdout;

impl Write for ClosedStdout {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closes standard output for its reader while the program runs on. Later output is lost.
///
/// # Errors
/// Those of opening `/dev/null`.
pub fn detach_stdout() -> io::Result<()> {
    let dev_null = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are open descriptors; number 1 stays open, now as another way to /dev/null.
    let failed = unsafe { libc::dup2(dev_null.as_raw_fd(), libc::STDOUT_FILENO) };
    if failed == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A stream whose reads block even if the descriptor is set to non-blocking.
///
/// Rationale: `O_NONBLOCK` belongs to the open stream, not to a program: an event loop that shares
/// the stream leaves it set.
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
            // SAFETY: there is one such entry, and its descriptor is open as long as the stream is.
            unsafe { libc::poll(&mut polled, 1, -1) };
        }
    }
}

/// Opens a descriptor that this program inherited from its parent.
///
/// # Errors
/// Those of the system, where it is not open.
pub fn open_inherited_fd(number: i32) -> io::Result<File> {
    // SAFETY: the call takes numbers; it fails where the descriptor is not open.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(duplicate) })
}

/// Standard input that holds these bytes. They are in memory only, not in a named file.
///
/// # Errors
/// Those of the system.
pub fn memfd_stdin(bytes: &[u8]) -> io::Result<Stdio> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the name is a C string that outlives the call.
        let number = unsafe { libc::memfd_create(c"keyferry".as_ptr(), libc::MFD_CLOEXEC) };
        if number == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just given this descriptor, and nobody else knows it.
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
