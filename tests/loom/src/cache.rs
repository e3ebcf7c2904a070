//! The versioned block of `src/engine/cache/arena.rs`, the file itself, in every interleaving of a writer and a
//! reader; and what the cache does with blocks, in miniature: a slot that names a block, release,
//! and reuse for another key.
//!
//! The controls plant a bug each and have to be caught: a model that finds nothing proves nothing.

#[path = "../../../src/engine/cache/arena.rs"]
#[expect(dead_code, unreachable_pub, reason = "the model needs the versions, not the allocator")]
mod arena;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// Version, then the two words that belong together: the key, and a value that tells whose it is.
type Block = [AtomicU64; 3];

fn block(key: u64, value: u64) -> Block {
    [AtomicU64::new(0), AtomicU64::new(key), AtomicU64::new(value)]
}

type Write = fn(&[AtomicU64], (u64, u64));
type Read = fn(&[AtomicU64]) -> Option<(u64, u64)>;

fn put(content: &[AtomicU64], (key, value): (u64, u64)) {
    content[0].store(key, Ordering::Relaxed);
    content[1].store(value, Ordering::Relaxed);
}

fn take(content: &[AtomicU64]) -> (u64, u64) {
    (content[0].load(Ordering::Relaxed), content[1].load(Ordering::Relaxed))
}

/// As the cache writes.
fn write(block: &[AtomicU64], pair: (u64, u64)) {
    arena::write(block, |content| put(content, pair));
}

/// As the cache reads.
fn read(block: &[AtomicU64]) -> Option<(u64, u64)> {
    arena::read(block, take)
}

/// A record is replaced, wiped and its block used again: a reader sees one of them whole, or
/// nothing.
fn no_torn_record(write: Write, read: Read) {
    loom::model(move || {
        let shared = Arc::new(block(1, 10));
        let theirs = Arc::clone(&shared);
        let writer = thread::spawn(move || {
            write(&theirs[..], (0, 0));
            write(&theirs[..], (2, 20));
        });
        if let Some((key, value)) = read(&shared[..]) {
            assert_eq!(value, key * 10, "torn");
        }
        writer.join().unwrap();
        assert_eq!(read(&shared[..]), Some((2, 20)));
    });
}

#[test]
fn a_record_is_read_whole_or_not_at_all() {
    no_torn_record(write, read);
}

/// The loop of `Cache::find` for one slot: none after too many turns, which the model cuts off.
fn find(slot: &AtomicU64, blocks: &[Block; 2], key: u64) -> Option<u64> {
    for _ in 0..3 {
        let place = slot.load(Ordering::Acquire);
        match read(&blocks[place as usize][..]) {
            Some((found, value)) if found == key => return Some(value),
            Some(_) if slot.load(Ordering::Acquire) == place => panic!("a token that is there was missed"),
            _ => thread::yield_now(),
        }
    }
    None
}

#[test]
fn a_token_that_is_replaced_is_never_missed_and_never_another_s() {
    loom::model(|| {
        let shared = Arc::new((AtomicU64::new(0), [block(1, 10), block(0, 0)]));
        let theirs = Arc::clone(&shared);
        let writer = thread::spawn(move || {
            let (slot, blocks) = &*theirs;
            // `Cache::publish` for key 1, then for key 2, which gets the block that key 1 gave
            // back.
            write(&blocks[1][..], (1, 11));
            slot.store(1, Ordering::Release);
            write(&blocks[0][..], (0, 0));
            write(&blocks[0][..], (2, 20));
        });
        let (slot, blocks) = &*shared;
        let seen = find(slot, blocks, 1);
        assert!(matches!(seen, None | Some(10 | 11)), "{seen:?}");
        writer.join().unwrap();
        assert_eq!(find(slot, blocks, 1), Some(11));
    });
}

fn is_caught(write: Write, read: Read) -> bool {
    catch_unwind(AssertUnwindSafe(|| no_torn_record(write, read))).is_err()
}

#[test]
fn control_a_writer_that_leaves_the_version_even_is_caught() {
    let planted: Write = |block, pair| {
        let before = block[0].load(Ordering::Relaxed);
        put(&block[1..], pair);
        block[0].store(before + 2, Ordering::Release);
    };
    assert!(is_caught(planted, read));
}

#[test]
fn control_a_writer_without_its_fence_is_caught() {
    let planted: Write = |block, pair| {
        let before = block[0].load(Ordering::Relaxed);
        block[0].store(before + 1, Ordering::Relaxed);
        put(&block[1..], pair);
        block[0].store(before + 2, Ordering::Release);
    };
    assert!(is_caught(planted, read));
}

#[test]
fn control_a_reader_without_its_fence_is_caught() {
    let planted: Read = |block| {
        let before = block[0].load(Ordering::Acquire);
        let result = take(&block[1..]);
        (before % 2 == 0 && block[0].load(Ordering::Relaxed) == before).then_some(result)
    };
    assert!(is_caught(write, planted));
}

#[test]
fn control_a_reader_that_does_not_look_again_is_caught() {
    let planted: Read = |block| (block[0].load(Ordering::Acquire) % 2 == 0).then(|| take(&block[1..]));
    assert!(is_caught(write, planted));
}
