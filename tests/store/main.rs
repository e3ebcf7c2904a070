//! The file store among many processes: crowds, kills, broken disks, bent files, stopped holders, hostile folders.
//!
//! A test's other processes are this very program: [`worker`] plays what `KEYFERRY_ACT` says. Each has a time limit.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]
#![expect(clippy::print_stdout, reason = "what an actor says to its stage, and figures for those who look")]

mod contention;
mod damage;
mod fault_injection;
mod gc;
mod harness;
mod home_dirs;
mod later_sessions;
mod locks;
mod permissions;
mod stress;
mod syscalls;
mod two_sessions;
mod worker;
