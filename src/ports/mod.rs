//! The ports: traits and values between the engine and its adapters, each with its contract.

pub mod http;
pub mod service;
pub mod store;
