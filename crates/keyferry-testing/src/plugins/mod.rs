//! Plugins of `c-tests/plugins`, and the fake service behind the template.

pub mod harness;
pub mod server;
pub mod studio;
