//! The ABI of plugins: what `keyferry_plugin.h` is generated from. Types and numbers, no code, no
//! type in common with `keyferry.h`.
//!
//! One file for each table; `build.rs` names them in the header's order.
#![expect(non_camel_case_types, reason = "the names that C programs see")]
#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "[load], [call] and [any] are the header's words for threads, no links"
)]

mod call;
mod entry;
mod host;
mod request;
mod secret_source;
mod service;
mod status;

pub use call::*;
pub use entry::*;
pub use host::*;
pub use request::*;
pub use secret_source::*;
pub use service::*;
pub use status::*;
