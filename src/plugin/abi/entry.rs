//! The entry of a plugin: its ABI version, settings and functions.

use std::ffi::{c_char, c_void};

use super::call::keyferry_plugin_call;
use super::host::keyferry_plugin_host;
use super::status::keyferry_plugin_status;

/// The major version of the ABI. Different major versions are not compatible.
pub const KEYFERRY_PLUGIN_ABI_MAJOR: u32 = 1;
/// The minor version of the ABI. A higher minor version adds functions and extensions, and removes
/// nothing.
pub const KEYFERRY_PLUGIN_ABI_MINOR: u32 = 0;

/// A string that is not a secret.
pub const KEYFERRY_PLUGIN_SETTING_TEXT: u32 = 1;
/// A secret. It may come from any secret source, and keyferry never shows it. After a call has read
/// a secret, the host treats the requests of the call as logins: see `exchange`.
pub const KEYFERRY_PLUGIN_SETTING_SECRET: u32 = 2;
/// A base URL: https, or http to this machine. The plugin can send requests only to URLs below one
/// of its base URLs.
pub const KEYFERRY_PLUGIN_SETTING_URL: u32 = 3;

/// A setting of the plugin.
///
/// Users set it as `KEY` in the section `[NAME]` of config.toml, where NAME is the name of the
/// plugin. Instead, they can set the environment variable `KEYFERRY_NAME_KEY`, all in upper case.
/// For a secret, `KEYFERRY_NAME_KEY_FILE` can name a file that contains it. Each profile can have
/// its own value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_setting {
    /// The key: 1 to 32 lower-case letters, digits and underscores, with a letter first.
    pub key: *const c_char,
    /// A description for users, in one sentence.
    pub description: *const c_char,
    /// The default value, or NULL if there is none. It must be NULL for a secret.
    pub default_value: *const c_char,
    /// One of `KEYFERRY_PLUGIN_SETTING_`.
    pub kind: u32,
    /// Reserved; must be 0.
    pub reserved: u32,
}

/// The type of the constant `keyferry_plugin_entry`, which every plugin exports.
///
/// A plugin MUST
/// - export a symbol with exactly this name, as constant data: the host reads `abi_major`,
///   `abi_minor` and `struct_size` from the file before any code of the plugin runs;
/// - have a name of 1 to 32 lower-case letters and digits, with a letter first. The name must not
///   begin with `http`, and must not be `profile`, `store`, `plugins` or the name of a built-in
///   service;
/// - declare in `settings` every setting that it reads: the host gives it no other setting;
/// - return from every function before the call times out. The functions of the host always return,
///   because the host limits the time that they take;
/// - stop using the strings and buffers of a call when the call ends, and store no secret.
///
/// A plugin SHOULD
/// - do nothing in constructors, and little in `init`;
/// - start no thread: in a forked child the memory of the plugin is unchanged, but its threads are
///   gone, and the host calls `init` again;
/// - after a failure, tell the user with `set_error_message` what to do, in one sentence without
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
    /// The name of the plugin, and of its service and its secret source.
    pub name: *const c_char,
    /// The version of the plugin, for users.
    pub version: *const c_char,
    /// An array of `setting_count` settings; NULL for none.
    pub settings: *const keyferry_plugin_setting,
    /// Initialises the plugin. The host calls `init` before any other function of the plugin, and
    /// does not call `init` again while a session uses the plugin. The table `host` stays valid
    /// until the process ends. The field `init` may be NULL.
    ///
    /// Threads: [load]
    pub init: Option<
        unsafe extern "C" fn(
            host: *const keyferry_plugin_host,
            call: keyferry_plugin_call,
        ) -> keyferry_plugin_status,
    >,
    /// Releases what `init` set up. If `init` succeeded, the host calls `deinit` when no session
    /// uses the plugin any more. The host may call `init` again later. The field `deinit`
    /// may be NULL.
    ///
    /// Threads: [load]
    pub deinit: Option<unsafe extern "C" fn()>,
    /// Returns the table of the extension `id`, or NULL if the plugin does not have this extension.
    /// The table must stay valid until the process ends. The host calls this function after `init`.
    ///
    /// Threads: [load]
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}
