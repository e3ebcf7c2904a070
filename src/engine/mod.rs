//! The core: from a request to a fresh token.

pub mod accounts;
pub mod acquisition;
pub mod backoff;
pub mod broker;
pub mod cache;
pub mod fetch;
pub mod freshness;
pub mod negative_cache;
pub mod persistence;
pub mod service_context;
pub mod single_flight;
pub mod state;
pub mod workers;
