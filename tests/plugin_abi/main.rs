//! Plugins through the library: the header, the template, hostile plugins, settings, and
//! compatibility of the ABI.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod compatibility;
mod header;
mod hostile;

mod settings;
mod template;
