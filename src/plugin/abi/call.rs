//! The id of a call, and the memory that a call gets from the host.

use std::ffi::c_char;

/// The maximum length of a string, in bytes without the NUL.
pub const KEYFERRY_PLUGIN_MAX_TEXT_BYTES: u32 = 16384;

/// The id of a call. It is valid until the call returns or times out.
pub type keyferry_plugin_call = u64;

/// Memory from the host. `data[size]` is NUL. The memory is valid until the call ends; the host
/// then wipes it. A plugin never frees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct keyferry_plugin_buffer {
    /// The first byte. A plugin may write only to memory from `new_buffer`.
    pub data: *mut c_char,
    /// The number of bytes, without the NUL.
    pub size: usize,
}
