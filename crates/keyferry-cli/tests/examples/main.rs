//! The programs of `examples` in C, C++ and the shell, compiled and run against the sandbox. They
//! transfer files, and the tests compare the bytes. `tests/packages` has those in Python and Node.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod compiled;
mod listed;
mod shell;
