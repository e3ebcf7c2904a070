//! Calls and the memory that they get.

use std::ffi::c_char;

/// The longest text, in bytes without the NUL.
pub const KEYFERRY_PLUGIN_MAX_TEXT_BYTES: u32 = 16384;

/// The id of a call: valid until the call returns or times out.
pub type keyferry_plugin_call = u64;

/// Memory from the host; `data[size]` is NUL. It is valid until the call ends, and is wiped then. A
/// plugin never frees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_buffer {
    /// The first byte. Only the memory from `new_buffer` may be written to.
    pub data: *mut c_char,
    /// The number of bytes without the NUL.
    pub size: usize,
}
