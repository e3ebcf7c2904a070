//! The acceptance tables: every way to a token of each service, with every fault, asked for through the C ABI and answered
//! by the sandbox over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails where it stands")]

#[path = "../support/capi.rs"]
mod capi;
#[path = "../support/canary.rs"]
mod forms;

mod agent;
mod canary;
mod clocks;
mod faults;
mod fileverbs;
mod keyring;
mod links;
mod masv;
mod memory;
mod origins;
mod plain;
mod process;
mod proxies;
mod redirects;
mod routes;
mod rows;
mod stage;
mod table;
mod throttle;
