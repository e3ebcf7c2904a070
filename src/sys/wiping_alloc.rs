//! An allocator that wipes memory when it is freed.
//!
//! Rationale: HTTP, TLS and JSON libraries copy passwords into their own buffers. Every buffer is
//! freed through the allocator. Wiping there keeps the passwords out of core files and out of
//! reused memory.

#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};

/// The size from which a block is mapped directly from the kernel, and unmapped when it is freed.
///
/// Rationale: glibc also maps large blocks, but only until the first large block is freed. After
/// that it keeps freed blocks of that size in its arenas. An application that received a few
/// responses of 1 MiB stayed several MiB larger until it ended.
const LARGE_BYTES: usize = 128 * 1024;

/// The system's allocator, extended to wipe each block before it is freed.
pub struct WipingAlloc;

// SAFETY: small blocks are allocated and freed by `System` with the caller's arguments, large
// blocks by the kernel. Only the layout decides which, so a block is freed where it was allocated.
// The wipe before a free stays inside the block that the layout describes.
unsafe impl GlobalAlloc for WipingAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, so the block came
            // from `map` with this size.
            return unsafe { unmap(block, layout.size()) };
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, so `block` is a live
        // block of this layout.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: `System` allocated the block with this layout, because the block is not large.
        unsafe { System.dealloc(block, layout) };
    }
    // `realloc` is the default of the trait: it allocates a new block, copies the content, and
    // frees the old block with `dealloc` above.
}

/// Returns whether a block is mapped directly. Mapped blocks are only guaranteed to be
/// page-aligned, so a stricter alignment goes to `System`.
#[inline]
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE_BYTES && layout.align() <= 4096
}

/// Maps a zeroed block. Returns NULL on failure.
#[cold]
fn map(size: usize) -> *mut u8 {
    let (access, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: without an address, the kernel chooses unused pages, so the call touches no existing
    // memory.
    let block = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
    if block == libc::MAP_FAILED {
        std::ptr::null_mut()
    } else {
        block.cast()
    }
}

/// Unmaps a block. The block needs no wiping: the kernel zeroes the pages before it reuses them,
/// and unmapped pages are not in core files.
///
/// # Safety
/// `block` must come from [`map`] with this size, and must not be used afterwards.
#[cold]
unsafe fn unmap(block: *mut u8, size: usize) {
    // SAFETY: the caller keeps this function's contract.
    unsafe { libc::munmap(block.cast(), size) };
}

/// Overwrites a block with zeros. The compiler cannot remove this write.
///
/// # Safety
/// `block` must point to `len` writable bytes.
#[inline]
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: the caller keeps this function's contract.
    unsafe { std::ptr::write_bytes(block, 0, len) };
    // SAFETY: the assembly is empty. The compiler must assume that it reads memory, so it must
    // write the zeros first.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly))
    };
}
