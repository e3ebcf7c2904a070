//! The executable's doors, as their callers have them: the built programs, real git and real curl, an empty home, the sandbox over
//! real sockets. Each trap of the helper protocols is a test here.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

#[path = "../support/canary.rs"]
mod forms;

mod canary;
mod commands;
mod curl;
mod engflow;
mod exec;
mod fetch;
mod git;
mod hostile;
mod keyring;
mod lists;
mod login;
mod shared;
mod stage;
mod started;
mod steering;
mod terminal;
mod traps;
mod warm;
