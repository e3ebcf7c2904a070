//! The ports: traits and values between the engine and what it stands on, each with its contract.

pub mod http;
pub mod service;
pub mod store;
