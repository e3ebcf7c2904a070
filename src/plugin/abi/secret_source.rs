//! The extension for a source of secrets.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension `keyferry_plugin_source`.
pub const KEYFERRY_PLUGIN_SOURCE: &str = "keyferry.secret-source/1";

/// The extension `keyferry.secret-source/1`: where secrets of other services come from. In config.toml a secret refers to it as
/// `{ plugin = ["NAME", "WHAT"] }`; it is asked whenever the secret is needed, and nothing of it is kept.
///
/// A source MUST
/// - understand WHAT as it likes, and refuse what it does not understand with a sentence;
/// - give the whole secret with `give_secret` before it returns `KEYFERRY_PLUGIN_OK`;
/// - not ask a person: there may be none.
///
/// A source SHOULD answer within two seconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_source {
    /// The size of this struct.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Gives the secret of `what`.
    ///
    /// Threads: [call]
    pub get: Option<unsafe extern "C" fn(call: keyferry_plugin_call, what: *const c_char) -> keyferry_plugin_status>,
}
