//! keyferry hands every program on a machine the right, unexpired request headers for MASV cloud, the local MASV Agent
//! and FileVerbs.

pub mod arena;
pub mod cache;
pub mod clock;
pub mod config;
pub mod document;
pub mod error;
pub mod flight;
pub mod freshness;
pub mod http;
pub mod jwt;
pub mod key;
pub mod log;
pub mod origin;
pub mod record;
pub mod refusal;
pub mod request;
pub mod resource;
pub mod secret;
pub mod service;
pub mod services;
pub mod store;
pub mod stores;
pub mod sys;
pub mod token;
pub mod transport;

#[global_allocator]
static WIPING: sys::memory::Wiping = sys::memory::Wiping;
