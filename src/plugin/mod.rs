//! Plugins: services and secret sources of other authors, behind a C ABI that stays compatible.
//!
//! From a path to a token:
//!
//! 1. `plugins` reads the setting, `loader` opens each file. `path_check` and `elf` examine it
//!    before any of its code runs; `descriptor` reads the entry and checks it, which makes a plugin
//!    (`handle`).
//! 2. `instance` calls `init` and reads the tables of the extensions.
//! 3. `service` is the plugin behind [`crate::ports::service::Service`]: `routes` matches paths,
//!    `call` runs a function of the plugin on a thread of its own with a timeout.
//! 4. The plugin calls back through the table of `host`; `http_request` sends its exchanges.
//!    `foreign_memory` copies what it passes, `buffers` holds what it gets.
//!
//! `abi` is what `keyferry_plugin.h` is generated from. `conformance` is the test for authors.
//!
//! A plugin that can't be used is left out and its error kept: the other services go on, and a
//! request for its tokens fails with that error.

pub mod abi;
mod buffers;
mod call;
mod conformance;
mod descriptor;
mod elf;
mod foreign_memory;
mod handle;
mod host;
mod http_request;
mod instance;
mod loader;
mod path_check;
mod plugins;
mod routes;
mod service;
mod slot;
mod status;
mod stub_context;
#[cfg(debug_assertions)]
pub mod test_host;

pub use conformance::check;
pub use handle::Plugin;
pub use instance::Instance;
pub use loader::{examine, load};
pub use plugins::{Plugins, UnusablePlugin};
pub use service::PluginService;
