//! What a program does with the descriptors it was started with, beyond reading and writing.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many columns the terminal at standard output has, if it is one and says so.
pub fn terminal_width() -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the call fills a `winsize`, which this is, or fails.
    let failed = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: a `winsize` is four numbers, for which all zeros are a value.
    let size = unsafe { size.assume_init() };
    (failed == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

const STANDARD_STREAMS: [libc::c_int; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
/// Which of them were closed when this program was started.
static CLOSED_AT_START: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// Looks which descriptors a program was started with. To be called before Rust's own start, which opens /dev/null in place of those
/// that are closed: then nobody can tell any more that what is written gets nowhere.
pub extern "C" fn record_closed_streams() {
    for (number, closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        // SAFETY: the call takes numbers, and fails where the descriptor is not open.
        closed.store(unsafe { libc::fcntl(number, libc::F_GETFD) } == -1, Ordering::Relaxed);
    }
}

/// Whether this program was started without a standard output, as by `>&-`.
pub fn stdout_was_closed() -> bool {
    CLOSED_AT_START[1].load(Ordering::Relaxed)
}

/// Has a program that takes this one's place find those streams closed that were. To be called when nothing is opened any more: it
/// would get their numbers.
pub fn close_recorded_streams() {
    for (number, closed) in STANDARD_STREAMS.into_iter().zip(&CLOSED_AT_START) {
        if closed.load(Ordering::Relaxed) {
            // SAFETY: the call takes a number; what stands there is the /dev/null of Rust's start, whose loss nobody here notices.
            unsafe { libc::close(number) };
        }
    }
}

/// In place of a standard output that is closed: whoever writes is told.
pub struct ClosedStdout;

impl Write for ClosedStdout {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets go of standard output while the program runs on: whoever reads it sees its end. What is written later is lost.
///
/// # Errors
/// Those of opening `/dev/null`.
pub fn detach_stdout() -> io::Result<()> {
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    // SAFETY: both are open descriptors; number 1 stays open, now as another way to /dev/null.
    let failed = unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) };
    if failed == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A stream that is waited for also where it is set not to wait.
///
/// Rationale: that is a mark of the open stream, not of a program: an event loop that shares it with this program leaves it behind.
pub struct BlockingStdin<T>(pub T);

impl<T: Read + AsRawFd> Read for BlockingStdin<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            let mut polled = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: there is one such entry, and its descriptor is open as long as the stream is.
            unsafe { libc::poll(&mut polled, 1, -1) };
        }
    }
}

/// A descriptor that whoever started this program left open for it.
///
/// # Errors
/// Those of the system, where it is not open.
pub fn open_inherited_fd(number: i32) -> io::Result<File> {
    // SAFETY: the call takes numbers; it fails where the descriptor is not open.
    let own = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if own == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made above and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(own) })
}

/// Standard input for a program that reads these bytes. They lie in memory, and in no file that has a name.
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
