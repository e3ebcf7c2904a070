//! The ABI of plugins: what `keyferry_plugin.h` is generated from. Types and numbers, no code, no type in common with `keyferry.h`.
//!
//! What the host does with it stands in its siblings.
#![expect(non_camel_case_types, reason = "the names that C programs see")]
#![expect(rustdoc::broken_intra_doc_links, reason = "[load], [call] and [any] are the header's words for threads, no links")]

mod host;

use std::ffi::{c_char, c_void};

pub use host::*;

/// The major number: another one means another ABI. A host says which ones it takes.
pub const KEYFERRY_PLUGIN_ABI_MAJOR: u32 = 1;
/// The minor number: a greater one has more slots and extensions, and nothing less.
pub const KEYFERRY_PLUGIN_ABI_MINOR: u32 = 0;

/// The id of the extension `keyferry_plugin_service`.
pub const KEYFERRY_PLUGIN_SERVICE: &str = "keyferry.service/1";
/// The id of the extension `keyferry_plugin_source`.
pub const KEYFERRY_PLUGIN_SOURCE: &str = "keyferry.secret-source/1";

/// The longest text, in bytes without NUL.
pub const KEYFERRY_PLUGIN_TEXT_BYTES: u32 = 16384;

/// What a function returns: `KEYFERRY_PLUGIN_OK`, or one of the `KEYFERRY_PLUGIN_E_` numbers.
pub type keyferry_plugin_status = i32;

/// Done.
pub const KEYFERRY_PLUGIN_OK: keyferry_plugin_status = 0;
/// A setting that is needed is not there.
pub const KEYFERRY_PLUGIN_E_NOT_CONFIGURED: keyferry_plugin_status = 1;
/// A setting is there and can't be had.
pub const KEYFERRY_PLUGIN_E_SECRET_SOURCE: keyferry_plugin_status = 2;
/// No connection, or no whole answer.
pub const KEYFERRY_PLUGIN_E_UNREACHABLE: keyferry_plugin_status = 3;
/// The service refused the secrets that this call asked for. They are not sent again for a while.
pub const KEYFERRY_PLUGIN_E_REFUSED: keyferry_plugin_status = 4;
/// A person has to log in.
pub const KEYFERRY_PLUGIN_E_LOGIN_REQUIRED: keyferry_plugin_status = 5;
/// The service does not know the thing.
pub const KEYFERRY_PLUGIN_E_NOT_FOUND: keyferry_plugin_status = 6;
/// The secrets at hand can't do this.
pub const KEYFERRY_PLUGIN_E_ACCESS: keyferry_plugin_status = 7;
/// The service wants fewer requests.
pub const KEYFERRY_PLUGIN_E_THROTTLED: keyferry_plugin_status = 8;
/// The service is out of order.
pub const KEYFERRY_PLUGIN_E_UNAVAILABLE: keyferry_plugin_status = 9;
/// The service's answer is not what it documents.
pub const KEYFERRY_PLUGIN_E_BAD_ANSWER: keyferry_plugin_status = 10;
/// There is no such way. From `renew`: get a new token instead.
pub const KEYFERRY_PLUGIN_E_UNSUPPORTED: keyferry_plugin_status = 11;
/// The call's time is over, or the session closes.
pub const KEYFERRY_PLUGIN_E_OVER: keyferry_plugin_status = 12;
/// What was passed can't be: NULL, too long, not UTF-8, a control character in it, a name that the descriptor does not have. From
/// the host alone, and the call fails as the plugin's fault whatever it returns.
pub const KEYFERRY_PLUGIN_E_ARGUMENT: keyferry_plugin_status = 13;
/// There is no such call, or no more. From the host alone.
pub const KEYFERRY_PLUGIN_E_CALL: keyferry_plugin_status = 14;
/// Anything else; say why with `fail`.
pub const KEYFERRY_PLUGIN_E_FAILED: keyferry_plugin_status = 15;

/// The number of a call.
pub type keyferry_plugin_call = u64;

/// Bytes that the host gives: `data[size]` is NUL. They live until the call ends, and are wiped then; a plugin frees nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_buffer {
    /// Where they begin; of one got with `buffer` they may be written.
    pub data: *mut c_char,
    /// How many, without NUL.
    pub size: usize,
}

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

/// Read.
pub const KEYFERRY_PLUGIN_GET: u32 = 1;
/// Post.
pub const KEYFERRY_PLUGIN_POST: u32 = 2;
/// Put.
pub const KEYFERRY_PLUGIN_PUT: u32 = 3;
/// Delete.
pub const KEYFERRY_PLUGIN_DELETE: u32 = 4;

/// A header of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_header {
    /// Its name. Those of the connection (`Host`, `Content-Length`, `Transfer-Encoding` and their kin) are the host's.
    pub name: *const c_char,
    /// Its value.
    pub value: *const c_char,
}

/// A request. Zero all of it first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_request {
    /// The size of this struct.
    pub struct_size: u32,
    /// `KEYFERRY_PLUGIN_GET` and its kin.
    pub method: u32,
    /// The key of the setting whose URL this goes below; NULL for `url`.
    pub base: *const c_char,
    /// Path and query, behind that URL; a slash first. It can't leave the URL.
    pub path: *const c_char,
    /// The headers, at most 16; NULL for none.
    pub headers: *const keyferry_plugin_header,
    /// How many there are.
    pub header_count: usize,
    /// The body, UTF-8; NULL for none. JSON unless a header `Content-Type` says otherwise.
    pub body: *const c_char,
    /// How many bytes it has, at most 1 MiB.
    pub body_size: usize,
    /// A status that means "wrong secrets", beside 401; 0 for none.
    pub refused_status: u32,
    /// 0.
    pub reserved: u32,
}

/// An answer. The plugin sets `struct_size` before the exchange.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_answer {
    /// The size of this struct.
    pub struct_size: u32,
    /// The HTTP status: no redirect, no 401, no 429 and no 5xx but 501, for these have become errors.
    pub status: u32,
    /// The body.
    pub body: keyferry_plugin_buffer,
}
