//! The C ABI, from which `include/keyferry.h` is generated. It translates between C and Rust, and
//! has no policy and no state.
//!
//! There is one file for each object of the header. Exported functions take pointers as
//! `Option<&T>`, so NULL is `None`. The body of each is one call of [`boundary`], or of
//! [`panic::infallible`] if the function cannot fail.
#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "[any] and [one] are tags that the header defines for threads, not links"
)]

pub mod agent;
pub mod boundary;
pub mod config;
pub mod diagnostics;
pub mod error;
pub mod fileverbs;
pub mod json;
pub mod log;
pub mod masv;
pub mod panic;
pub mod request;
pub mod session;
pub mod status;
pub mod text;
pub mod token;
pub mod version;
