//! An HTTP exchange: request and response.

use std::ffi::c_char;

use super::call::keyferry_plugin_buffer;

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
