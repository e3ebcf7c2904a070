//! Buffers that the host gives to a call. A buffer keeps its address until the call ends, and is
//! wiped then.
//!
//! Applications can build keyferry without [`crate::sys::wiping_alloc`], so the buffers don't rely
//! on it.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::c_char;

use zeroize::Zeroize;

use super::abi::keyferry_plugin_buffer;

/// The maximum size of all buffers of one call together: 4 MiB.
pub(super) const MAX_TOTAL_BYTES: usize = 4 * 1024 * 1024;

/// The buffers of one call.
#[derive(Default)]
pub(super) struct Buffers {
    buffers: Vec<Buffer>,
    bytes: usize,
}

struct Buffer {
    data: *mut u8,
    len: usize,
}

// SAFETY: the buffer belongs to one call, and its memory may be used and freed on any thread.
unsafe impl Send for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: `Buffers::zeroed` made `data` from a boxed slice of this length, and only this
        // `drop` frees it.
        let mut bytes =
            unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.data, self.len)) };
        bytes.zeroize();
    }
}

impl Buffers {
    /// Returns a buffer with a copy of `bytes`, followed by a NUL. Returns `None` if the call's
    /// buffers would exceed [`MAX_TOTAL_BYTES`].
    pub(super) fn copy_of(&mut self, bytes: &[u8]) -> Option<keyferry_plugin_buffer> {
        let buffer = self.zeroed(bytes.len())?;
        // SAFETY: the buffer has room for `bytes.len()` bytes and a NUL. It is new, so it does not
        // overlap `bytes`.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.data.cast::<u8>(), bytes.len())
        };
        Some(buffer)
    }

    /// Returns a buffer of `size` zeros, followed by a NUL. Returns `None` if the call's buffers
    /// would exceed [`MAX_TOTAL_BYTES`].
    pub(super) fn zeroed(&mut self, size: usize) -> Option<keyferry_plugin_buffer> {
        let total = size
            .checked_add(1)
            .and_then(|len| self.bytes.checked_add(len))
            .filter(|total| *total <= MAX_TOTAL_BYTES)?;
        let bytes = vec![0_u8; size + 1].into_boxed_slice();
        let (len, data) = (bytes.len(), Box::into_raw(bytes).cast::<u8>());
        self.buffers.push(Buffer { data, len });
        self.bytes = total;
        Some(keyferry_plugin_buffer {
            data: data.cast::<c_char>(),
            size,
        })
    }
}
