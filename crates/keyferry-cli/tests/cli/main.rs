//! The programs as their callers run them: the built programs, real git and real curl, an empty
//! home, the sandbox over real sockets. Each trap of the helper protocols is a test here.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod args;
mod completions;
mod curl;
mod curl_run;
mod documents;
mod encodings;
mod exec;
#[cfg(target_os = "linux")]
mod faults;
mod file_store;
mod get;
mod git;
mod git_fetch;
mod git_hostile;
mod git_protocol;
mod json;
mod keyring;
mod log;
mod login;
mod many_records;
mod other_home;
mod privilege;
mod programs;
mod reject;
mod secret_leaks;
mod setup;
mod short_forms;
#[cfg(target_os = "linux")]
mod small_program;
mod startup;
mod status;
#[cfg(target_os = "linux")]
mod store_unusable;
mod syscalls;
mod system_errors;
mod terminal;
mod terminal_injection;
mod terminal_signals;
mod terminal_width;
