//! The plugin ABI, from which `keyferry_plugin.h` is generated. It has only types and constants,
//! and shares no type with `keyferry.h`.
//!
//! There is one file for each table. `build.rs` lists the files in the order of the header.
#![expect(non_camel_case_types, reason = "the names that C programs see")]
#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "[load], [call] and [any] are tags that the header defines for threads, not links"
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
