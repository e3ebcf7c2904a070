//! The entry of a plugin: the ABI version, the settings, and the functions of the plugin itself.

use std::ffi::{c_char, c_void};

use super::call::keyferry_plugin_call;
use super::host::keyferry_plugin_host;
use super::status::keyferry_plugin_status;

/// The major version of the ABI. Versions with different major numbers are not compatible.
pub const KEYFERRY_PLUGIN_ABI_MAJOR: u32 = 1;
/// The minor version of the ABI. A greater one adds functions and extensions, and removes nothing.
pub const KEYFERRY_PLUGIN_ABI_MINOR: u32 = 0;

/// A text that is no secret.
pub const KEYFERRY_PLUGIN_SETTING_TEXT: u32 = 1;
/// A secret: it may come from any source and is never shown. Requests of a call that has read it
/// count as logins.
pub const KEYFERRY_PLUGIN_SETTING_SECRET: u32 = 2;
/// A base URL: https, or http to this machine. Requests go to URLs below it and nowhere else.
pub const KEYFERRY_PLUGIN_SETTING_URL: u32 = 3;

/// A setting of the plugin. Users set it as `KEY` under `[NAME]` in config.toml, or as
/// `KEYFERRY_NAME_KEY` in the environment; a secret also as `KEYFERRY_NAME_KEY_FILE`. Each profile
/// may have its own value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_setting {
    /// The key: 1 to 32 lower-case letters, digits and underscores, beginning with a letter.
    pub key: *const c_char,
    /// One sentence for users.
    pub description: *const c_char,
    /// The value if the user sets none, or NULL. NULL for a secret.
    pub default_value: *const c_char,
    /// One of `KEYFERRY_PLUGIN_SETTING_`.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// The entry of a plugin: the type of the constant `keyferry_plugin_entry`.
///
/// A plugin MUST
/// - export exactly this symbol as constant data, whose numbers are valid before any code runs;
/// - have a name of 1 to 32 lower-case letters and digits, beginning with a letter, that is not the
///   name of a built-in service, `profile`, `store` or `plugins`, and does not begin with `http`;
/// - list in `settings` every setting that it reads: the host gives it no other;
/// - return from every function, whatever the network does: every function of the host that may
///   wait returns when the call times out;
/// - use nothing that it got in a call after that call, and store no secret.
///
/// A plugin SHOULD
/// - do nothing in constructors, and little in `init`;
/// - start no thread. In a forked child its memory is unchanged, its threads are gone, and `init`
///   is called again;
/// - tell the user with `set_error_message` what to do about a failure, in one sentence without
///   secrets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin {
    /// `KEYFERRY_PLUGIN_ABI_MAJOR`.
    pub abi_major: u32,
    /// `KEYFERRY_PLUGIN_ABI_MINOR`.
    pub abi_minor: u32,
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of settings, at most 32.
    pub setting_count: u32,
    /// The name of the plugin, of its service and of its secret source.
    pub name: *const c_char,
    /// Its version, for users.
    pub version: *const c_char,
    /// An array of `setting_count` settings; NULL for none.
    pub settings: *const keyferry_plugin_setting,
    /// Called before any other function, once as long as any session uses the plugin. `host` is
    /// valid as long as the process. May be NULL.
    ///
    /// Threads: [load]
    pub init: Option<
        unsafe extern "C" fn(
            host: *const keyferry_plugin_host,
            call: keyferry_plugin_call,
        ) -> keyferry_plugin_status,
    >,
    /// Called when no session uses the plugin any more, if `init` succeeded. `init` may be called
    /// again later. May be NULL.
    ///
    /// Threads: [load]
    pub deinit: Option<unsafe extern "C" fn()>,
    /// Returns the table of the extension with an id, valid as long as the process; NULL for an id
    /// that the plugin does not have. Called after `init`.
    ///
    /// Threads: [load]
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}
