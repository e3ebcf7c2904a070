//! Memory for the cache's entries: blocks of 64-bit words. Readers take no lock, even while a
//! writer changes a block.
//!
//! No `unsafe` is needed: as long as the arena exists, it returns no memory to the system. A late
//! reader may read a block that was released or used again. The block's version then shows the
//! change.
//!
//! Word 0 of each block is the block's version. The version is odd while a writer changes the
//! block, and each change increases the version.

use std::collections::HashMap;
use std::sync::OnceLock;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
use crate::sys::atomic_words::zeroed;

// `tests/loom` compiles this same file, and runs it in every order that the memory model allows.
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// The maximum number of chunks. A new chunk has at least an eighth of the size of all earlier
/// chunks together. 256 chunks can therefore hold more than the memory of any machine.
const CHUNKS: usize = 256;
/// The minimum size of a chunk, in words.
const FIRST_WORDS: usize = 1024;
/// The size of a block is a multiple of this number of words: one line of the processor's cache.
const BLOCK_MULTIPLE_WORDS: usize = 8;

/// The address of a block: the number of its chunk in the upper 8 bits, and its offset in words in
/// the lower 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntrySlot(pub u64);

/// Blocks of words, in chunks.
pub struct Arena {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

/// Tracks which blocks are in use. Only the writer uses it.
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
    /// Returns a block and all words after it in its chunk. The slice is empty for an address that
    /// was never allocated.
    #[inline]
    pub fn at(&self, block: EntrySlot) -> &[AtomicU64] {
        let chunk = self
            .chunks
            .get((block.0 >> 56) as usize)
            .and_then(OnceLock::get);
        chunk
            .and_then(|words| words.get((block.0 << 8 >> 8) as usize..))
            .unwrap_or_default()
    }

    /// Allocates a block of at least `words` words. Returns `None` if another chunk is needed and
    /// there are 256 already.
    pub fn allocate(&self, allocator: &mut Allocator, words: usize) -> Option<EntrySlot> {
        let words = words.next_multiple_of(BLOCK_MULTIPLE_WORDS);
        if let Some(block) = allocator.free.get_mut(&words).and_then(Vec::pop) {
            return Some(block);
        }
        let fits = self
            .chunks
            .get(allocator.used_chunks.wrapping_sub(1))
            .and_then(OnceLock::get);
        if fits.is_none_or(|chunk| allocator.used_words + words > chunk.len()) {
            self.grow(allocator, words)?;
        }
        let block =
            EntrySlot((allocator.used_chunks as u64 - 1) << 56 | allocator.used_words as u64);
        allocator.used_words += words;
        Some(block)
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

    /// Wipes a block of `words` words and makes it available again.
    pub fn release(&self, allocator: &mut Allocator, block: EntrySlot, words: usize) {
        let words = words.next_multiple_of(BLOCK_MULTIPLE_WORDS);
        write(&self.at(block)[..words], |content| {
            content
                .iter()
                .for_each(|word| word.store(0, Ordering::Relaxed))
        });
        allocator.free.entry(words).or_default().push(block);
    }
}

/// Changes a block's words with `change`. Increments the block's version before and after the
/// change, so that readers notice it. Only one writer at a time may call this.
pub fn write(block: &[AtomicU64], change: impl FnOnce(&[AtomicU64])) {
    let Some((version, content)) = block.split_first() else {
        return;
    };
    let before = version.load(Ordering::Relaxed);
    version.store(before + 1, Ordering::Relaxed);
    // A reader that sees any word of the change also sees the odd version, or a later one.
    fence(Ordering::Release);
    change(content);
    version.store(before + 2, Ordering::Release);
}

/// Reads a block's words with `read`. Returns `None` if the block's version shows a change during
/// the read, because the result may then mix old and new words.
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
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn released_blocks_are_wiped_and_used_again() {
        let (arena, mut allocator) = (Arena::default(), Allocator::default());
        let block = arena.allocate(&mut allocator, 9).unwrap();
        write(&arena.at(block)[..9], |content| {
            content[3].store(7, Ordering::Relaxed)
        });
        assert_eq!(
            read(arena.at(block), |content| content[3]
                .load(Ordering::Relaxed)),
            Some(7)
        );
        arena.release(&mut allocator, block, 9);
        assert!(
            arena.at(block)[1..16]
                .iter()
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        assert_eq!(arena.allocate(&mut allocator, 16), Some(block));
        assert_ne!(arena.allocate(&mut allocator, 16), Some(block));
    }

    #[test]
    fn a_block_that_is_longer_than_a_chunk_gets_its_own() {
        let (arena, mut allocator) = (Arena::default(), Allocator::default());
        let block = arena.allocate(&mut allocator, FIRST_WORDS * 3).unwrap();
        assert!(arena.at(block).len() >= FIRST_WORDS * 3);
        assert!(arena.at(EntrySlot(77 << 56)).is_empty());
    }
}
