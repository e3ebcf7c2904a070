//! The file store among many processes: crowds, kills, broken disks, bent files, stopped holders, hostile folders.
//!
//! A test's other processes are this very program: [`actor`] plays what `KEYFERRY_ACT` says. Each has a time limit.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]
#![expect(clippy::print_stdout, reason = "what an actor says to its stage, and figures for those who look")]

mod actor;
mod apart;
mod crowd;
mod damage;
mod harness;
mod homes;
mod injected;
mod locks;
mod mixed;
mod modes;
mod sweep;
mod together;

mod traced;
