//! Helpers for tests of plugins: the plugins of `c-tests/plugins`, and a fake service for
//! `template.c`.

pub mod compile;
pub mod server;
pub mod studio;
