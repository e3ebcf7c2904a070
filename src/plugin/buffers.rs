//! The buffers that the host gives to a call: they don't move until the call ends, and are wiped
//! then.
//!
//! The allocator wipes freed memory too ([`crate::sys::wiping_alloc`]), where it is in use.

use std::ffi::c_char;

use zeroize::Zeroize;

use super::abi::keyferry_plugin_buffer;

/// The sum of all buffers of one call.
const MAX_TOTAL_BYTES: usize = 4 * 1024 * 1024;

/// The buffers of a call.
#[derive(Default)]
pub(super) struct Buffers {
    buffers: Vec<Buffer>,
    bytes: usize,
}

struct Buffer {
    data: *mut u8,
    len: usize,
}

// SAFETY: a buffer belongs to its call alone, which may use it from any thread.
unsafe impl Send for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: `data` came from a boxed slice of this length in `Buffers::zeroed`, and is freed
        // here alone.
        let mut bytes =
            unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.data, self.len)) };
        bytes.zeroize();
    }
}

impl Buffers {
    /// A buffer with a copy of these bytes and a NUL behind them; none beyond [`MAX_TOTAL_BYTES`].
    pub(super) fn copy_of(&mut self, bytes: &[u8]) -> Option<keyferry_plugin_buffer> {
        let buffer = self.zeroed(bytes.len())?;
        // SAFETY: the buffer was made with as many bytes, and nothing else points to it yet.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.data.cast::<u8>(), bytes.len())
        };
        Some(buffer)
    }

    /// A buffer of zeros; none beyond [`MAX_TOTAL_BYTES`].
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
