//! Test code that several packages of the workspace share. This package is never published.
#![expect(missing_docs, reason = "the names of test helpers say what they do")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

pub mod c_api;
pub mod child;
pub mod compiler;
pub mod documents;
pub mod files;
pub mod host;
pub mod http;
pub mod plugins;
pub mod secret_forms;
pub mod settings;
pub mod skip;
