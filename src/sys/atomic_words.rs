//! Allocates, copies and compares atomic words while another thread may change them. The caller
//! checks afterwards whether another thread has changed the words. If so, the caller discards the
//! result.

#![expect(unsafe_code, reason = "fills memory that nothing has written yet")]

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
#[cfg(not(all(target_arch = "x86_64", unix)))]
use std::sync::atomic::Ordering::Relaxed;

/// Allocates words that are zero. For a large slice, the kernel provides each page when it is first
/// written.
pub fn zeroed(count: usize) -> Box<[AtomicU64]> {
    // SAFETY: a word of zero bytes is a valid `AtomicU64`.
    unsafe { Box::new_zeroed_slice(count).assume_init() }
}

/// Copies the bytes of the words to `out`. Every byte of `out` is written: if `out` is longer than
/// the words, the rest is filled with NUL.
#[inline]
pub fn copy_words(words: &[AtomicU64], out: &mut [MaybeUninit<u8>]) {
    let (available, missing) = out.split_at_mut(out.len().min(size_of_val(words)));
    copy_bytes(words, available);
    missing.fill(MaybeUninit::new(0));
}

/// Returns whether the words begin with these bytes.
#[inline]
pub fn begin_with(words: &[AtomicU64], bytes: &[u8]) -> bool {
    // Rationale: an empty slice may have an unmapped address. The C library's AVX `memcmp` takes
    // 150 ns on such an address.
    bytes.is_empty() || bytes.len() <= size_of_val(words) && are_bytes(words, bytes)
}

/// Fills `out` with the bytes of `words`, which must have at least as many bytes.
///
/// Rationale: the compiler does not combine atomic loads. A copy word by word took a quarter of a
/// look-up's instructions. The C library's `memcpy` uses the widest registers of each processor.
/// The call is made from assembly, because the compiler's rules about data races do not apply
/// there. The processor keeps these loads in order like any other loads.
#[cfg(all(target_arch = "x86_64", unix))]
#[inline]
fn copy_bytes(words: &[AtomicU64], out: &mut [MaybeUninit<u8>]) {
    // SAFETY: the caller promises that both slices have at least `out.len()` bytes. The call
    // follows the C ABI, and all registers that it may change are declared.
    unsafe {
        std::arch::asm!(
            "call {copy}",
            copy = in(reg) libc::memcpy as *const (),
            in("rdi") out.as_mut_ptr(),
            in("rsi") words.as_ptr(),
            in("rdx") out.len(),
            clobber_abi("sysv64"),
        );
    }
}

/// Returns whether `words` begins with `bytes`. `words` must have at least as many bytes. Uses the
/// C library's `memcmp` for the reasons given at [`copy_bytes`].
#[cfg(all(target_arch = "x86_64", unix))]
#[inline]
fn are_bytes(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let order: i32;
    // SAFETY: the caller promises that both slices have at least `bytes.len()` bytes. The call
    // follows the C ABI, and all registers that it may change are declared.
    unsafe {
        std::arch::asm!(
            "call {compare}",
            compare = in(reg) libc::memcmp as *const (),
            in("rdi") words.as_ptr(),
            in("rsi") bytes.as_ptr(),
            in("rdx") bytes.len(),
            lateout("eax") order,
            clobber_abi("sysv64"),
            options(readonly),
        );
    }
    order == 0
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
#[inline]
fn copy_bytes(words: &[AtomicU64], out: &mut [MaybeUninit<u8>]) {
    out.iter_mut()
        .zip(bytes_of(words))
        .for_each(|(to, byte)| *to = MaybeUninit::new(byte));
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
#[inline]
fn are_bytes(words: &[AtomicU64], bytes: &[u8]) -> bool {
    bytes
        .iter()
        .zip(bytes_of(words))
        .all(|(byte, other)| *byte == other)
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
#[inline]
fn bytes_of(words: &[AtomicU64]) -> impl Iterator<Item = u8> {
    words
        .iter()
        .flat_map(|word| word.load(Relaxed).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_to_the_byte() {
        let words: Vec<_> = (0..6_u64)
            .map(|n| AtomicU64::new(0x0101_0101_0101_0101 * (n + 1)))
            .collect();
        let bytes: Vec<u8> = (0..6 * 8).map(|n| n / 8 + 1).collect();
        for len in 0..=bytes.len() {
            assert!(begin_with(&words, &bytes[..len]), "{len}");
            for wrong in 0..len {
                let mut other = bytes[..len].to_vec();
                other[wrong] ^= 0x80;
                assert!(!begin_with(&words, &other), "{len} {wrong}");
            }
        }
        assert!(!begin_with(&words[..1], &bytes[..9]) && !begin_with(&[], &[0]));
    }

    #[test]
    fn every_length_is_copied_to_the_byte_and_what_is_missing_is_nul() {
        let bytes: Vec<u8> = (0..40 * 8).map(|n| (n % 251) as u8 + 1).collect();
        let words: Vec<_> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| AtomicU64::new(u64::from_le_bytes(*word)))
            .collect();
        for have in [0, 1, 7, 8, 9, 40] {
            for len in 0..=bytes.len() {
                let mut out = vec![MaybeUninit::new(0xff); len];
                copy_words(&words[..have], &mut out);
                // SAFETY: every byte was written twice.
                let out: Vec<u8> = out
                    .into_iter()
                    .map(|byte| unsafe { byte.assume_init() })
                    .collect();
                let available = len.min(have * 8);
                assert!(
                    out[..available] == bytes[..available]
                        && out[available..].iter().all(|byte| *byte == 0),
                    "{have} words, {len} bytes"
                );
            }
        }
    }
}
