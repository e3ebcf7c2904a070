//! The extension for a service: its routes, and the functions that get tokens.

use std::ffi::c_char;

use super::call::keyferry_plugin_call;
use super::status::keyferry_plugin_status;

/// The id of the extension `keyferry_plugin_service`.
pub const KEYFERRY_PLUGIN_SERVICE: &str = "keyferry.service/1";
/// One token serves everything of the service that this account has.
pub const KEYFERRY_PLUGIN_CLASS_BEARER: u32 = 1;
/// The login of a user.
pub const KEYFERRY_PLUGIN_CLASS_USER: u32 = 2;
/// Each thing has a token of its own, by the id in its path.
pub const KEYFERRY_PLUGIN_CLASS_ITEM: u32 = 3;
/// A configured secret, handed out as it is: kept in memory alone.
pub const KEYFERRY_PLUGIN_CLASS_KEY: u32 = 4;

/// There is one sort of token.
pub const KEYFERRY_PLUGIN_ACCESS_FULL: u32 = 1;
/// To read.
pub const KEYFERRY_PLUGIN_ACCESS_READ: u32 = 2;
/// To add.
pub const KEYFERRY_PLUGIN_ACCESS_WRITE: u32 = 3;
/// To change and delete.
pub const KEYFERRY_PLUGIN_ACCESS_MANAGE: u32 = 4;

/// Which paths of a service need which token. The host matches them by itself: a hit costs no call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_route {
    /// A path behind the prefix, without a slash before it. `{id}` stands for one whole segment, at most once; `{rest}` at the end for
    /// whatever follows, also nothing: `assets/{id}/{rest}`. All other segments count to the letter.
    pub pattern: *const c_char,
    /// One of `KEYFERRY_PLUGIN_CLASS_`. `{id}` stands in the pattern of an item, and in no other.
    pub token_class: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
}

/// What is to be got.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_want {
    /// The size of this struct.
    pub struct_size: u32,
    /// One of `KEYFERRY_PLUGIN_CLASS_`.
    pub token_class: u32,
    /// One of `KEYFERRY_PLUGIN_ACCESS_`.
    pub access: u32,
    /// 0.
    pub reserved: u32,
    /// Which item, as it stands in the URL; empty for the other classes.
    pub id: *const c_char,
    /// The account's name, for messages.
    pub account: *const c_char,
}

/// The extension `keyferry.service/1`: a remote system whose headers are handed out. Its base URL is the plugin's setting `url`,
/// which it MUST have; a URL below that, or `NAME:PATH`, is its own if a route has its path.
///
/// keyferry keeps what `acquire` gives: in memory and in the store, for all programs, one flight for all who ask at the same
/// time, until it is about to end or is rejected. A failure is not asked for again for a while.
///
/// A service MUST
/// - claim no URL of another service: the host refuses it;
/// - get a token with what `setting` and `exchange` give, and with nothing else;
/// - give at least one header before it returns `KEYFERRY_PLUGIN_OK`, and the expiry where it is known;
/// - return `KEYFERRY_PLUGIN_E_REFUSED` when the service says that the secrets are wrong, and for nothing else.
///
/// A service SHOULD
/// - name the status that means "wrong secrets" in `refused_status` of its request where that is not 401;
/// - accept documents with unknown fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_service {
    /// The size of this struct.
    pub struct_size: u32,
    /// How many routes there are, at most 64.
    pub route_count: u32,
    /// The service's name in sentences.
    pub title: *const c_char,
    /// What its paths begin with below the base URL: a slash at both ends, `/` or `/v1/`.
    pub prefix: *const c_char,
    /// The routes; the first one that has a path counts.
    pub routes: *const keyferry_plugin_route,
    /// Gets a token with the user's secrets.
    ///
    /// Threads: [call]
    pub acquire: Option<unsafe extern "C" fn(call: keyferry_plugin_call, spec: *const keyferry_plugin_want) -> keyferry_plugin_status>,
    /// Renews a token with what `give_renewal` gave. After `KEYFERRY_PLUGIN_E_REFUSED` and `KEYFERRY_PLUGIN_E_UNSUPPORTED` the host
    /// calls `acquire`. May be NULL.
    ///
    /// Threads: [call]
    pub renew: Option<
        unsafe extern "C" fn(
            call: keyferry_plugin_call,
            spec: *const keyferry_plugin_want,
            renewal: *const c_char,
        ) -> keyferry_plugin_status,
    >,
}
