//! Tokens in memory: found by name without a lock, a shared counter or an allocation, so that a
//! second core adds throughput.
//!
//! A table of (hash, place of a record) that is only ever replaced by a larger one, and records of
//! words behind a version ([`crate::engine::cache::arena`]). Writers take turns under one lock;
//! readers never see it.

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

/// The sizes of the table, each twice the one before, and of each size two: while one is rebuilt
/// the other serves.
const TABLES: usize = 2 * 40;
const FIRST_SLOTS: usize = 64;
/// One change in [`Cache::current`]; what is below it is the number of a table.
const TABLE_CHANGE_STEP: usize = 1 << 8;

/// The bits of a tag that are an access. There are four.
const ACCESS: u64 = 3;
/// Tags of slots that hold nothing: never used, and used before.
const EMPTY: u64 = 0;
const REMOVED: u64 = 1;

#[derive(Default)]
struct TableSlot {
    tag: AtomicU64,
    place: AtomicU64,
}

/// Tokens by key.
pub struct Cache {
    tables: Box<[OnceLock<Box<[TableSlot]>>]>,
    /// Which table serves, and above that how often this was changed: a table may come to serve
    /// again.
    current: AtomicUsize,
    arena: Arena,
    hasher: FixedState,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    allocator: Allocator,
    /// Slots that are not empty, removed ones too.
    used: usize,
}

/// What a look-up for a header line gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing that is fresh.
    Miss,
    /// A token whose advisory point is over: this one caller is told.
    RefreshDue,
    /// Several headers.
    Multiple,
    /// A line of this length without NUL; it stands in the buffer if that was longer.
    Line(usize),
}

impl Cache {
    /// An empty cache. `seed` should be random: it decides which ids share a place.
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

    /// The token of a key, whatever its age.
    pub fn get(&self, key: &TokenKeyRef<'_>) -> Option<CachedToken> {
        self.find(key, self.hash(&key.prefix()), entry::copy)
            .flatten()
    }

    /// A copy of the token that a thing has for the first of these accesses, if no refresh of it is
    /// advisable at `now_us`.
    ///
    /// Rationale: a later access serves where an earlier one has none, or one that has ended. For
    /// one that is to be renewed it once stood in too: who managed a package was given its write
    /// token, and nobody renewed the other.
    #[inline(always)]
    pub fn fresh(
        &self,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
    ) -> Option<Box<Token>> {
        let hash = self.hash(prefix);
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

    /// Copies the header line of the token that [`Cache::fresh`] would give into `out`, past its
    /// advisory point too.
    #[inline(always)]
    pub fn peek(
        &self,
        prefix: &KeyPrefix<'_>,
        accesses: &[Access],
        now_us: i64,
        out: &mut [MaybeUninit<u8>],
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
                Some(EntryView::Stale(NotFresh::Renewable)) => return Peek::Miss,
                Some(EntryView::Stale(NotFresh::Ended)) | None => {}
            }
        }
        Peek::Miss
    }

    /// Past the advisory point `advisory`: one caller is told, and for the others the token serves on.
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
        match self.find(key, self.hash(&key.prefix()), |content| {
            entry::peek_notified(content, now_us, out)
        }) {
            Some(EntryView::Line(len)) => Peek::Line(len),
            Some(EntryView::Multiple) => Peek::Multiple,
            _ => Peek::Miss,
        }
    }

    /// Changes the advisory point of a key's token, if it still is `from`. Whether it was.
    fn exchange_advisory(&self, key: &TokenKeyRef<'_>, from: u64, to: u64) -> bool {
        self.find(key, self.hash(&key.prefix()), |content| {
            entry::exchange_advisory(content, from, to)
        })
        .unwrap_or(false)
    }

    /// Moves the advisory point of a key's token, if it still is the one of `times`. Whether it
    /// was.
    pub fn postpone(&self, key: &TokenKeyRef<'_>, times: &RefreshTimes, advisory_us: i64) -> bool {
        let later = RefreshTimes {
            advisory_us,
            ..*times
        }
        .advisory_word();
        [
            times.advisory_word(),
            times.advisory_word() | entry::NOTIFIED,
        ]
        .into_iter()
        .any(|seen| self.exchange_advisory(key, seen, later))
    }

    /// Keeps a token in place of the key's present one, unless that one's generation is later and
    /// it has not ended at `now_us`.
    pub fn publish(&self, token: &Token, times: &RefreshTimes, now_us: i64) -> bool {
        let mut writer = self.writer.lock();
        let key = token.key();
        let tag = tag(self.hash(&key.prefix()), key.access);
        let cached = self.slot_of(&key, tag);
        if let Some((_, place)) = cached {
            let meta = entry::meta(self.content(place));
            if meta.generation > token.meta().generation && meta.expires_us > now_us {
                return false;
            }
        }
        let words = entry::words(token);
        let Some(place) = self.arena.allocate(&mut writer.allocator, words) else {
            return false;
        };
        arena::write(&self.arena.at(place)[..words], |content| {
            entry::write(content, token, times)
        });
        match cached {
            Some((slot, old)) => {
                slot.place.store(place.0, Ordering::Release);
                self.release(&mut writer, old);
            }
            None => self.insert(&mut writer, tag, place),
        }
        true
    }

    /// Forgets the token of a key, if its generation is not above this one. Whether there was one.
    pub fn remove(&self, key: &TokenKeyRef<'_>, up_to_generation: u64) -> bool {
        let mut writer = self.writer.lock();
        let Some((slot, place)) = self.slot_of(key, tag(self.hash(&key.prefix()), key.access))
        else {
            return false;
        };
        if entry::meta(self.content(place)).generation > up_to_generation {
            return false;
        }
        slot.tag.store(REMOVED, Ordering::Release);
        self.release(&mut writer, place);
        true
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut writer = self.writer.lock();
        for slot in self.table() {
            if slot.tag.load(Ordering::Relaxed) > REMOVED {
                slot.tag.store(REMOVED, Ordering::Release);
                self.release(&mut writer, EntrySlot(slot.place.load(Ordering::Relaxed)));
            }
        }
    }

    /// All tokens, in no order.
    pub fn all(&self) -> Vec<CachedToken> {
        let _writer = self.writer.lock();
        let live = self
            .table()
            .iter()
            .filter(|slot| slot.tag.load(Ordering::Relaxed) > REMOVED);
        live.filter_map(|slot| {
            entry::copy(self.content(EntrySlot(slot.place.load(Ordering::Relaxed))))
        })
        .collect()
    }

    /// The same for every access, so that a look-up for several of them goes to one place.
    #[inline]
    fn hash(&self, prefix: &KeyPrefix<'_>) -> u64 {
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
    fn content(&self, place: EntrySlot) -> &[AtomicU64] {
        self.arena.at(place).get(1..).unwrap_or_default()
    }

    /// Reads the record of a key. `read` may run several times and must not act on what it sees:
    /// that may be torn.
    ///
    /// Rationale: always inlined, for a key that goes through memory is written in bytes and read
    /// in words, which waits for each of them.
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
            // Rationale: a table that serves no more leads to places that have been used again.
            // What it lacks may be there.
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
                        let place = slot.place.load(Ordering::Acquire);
                        // Rationale: whether the slot still leads here is asked inside the read.
                        // Asked behind it, the block could have been another key's and this one's
                        // again in the meantime, and a token that is there was missed.
                        let seen = arena::read(self.arena.at(EntrySlot(place)), |content| {
                            match entry::has_key(content, key) {
                                true => Ok(read(content)),
                                false => Err(slot.place.load(Ordering::Acquire) == place),
                            }
                        });
                        match seen {
                            Some(Ok(result)) => return Some(result),
                            // Another thing with the same hash, or a record that went while it was
                            // looked at.
                            Some(Err(true)) => break,
                            _ if slot.tag.load(Ordering::Acquire) != tag => break,
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

    /// The slot and record of a key. For writers, under their lock.
    fn slot_of(&self, key: &TokenKeyRef<'_>, tag: u64) -> Option<(&TableSlot, EntrySlot)> {
        let table = self.table();
        (0..table.len())
            .map(|step| &table[first_slot(tag).wrapping_add(step) & (table.len() - 1)])
            .take_while(|slot| slot.tag.load(Ordering::Relaxed) != EMPTY)
            .filter(|slot| slot.tag.load(Ordering::Relaxed) == tag)
            .map(|slot| (slot, EntrySlot(slot.place.load(Ordering::Relaxed))))
            .find(|(_, place)| entry::has_key(self.content(*place), key))
    }

    fn insert(&self, writer: &mut Writer, tag: u64, place: EntrySlot) {
        // Half of them stay empty: a look-up that finds nothing goes on to the next empty one, and
        // fuller tables made it slow.
        if (writer.used + 1) * 2 > self.table().len() {
            self.grow(writer);
        }
        writer.used += usize::from(put(self.table(), tag, place));
    }

    /// Replaces the table by one without removed slots, twice as large if it is needed. Readers go
    /// on in the one they have, and look again if they find nothing there.
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
        // Whoever is in there since it served before has to learn of it first.
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
                EntrySlot(slot.place.load(Ordering::Relaxed)),
            );
            writer.used += 1;
        }
        self.current.store(
            current.wrapping_add(2 * TABLE_CHANGE_STEP) - number + next,
            Ordering::Release,
        );
    }

    fn release(&self, writer: &mut Writer, place: EntrySlot) {
        let words = CONTENT_TEXT + 1 + entry::text_words(self.content(place));
        self.arena.release(&mut writer.allocator, place, words);
    }
}

fn slots(count: usize) -> Box<[TableSlot]> {
    (0..count).map(|_| TableSlot::default()).collect()
}

/// A slot's tag: the hash of the thing, and in the lowest bits the access, so that a look-up for
/// several of them reads one row of slots, and no record but the right one.
#[inline]
fn tag(hash: u64, access: Access) -> u64 {
    (hash & !ACCESS).max(ACCESS + 1) | (access as u64 - 1)
}

/// Where the look for a tag begins.
#[inline]
fn first_slot(tag: u64) -> usize {
    (tag / (ACCESS + 1)) as usize
}

/// Fills the first slot that is free for a tag. Whether it was an empty one.
fn put(table: &[TableSlot], tag: u64, place: EntrySlot) -> bool {
    let mut at = first_slot(tag);
    loop {
        let slot = &table[at & (table.len() - 1)];
        let found = slot.tag.load(Ordering::Relaxed);
        if found <= REMOVED {
            slot.place.store(place.0, Ordering::Release);
            slot.tag.store(tag, Ordering::Release);
            return found == EMPTY;
        }
        at = at.wrapping_add(1);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests;
