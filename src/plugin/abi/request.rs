//! An HTTP exchange: request and response.

use std::ffi::c_char;

use super::call::keyferry_plugin_buffer;

/// GET.
pub const KEYFERRY_PLUGIN_METHOD_GET: u32 = 1;
/// POST.
pub const KEYFERRY_PLUGIN_METHOD_POST: u32 = 2;
/// PUT.
pub const KEYFERRY_PLUGIN_METHOD_PUT: u32 = 3;
/// DELETE.
pub const KEYFERRY_PLUGIN_METHOD_DELETE: u32 = 4;

/// A header of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_header {
    /// The name. The host sets the headers of the connection (`Host`, `Content-Length`,
    /// `Transfer-Encoding` and others) itself.
    pub name: *const c_char,
    /// The value.
    pub value: *const c_char,
}

/// A request. Set all bytes to zero first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_request {
    /// The size of this struct.
    pub struct_size: u32,
    /// One of `KEYFERRY_PLUGIN_METHOD_`.
    pub method: u32,
    /// The key of the setting with the base URL; NULL for `url`.
    pub base_url_setting: *const c_char,
    /// Path and query below the base URL, with a leading slash. `..` can't leave the base URL.
    pub path: *const c_char,
    /// An array of `header_count` headers; NULL for none.
    pub headers: *const keyferry_plugin_header,
    /// The number of headers, at most 16.
    pub header_count: usize,
    /// The body, UTF-8; NULL for none. Its type is JSON unless there is a `Content-Type` header.
    pub body: *const c_char,
    /// The size of the body in bytes, at most 1 MiB.
    pub body_size: usize,
    /// The HTTP status with which the service answers wrong secrets, besides 401; 0 for none.
    pub bad_credentials_status: u32,
    /// 0.
    pub reserved: u32,
}

/// A response. The plugin sets `struct_size` before it calls `exchange`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_response {
    /// The size of this struct.
    pub struct_size: u32,
    /// The HTTP status. Never a redirect, 401, 429 or a 5xx other than 501: `exchange` returns an
    /// error for these.
    pub status: u32,
    /// The body.
    pub body: keyferry_plugin_buffer,
}
