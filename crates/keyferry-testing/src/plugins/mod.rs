//! Plugins made of `c-tests/plugins`, and the made-up service behind them.

pub mod harness;
pub mod server;
pub mod studio;
