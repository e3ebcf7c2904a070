//! The sandbox's own tests: every check refuses what it should, over real sockets.
//!
//! The client uses a bare socket: an HTTP library would hide half of what is tested here.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod agent;
mod control;
mod documents;
mod faults;
mod fileverbs;
mod masv;
mod masv_packages;
mod server;
mod storage;
mod tokens;
mod upload_clients;
