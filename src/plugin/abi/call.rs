//! Calls and the memory that they get.

use std::ffi::c_char;

/// The longest text, in bytes without NUL.
pub const KEYFERRY_PLUGIN_TEXT_BYTES: u32 = 16384;

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
