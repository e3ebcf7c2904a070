//! keyferry hands every program on a machine the right, unexpired request headers for MASV cloud, the local MASV Agent
//! and FileVerbs.

pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod jwt;
pub mod key;
pub mod origin;
pub mod request;
pub mod resource;
pub mod secret;
pub mod service;
pub mod sources;
pub mod store;
pub mod sys;
pub mod token;
pub mod transport;

#[global_allocator]
static WIPING: sys::memory::Wiping = sys::memory::Wiping;
