//! Plugins: services and secret sources by other authors, loaded through a stable C ABI.
//!
//! In this module *the host* is the keyferry library that loaded the plugin. A *slot* is a function
//! in the host's table or in a plugin's table.
//!
//! How a configured path becomes a token:
//!
//! 1. `plugins` reads the setting `plugins`, and `loader` opens each file. `path_check` and `elf`
//!    examine the file before any of its code runs. `descriptor` reads and checks the plugin's
//!    entry. The result is a `handle::Plugin`.
//! 2. `instance` calls `init` and reads the tables of the plugin's extensions.
//! 3. `service` implements [`crate::ports::service::Service`] with the plugin. `routes` matches
//!    paths, and `call` runs a function of the plugin on its own thread with a timeout.
//! 4. The plugin calls the host's slots, which are in `host`. `http_request` sends the plugin's
//!    HTTP requests. `foreign_memory` copies the plugin's arguments, and `buffers` owns the memory
//!    that the host gives to the plugin.
//!
//! `keyferry_plugin.h` is generated from `abi`. `conformance` is the test for plugin authors.
//!
//! If a plugin can't be used, the session opens without it and keeps its error. The other services
//! work as usual, and a request for one of the plugin's tokens fails with that error.

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
#[cfg(feature = "test-hooks")]
pub mod test_host;
#[cfg(feature = "test-hooks")]
pub mod test_tables;

pub use conformance::check;
pub use handle::Plugin;
pub use instance::Instance;
pub use loader::{examine, load};
pub use plugins::{Plugins, UnusablePlugin};
pub use service::PluginService;
