//! The table of the host, and its log levels.

use std::ffi::c_char;

use super::call::{keyferry_plugin_buffer, keyferry_plugin_call};
use super::request::{keyferry_plugin_request, keyferry_plugin_response};
use super::status::keyferry_plugin_status;

/// An error that the user must fix.
pub const KEYFERRY_PLUGIN_LOG_ERROR: u32 = 1;
/// A fault after which the plugin continues to work.
pub const KEYFERRY_PLUGIN_LOG_WARN: u32 = 2;
/// An action, such as a login.
pub const KEYFERRY_PLUGIN_LOG_INFO: u32 = 3;
/// A detail of an action.
pub const KEYFERRY_PLUGIN_LOG_DEBUG: u32 = 4;
/// The host broke a rule of this header. (If a plugin breaks a rule, the host itself logs that.)
pub const KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES: u32 = 5;

/// The functions of the host. A later version of the host has more functions after these, and a
/// greater `struct_size`.
///
/// The host
/// - follows no redirect, and uses https except for connections to this machine;
/// - sends requests only to URLs below the base URLs of the plugin, and reads at most 1 MiB of a
///   response;
/// - sends each request on a new connection, and closes the connection after the response;
/// - retries a GET that is no login (see `exchange`) at most twice, if it failed temporarily;
/// - retries a login at most once. It does so in two cases: no part of the request was sent, or a
///   429 response asks for a retry within 2 seconds;
/// - never retries any other POST, PUT or DELETE;
/// - remembers rejected secrets for a while, in all processes, and does not send them again during
///   that time;
/// - drops log messages and error messages that contain a secret of the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_host {
    /// The major version of the host's ABI.
    pub abi_major: u32,
    /// The minor version of the host's ABI.
    pub abi_minor: u32,
    /// The size of this table.
    pub struct_size: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// Gets the value of a declared setting for the account of the call. Returns
    /// `KEYFERRY_PLUGIN_E_NOT_CONFIGURED` if the setting is not set, and
    /// `KEYFERRY_PLUGIN_E_SECRET_SOURCE` if its source does not return the value. The function
    /// may block. A plugin must not call it in `init`.
    ///
    /// Threads: [any]
    pub get_setting: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            key: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Sends a request and receives the response. A plugin may use `exchange` at most 16 times in
    /// one call.
    ///
    /// After the call has read a secret, the host treats its requests as logins. If the response
    /// then has the status 401 or the `bad_credentials_status` of the request, `exchange` returns
    /// `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS`. If the service has recently rejected the same secrets,
    /// `exchange` returns this code without sending the request.
    ///
    /// If a plugin returns the error code of `exchange` unchanged, the user gets all details of the
    /// error. The function may block. A plugin must not call it in `init`.
    ///
    /// Threads: [any]
    pub exchange: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            request: *const keyferry_plugin_request,
            response: *mut keyferry_plugin_response,
        ) -> keyferry_plugin_status,
    >,
    /// Allocates a buffer of `size` bytes, all zero, for strings that contain secrets. All buffers
    /// of a call together have at most 4 MiB.
    ///
    /// Threads: [any]
    pub new_buffer: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            size: usize,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Gets a value of a JSON document as a string: the content of a string, the digits of a
    /// number, `true` or `false`. `pointer` is a JSON pointer (RFC 6901), such as `/data/token` or
    /// `/rows/0`. Returns `KEYFERRY_PLUGIN_E_NOT_FOUND` if there is no such value, and
    /// `KEYFERRY_PLUGIN_E_BAD_RESPONSE` if the document is not JSON or the value contains a control
    /// character.
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
    /// Converts a string to a JSON string, with quotes.
    ///
    /// Threads: [any]
    pub json_quote: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            text: *const c_char,
            out: *mut keyferry_plugin_buffer,
        ) -> keyferry_plugin_status,
    >,
    /// Adds a header to the token that this call returns. A token has at most 8 headers.
    ///
    /// Threads: [any]
    pub add_header: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            name: *const c_char,
            value: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Sets the expiry of the token, in seconds since 1970 by the clock of the service. Without an
    /// expiry the host uses the token until it is rejected.
    ///
    /// Threads: [any]
    pub set_expiry: Option<
        unsafe extern "C" fn(call: keyferry_plugin_call, unix_s: i64) -> keyferry_plugin_status,
    >,
    /// Sets the secret that the host passes to `renew` later. The host stores it encrypted, with
    /// the token.
    ///
    /// Threads: [any]
    pub set_renewal_secret: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            renewal_secret: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Passes the requested secret to the host. Only the function `get` of a
    /// `keyferry_plugin_secret_source` may call it.
    ///
    /// Threads: [any]
    pub set_secret: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            secret: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Sets the error message of the call: what is wrong and what to do, in lower case, without a
    /// full stop, at most 500 bytes. The host puts the name of the plugin before it. The call
    /// continues.
    ///
    /// Threads: [any]
    pub set_error_message: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            message: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Logs a message of at most 500 bytes. `level` is one of `KEYFERRY_PLUGIN_LOG_`.
    ///
    /// Threads: [any]
    pub log: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            level: u32,
            message: *const c_char,
        ) -> keyferry_plugin_status,
    >,
    /// Returns the time in seconds since 1970 by the clock of the service, which the host learns
    /// from the responses of the service. Returns 0 if there is no call with this id.
    ///
    /// Threads: [any]
    pub now_unix_s: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i64>,
    /// Returns the time until the call times out, in milliseconds. Returns 0 if the call is
    /// cancelled.
    ///
    /// Threads: [any]
    pub time_left_ms: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> u64>,
    /// Returns 1 if the call has timed out or the session is closing, otherwise 0. A plugin that
    /// works for a long time without calling the host should check this regularly.
    ///
    /// Threads: [any]
    pub is_cancelled: Option<unsafe extern "C" fn(call: keyferry_plugin_call) -> i32>,
}
