//! The acceptance tables: every way to a token of each service, with every fault, asked for through
//! the C ABI and answered by the sandbox over real sockets.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod checks;
mod clocks;
mod connections;
mod faults;
mod fileverbs;
mod keyring;
mod links;
mod masv;
mod masv_agent;
mod memory;
mod origins;
mod proxies;
mod proxy_faults;
mod redirects;
mod resource_paths;
mod routes;
mod rows;
mod secret_leaks;
mod short_forms;
mod table;
mod throttle;
