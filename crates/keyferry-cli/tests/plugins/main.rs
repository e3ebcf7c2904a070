//! Plugins as the programs see them: `keyferry plugin`, and every command over a plugin's tokens.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(target_os = "linux")]

mod author;
mod cli;
mod unsafe_paths;
mod vault;
