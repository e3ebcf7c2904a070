//! An allocator that wipes memory when it is freed.
//!
//! Rationale: HTTP, TLS and JSON libraries keep copies of passwords in buffers of their own. Wiping
//! at the one place that every buffer passes keeps them out of core files and of reused memory.

use std::alloc::{GlobalAlloc, Layout, System};

/// The size from which blocks come from the kernel and go back to it at once.
///
/// Rationale: glibc does that too, until the first large block is freed: from then on it keeps
/// blocks of that size, in an arena for each few threads. A host that met some answers of a
/// mebibyte stayed larger by several, for good.
const LARGE_BYTES: usize = 128 * 1024;

/// The system's allocator, with a wipe before each free.
pub struct WipingAlloc;

// SAFETY: a call for a small block is passed on to `System` with the caller's own arguments, one
// for a large block to the kernel: which of them it is depends on the layout alone. The wipe before
// a free stays inside the block that the layout describes.
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
            // SAFETY: the block came from `map` with this size, by the contract of
            // `GlobalAlloc::dealloc`.
            return unsafe { unmap(block, layout.size()) };
        }
        // SAFETY: `block` is a live block of `layout`, by the contract of `GlobalAlloc::dealloc`.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }
    // `realloc` is the trait's own: a new block, a copy, and `dealloc` above for the old one.
}

/// A page is the strictest alignment that the kernel's blocks have for certain.
#[inline]
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE_BYTES && layout.align() <= 4096
}

/// A zeroed block of the kernel's, or NULL.
#[cold]
fn map(size: usize) -> *mut u8 {
    let (access, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: asks for fresh pages at no certain place, so that nothing that is there is touched.
    let block = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
    if block == libc::MAP_FAILED {
        std::ptr::null_mut()
    } else {
        block.cast()
    }
}

/// Gives a block back. It needs no wiping: the kernel gives its pages to nobody before it has
/// zeroed them, and no core file has them.
///
/// # Safety
/// `block` came from [`map`] with this size, and is used no more.
#[cold]
unsafe fn unmap(block: *mut u8, size: usize) {
    // SAFETY: by this function's contract.
    unsafe { libc::munmap(block.cast(), size) };
}

/// Writes zeros that the compiler may not drop.
///
/// # Safety
/// `block` points to `len` writable bytes.
#[inline]
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: by this function's contract.
    unsafe { std::ptr::write_bytes(block, 0, len) };
    // SAFETY: an empty block of assembly that claims to read memory, so that the zeros have to be
    // there.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly))
    };
}
