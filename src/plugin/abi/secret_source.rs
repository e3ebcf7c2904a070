//! The extension for a secret source.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension whose table is a `keyferry_plugin_secret_source`.
pub const KEYFERRY_PLUGIN_EXTENSION_SECRET_SOURCE: &str = "keyferry.secret-source/1";

/// The extension `keyferry.secret-source/1`: a source of secrets for other services.
///
/// In config.toml, a setting with the value `{ plugin = ["NAME", "WHAT"] }` gets its secret from
/// the plugin. NAME is the name of the plugin, and WHAT is the name of the secret. The host calls
/// `get` each time it needs the secret. It does not cache or store the secret.
///
/// A source MUST
/// - define the names of its secrets, and fail with an error message for any other name;
/// - pass the complete secret to `set_secret` before it returns `KEYFERRY_PLUGIN_OK`;
/// - not prompt: there may be no user at a terminal.
///
/// A source SHOULD return within two seconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_secret_source {
    /// The size of this struct.
    pub struct_size: u32,
    /// Reserved; must be 0.
    pub reserved: u32,
    /// Gets a secret and passes it to `set_secret`. `secret_name` is the name of the secret: the
    /// second string in the value of the setting.
    ///
    /// Threads: [call]
    pub get: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            secret_name: *const c_char,
        ) -> keyferry_plugin_status,
    >,
}
