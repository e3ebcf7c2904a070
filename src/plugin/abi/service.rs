//! The extension for a service: its routes, and the functions that get its tokens.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension whose table is a `keyferry_plugin_service`.
pub const KEYFERRY_PLUGIN_EXTENSION_SERVICE: &str = "keyferry.service/1";
/// One token for everything that the account can reach at the service.
pub const KEYFERRY_PLUGIN_TOKEN_BEARER: u32 = 1;
/// A token of the user, from a login.
pub const KEYFERRY_PLUGIN_TOKEN_USER: u32 = 2;
/// A token for one item, whose id is in the path.
pub const KEYFERRY_PLUGIN_TOKEN_ITEM: u32 = 3;
/// A configured secret that is itself the token. The host caches it in memory and never stores it.
pub const KEYFERRY_PLUGIN_TOKEN_KEY: u32 = 4;

/// Full access, for a service that has only one level of access.
pub const KEYFERRY_PLUGIN_ACCESS_FULL: u32 = 1;
/// Read access.
pub const KEYFERRY_PLUGIN_ACCESS_READ: u32 = 2;
/// Access to add data.
pub const KEYFERRY_PLUGIN_ACCESS_WRITE: u32 = 3;
/// Access to change and delete data.
pub const KEYFERRY_PLUGIN_ACCESS_MANAGE: u32 = 4;

/// A route: the paths of a service that need a certain token. The host matches routes without
/// calling the plugin.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_route {
    /// The path after the prefix, without a leading slash, such as `assets/{id}/{rest}`. `{id}`
    /// matches one whole segment and occurs at most once. `{rest}` occurs only at the end and
    /// matches any number of segments. All other segments match literally.
    pub pattern: *const c_char,
    /// One of `KEYFERRY_PLUGIN_TOKEN_`. The pattern has `{id}` if, and only if, this is
    /// `KEYFERRY_PLUGIN_TOKEN_ITEM`.
    pub token_kind: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
}

/// The token to get.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_token_spec {
    /// The size of this struct.
    pub struct_size: u32,
    /// One of `KEYFERRY_PLUGIN_TOKEN_`.
    pub token_kind: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// The id of the item, as it is written in the URL; empty for the other kinds of token.
    pub id: *const c_char,
    /// The name of the account, for messages.
    pub account: *const c_char,
}

/// The extension `keyferry.service/1`: a remote service that needs tokens.
///
/// The base URL of the service is the plugin's setting `url`, which the plugin MUST declare. A URL
/// below the base URL, or `NAME:PATH`, belongs to the service if a route matches its path.
///
/// The host caches the token from `acquire` in memory and stores it, so that all programs share it.
/// Callers that need the token at the same time share one call of the plugin. The host uses the
/// token until it is about to expire or a caller rejects it. After a failure the host backs off
/// before it calls the plugin again.
///
/// A service MUST
/// - claim no URL of another service: the host rejects a plugin that does;
/// - get tokens only with `get_setting` and `exchange`;
/// - add at least one header before it returns `KEYFERRY_PLUGIN_OK`, and set the expiry if it is
///   known;
/// - return `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` if the service says that the secrets are wrong, and
///   in no other case.
///
/// A service SHOULD
/// - set `bad_credentials_status` in its request if the service rejects wrong secrets with a status
///   other than 401;
/// - accept JSON documents that have unknown fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_service {
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of routes, at most 64.
    pub route_count: u32,
    /// The name of the service in messages.
    pub title: *const c_char,
    /// The prefix of all paths of the service below the base URL. It begins and ends with a slash,
    /// as in `/` or `/v1/`.
    pub prefix: *const c_char,
    /// An array of `route_count` routes. The host uses the first route that matches a path.
    pub routes: *const keyferry_plugin_route,
    /// Gets a token with the secrets of the user.
    ///
    /// Threads: [call]
    pub acquire: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            spec: *const keyferry_plugin_token_spec,
        ) -> keyferry_plugin_status,
    >,
    /// Refreshes a token with the secret from `set_renewal_secret`. If `renew` returns
    /// `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` or `KEYFERRY_PLUGIN_E_UNSUPPORTED`, the host calls
    /// `acquire`. The field `renew` may be NULL.
    ///
    /// Threads: [call]
    pub renew: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            spec: *const keyferry_plugin_token_spec,
            renewal_secret: *const c_char,
        ) -> keyferry_plugin_status,
    >,
}
