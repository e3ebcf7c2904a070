//! The file store under many processes: contention, kills, failing disks, damaged files, stopped
//! lock holders, unsafe directories.
//!
//! A test's other processes are this same program: [`worker`] runs the task that `KEYFERRY_ACT`
//! names. Each has a time limit.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "what a worker reports to its test, and timings"
)]

mod contention;
mod damage;
mod failure_fallback;
mod fault_injection;
mod gc;
mod home_dirs;
mod later_sessions;
mod locks;
mod other_users;
mod permissions;
mod power_cuts;
mod processes;
mod rejections;
mod stopped_holders;
mod stopped_steps;
mod stress;
mod syscalls;
mod turns;
mod two_sessions;
mod user_namespaces;
mod versions;
mod worker;
