//! Reading a plugin's memory: bounded, checked, copied before anything else happens.
//!
//! A dangling pointer can't be told from a valid one; everything else is checked.

use std::ffi::c_char;
use std::mem::MaybeUninit;

/// What is wrong with a value that a plugin passed, as the end of a sentence: "is not UTF-8".
pub(super) type Fault = &'static str;

/// A type of the ABI for which all bytes are a value, zeros too.
///
/// # Safety
/// That has to be true.
pub(super) unsafe trait PlainData: Copy {}

/// Copies a text that ends in NUL within `max` bytes: UTF-8 without control characters.
///
/// # Safety
/// `text` is NULL, or points to bytes that end in NUL or are more than `max`.
pub(super) unsafe fn read_text(text: *const c_char, max: usize) -> Result<String, Fault> {
    if text.is_null() {
        return Err("is NULL");
    }
    let mut bytes = Vec::with_capacity(64);
    loop {
        // SAFETY: no NUL came so far, so by this function's contract this byte is there.
        let byte = unsafe { text.wrapping_add(bytes.len()).read() } as u8;
        if byte == 0 {
            break;
        }
        if bytes.len() >= max {
            bytes.fill(0);
            return Err("is longer than it may be, or has no end");
        }
        bytes.push(byte);
    }
    checked_text(bytes)
}

/// Copies `size` bytes that are UTF-8; they may have control characters.
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
        return Err("is longer than it may be");
    }
    // SAFETY: by this function's contract.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    String::from_utf8(bytes.to_vec()).map_err(|_| "is not UTF-8")
}

fn checked_text(bytes: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return Err("holds a line break or another control character");
    }
    Ok(text)
}

/// Copies a table that states its size. No byte behind that size is read; fields that the table
/// does not have are zero.
///
/// # Safety
/// `table` is NULL, or points to at least `size_at + 4` bytes, and to as many as the number at
/// `size_at` states.
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
    if size < size_at + 4 {
        return Err("says a size that is smaller than its own number");
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: both have as many bytes, and nothing else points to the copy.
    unsafe {
        std::ptr::copy_nonoverlapping(
            table.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        )
    };
    // SAFETY: `Plain` says that any bytes are a value.
    Ok(unsafe { copy.assume_init() })
}

/// Copies an array of `count` rows.
///
/// # Safety
/// `rows` is NULL, or points to `count` of them.
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
        return Err("says a count that is greater than there may be");
    }
    // SAFETY: by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(rows, count) }.to_vec())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Table {
        size: u32,
        a: u32,
        b: u64,
    }

    // SAFETY: numbers alone.
    unsafe impl PlainData for Table {}

    fn read(text_bytes: &[u8]) -> Result<String, Fault> {
        // SAFETY: each ends in NUL, or is longer than the limit.
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
        // SAFETY: the table is larger than it says.
        let copy = unsafe { read_table(&raw const whole, 0) }.unwrap();
        assert_eq!((copy.a, copy.b), (7, 0));
        let larger = [Table {
            size: 4096,
            a: 1,
            b: 2,
        }; 2];
        // SAFETY: no more than a table is read, however large it says it is.
        let copy = unsafe { read_table(larger.as_ptr(), 0) }.unwrap();
        assert_eq!((copy.a, copy.b), (1, 2));
        for size in 0..4 {
            let small = Table { size, a: 0, b: 0 };
            // SAFETY: as above.
            assert!(unsafe { read_table(&raw const small, 0) }.is_err());
        }
    }

    #[test]
    fn counts_are_bounded_before_a_row_is_read() {
        let one = Table {
            size: 0,
            a: 3,
            b: 0,
        };
        // SAFETY: the count is refused before anything is read.
        assert!(unsafe { read_array(&raw const one, usize::MAX, 32) }.is_err());
        // SAFETY: as above.
        assert!(unsafe { read_array(std::ptr::null::<Table>(), 1, 32) }.is_err());
        // SAFETY: there is one.
        assert_eq!(
            // SAFETY: as above.
            unsafe { read_array(&raw const one, 1, 32) }.unwrap()[0].a,
            3
        );
        // SAFETY: nothing is read.
        assert!(
            // SAFETY: as above.
            unsafe { read_array(std::ptr::null::<Table>(), 0, 32) }
                .unwrap()
                .is_empty()
        );
    }
}
