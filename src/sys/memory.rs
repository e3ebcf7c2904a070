//! An allocator that wipes what is freed.
//!
//! Rationale: HTTP, TLS and JSON libraries keep copies of passwords in buffers of their own. Wiping at
//! the one place that every buffer passes keeps them out of core files and of memory used again.

use std::alloc::{GlobalAlloc, Layout, System};

/// Keeps this process's memory out of core files, and from other processes of the same user. For programs, never for the library.
pub fn keep_out_of_core_files() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers and changes a flag of this process; where it fails nothing is worse than before.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}

/// The system's allocator, wiping on free.
pub struct Wiping;

// SAFETY: every call is passed on to `System` with the caller's own arguments; the wipe before a free
// stays inside the block that the layout describes.
unsafe impl GlobalAlloc for Wiping {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` is a live block of `layout`, by the contract of `GlobalAlloc::dealloc`.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }
    // `realloc` is the trait's own: a new block, a copy, and `dealloc` above for the old one.
}

/// Writes zeros that the compiler may not drop.
///
/// # Safety
/// `block` points to `len` writable bytes.
#[inline]
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: by this function's contract.
    unsafe { std::ptr::write_bytes(block, 0, len) };
    // SAFETY: an empty block of assembly that claims to read memory, so that the zeros have to be there.
    unsafe { std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly)) };
}
