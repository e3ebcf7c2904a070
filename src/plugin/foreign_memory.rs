//! Copies data out of a plugin's memory, with checks and size limits.
//!
//! The host can't detect a dangling pointer. It checks everything else.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::text::has_control;

/// What is wrong with a value that a plugin passed: a verb phrase such as "is not UTF-8".
pub(super) type Fault = &'static str;

/// A type of the ABI for which any bytes are a valid value, including all zeros.
///
/// # Safety
/// All fields are numbers, pointers or optional functions.
pub(super) unsafe trait PlainData: Copy {}

/// Copies a string that ends in NUL. Rejects a string that is longer than `max` bytes, is not UTF-8
/// or contains control characters.
///
/// # Safety
/// `text` is NULL, or points to a string that ends in NUL, or to more than `max` bytes.
pub(super) unsafe fn read_text(text: *const c_char, max: usize) -> Result<String, Fault> {
    if text.is_null() {
        return Err("is NULL");
    }
    let mut bytes = Vec::with_capacity(64);
    loop {
        // SAFETY: at most `max` bytes precede this byte, and none of them is NUL. By this function's
        // contract, this byte can therefore be read.
        let byte = unsafe { text.wrapping_add(bytes.len()).read() } as u8;
        if byte == 0 {
            break;
        }
        if bytes.len() >= max {
            bytes.fill(0);
            return Err("is too long, or does not end in NUL");
        }
        bytes.push(byte);
    }
    checked_text(bytes)
}

/// Copies `size` bytes. Rejects more than `max` bytes, or bytes that are not UTF-8. Control
/// characters are allowed.
///
/// # Safety
/// `data` is NULL, or points to `size` bytes.
pub(super) unsafe fn read_bytes(
    data: *const c_char,
    size: usize,
    max: usize,
) -> Result<String, Fault> {
    if data.is_null() {
        return Err("is NULL");
    }
    if size > max {
        return Err("is too long");
    }
    // SAFETY: by this function's contract.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    String::from_utf8(bytes.to_vec()).map_err(|_| "is not UTF-8")
}

fn checked_text(bytes: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    if has_control(&text) {
        return Err("contains a line break or another control character");
    }
    Ok(text)
}

/// Copies a table whose `struct_size` is at the offset `size_at`. Reads no byte after that size.
/// Fields that the table doesn't have are zero in the copy.
///
/// # Safety
/// `table` is NULL or not aligned, or points to at least `size_at + 4` bytes and to as many bytes
/// as its `struct_size` states.
pub(super) unsafe fn read_table<T: PlainData>(table: *const T, size_at: usize) -> Result<T, Fault> {
    if table.is_null() {
        return Err("is NULL");
    }
    if !table.is_aligned() {
        return Err("is not aligned");
    }
    // SAFETY: by this function's contract.
    let size = unsafe {
        table
            .cast::<u8>()
            .wrapping_add(size_at)
            .cast::<u32>()
            .read_unaligned()
    } as usize;
    check_struct_size::<T>(size, size_at)?;
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the table has at least `size` bytes, `copy` has `size_of::<T>()` bytes, and nothing
    // else points to `copy`.
    unsafe {
        std::ptr::copy_nonoverlapping(
            table.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        )
    };
    // SAFETY: `PlainData` promises that these bytes are a valid value.
    Ok(unsafe { copy.assume_init() })
}

/// Checks the `struct_size` of a table, which is at the offset `size_at`. A size that is not a
/// multiple of the alignment is no struct's size, and may cut a pointer in half.
pub(super) fn check_struct_size<T>(size: usize, size_at: usize) -> Result<(), Fault> {
    if size < size_at + 4 {
        return Err("has a `struct_size` that is too small");
    }
    if !size.is_multiple_of(align_of::<T>()) {
        return Err("has a `struct_size` that ends inside a field");
    }
    Ok(())
}

/// Copies an array of `count` rows. Rejects more than `max` rows.
///
/// # Safety
/// `rows` is NULL or not aligned, or points to `count` rows.
pub(super) unsafe fn read_array<T: PlainData>(
    rows: *const T,
    count: usize,
    max: usize,
) -> Result<Vec<T>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if rows.is_null() {
        return Err("is NULL");
    }
    if !rows.is_aligned() {
        return Err("is not aligned");
    }
    if count > max {
        return Err("has too many elements");
    }
    // SAFETY: by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(rows, count) }.to_vec())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Table {
        size: u32,
        a: u32,
        b: u64,
    }

    // SAFETY: all fields are numbers.
    unsafe impl PlainData for Table {}

    fn read(text_bytes: &[u8]) -> Result<String, Fault> {
        // SAFETY: each string ends in NUL, or is longer than the limit of 8 bytes.
        unsafe { read_text(text_bytes.as_ptr().cast(), 8) }
    }

    #[test]
    fn texts_are_bounded_and_checked() {
        assert_eq!(read(b"abc\0").unwrap(), "abc");
        assert_eq!(read(b"12345678\0").unwrap(), "12345678");
        for bad in [
            &b"123456789"[..],
            b"a\xff\0",
            b"a\r\0",
            b"a\nb\0",
            b"\x7f\0",
            b"\xe2\x80\xa8\0",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read_text(std::ptr::null(), 8) }, Err("is NULL"));
    }

    #[test]
    fn no_byte_behind_the_said_size_is_read() {
        let whole = Table {
            size: 8,
            a: 7,
            b: u64::MAX,
        };
        // SAFETY: the table is larger than its `size` states.
        let copy = unsafe { read_table(&raw const whole, 0) }.unwrap();
        assert_eq!((copy.a, copy.b), (7, 0));
        let larger = [Table {
            size: 4096,
            a: 1,
            b: 2,
        }; 2];
        // SAFETY: at most `size_of::<Table>()` bytes are read, even if `size` is larger.
        let copy = unsafe { read_table(larger.as_ptr(), 0) }.unwrap();
        assert_eq!((copy.a, copy.b), (1, 2));
        for size in [0, 1, 2, 3, 4, 9, 12, 15, 17] {
            let odd = Table {
                size,
                a: 0,
                b: u64::MAX,
            };
            // SAFETY: at most `size_of::<Table>()` bytes are read.
            let outcome = unsafe { read_table(&raw const odd, 0) };
            assert!(outcome.is_err(), "a size that cuts a field: {size}");
        }
    }

    #[test]
    fn counts_are_bounded_before_a_row_is_read() {
        let one = Table {
            size: 0,
            a: 3,
            b: 0,
        };
        // SAFETY: the count is rejected before a row is read.
        assert!(unsafe { read_array(&raw const one, usize::MAX, 32) }.is_err());
        // SAFETY: as above.
        assert!(unsafe { read_array(std::ptr::null::<Table>(), 1, 32) }.is_err());
        // SAFETY: the array has one row.
        assert_eq!(
            // SAFETY: as above.
            unsafe { read_array(&raw const one, 1, 32) }.unwrap()[0].a,
            3
        );
        // SAFETY: no row is read if the count is 0.
        assert!(
            // SAFETY: as above.
            unsafe { read_array(std::ptr::null::<Table>(), 0, 32) }
                .unwrap()
                .is_empty()
        );
    }
}
