//! The C ABI as C sees it: the programs of `c-tests` against the sandbox, the header under every
//! compiler, what the library exports.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod documents;
mod header;
mod library;
mod loading;
mod memcheck;
mod panics;
mod privilege;
mod program;
mod programs;
mod test_hooks;
