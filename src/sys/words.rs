//! Copies words that another thread may change meanwhile. Who calls this finds out afterwards whether one did, and throws the copy away.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Words in a line of the processor's cache.
const LINE: usize = 8;

/// Copies as many bytes as there is room for. Every byte of `out` is written, with NUL where words are missing.
#[inline]
pub fn copy_words(words: &[AtomicU64], out: &mut [MaybeUninit<u8>]) {
    let (whole, rest) = out.as_chunks_mut::<8>();
    let count = whole.len();
    let have = words.get(..count).unwrap_or_default();
    if have.len() < count {
        whole.iter_mut().for_each(|to| *to = [MaybeUninit::new(0); 8]);
    }
    let (lines, last_words) = have.as_chunks::<LINE>();
    let (to_lines, to_last) = whole.split_at_mut(lines.len() * LINE);
    copy_lines(lines, to_lines.as_chunks_mut().0);
    for (to, word) in to_last.iter_mut().zip(last_words) {
        *to = word.load(Relaxed).to_le_bytes().map(MaybeUninit::new);
    }
    let last = words.get(count).map_or(0, |word| word.load(Relaxed)).to_le_bytes();
    rest.iter_mut().zip(last).for_each(|(to, byte)| *to = MaybeUninit::new(byte));
}

/// Rationale: the compiler joins no atomic loads, and word by word the copy was a quarter of a look-up's instructions. A block of
/// assembly is beyond its rules for races, and the processor keeps this one's loads in order like any others.
#[cfg(target_arch = "x86_64")]
#[inline]
fn copy_lines(lines: &[[AtomicU64; LINE]], out: &mut [[[MaybeUninit<u8>; 8]; LINE]]) {
    let count = lines.len().min(out.len());
    if count == 0 {
        return;
    }
    // SAFETY: `lines` and `out` have `count` lines of 64 bytes, each read and written once; SSE2 is part of every x86_64.
    unsafe {
        std::arch::asm!(
            "2:",
            "movdqu {a}, [{from}]",
            "movdqu {b}, [{from} + 16]",
            "movdqu {c}, [{from} + 32]",
            "movdqu {d}, [{from} + 48]",
            "movdqu [{to}], {a}",
            "movdqu [{to} + 16], {b}",
            "movdqu [{to} + 32], {c}",
            "movdqu [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {count}",
            "jnz 2b",
            from = inout(reg) lines.as_ptr() => _,
            to = inout(reg) out.as_mut_ptr() => _,
            count = inout(reg) count => _,
            a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn copy_lines(lines: &[[AtomicU64; LINE]], out: &mut [[[MaybeUninit<u8>; 8]; LINE]]) {
    for (to, from) in out.iter_mut().zip(lines) {
        *to = from.each_ref().map(|word| word.load(Relaxed).to_le_bytes().map(MaybeUninit::new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_to_the_byte_and_what_is_missing_is_nul() {
        let bytes: Vec<u8> = (0..40 * 8).map(|n| (n % 251) as u8 + 1).collect();
        let words: Vec<_> = bytes.as_chunks::<8>().0.iter().map(|word| AtomicU64::new(u64::from_le_bytes(*word))).collect();
        for have in [0, 1, 7, 8, 9, 40] {
            for len in 0..=bytes.len() {
                let mut out = vec![MaybeUninit::new(0xff); len];
                copy_words(&words[..have], &mut out);
                // SAFETY: every byte was written twice.
                let out: Vec<u8> = out.into_iter().map(|byte| unsafe { byte.assume_init() }).collect();
                let there = if have < len / 8 { 0 } else { len.min(have * 8) };
                assert!(out[..there] == bytes[..there] && out[there..].iter().all(|byte| *byte == 0), "{have} words, {len} bytes");
            }
        }
    }
}
