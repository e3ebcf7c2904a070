//! The entry of a plugin: the ABI version, the settings, and the functions of the plugin itself.

use std::ffi::{c_char, c_void};

use super::call::keyferry_plugin_call;
use super::host::keyferry_plugin_host;
use super::status::keyferry_plugin_status;

/// The major number: another one means another ABI. A host says which ones it takes.
pub const KEYFERRY_PLUGIN_ABI_MAJOR: u32 = 1;
/// The minor number: a greater one has more slots and extensions, and nothing less.
pub const KEYFERRY_PLUGIN_ABI_MINOR: u32 = 0;

/// A setting that is no secret.
pub const KEYFERRY_PLUGIN_SETTING_TEXT: u32 = 1;
/// A secret: it may come from any source, is never shown, and what is sent in a call that asked for it counts as a login.
pub const KEYFERRY_PLUGIN_SETTING_SECRET: u32 = 2;
/// A base URL: https, or http to this machine. Exchanges go below it and nowhere else.
pub const KEYFERRY_PLUGIN_SETTING_URL: u32 = 3;

/// A setting of the plugin's. It stands under `[NAME]` in config.toml as `KEY`, and as `KEYFERRY_NAME_KEY` in the environment, a
/// secret also with `_FILE` at the end; each profile may have its own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_setting {
    /// 1 to 32 lower-case letters, digits and underscores; a letter first.
    pub key: *const c_char,
    /// One sentence for people.
    pub about: *const c_char,
    /// The value where nobody sets one, or NULL. A secret has none.
    pub fallback: *const c_char,
    /// One of `KEYFERRY_PLUGIN_SETTING_`.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// What a plugin is: the type of the constant `keyferry_plugin_entry`.
///
/// A plugin MUST
/// - export exactly this symbol as constant data, its numbers right without running code;
/// - have a name of 1 to 32 lower-case letters and digits, a letter first, that is no built-in service, `profile`, `store` or
///   `plugins`, and begins not with `http`;
/// - name in `settings` everything that it asks for: the host gives nothing else;
/// - come back from every function, whatever the network does: every slot that waits has the call's own limit;
/// - keep nothing that a call gave beyond that call, and no secret anywhere.
///
/// A plugin SHOULD
/// - do nothing in constructors, and little in `init`;
/// - start no thread. In a forked child its memory is as it was, its threads are gone, and `init` is called once more;
/// - say with `fail` what a person can do, in one sentence without secrets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin {
    /// `KEYFERRY_PLUGIN_ABI_MAJOR`.
    pub abi_major: u32,
    /// `KEYFERRY_PLUGIN_ABI_MINOR`.
    pub abi_minor: u32,
    /// The size of this struct.
    pub struct_size: u32,
    /// How many settings there are, at most 32.
    pub setting_count: u32,
    /// The plugin's name, which is its service's and its source's too.
    pub name: *const c_char,
    /// Its version, for people.
    pub version: *const c_char,
    /// Its settings; NULL for none.
    pub settings: *const keyferry_plugin_setting,
    /// Called before anything else, once as long as any session uses the plugin. The host's table lives for ever. May be NULL.
    ///
    /// Threads: [load]
    pub init: Option<unsafe extern "C" fn(host: *const keyferry_plugin_host, call: keyferry_plugin_call) -> keyferry_plugin_status>,
    /// Called when no session uses the plugin any more, if `init` was done. `init` may follow again. May be NULL.
    ///
    /// Threads: [load]
    pub deinit: Option<unsafe extern "C" fn()>,
    /// The table of an extension, which lives for ever; NULL for an id that the plugin does not have. Called after `init`.
    ///
    /// Threads: [load]
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}
