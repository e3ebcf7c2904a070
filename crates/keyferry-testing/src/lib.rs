//! Test code that several packages of the workspace share. It is never published.
#![expect(missing_docs, reason = "the name of a test's tool says what it does")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

pub mod c_api;
pub mod child;
pub mod compiler;
pub mod documents;
pub mod files;
pub mod host;
pub mod plugins;
pub mod secret_forms;
pub mod settings;
