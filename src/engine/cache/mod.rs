//! The token cache in memory. Finding a token takes no lock, changes no shared counter and
//! allocates nothing, so a second core adds throughput.
//!
//! The cache consists of a hash table and an arena. Each slot of the table holds a hash and the
//! address of an entry. The entries are blocks of words in the arena, each with a version
//! ([`crate::engine::cache::arena`]). A table is never resized: a new table replaces it. Writers
//! take turns under one mutex, which readers never take.

pub mod arena;
pub mod entry;

use std::hash::{BuildHasher, Hasher};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::sys::sync::Mutex;
use foldhash::fast::FixedState;

use crate::engine::cache::arena::{Allocator, Arena, EntrySlot};
use crate::engine::cache::entry::{CONTENT_TEXT, CachedToken, EntryView, NotFresh, RefreshTimes};
use crate::model::key::{Access, KeyPrefix, TokenKeyRef};
use crate::model::token::Token;

/// The number of tables: 2 for each of 40 sizes. Each size is twice the previous size. Readers use
/// one table of a size while the other is rebuilt.
const TABLES: usize = 2 * 40;
const FIRST_SLOTS: usize = 64;
/// The increment of [`Cache::current`] for one change of tables. The bits below it hold the number
/// of a table.
const TABLE_CHANGE_STEP: usize = 1 << 8;

/// The bits of a tag that hold the access. There are 4 accesses.
const ACCESS: u64 = 3;
/// The tag of a slot that was never used.
const EMPTY: u64 = 0;
/// The tag of a slot whose entry was removed.
const REMOVED: u64 = 1;

#[derive(Default)]
struct TableSlot {
    tag: AtomicU64,
    block: AtomicU64,
}

/// Tokens by key.
pub struct Cache {
    tables: Box<[OnceLock<Box<[TableSlot]>>]>,
    /// The number of the table in use, and a counter of table changes in the bits above it. Without
    /// the counter, a reader would not notice that its table was replaced and then used again.
    current: AtomicUsize,
    arena: Arena,
    hasher: FixedState,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    allocator: Allocator,
    /// The number of slots that are not empty, including removed ones.
    used: usize,
}

/// The result of looking up a header line.
#[derive(Debug, PartialEq, Eq)]
pub enum Peek {
    /// No fresh token is cached.
    Miss,
    /// The token is past its advisory time. Only one caller gets this result.
    RefreshDue,
    /// The token has several headers.
    Multiple,
    /// The length of the header line without NUL. The line was copied if the buffer is longer than
    /// that.
    Line(usize),
}

impl Cache {
    /// Creates an empty cache. `seed` should be random: it decides which ids collide in the table.
    pub fn new(seed: u64) -> Self {
        let tables: Box<[OnceLock<Box<[TableSlot]>>]> =
            (0..TABLES).map(|_| OnceLock::new()).collect();
        let _ = tables[0].set(slots(FIRST_SLOTS));
        Self {
            tables,
            current: AtomicUsize::new(0),
            arena: Arena::default(),
            hasher: FixedState::with_seed(seed),
            writer: Mutex::new(Writer::default()),
        }
    }

    /// Returns the token of a key, even if it has expired.
    pub fn get(&self, key: &TokenKeyRef<'_>) -> Option<CachedToken> {
        self.find(key, self.hash(&key.prefix()), entry::copy)
            .flatten()
    }

    /// Returns the token of the first access in `accesses` that has an unexpired token.
    pub fn unexpired(
        &self,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
    ) -> Option<CachedToken> {
        let hash = self.hash(prefix);
        accesses.iter().find_map(|access| {
            self.find(&prefix.with(*access), hash, entry::copy)
                .flatten()
                .filter(|hit| now_us < hit.token.meta().expires_us)
        })
    }

    /// Returns a copy of a resource's token. The token is that of the first access in `accesses`
    /// that has an unexpired token. Returns `None` if a refresh of that token is advisable at
    /// `now_us`.
    ///
    /// Rationale: a later access is used only if all earlier ones have no token or an expired
    /// token. In a previous version, a later access was also used if the earlier token was due for
    /// refresh. A caller that managed a package then got the package's write token, and nothing
    /// refreshed the management token.
    #[inline(always)]
    pub fn fresh(
        &self,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
    ) -> Option<Box<Token>> {
        self.fresh_at(self.hash(prefix), prefix, accesses, now_us)
    }

    /// Does what [`Cache::fresh`] does. `hash` is the [`Cache::hash`] of the prefix.
    #[inline(always)]
    pub fn fresh_at(
        &self,
        hash: u64,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
    ) -> Option<Box<Token>> {
        for access in accesses {
            match self.find(&prefix.with(*access), hash, |content| {
                entry::fresh(content, now_us)
            }) {
                Some(Ok(token)) => return Some(token),
                Some(Err(NotFresh::Renewable)) => return None,
                Some(Err(NotFresh::Ended)) | None => {}
            }
        }
        None
    }

    /// Copies the header line of the token that [`Cache::fresh`] would return into `out`. A token
    /// past its advisory time is copied too, until its mandatory time. `forbids` says whether the
    /// caller must not get a token of a generation, because it was rejected.
    #[inline(always)]
    pub fn peek(
        &self,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
        out: &mut [MaybeUninit<u8>],
        forbids: impl Fn(&TokenKeyRef<'_>, u64) -> bool,
    ) -> Peek {
        let hash = self.hash(prefix);
        for access in accesses {
            let key = prefix.with(*access);
            match self.find(&key, hash, |content| entry::peek(content, now_us, out)) {
                Some(EntryView::Line(len)) => return Peek::Line(len),
                Some(EntryView::Multiple) => return Peek::Multiple,
                Some(EntryView::Due(advisory)) => {
                    return self.peek_due(&key, advisory, now_us, out);
                }
                Some(EntryView::Rejected(generation)) if forbids(&key, generation) => {
                    return Peek::Miss;
                }
                Some(EntryView::Rejected(_)) => return self.peek_late(&key, now_us, out),
                Some(EntryView::Stale(NotFresh::Renewable)) => return Peek::Miss,
                Some(EntryView::Stale(NotFresh::Ended)) | None => {}
            }
        }
        Peek::Miss
    }

    /// Handles a token past its advisory time. `advisory` is the entry's word for that time. One
    /// caller gets [`Peek::RefreshDue`]. The others still get the token.
    #[cold]
    fn peek_due(
        &self,
        key: &TokenKeyRef<'_>,
        advisory: u64,
        now_us: i64,
        out: &mut [MaybeUninit<u8>],
    ) -> Peek {
        if self.exchange_advisory(key, advisory, advisory | entry::NOTIFIED) {
            return Peek::RefreshDue;
        }
        self.peek_late(key, now_us, out)
    }

    /// Copies the header line of a token until its mandatory time.
    #[cold]
    fn peek_late(&self, key: &TokenKeyRef<'_>, now_us: i64, out: &mut [MaybeUninit<u8>]) -> Peek {
        match self.find(key, self.hash(&key.prefix()), |content| {
            entry::peek_notified(content, now_us, out)
        }) {
            Some(EntryView::Line(len)) => Peek::Line(len),
            Some(EntryView::Multiple) => Peek::Multiple,
            _ => Peek::Miss,
        }
    }

    /// Changes the word for the advisory time of a key's token from `from` to `to`. Returns false
    /// if the word is no longer `from`.
    fn exchange_advisory(&self, key: &TokenKeyRef<'_>, from: u64, to: u64) -> bool {
        self.find(key, self.hash(&key.prefix()), |content| {
            entry::exchange_advisory(content, from, to)
        })
        .unwrap_or(false)
    }

    /// Moves the advisory time of a key's token to `advisory_us`. Returns false if the advisory
    /// time is no longer that of `times`.
    pub fn postpone(&self, key: &TokenKeyRef<'_>, times: &RefreshTimes, advisory_us: i64) -> bool {
        let later = RefreshTimes {
            advisory_us,
            ..*times
        };
        entry::advisory_words(times, &later)
            .into_iter()
            .any(|(seen, later)| self.exchange_advisory(key, seen, later))
    }

    /// Caches a token in place of the key's present one. Returns false if the present token has a
    /// later generation and has not expired at `now_us`, or if the arena is full.
    pub fn publish(&self, token: &Token, times: &RefreshTimes, now_us: i64) -> bool {
        let mut writer = self.writer.lock();
        let key = token.key();
        let tag = tag(self.hash(&key.prefix()), key.access);
        let cached = self.slot_of(&key, tag);
        if let Some((_, block)) = cached {
            let meta = entry::meta(self.content(block));
            if meta.generation > token.meta().generation && meta.expires_us > now_us {
                return false;
            }
        }
        let words = entry::words(token);
        let Some(block) = self.arena.allocate(&mut writer.allocator, words) else {
            return false;
        };
        arena::write(&self.arena.at(block)[..words], |content| {
            entry::write(content, token, times)
        });
        match cached {
            Some((slot, old)) => {
                slot.block.store(block.0, Ordering::Release);
                self.release(&mut writer, old);
            }
            None => self.insert(&mut writer, tag, block),
        }
        true
    }

    /// Marks the token of a key, if its generation is at most `up_to_generation`: a caller rejected
    /// it for some resource. [`Cache::fresh`] no longer returns it, so that each caller is checked.
    pub fn mark_rejected(&self, key: &TokenKeyRef<'_>, up_to_generation: u64) {
        let _writer = self.writer.lock();
        if let Some((_, block)) = self.slot_of(key, tag(self.hash(&key.prefix()), key.access))
            && entry::meta(self.content(block)).generation <= up_to_generation
        {
            entry::mark_rejected(self.content(block));
        }
    }

    /// Removes the token of a key, if its generation is at most `up_to_generation`. Returns whether
    /// a token was removed.
    pub fn remove(&self, key: &TokenKeyRef<'_>, up_to_generation: u64) -> bool {
        let mut writer = self.writer.lock();
        let Some((slot, block)) = self.slot_of(key, tag(self.hash(&key.prefix()), key.access))
        else {
            return false;
        };
        if entry::meta(self.content(block)).generation > up_to_generation {
            return false;
        }
        slot.tag.store(REMOVED, Ordering::Release);
        self.release(&mut writer, block);
        true
    }

    /// Removes all tokens.
    pub fn clear(&self) {
        let mut writer = self.writer.lock();
        for slot in self.table() {
            if slot.tag.load(Ordering::Relaxed) > REMOVED {
                slot.tag.store(REMOVED, Ordering::Release);
                self.release(&mut writer, EntrySlot(slot.block.load(Ordering::Relaxed)));
            }
        }
    }

    /// Passes each token to `choose`, in no particular order, and returns what it chooses. Copies
    /// one token at a time. `choose` must not change the cache.
    pub fn choose<T>(&self, mut choose: impl FnMut(&Token) -> Option<T>) -> Vec<T> {
        let _writer = self.writer.lock();
        let live = self
            .table()
            .iter()
            .filter(|slot| slot.tag.load(Ordering::Relaxed) > REMOVED);
        live.filter_map(|slot| {
            let block = EntrySlot(slot.block.load(Ordering::Relaxed));
            choose(&entry::copy(self.content(block))?.token)
        })
        .collect()
    }

    /// Hashes a key without its access, so that a lookup for several accesses searches the same
    /// slots.
    #[inline]
    pub fn hash(&self, prefix: &KeyPrefix<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(prefix.id.as_bytes());
        hasher.write_u64(prefix.scope ^ prefix.resource_kind as u64);
        hasher.finish()
    }

    #[inline]
    fn table(&self) -> &[TableSlot] {
        self.numbered(self.current.load(Ordering::Acquire))
    }

    #[inline]
    fn numbered(&self, current: usize) -> &[TableSlot] {
        self.tables
            .get(current % TABLE_CHANGE_STEP)
            .and_then(OnceLock::get)
            .map_or(&[], |slots| slots)
    }

    #[inline]
    fn content(&self, block: EntrySlot) -> &[AtomicU64] {
        self.arena.at(block).get(1..).unwrap_or_default()
    }

    /// Reads the entry of a key. `read` may run several times and must have no side effects,
    /// because the words that it sees may be torn. [`entry::exchange_advisory`] is the only
    /// exception.
    ///
    /// Rationale: this function is always inlined. A key that is passed through memory is written
    /// in bytes and read in words, and each read of a word waits for the writes of its bytes.
    #[inline(always)]
    fn find<T>(
        &self,
        key: &TokenKeyRef<'_>,
        hash: u64,
        mut read: impl FnMut(&[AtomicU64]) -> T,
    ) -> Option<T> {
        let tag = tag(hash, key.access);
        loop {
            let current = self.current.load(Ordering::Acquire);
            let found = self.find_in(self.numbered(current), tag, key, &mut read);
            // Rationale: the slots of a table that was replaced may point to blocks that now hold
            // other entries. A token that is missing in such a table may be in the new one.
            if found.is_some() || self.current.load(Ordering::Acquire) == current {
                return found;
            }
        }
    }

    #[inline(always)]
    fn find_in<T>(
        &self,
        table: &[TableSlot],
        tag: u64,
        key: &TokenKeyRef<'_>,
        read: &mut impl FnMut(&[AtomicU64]) -> T,
    ) -> Option<T> {
        let mut at = first_slot(tag);
        for _ in 0..table.len() {
            let slot = &table[at & (table.len() - 1)];
            match slot.tag.load(Ordering::Acquire) {
                EMPTY => return None,
                found if found == tag => {
                    loop {
                        let block = slot.block.load(Ordering::Acquire);
                        // Rationale: the check that the slot still points to this block is inside
                        // the versioned read. When it came after the read, the block could hold
                        // another key's entry during the read, and this key's entry again at the
                        // check. The lookup then missed a cached token.
                        let seen = arena::read(self.arena.at(EntrySlot(block)), |content| {
                            match entry::has_key(content, key) {
                                true => Ok(read(content)),
                                false => Err(slot.block.load(Ordering::Acquire) == block),
                            }
                        });
                        match seen {
                            Some(Ok(result)) => return Some(result),
                            // The slot belongs to another key with the same tag.
                            Some(Err(true)) => break,
                            // The entry was removed meanwhile.
                            _ if slot.tag.load(Ordering::Acquire) != tag => break,
                            // The entry was replaced or changed meanwhile: read it again.
                            _ => std::hint::spin_loop(),
                        }
                    }
                }
                _ => {}
            }
            at = at.wrapping_add(1);
        }
        None
    }

    /// Returns the slot and the entry of a key. Only for writers, which hold the mutex.
    fn slot_of(&self, key: &TokenKeyRef<'_>, tag: u64) -> Option<(&TableSlot, EntrySlot)> {
        let table = self.table();
        (0..table.len())
            .map(|step| &table[first_slot(tag).wrapping_add(step) & (table.len() - 1)])
            .take_while(|slot| slot.tag.load(Ordering::Relaxed) != EMPTY)
            .filter(|slot| slot.tag.load(Ordering::Relaxed) == tag)
            .map(|slot| (slot, EntrySlot(slot.block.load(Ordering::Relaxed))))
            .find(|(_, block)| entry::has_key(self.content(*block), key))
    }

    fn insert(&self, writer: &mut Writer, tag: u64, block: EntrySlot) {
        // At least half of the slots stay empty. A lookup that finds nothing goes on to the next
        // empty slot, and fuller tables made that slow.
        if (writer.used + 1) * 2 > self.table().len() {
            self.grow(writer);
        }
        writer.used += usize::from(put(self.table(), tag, block));
    }

    /// Replaces the table by one without removed slots, twice as large if needed. Readers finish in
    /// the table that they loaded. If they find nothing there, they look in the new one.
    fn grow(&self, writer: &mut Writer) {
        let current = self.current.load(Ordering::Relaxed);
        let old = self.table();
        let live = || {
            old.iter()
                .filter(|slot| slot.tag.load(Ordering::Relaxed) > REMOVED)
        };
        let number = current % TABLE_CHANGE_STEP;
        let (next, count) = if live().count() * 4 > old.len() {
            (number / 2 * 2 + 2, old.len() * 2)
        } else {
            (number ^ 1, old.len())
        };
        let Some(fresh) = self
            .tables
            .get(next)
            .map(|table| table.get_or_init(|| slots(count)))
        else {
            return;
        };
        // A reader may still be in this table from the last time it was in use. Change `current`
        // before clearing the table, so that this reader sees the change and looks again.
        self.current
            .store(current.wrapping_add(TABLE_CHANGE_STEP), Ordering::Release);
        fresh
            .iter()
            .for_each(|slot| slot.tag.store(EMPTY, Ordering::Release));
        writer.used = 0;
        for slot in live() {
            put(
                fresh,
                slot.tag.load(Ordering::Relaxed),
                EntrySlot(slot.block.load(Ordering::Relaxed)),
            );
            writer.used += 1;
        }
        self.current.store(
            current.wrapping_add(2 * TABLE_CHANGE_STEP) - number + next,
            Ordering::Release,
        );
    }

    fn release(&self, writer: &mut Writer, block: EntrySlot) {
        let words = CONTENT_TEXT + 1 + entry::text_words(self.content(block));
        self.arena.release(&mut writer.allocator, block, words);
    }
}

fn slots(count: usize) -> Box<[TableSlot]> {
    (0..count).map(|_| TableSlot::default()).collect()
}

/// Returns a slot's tag: the hash of the key without its access, and the access in the lowest bits.
/// A lookup for several accesses then searches the same run of slots, and reads an entry only if
/// the tag of its slot matches.
#[inline]
fn tag(hash: u64, access: Access) -> u64 {
    (hash & !ACCESS).max(ACCESS + 1) | (access as u64 - 1)
}

/// Returns the slot at which the search for a tag begins.
#[inline]
fn first_slot(tag: u64) -> usize {
    (tag / (ACCESS + 1)) as usize
}

/// Fills the first free slot for a tag. Returns whether that slot was empty, that is, never used.
fn put(table: &[TableSlot], tag: u64, block: EntrySlot) -> bool {
    let mut at = first_slot(tag);
    loop {
        let slot = &table[at & (table.len() - 1)];
        let found = slot.tag.load(Ordering::Relaxed);
        if found <= REMOVED {
            slot.block.store(block.0, Ordering::Release);
            slot.tag.store(tag, Ordering::Release);
            return found == EMPTY;
        }
        at = at.wrapping_add(1);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;
