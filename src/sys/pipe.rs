//! Pipes that programs add to their event loops.

#![expect(
    unsafe_code,
    reason = "a system call on descriptors that this module owns"
)]

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::io_cause::{self, Subject};
use super::signals::SigpipeGuard;
use crate::error::{Error, ErrorKind, Result};

/// The largest number of bytes that the kernel writes to a pipe as a whole, or not at all.
///
/// Source: pipe(7), `PIPE_BUF`.
pub const MAX_ATOMIC_BYTES: usize = libc::PIPE_BUF;

/// Creates a pipe.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the process or the machine has too many open files.
pub fn create() -> Result<(PipeReader, PipeWriter)> {
    io::pipe().map_err(|error| no_pipe(&error))
}

/// Creates a pipe whose ends don't block: a read from the empty pipe fails, and a write to the full
/// pipe.
///
/// # Errors
/// Those of [`create`].
pub fn create_nonblocking() -> Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = create()?;
    for fd in [reader.as_fd(), writer.as_fd()] {
        set_nonblocking(fd).map_err(|error| no_pipe(&error))?;
    }
    Ok((reader, writer))
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call changes only the flags of an open descriptor.
    let code = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cold]
fn no_pipe(error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        format!(
            "cannot create a pipe: {}",
            io_cause::explain(error, Subject::Service)
        ),
    )
}

/// Writes at most [`MAX_ATOMIC_BYTES`] to a pipe that doesn't block. Returns false, and writes
/// nothing, if the pipe has no room for all of them or has no reader. No signal ends the process.
pub fn write_whole(mut pipe: &PipeWriter, bytes: &[u8]) -> bool {
    let _guard = SigpipeGuard::block();
    pipe.write(bytes).is_ok_and(|count| count == bytes.len())
}
