//! Encodes a token as the words of a cache entry, and decodes it.
//!
//! The functions that read an entry may see torn words: some from before a change and some from
//! after it. These functions never read outside the block, and
//! [`crate::engine::cache::arena::read`] discards their results if the entry changed meanwhile.
//!
//! The words after the version are:
//!
//! - 0: the scope
//! - 1: resource kind, access, token kind, header count, service length and name length, one byte
//!   each, then the id length in two bytes
//! - 2: the length of the headers in the lower half, and of the details in the upper half
//! - 3: the generation
//! - 4 and 5: the times of expiry and acquisition
//! - 6 and 7: the advisory and the mandatory time
//! - from 8 on: the token's text, in the layout of [`crate::model::token`]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::model::key::{Access, ResourceKind, TokenKeyRef};
use crate::model::token::{Layout, Token, TokenKind, TokenMeta};
use crate::sys::atomic_words::{begin_with, copy_words};

const SCOPE: usize = 0;
const PACKED_META: usize = 1;
const LENGTHS: usize = 2;
const GENERATION: usize = 3;
const EXPIRES: usize = 4;
const ACQUIRED: usize = 5;
const ADVISORY: usize = 6;
const MANDATORY: usize = 7;
/// The word at which the token's text begins.
pub const CONTENT_TEXT: usize = 8;

/// The lowest bit of the word `ADVISORY`. It is set after a caller was notified that the advisory
/// time has passed.
pub const NOTIFIED: u64 = 1;

/// The highest bit of the word `ADVISORY`. It is set after a caller rejected the token for some
/// resource. The word is then negative, so that each lookup that compares it takes the slow path.
const REJECTED: u64 = 1 << 63;

/// When a token should be refreshed, in microseconds since 1970 by the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshTimes {
    /// From this time on, a refresh is advisable.
    pub advisory_us: i64,
    /// From this time on, callers wait for the refresh.
    pub mandatory_us: i64,
}

impl RefreshTimes {
    /// Returns the word for the advisory time in a new entry: the bits `NOTIFIED` and `REJECTED`
    /// are 0.
    pub fn advisory_word(&self) -> u64 {
        self.advisory_us.max(0) as u64 & !NOTIFIED
    }
}

/// A token and its refresh times.
#[derive(Clone)]
pub struct CachedToken {
    /// A copy of the token.
    pub token: Token,
    /// Its refresh times.
    pub times: RefreshTimes,
    /// Whether a caller rejected the token for some resource.
    pub rejected: bool,
}

/// The reason why a cached token is not returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NotFresh {
    /// The token is due for refresh.
    Renewable,
    /// The token has expired. It is treated as missing.
    Ended,
}

/// The result of reading an entry for its header line.
pub enum EntryView {
    /// The length of the line without NUL. The line was copied if the buffer is longer than that.
    Line(usize),
    /// The token has several headers.
    Multiple,
    /// The token is past its mandatory time, or expired.
    Stale(NotFresh),
    /// The token is past its advisory time, and no caller was notified yet. Contains the entry's
    /// word for the advisory time.
    Due(u64),
    /// A caller rejected the token for some resource. Contains the token's generation.
    Rejected(u64),
}

/// Stands in for the words of a block that is too short for an entry.
static NOTHING: [AtomicU64; CONTENT_TEXT] = [const { AtomicU64::new(0) }; CONTENT_TEXT];

#[inline]
fn word(content: &[AtomicU64], at: usize) -> u64 {
    content.first_chunk().unwrap_or(&NOTHING)[at].load(Relaxed)
}

#[inline]
fn text_at(content: &[AtomicU64], at: usize) -> &[AtomicU64] {
    content.get(CONTENT_TEXT + at..).unwrap_or_default()
}

fn packed_meta(meta: &TokenMeta, layout: &Layout) -> u64 {
    let bytes = [
        meta.resource_kind as u8,
        meta.access as u8,
        meta.kind as u8,
        layout.header_count,
        layout.service_len,
        layout.name_len,
    ];
    let low = bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    low | u64::from(layout.id_len) << 48
}

/// Returns the size of a token's entry in words, including the version.
pub fn words(token: &Token) -> usize {
    1 + CONTENT_TEXT + token.layout().text_len().div_ceil(8)
}

/// Returns the size of an entry's text in words.
pub fn text_words(content: &[AtomicU64]) -> usize {
    layout(content).text_len().div_ceil(8)
}

/// Writes a token and its refresh times to an entry.
pub fn write(content: &[AtomicU64], token: &Token, times: &RefreshTimes) {
    let (meta, layout) = (token.meta(), token.layout());
    let head = [
        meta.scope,
        packed_meta(meta, layout),
        u64::from(layout.headers_len) | u64::from(layout.details_len) << 32,
        meta.generation,
        meta.expires_us as u64,
        meta.acquired_us as u64,
        times.advisory_word(),
        times.mandatory_us as u64,
    ];
    let text = token.text().chunks(8).map(padded);
    content
        .iter()
        .zip(head.into_iter().chain(text))
        .for_each(|(to, word)| to.store(word, Relaxed));
}

/// Packs up to 8 bytes into a word, with NUL in place of missing bytes.
#[inline]
fn padded(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Returns whether an entry belongs to this key.
#[inline]
pub fn has_key(content: &[AtomicU64], key: &TokenKeyRef<'_>) -> bool {
    let small = word(content, PACKED_META);
    let named = small & 0xffff == (key.resource_kind as u64 | (key.access as u64) << 8)
        && (small >> 48) as usize == key.id.len();
    let id_at = (word(content, LENGTHS) as u32).div_ceil(8) as usize;
    named
        && word(content, SCOPE) == key.scope
        && begin_with(text_at(content, id_at), key.id.as_bytes())
}

/// Reads the metadata of an entry's token.
pub fn meta(content: &[AtomicU64]) -> TokenMeta {
    let small = word(content, PACKED_META);
    TokenMeta {
        scope: word(content, SCOPE),
        resource_kind: ResourceKind::from_number(small as u8).unwrap_or(ResourceKind::Key),
        access: Access::from_number((small >> 8) as u8).unwrap_or(Access::Full),
        kind: TokenKind::from_number((small >> 16) as u8).unwrap_or(TokenKind::Key),
        generation: word(content, GENERATION),
        expires_us: word(content, EXPIRES) as i64,
        acquired_us: word(content, ACQUIRED) as i64,
    }
}

#[inline]
fn layout(content: &[AtomicU64]) -> Layout {
    let (small, lengths) = (word(content, PACKED_META), word(content, LENGTHS));
    Layout {
        header_count: (small >> 24) as u8,
        service_len: (small >> 32) as u8,
        name_len: (small >> 40) as u8,
        id_len: (small >> 48) as u16,
        headers_len: lengths as u32,
        details_len: (lengths >> 32) as u32,
    }
}

/// Copies the token and its refresh times. Returns `None` only if the words are torn.
pub fn copy(content: &[AtomicU64]) -> Option<CachedToken> {
    let times = RefreshTimes {
        advisory_us: (word(content, ADVISORY) & !(NOTIFIED | REJECTED)) as i64,
        mandatory_us: word(content, MANDATORY) as i64,
    };
    Some(CachedToken {
        token: *token(content)?,
        times,
        rejected: word(content, ADVISORY) & REJECTED != 0,
    })
}

/// Copies the token into a box.
///
/// Rationale: the token is boxed here and not by the caller, so that only a pointer is moved. When
/// the token itself was moved from function to function, each move waited for the writes of the
/// previous move. This waiting took a third of the time of a cache hit.
#[inline]
#[expect(
    unsafe_code,
    reason = "zeroing the memory before the copy takes a tenth of the time of a hit"
)]
fn token(content: &[AtomicU64]) -> Option<Box<Token>> {
    let layout = layout(content);
    let len = layout.text_len();
    // Check the length before allocating: a torn length may be any number.
    let words = content.get(CONTENT_TEXT..CONTENT_TEXT + len.div_ceil(8))?;
    let mut text = Box::new_uninit_slice(len);
    copy_words(words, &mut text);
    // SAFETY: `copy_words` promises to write every byte of `text`.
    let text = unsafe { text.assume_init() };
    Some(Box::new(Token::from_parts(meta(content), layout, text)))
}

/// Copies the token if `now_us` is before its advisory time.
#[inline]
pub fn fresh(content: &[AtomicU64], now_us: i64) -> Result<Box<Token>, NotFresh> {
    if now_us < word(content, ADVISORY) as i64 {
        token(content).ok_or(NotFresh::Renewable)
    } else {
        Err(stale(content, now_us))
    }
}

#[cold]
fn stale(content: &[AtomicU64], now_us: i64) -> NotFresh {
    if now_us < word(content, EXPIRES) as i64 {
        NotFresh::Renewable
    } else {
        NotFresh::Ended
    }
}

/// Copies the header line if the token is fresh at `now_us`. From the advisory time on, returns
/// [`EntryView::Due`] until a caller was notified.
#[inline]
pub fn peek(content: &[AtomicU64], now_us: i64, out: &mut [MaybeUninit<u8>]) -> EntryView {
    let advisory = word(content, ADVISORY);
    if now_us >= advisory as i64 {
        if advisory & REJECTED != 0 {
            return EntryView::Rejected(word(content, GENERATION));
        }
        if now_us >= word(content, MANDATORY) as i64 {
            return EntryView::Stale(stale(content, now_us));
        }
        if advisory & NOTIFIED == 0 {
            return EntryView::Due(advisory);
        }
    }
    line(content, out)
}

/// Copies the header line of a token if its mandatory time has not come. Ignores the advisory time.
pub fn peek_notified(content: &[AtomicU64], now_us: i64, out: &mut [MaybeUninit<u8>]) -> EntryView {
    if now_us >= word(content, MANDATORY) as i64 {
        EntryView::Stale(stale(content, now_us))
    } else {
        line(content, out)
    }
}

#[inline]
fn line(content: &[AtomicU64], out: &mut [MaybeUninit<u8>]) -> EntryView {
    let layout = layout(content);
    if layout.header_count != 1 {
        return EntryView::Multiple;
    }
    // `name NUL SPACE value NUL` becomes `name: value NUL`.
    let len = layout.headers_len as usize;
    if let Some(out) = out.get_mut(..len) {
        copy_words(text_at(content, 0), out);
        if let Some(colon) = out.get_mut(layout.name_len as usize) {
            colon.write(b':');
        }
    }
    EntryView::Line(len.saturating_sub(1))
}

/// Changes the word for the advisory time from `from` to `to`. Returns false if the word is no
/// longer `from`.
///
/// Callers of this function hold no lock. If a writer replaces the entry at the same time, one of
/// two things happens: no caller is notified about the old token, or one caller is notified too
/// early about the new token.
pub fn exchange_advisory(content: &[AtomicU64], from: u64, to: u64) -> bool {
    content.get(ADVISORY).is_some_and(|advisory| {
        advisory
            .compare_exchange(from, to, Relaxed, Relaxed)
            .is_ok()
    })
}

/// Marks an entry, because a caller rejected its token for some resource.
pub fn mark_rejected(content: &[AtomicU64]) {
    if let Some(advisory) = content.get(ADVISORY) {
        advisory.fetch_or(REJECTED, Relaxed);
    }
}

/// Returns the words that an entry may have for the advisory time `from`, each with the word that
/// replaces it for the advisory time `to`. The old word may have the bits `NOTIFIED` and `REJECTED`.
/// The new word keeps only the bit `REJECTED`.
pub fn advisory_words(from: &RefreshTimes, to: &RefreshTimes) -> [(u64, u64); 4] {
    let (from, to) = (from.advisory_word(), to.advisory_word());
    [0, NOTIFIED, REJECTED, REJECTED | NOTIFIED].map(|bits| (from | bits, to | bits & REJECTED))
}
