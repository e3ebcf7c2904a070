//! The ports: the traits and value types between the engine and its adapters, with their contracts.

pub mod http;
pub mod service;
pub mod store;
pub mod wait_budget;
