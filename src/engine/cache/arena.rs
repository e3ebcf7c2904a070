//! Memory for the cache's records: blocks of words that are read without a lock while a writer may
//! change them.
//!
//! No `unsafe`: a block is never given back to the system while the arena lives, so that a reader
//! who comes late reads a stale block, never a foreign one, and sees by its version that it is
//! stale.
//!
//! Word 0 of each block is its version: odd while it is written, and different after each change.

use std::collections::HashMap;
use std::sync::OnceLock;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
use crate::sys::atomic_words::zeroed;

// `tests/loom` runs this very file in every order that the memory model allows.
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// How many chunks there can be. Each new one is an eighth of all before, so that they are enough
/// for any memory.
const CHUNKS: usize = 256;
/// The first chunks' size in words.
const FIRST_WORDS: usize = 1024;
/// Blocks have a multiple of so many words: a line of the processor's cache.
const BLOCK_MULTIPLE_WORDS: usize = 8;

/// Where a block is: the chunk in the upper 8 bits, the offset in words in the 56 below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntrySlot(pub u64);

/// Blocks of words.
pub struct Arena {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

/// Which blocks are in use. Belongs to the one who writes.
#[derive(Default)]
pub struct Allocator {
    used_chunks: usize,
    used_words: usize,
    total_words: usize,
    free: HashMap<usize, Vec<EntrySlot>>,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl Arena {
    /// A block and what follows it in its chunk. Empty for a place that was never given out.
    #[inline]
    pub fn at(&self, place: EntrySlot) -> &[AtomicU64] {
        let chunk = self
            .chunks
            .get((place.0 >> 56) as usize)
            .and_then(OnceLock::get);
        chunk
            .and_then(|words| words.get((place.0 << 8 >> 8) as usize..))
            .unwrap_or_default()
    }

    /// Takes a block of at least `words` words. None when memory for another chunk can't be
    /// addressed.
    pub fn allocate(&self, allocator: &mut Allocator, words: usize) -> Option<EntrySlot> {
        let words = words.next_multiple_of(BLOCK_MULTIPLE_WORDS);
        if let Some(place) = allocator.free.get_mut(&words).and_then(Vec::pop) {
            return Some(place);
        }
        let fits = self
            .chunks
            .get(allocator.used_chunks.wrapping_sub(1))
            .and_then(OnceLock::get);
        if fits.is_none_or(|chunk| allocator.used_words + words > chunk.len()) {
            self.grow(allocator, words)?;
        }
        let place =
            EntrySlot((allocator.used_chunks as u64 - 1) << 56 | allocator.used_words as u64);
        allocator.used_words += words;
        Some(place)
    }

    fn grow(&self, allocator: &mut Allocator, words: usize) -> Option<()> {
        let size = words.max(FIRST_WORDS).max(allocator.total_words / 8);
        self.chunks
            .get(allocator.used_chunks)?
            .set(zeroed(size))
            .ok()?;
        allocator.used_chunks += 1;
        allocator.used_words = 0;
        allocator.total_words += size;
        Some(())
    }

    /// Gives a block of `words` words back, wiped.
    pub fn release(&self, allocator: &mut Allocator, place: EntrySlot, words: usize) {
        let words = words.next_multiple_of(BLOCK_MULTIPLE_WORDS);
        write(&self.at(place)[..words], |content| {
            content
                .iter()
                .for_each(|word| word.store(0, Ordering::Relaxed))
        });
        allocator.free.entry(words).or_default().push(place);
    }
}

/// Changes a block's words behind the version. One writer at a time.
pub fn write(block: &[AtomicU64], change: impl FnOnce(&[AtomicU64])) {
    let Some((version, content)) = block.split_first() else {
        return;
    };
    let before = version.load(Ordering::Relaxed);
    version.store(before + 1, Ordering::Relaxed);
    // Whoever sees a word of the change sees the odd version too.
    fence(Ordering::Release);
    change(content);
    version.store(before + 2, Ordering::Release);
}

/// Reads a block's words behind the version. None if it changed meanwhile: what `read` gave was
/// torn.
#[inline]
pub fn read<T>(block: &[AtomicU64], read: impl FnOnce(&[AtomicU64]) -> T) -> Option<T> {
    let (version, content) = block.split_first()?;
    let before = version.load(Ordering::Acquire);
    if before % 2 == 1 {
        return None;
    }
    let result = read(content);
    fence(Ordering::Acquire);
    (version.load(Ordering::Relaxed) == before).then_some(result)
}

#[cfg(all(test, not(loom)))]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn released_blocks_are_wiped_and_used_again() {
        let (arena, mut allocator) = (Arena::default(), Allocator::default());
        let place = arena.allocate(&mut allocator, 9).unwrap();
        write(&arena.at(place)[..9], |content| {
            content[3].store(7, Ordering::Relaxed)
        });
        assert_eq!(
            read(arena.at(place), |content| content[3]
                .load(Ordering::Relaxed)),
            Some(7)
        );
        arena.release(&mut allocator, place, 9);
        assert!(
            arena.at(place)[1..16]
                .iter()
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        assert_eq!(arena.allocate(&mut allocator, 16), Some(place));
        assert_ne!(arena.allocate(&mut allocator, 16), Some(place));
    }

    #[test]
    fn a_block_that_is_longer_than_a_chunk_gets_its_own() {
        let (arena, mut allocator) = (Arena::default(), Allocator::default());
        let place = arena.allocate(&mut allocator, FIRST_WORDS * 3).unwrap();
        assert!(arena.at(place).len() >= FIRST_WORDS * 3);
        assert!(arena.at(EntrySlot(77 << 56)).is_empty());
    }
}
