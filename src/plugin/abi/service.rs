//! The extension for a service: its routes, and the functions that get tokens.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension whose table is a `keyferry_plugin_service`.
pub const KEYFERRY_PLUGIN_EXTENSION_SERVICE: &str = "keyferry.service/1";
/// One token for everything that this account has at the service.
pub const KEYFERRY_PLUGIN_TOKEN_BEARER: u32 = 1;
/// A token of the user, from a login.
pub const KEYFERRY_PLUGIN_TOKEN_USER: u32 = 2;
/// A token for one item, whose id is in the path.
pub const KEYFERRY_PLUGIN_TOKEN_ITEM: u32 = 3;
/// A configured secret, used as the token itself. It is cached in memory and never stored.
pub const KEYFERRY_PLUGIN_TOKEN_KEY: u32 = 4;

/// The service has only one kind of access.
pub const KEYFERRY_PLUGIN_ACCESS_FULL: u32 = 1;
/// Read access.
pub const KEYFERRY_PLUGIN_ACCESS_READ: u32 = 2;
/// Access to add.
pub const KEYFERRY_PLUGIN_ACCESS_WRITE: u32 = 3;
/// Access to change and delete.
pub const KEYFERRY_PLUGIN_ACCESS_MANAGE: u32 = 4;

/// A route: which paths of a service need which token. The host matches them without calling the
/// plugin.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_route {
    /// The path behind the prefix, without a leading slash: `assets/{id}/{rest}`. `{id}` matches
    /// one whole segment and occurs at most once; `{rest}` at the end matches any number of
    /// segments. All other segments match literally.
    pub pattern: *const c_char,
    /// One of `KEYFERRY_PLUGIN_TOKEN_`. The pattern has `{id}` if, and only if, this is
    /// `KEYFERRY_PLUGIN_TOKEN_ITEM`.
    pub token_kind: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
}

/// Which token to get.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_token_spec {
    /// The size of this struct.
    pub struct_size: u32,
    /// One of `KEYFERRY_PLUGIN_TOKEN_`.
    pub token_kind: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
    /// 0.
    pub reserved: u32,
    /// The id of the item, as it is written in the URL; empty for the other kinds.
    pub id: *const c_char,
    /// The name of the account, for messages.
    pub account: *const c_char,
}

/// The extension `keyferry.service/1`: a remote service that needs tokens. Its base URL is the
/// plugin's setting `url`, which MUST be declared. A URL below it, or `NAME:PATH`, belongs to this
/// service if a route matches its path.
///
/// The host caches the token from `acquire` in memory and stores it, for all programs. Callers at
/// the same time share one call. The token is used until it is about to expire or a caller rejects
/// it. After a failure the host waits before it calls again.
///
/// A service MUST
/// - claim no URL of another service: the host refuses such a plugin;
/// - get tokens with `get_setting` and `exchange`, and with nothing else;
/// - add at least one header before it returns `KEYFERRY_PLUGIN_OK`, and set the expiry if it is
///   known;
/// - return `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` if the service says that the secrets are wrong, and
///   in no other case.
///
/// A service SHOULD
/// - set `bad_credentials_status` in its request if the service answers wrong secrets with a status
///   other than 401;
/// - accept JSON documents with unknown fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_service {
    /// The size of this struct.
    pub struct_size: u32,
    /// The number of routes, at most 64.
    pub route_count: u32,
    /// The name of the service in messages.
    pub title: *const c_char,
    /// The beginning of all its paths below the base URL, with a slash at both ends: `/` or `/v1/`.
    pub prefix: *const c_char,
    /// An array of `route_count` routes. The first one that matches a path is used.
    pub routes: *const keyferry_plugin_route,
    /// Gets a token with the user's secrets.
    ///
    /// Threads: [call]
    pub acquire: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            spec: *const keyferry_plugin_token_spec,
        ) -> keyferry_plugin_status,
    >,
    /// Renews a token with the secret from `set_renewal_secret`. After
    /// `KEYFERRY_PLUGIN_E_BAD_CREDENTIALS` or `KEYFERRY_PLUGIN_E_UNSUPPORTED` the host calls
    /// `acquire`. May be NULL.
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
