//! Plugins: the template reached through every door, hostile ones, unsafe places, and the ABI's promise to last.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(target_os = "linux")]

mod header;
mod hostile;
mod lasting;
mod settings;
mod template;
