//! A token as the words of a cache record, and back.
//!
//! All that reads here may see torn words: it stays inside the block, and what it gives is thrown
//! away by [`crate::engine::cache::arena::read`] if the record changed meanwhile. The words behind
//! the version are: scope; resource kind, access, kind, header count, id length, service length,
//! name length; headers and details length; generation; expiry; acquisition; advisory point;
//! mandatory point; then the token's text.

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
/// Where the text begins.
pub const CONTENT_TEXT: usize = 8;

/// The lowest bit of the advisory point: one caller was told that it is over.
pub const NOTIFIED: u64 = 1;

/// When a token is to be renewed. Microseconds since 1970 by the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshTimes {
    /// From here on one refresh is advisable.
    pub advisory_us: i64,
    /// From here on callers wait for it.
    pub mandatory_us: i64,
}

impl RefreshTimes {
    /// The advisory point as it stands in a record, where nobody was told yet.
    pub fn advisory_word(&self) -> u64 {
        self.advisory_us as u64 & !NOTIFIED
    }
}

/// A token and when it is to be renewed.
#[derive(Clone)]
pub struct CachedToken {
    /// A copy of the token.
    pub token: Token,
    /// From when on.
    pub times: RefreshTimes,
}

/// A token that is not handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NotFresh {
    /// It is to be renewed.
    Renewable,
    /// It has ended, as if it were not there.
    Ended,
}

/// What a look-up for a header line met.
pub enum EntryView {
    /// A line of this length; it was copied if the buffer is longer.
    Line(usize),
    /// A token of several headers.
    Multiple,
    /// A token past its mandatory point, or past its end.
    Stale(NotFresh),
    /// A token past its advisory point, which nobody was told yet.
    Due(u64),
}

/// What a place without a record says.
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

/// How many words a token's record takes, with its version.
pub fn words(token: &Token) -> usize {
    1 + CONTENT_TEXT + token.layout().text_len().div_ceil(8)
}

/// How many words the text of a record takes.
pub fn text_words(content: &[AtomicU64]) -> usize {
    layout(content).text_len().div_ceil(8)
}

/// Writes a token and its times.
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

/// Up to eight bytes as a word, with NUL where there are fewer.
#[inline]
fn padded(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Whether a record is the one of this key.
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

/// The numbers of a record.
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

/// A copy of the token and its times. None only for words that are torn.
pub fn copy(content: &[AtomicU64]) -> Option<CachedToken> {
    let times = RefreshTimes {
        advisory_us: (word(content, ADVISORY) & !NOTIFIED) as i64,
        mandatory_us: word(content, MANDATORY) as i64,
    };
    Some(CachedToken {
        token: *token(content)?,
        times,
    })
}

/// In its place at once: a token that was moved from caller to caller waited for its own stores
/// each time, a third of a hit.
#[inline]
fn token(content: &[AtomicU64]) -> Option<Box<Token>> {
    let layout = layout(content);
    let len = layout.text_len();
    // Before so much is allocated: a torn length may be anything.
    let words = content.get(CONTENT_TEXT..CONTENT_TEXT + len.div_ceil(8))?;
    let mut text = Box::new_uninit_slice(len);
    copy_words(words, &mut text);
    // SAFETY: `copy_words` has written every byte.
    let text = unsafe { text.assume_init() };
    Some(Box::new(Token::from_parts(meta(content), layout, text)))
}

/// A copy of the token, if no refresh of it is advisable at `now_us`.
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

/// Copies the header line, if the token is fresh at `now_us` and nobody has to be told otherwise.
#[inline]
pub fn peek(content: &[AtomicU64], now_us: i64, out: &mut [MaybeUninit<u8>]) -> EntryView {
    let advisory = word(content, ADVISORY);
    if now_us >= advisory as i64 {
        if now_us >= word(content, MANDATORY) as i64 {
            return EntryView::Stale(stale(content, now_us));
        }
        if advisory & NOTIFIED == 0 {
            return EntryView::Due(advisory);
        }
    }
    line(content, out)
}

/// The same past the advisory point, when somebody was told.
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

/// Changes the advisory point, if it still is `from`.
///
/// The one read that acts: where the record changes behind it, nobody or another token's caller is
/// told, once and too early.
pub fn exchange_advisory(content: &[AtomicU64], from: u64, to: u64) -> bool {
    content.get(ADVISORY).is_some_and(|advisory| {
        advisory
            .compare_exchange(from, to, Relaxed, Relaxed)
            .is_ok()
    })
}
