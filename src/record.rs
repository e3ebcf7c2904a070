//! A token as the words of a cache record, and back.
//!
//! Imports the nouns. All that reads here may see torn words: it stays inside the block, and what it gives is thrown away by
//! [`crate::arena::read`] if the record changed meanwhile. The words behind the version are:
//! scope; class, access, kind, header count, id length, service length, name length; headers and details length; generation;
//! expiry; acquisition; advisory point; mandatory point; then the token's text.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::key::{Access, Class, KeyRef};
use crate::sys::words::copy_words;
use crate::token::{Facts, Kind, Layout, Token};

const SCOPE: usize = 0;
const SMALL: usize = 1;
const LENGTHS: usize = 2;
const GENERATION: usize = 3;
const EXPIRES: usize = 4;
const ACQUIRED: usize = 5;
const SOFT: usize = 6;
const MANDATORY: usize = 7;
/// Where the text begins.
pub const CONTENT_TEXT: usize = 8;

/// The lowest bit of the advisory point: one caller was told that it is over.
pub const SEEN: u64 = 1;

/// When a token is to be renewed. Microseconds since 1970 by the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From here on one refresh is advisable.
    pub soft_us: i64,
    /// From here on callers wait for it.
    pub mandatory_us: i64,
}

impl Times {
    /// The advisory point as it stands in a record, where nobody was told yet.
    pub fn soft_word(&self) -> u64 {
        self.soft_us as u64 & !SEEN
    }
}

/// A token and when it is to be renewed.
#[derive(Clone)]
pub struct Hit {
    /// A copy of the token.
    pub token: Token,
    /// From when on.
    pub times: Times,
}

/// What a look-up for a header line met.
pub enum Peeked {
    /// A line of this length; it was copied if the buffer is longer.
    Line(usize),
    /// A token of several headers.
    Multiple,
    /// A token past its mandatory point.
    Stale,
    /// A token past its advisory point, which nobody was told yet.
    Due(u64),
}

#[inline]
fn word(content: &[AtomicU64], at: usize) -> u64 {
    content.get(at).map_or(0, |word| word.load(Relaxed))
}

fn small(facts: &Facts, layout: &Layout) -> u64 {
    let bytes = [facts.class as u8, facts.access as u8, facts.kind as u8, layout.header_count, layout.service_len, layout.name_len];
    let low = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
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
pub fn write(content: &[AtomicU64], token: &Token, times: &Times) {
    let (facts, layout) = (token.facts(), token.layout());
    let head = [
        facts.scope,
        small(facts, layout),
        u64::from(layout.headers_len) | u64::from(layout.details_len) << 32,
        facts.generation,
        facts.expires_us as u64,
        facts.acquired_us as u64,
        times.soft_word(),
        times.mandatory_us as u64,
    ];
    let text = token.text().chunks(8).map(padded);
    content.iter().zip(head.into_iter().chain(text)).for_each(|(to, word)| to.store(word, Relaxed));
}

#[inline]
fn padded(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Whether a record is the one of this key.
#[inline]
pub fn is(content: &[AtomicU64], key: &KeyRef<'_>) -> bool {
    let small = word(content, SMALL);
    let id = key.id.as_bytes();
    let named = small & 0xffff == (key.class as u64 | (key.access as u64) << 8) && (small >> 48) as usize == id.len();
    if !named || word(content, SCOPE) != key.scope {
        return false;
    }
    let (whole, rest) = id.as_chunks::<8>();
    let words = content.get(CONTENT_TEXT..).unwrap_or_default();
    let same = whole.iter().zip(words).fold(true, |same, (bytes, word)| same & (u64::from_le_bytes(*bytes) == word.load(Relaxed)));
    same && (rest.is_empty() || padded(rest) == word(words, whole.len()))
}

/// The numbers of a record.
pub fn facts(content: &[AtomicU64]) -> Facts {
    let small = word(content, SMALL);
    Facts {
        scope: word(content, SCOPE),
        class: Class::from_number(small as u8).unwrap_or(Class::Key),
        access: Access::from_number((small >> 8) as u8).unwrap_or(Access::Full),
        kind: Kind::from_number((small >> 16) as u8).unwrap_or(Kind::Key),
        generation: word(content, GENERATION),
        expires_us: word(content, EXPIRES) as i64,
        acquired_us: word(content, ACQUIRED) as i64,
    }
}

#[inline]
fn layout(content: &[AtomicU64]) -> Layout {
    let (small, lengths) = (word(content, SMALL), word(content, LENGTHS));
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
#[inline]
pub fn copy(content: &[AtomicU64]) -> Option<Hit> {
    let layout = layout(content);
    let len = layout.text_len();
    let words = content.get(CONTENT_TEXT..CONTENT_TEXT + len.div_ceil(8))?;
    let mut text = Vec::with_capacity(len);
    copy_words(words, text.spare_capacity_mut().get_mut(..len)?);
    // SAFETY: `copy_words` has written the first `len` bytes.
    unsafe { text.set_len(len) };
    let times = Times { soft_us: (word(content, SOFT) & !SEEN) as i64, mandatory_us: word(content, MANDATORY) as i64 };
    Some(Hit { token: Token::from_parts(facts(content), layout, text.into_boxed_slice()), times })
}

/// A copy of the token, if no refresh of it is advisable at `now_us`.
#[inline]
pub fn fresh(content: &[AtomicU64], now_us: i64) -> Option<Token> {
    if now_us < word(content, SOFT) as i64 { copy(content).map(|hit| hit.token) } else { None }
}

/// Copies the header line, if the token is fresh at `now_us` and nobody has to be told otherwise.
#[inline]
pub fn peek(content: &[AtomicU64], now_us: i64, out: &mut [MaybeUninit<u8>]) -> Peeked {
    let soft = word(content, SOFT);
    if now_us < soft as i64 {
        return line(content, out);
    }
    if now_us >= word(content, MANDATORY) as i64 {
        return Peeked::Stale;
    }
    if soft & SEEN == 0 { Peeked::Due(soft) } else { line(content, out) }
}

/// The same past the advisory point, when somebody was told.
pub fn peek_seen(content: &[AtomicU64], now_us: i64, out: &mut [MaybeUninit<u8>]) -> Peeked {
    if now_us >= word(content, MANDATORY) as i64 { Peeked::Stale } else { line(content, out) }
}

#[inline]
fn line(content: &[AtomicU64], out: &mut [MaybeUninit<u8>]) -> Peeked {
    let layout = layout(content);
    if layout.header_count != 1 {
        return Peeked::Multiple;
    }
    // `name NUL SPACE value NUL` becomes `name: value NUL`.
    let len = layout.headers_len as usize;
    if let Some(out) = out.get_mut(..len) {
        copy_words(content.get(CONTENT_TEXT + layout.headers_at() / 8..).unwrap_or_default(), out);
        if let Some(colon) = out.get_mut(layout.name_len as usize) {
            colon.write(b':');
        }
    }
    Peeked::Line(len.saturating_sub(1))
}

/// Changes the advisory point, if it still is `from`.
pub fn exchange_soft(content: &[AtomicU64], from: u64, to: u64) -> bool {
    content.get(SOFT).is_some_and(|soft| soft.compare_exchange(from, to, Relaxed, Relaxed).is_ok())
}
