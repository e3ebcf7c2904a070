//! The host's side of the ABI: its table, and the levels of its log.

use std::ffi::c_char;

use super::call::{keyferry_plugin_buffer, keyferry_plugin_call};
use super::request::{keyferry_plugin_answer, keyferry_plugin_request};
use super::status::keyferry_plugin_status;

/// What the user has to mend.
pub const KEYFERRY_PLUGIN_LOG_ERROR: u32 = 1;
/// What works in spite of a fault.
pub const KEYFERRY_PLUGIN_LOG_WARN: u32 = 2;
/// What is done.
pub const KEYFERRY_PLUGIN_LOG_INFO: u32 = 3;
/// Every step.
pub const KEYFERRY_PLUGIN_LOG_DEBUG: u32 = 4;
/// The host does what this header does not say. What a plugin does so, the host logs by itself.
pub const KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES: u32 = 5;

/// What the host does for a plugin. A later host has more slots behind these, and a greater `struct_size`.
///
/// The host's promises, which are its part of the contract: it
/// - follows no redirect, speaks https or to this machine, sends below the plugin's own URLs alone, reads at most 1 MiB;
/// - repeats a GET that failed, and nothing else that may have arrived;
/// - remembers for a while which secrets were refused, over all processes, and does not send them again meanwhile;
/// - drops whatever a plugin logs or says that holds one of the secrets which the call asked for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_host {
    /// The major number of the host's ABI.
    pub abi_major: u32,
    /// Its minor number.
    pub abi_minor: u32,
    /// The size of this table.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The value of a setting that the descriptor names, as this account has it. `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` where there is
    /// none, `KEYFERRY_PLUGIN_E_SECRET_SOURCE` where it can't be had. Not in `init`. May wait.
    ///
    /// Threads: [any]
    pub setting: Option<
        unsafe extern "C" fn(call: keyferry_plugin_call, key: *const c_char, out: *mut keyferry_plugin_buffer) -> keyferry_plugin_status,
    >,
    /// One exchange, at most 16 in a call. Errors: what stands in the way, and `KEYFERRY_PLUGIN_E_REFUSED` for a 401 or the request's
    /// `refused_status` once the call has asked for a secret, also from memory. Returned as they are they reach the user with all
    /// their details. Not in `init`. May wait.
    ///
    /// Threads: [any]
    pub exchange: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            request: *const keyferry_plugin_request,
            response: *mut keyferry_plugin_answer,
        ) -> keyferry_plugin_status,
    >,
    /// A buffer of `size` bytes, zeroed, to put secrets together in; 4 MiB in a call.
    ///
    /// Threads: [any]
    pub buffer:
        Option<unsafe extern "C" fn(call: keyferry_plugin_call, size: usize, out: *mut keyferry_plugin_buffer) -> keyferry_plugin_status>,
    /// What stands in a JSON document at a JSON pointer (RFC 6901: `/data/token`, `/rows/0`) as text: a string's content, a number's
    /// digits, `true` or `false`. `KEYFERRY_PLUGIN_E_NOT_FOUND` where nothing of the kind stands, `KEYFERRY_PLUGIN_E_BAD_ANSWER` for
    /// what is no JSON, and for a text with control characters.
    ///
    /// Threads: [any]
    pub json_text: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            document: *const c_char,
            document_size: usize,
            pointer: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// A text as a JSON string, with its quotes.
    ///
    /// Threads: [any]
    pub json_quote: Option<
        unsafe extern "C" fn(call: keyferry_plugin_call, text: *const c_char, out: *mut keyferry_plugin_buffer) -> keyferry_plugin_status,
    >,
    /// Adds a header to the token that this call gives, at most 8.
    ///
    /// Threads: [any]
    pub give_header:
        Option<unsafe extern "C" fn(call: keyferry_plugin_call, name: *const c_char, value: *const c_char) -> keyferry_plugin_status>,
    /// When the token ends, in seconds since 1970 by the service's clock. Without it the token is good until it is rejected.
    ///
    /// Threads: [any]
    pub give_expiry: Option<unsafe extern "C" fn(call: keyferry_plugin_call, unix_s: i64) -> keyferry_plugin_status>,
    /// What `renew` gets later. It is kept sealed, with the token.
    ///
    /// Threads: [any]
    pub give_renewal: Option<unsafe extern "C" fn(call: keyferry_plugin_call, renewal: *const c_char) -> keyferry_plugin_status>,
    /// The secret that `get` was asked for.
    ///
    /// Threads: [any]
    pub give_secret: Option<unsafe extern "C" fn(call: keyferry_plugin_call, secret: *const c_char) -> keyferry_plugin_status>,
    /// Why the call fails: lower case, no full stop, what is wrong and what helps. At most 500 bytes; the host puts the plugin's name
    /// before it.
    ///
    /// Threads: [any]
    pub fail: Option<unsafe extern "C" fn(call: keyferry_plugin_call, why: *const c_char) -> keyferry_plugin_status>,
    /// Logs a line at one of `KEYFERRY_PLUGIN_LOG_`, at most 500 bytes.
    ///
    /// Threads: [any]
    pub log: Option<unsafe extern "C" fn(call: keyferry_plugin_call, level: u32, message: *const c_char) -> keyferry_plugin_status>,
    /// Seconds since 1970 by the service's clock, as its answers tell it; 0 for no such call.
    ///
    /// Threads: [any]
    pub now_unix_s: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i64>,
    /// How many milliseconds the call has left; 0 when it is over.
    ///
    /// Threads: [any]
    pub time_left_ms: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> u64>,
    /// 1 when nobody waits for the call any more (its time is over, or the session closes), else 0. A plugin that works long without
    /// the host asks now and then.
    ///
    /// Threads: [any]
    pub is_over: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i32>,
}
