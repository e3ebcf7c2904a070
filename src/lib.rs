//! keyferry gives every program on a machine the right, unexpired request headers for MASV cloud, the local MASV Agent
//! and FileVerbs.
//!
//! # The folders, in their order
//!
//! A module imports from the rows above its own, and inside its row from the modules before it. The adapters do not import each
//! other. A test in `tests/architecture` holds this.
//!
//! | layer | modules |
//! |---|---|
//! | foundations | [`error`] [`secret`] [`sys`] [`clock`] [`log`] [`model`] [`config`] [`ports`] |
//! | adapters | [`services`] [`stores`] [`secret_sources`] [`transport`] [`plugin`] |
//! | core | [`engine`] |
//! | API | [`session`] [`ffi`] |

pub mod clock;
pub mod config;
pub mod engine;
pub mod error;
pub mod ffi;
pub mod log;
pub mod model;
pub mod plugin;
pub mod ports;
pub mod secret;
pub mod secret_sources;
pub mod services;
pub mod session;
pub mod stores;
pub mod sys;
pub mod transport;

#[global_allocator]
static WIPING: sys::wiping_alloc::WipingAlloc = sys::wiping_alloc::WipingAlloc;
