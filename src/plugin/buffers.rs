//! The memory that a call was given: at one place until the call ends, wiped then.
//!
//! The allocator wipes what is freed ([`crate::sys::wiping_alloc`]); these are wiped by name all
//! the same.

use std::ffi::c_char;

use zeroize::Zeroize;

use super::abi::keyferry_plugin_buffer;

/// What one call may have in all.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The blocks of a call.
#[derive(Default)]
pub(super) struct Blocks {
    all: Vec<Block>,
    bytes: usize,
}

struct Block {
    data: *mut u8,
    len: usize,
}

// SAFETY: a block is nobody's but its call's, from any thread.
unsafe impl Send for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `data` came from a boxed slice of this length in `Blocks::put`, and is freed here alone.
        let mut bytes = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.data, self.len)) };
        bytes.zeroize();
    }
}

impl Blocks {
    /// A block with these bytes and NUL behind them. None beyond what a call may have.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<keyferry_plugin_buffer> {
        let buffer = self.zeroed(bytes.len())?;
        // SAFETY: the block has been made with as many bytes, and nobody else has it yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.data.cast::<u8>(), bytes.len()) };
        Some(buffer)
    }

    /// A block of zeros. None beyond what a call may have.
    pub(super) fn zeroed(&mut self, size: usize) -> Option<keyferry_plugin_buffer> {
        let total = size.checked_add(1).and_then(|len| self.bytes.checked_add(len)).filter(|total| *total <= MOST_BYTES)?;
        let block = vec![0_u8; size + 1].into_boxed_slice();
        let (len, data) = (block.len(), Box::into_raw(block).cast::<u8>());
        self.all.push(Block { data, len });
        self.bytes = total;
        Some(keyferry_plugin_buffer { data: data.cast::<c_char>(), size })
    }
}
