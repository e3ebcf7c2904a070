//! Plugins as the programs see them: `keyferry plugin`, and every command over a plugin's tokens.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod author;
mod cli;
mod unsafe_paths;
mod vault;
