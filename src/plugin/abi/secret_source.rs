//! The extension for a source of secrets.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension whose table is a `keyferry_plugin_secret_source`.
pub const KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE: &str = "keyferry.secret-source/1";

/// The extension `keyferry.secret-source/1`: a source of secrets for other services. In config.toml
/// a secret refers to it as `{ plugin = ["NAME", "WHAT"] }`. The host calls it whenever it needs
/// the secret, and neither caches nor stores the result.
///
/// A source MUST
/// - define what WHAT may be, and fail with an error message for any other;
/// - set the whole secret with `set_secret` before it returns `KEYFERRY_PLUGIN_OK`;
/// - not prompt: there may be no user at a terminal.
///
/// A source SHOULD return within two seconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_secret_source {
    /// The size of this struct.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Gets a secret; `secret_name` is WHAT.
    ///
    /// Threads: [call]
    pub get: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            secret_name: *const c_char,
        ) -> keyferry_plugin_status,
    >,
}
