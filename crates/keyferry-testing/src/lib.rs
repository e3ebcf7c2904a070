//! Test code that several packages of the workspace share. This package is never published.
#![expect(missing_docs, reason = "the names of test helpers say what they do")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod argv_watch;
pub mod bench;
pub mod c_api;
pub mod child;
pub mod compiler;
pub mod documents;
pub mod download_example;
pub mod files;
pub mod harness;
pub mod http;
#[cfg(target_os = "linux")]
pub mod kernel_keyrings;
pub mod masv_packages;
pub mod own_process;
pub mod planted_faults;
pub mod plugins;
#[cfg(target_os = "linux")]
pub mod privilege;
mod program_output;
pub mod raw_service;
pub mod scripted_server;
pub mod secrets;
pub mod settings;
pub mod skip;
mod test_programs;
pub mod upload_example;
#[cfg(target_os = "linux")]
pub mod user_namespace;
