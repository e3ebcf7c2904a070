//! The host's table, and the levels of its log.

use std::ffi::c_char;

use super::call::{keyferry_plugin_buffer, keyferry_plugin_call};
use super::request::{keyferry_plugin_request, keyferry_plugin_response};
use super::status::keyferry_plugin_status;

/// An error that the user has to fix.
pub const KEYFERRY_PLUGIN_LOG_ERROR: u32 = 1;
/// A fault in spite of which the plugin works.
pub const KEYFERRY_PLUGIN_LOG_WARN: u32 = 2;
/// An action.
pub const KEYFERRY_PLUGIN_LOG_INFO: u32 = 3;
/// A detail of an action.
pub const KEYFERRY_PLUGIN_LOG_DEBUG: u32 = 4;
/// The host breaks the rules of this header. The host itself logs plugins that do.
pub const KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES: u32 = 5;

/// The functions of the host. A later host has more functions behind these, and a greater
/// `struct_size`.
///
/// The host
/// - follows no redirect, uses https except to this machine, sends requests to URLs below the
///   plugin's own only, and reads at most 1 MiB of a response;
/// - retries a GET that failed, and no other request that the service may have got;
/// - remembers rejected secrets for a while, in all processes, and does not send them again
///   meanwhile;
/// - drops log lines and error messages that contain a secret of the call.
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
    /// Gets the value of a declared setting for the account of the call. Fails with
    /// `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` if it is not set, with `KEYFERRY_PLUGIN_E_SECRET_SOURCE`
    /// if its source does not give it. Not in `init`. May wait.
    ///
    /// Threads: [any]
    pub get_setting: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            key: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Sends a request and receives the response, at most 16 times in a call. Once the call has
    /// read a secret, a 401 or the request's `bad_credentials_status` is
    /// `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS`; so is a request with secrets that were rejected before,
    /// which is not sent. If the plugin returns the error as it is, the user gets all its details.
    /// Not in `init`. May wait.
    ///
    /// Threads: [any]
    pub exchange: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            request: *const keyferry_plugin_request,
            response: *mut keyferry_plugin_response,
        ) -> keyferry_plugin_status,
    >,
    /// Allocates a buffer of `size` zero bytes, for texts that contain secrets. All buffers of a
    /// call have at most 4 MiB.
    ///
    /// Threads: [any]
    pub new_buffer: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            size: usize,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Gets the value at a JSON pointer (RFC 6901: `/data/token`, `/rows/0`) of a JSON document as
    /// text: the content of a string, the digits of a number, `true` or `false`. Fails with
    /// `KEYFERRY_PLUGIN_E_NOT_FOUND` if there is no such value, with
    /// `KEYFERRY_PLUGIN_E_BAD_RESPONSE` if the document is not JSON or the text has control
    /// characters.
    ///
    /// Threads: [any]
    pub json_get_text: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            document: *const c_char,
            document_size: usize,
            pointer: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Converts a text to a JSON string, with quotes.
    ///
    /// Threads: [any]
    pub json_quote: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            text: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Adds a header to the token that this call returns, at most 8.
    ///
    /// Threads: [any]
    pub add_header: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            name: *const c_char,
            value: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Sets when the token expires, in seconds since 1970 by the clock of the service. Without it
    /// the token is used until it is rejected.
    ///
    /// Threads: [any]
    pub set_expiry: Option<
        unsafe extern "C" fn(call: keyferry_plugin_call, unix_s: i64) -> keyferry_plugin_status,
    >,
    /// Sets the secret that `renew` gets later. It is stored encrypted, with the token.
    ///
    /// Threads: [any]
    pub set_renewal_secret: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            renewal_secret: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Sets the secret that `get` returns.
    ///
    /// Threads: [any]
    pub set_secret: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            secret: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Sets the message for the error that the call returns: what is wrong and what to do, lower
    /// case, no full stop, at most 500 bytes. The host puts the plugin's name before it. The call
    /// itself goes on.
    ///
    /// Threads: [any]
    pub set_error_message: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            message: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Logs a line of at most 500 bytes. `level` is one of `KEYFERRY_PLUGIN_LOG_`.
    ///
    /// Threads: [any]
    pub log: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            level: u32,
            message: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// The time in seconds since 1970 by the clock of the service, which the host learns from its
    /// responses; 0 if there is no such call.
    ///
    /// Threads: [any]
    pub now_unix_s: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i64>,
    /// The time until the call times out, in milliseconds; 0 if it is cancelled.
    ///
    /// Threads: [any]
    pub time_left_ms: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> u64>,
    /// 1 if the call has timed out or the session is closing, else 0. A plugin that works for long
    /// without calling the host checks this from time to time.
    ///
    /// Threads: [any]
    pub is_cancelled: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i32>,
}
