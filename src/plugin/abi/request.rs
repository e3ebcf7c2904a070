//! An HTTP request and its response.

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
    /// The name. The host itself sets the headers of the connection, such as `Host`,
    /// `Content-Length` and `Transfer-Encoding`.
    pub name: *const c_char,
    /// The value.
    pub value: *const c_char,
}

/// A request. Set all its bytes to zero before you fill it in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_request {
    /// The size of this struct.
    pub struct_size: u32,
    /// One of `KEYFERRY_PLUGIN_METHOD_`.
    pub method: u32,
    /// The key of the setting that has the base URL. NULL means the setting with the key `url`.
    pub base_url_setting: *const c_char,
    /// The path and query below the base URL, with a leading slash. A path with `..` cannot leave
    /// the base URL.
    pub path: *const c_char,
    /// An array of `header_count` headers; NULL for none.
    pub headers: *const keyferry_plugin_header,
    /// The number of headers, at most 16.
    pub header_count: usize,
    /// The body, UTF-8; NULL for none. It is JSON unless `headers` has a `Content-Type`.
    pub body: *const c_char,
    /// The size of the body in bytes, at most 1 MiB.
    pub body_size: usize,
    /// The HTTP status, besides 401, with which the service rejects wrong secrets; 0 for none.
    pub bad_credentials_status: u32,
    /// Reserved; must be 0.
    pub reserved: u32,
}

/// A response. The plugin sets `struct_size` before it calls `exchange`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_response {
    /// The size of this struct.
    pub struct_size: u32,
    /// The HTTP status. It is never a redirect, 401, 429, or a 5xx other than 501: for these
    /// `exchange` returns an error code.
    pub status: u32,
    /// The body.
    pub body: keyferry_plugin_buffer,
}
