//! The C ABI: what `include/keyferry.h` is generated from. It translates and holds no policy and no
//! state.
//!
//! One file for each object of the header. Each export takes pointers as `Option<&T>` (NULL is
//! `None`) and is one call of [`boundary`], or of [`panic::infallible`] where it can't fail.
#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "[any] and [one] are the header's words for threads, no links"
)]

pub mod agent;
pub mod boundary;
pub mod config;
pub mod diagnostics;
pub mod error;
pub mod fileverbs;
pub mod log;
pub mod masv;
pub mod panic;
pub mod request;
pub mod session;
pub mod status;
pub mod text;
pub mod token;
pub mod version;
