//! Encodes records and failures as bytes, and decodes them.
//!
//! The bytes are authenticated before they are decoded. So malformed bytes mean a bug in keyferry.
//! The store treats them as damage.
//!
//! Numbers are little-endian. A string follows its length. To change the encoding, increment
//! `VERSION` in `envelope.rs`; otherwise older files are treated as damaged.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::model::key::{Access, Fingerprint, ResourceKind, Scope, TokenKey, TokenKeyRef};
use crate::model::token::{Layout, Token, TokenFacts, TokenKind, TokenMeta};
use crate::ports::store::{
    BootTime, FailureRecord, MAX_REJECTIONS, Record, RecordClock, RecordFacts, RejectLogin,
};
use crate::secret::Secret;

/// The flags of a record, in the order of its parts. A part without its flag has no bytes.
const HAS_OWNER: u16 = 1;
const HAS_TOKEN: u16 = 1 << 1;
const HAS_RENEWAL: u16 = 1 << 2;
const HAS_ALIAS: u16 = 1 << 3;
const HAS_SKEW: u16 = 1 << 4;
const HAS_REJECTIONS: u16 = 1 << 5;
const IS_ALIVE: u16 = 1 << 6;
const HAS_REJECT_LOGIN: u16 = 1 << 7;
const HAS_BOOT_TIME: u16 = 1 << 8;
const HAS_MANIFEST: u16 = 1 << 9;
const HAS_SHARED_GENERATION: u16 = 1 << 10;
const ALL_FLAGS: u16 = (1 << 11) - 1;

/// The length of an encoded fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// Encodes a record and its key.
#[expect(
    clippy::disallowed_methods,
    reason = "the record is sealed before it is written"
)]
pub(super) fn encode_record(key: &TokenKey, record: &Record) -> Vec<u8> {
    let Record {
        generation,
        token,
        owner,
        renewal,
        alias,
        skew_us,
        rejections,
        alive_us,
        reject_login,
        acquired,
        manifest,
        shared_generation,
    } = record;
    let mut out = Encoder::default();
    for part in [&key.scope.service, &key.scope.base, &key.scope.account] {
        out.text(part);
    }
    encode_key_in_scope(&mut out, key);
    out.u64(*generation);
    let flags = [
        (owner.is_some(), HAS_OWNER),
        (token.is_some(), HAS_TOKEN),
        (renewal.is_some(), HAS_RENEWAL),
        (alias.is_some(), HAS_ALIAS),
        (skew_us.is_some(), HAS_SKEW),
        (!rejections.is_empty(), HAS_REJECTIONS),
        (alive_us.is_some(), IS_ALIVE),
        (reject_login.is_some(), HAS_REJECT_LOGIN),
        (acquired.is_some(), HAS_BOOT_TIME),
        (manifest.is_some(), HAS_MANIFEST),
        (shared_generation.is_some(), HAS_SHARED_GENERATION),
    ];
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    out.u16(set.fold(0, |all, (_, flag)| all | flag));
    owner.iter().for_each(|owner| out.bytes(owner.bytes()));
    token.iter().for_each(|token| encode_token(&mut out, token));
    renewal
        .iter()
        .for_each(|renewal| out.text(renewal.expose()));
    alias
        .iter()
        .for_each(|alias| encode_key_in_scope(&mut out, alias));
    skew_us.iter().for_each(|us| out.u64(*us as u64));
    encode_rejections(&mut out, rejections);
    alive_us.iter().for_each(|us| out.u64(*us as u64));
    if let Some(RejectLogin {
        step,
        at_us,
        rejected_us,
    }) = reject_login
    {
        out.u64(u64::from(*step));
        out.u64(*at_us as u64);
        out.u64(*rejected_us as u64);
    }
    if let Some(BootTime { boot, at_us }) = acquired {
        out.bytes(boot.bytes());
        out.u64(*at_us);
    }
    manifest.iter().for_each(|manifest| out.bytes(manifest));
    shared_generation
        .iter()
        .for_each(|generation| out.u64(*generation));
    out.into_bytes()
}

/// Decodes a record and its key. `None` if the bytes are not a valid record.
pub(super) fn decode_record(bytes: &[u8]) -> Option<(TokenKey, Record)> {
    let DecodedRecord {
        facts,
        owner,
        renewal,
        alias,
        rejections,
        alive_us,
        reject_login,
        manifest,
        shared_generation,
    } = decode(bytes, &mut Scopes::default())?;
    let record = Record {
        generation: facts.generation,
        owner,
        token: facts.token.map(TokenFacts::to_token),
        renewal: renewal.map(Secret::from),
        alias: alias.map(|(resource_kind, access, id)| facts.scope.key(resource_kind, id, access)),
        skew_us: facts.clock.skew_us,
        rejections: rejections.map_or_else(Vec::new, fingerprints),
        alive_us,
        reject_login,
        acquired: facts.clock.acquired,
        manifest,
        shared_generation,
    };
    Some((facts.key(), record))
}

/// Returns whether the bytes are a valid record.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    decode(bytes, &mut Scopes::default()).is_some()
}

/// Decodes the facts of a record. `None` if the bytes are not a valid record.
pub(super) fn decode_facts<'a>(bytes: &'a [u8], scopes: &mut Scopes) -> Option<RecordFacts<'a>> {
    decode(bytes, scopes).map(|decoded| decoded.facts)
}

/// The scopes of the records that were decoded, so that a scope is created once and not for each
/// record.
#[derive(Default)]
pub(super) struct Scopes(Vec<Arc<Scope>>);

impl Scopes {
    /// The maximum number of scopes. It limits the search for a scope.
    const MAX: usize = 64;

    fn of(&mut self, service: &str, base: &str, account: &str) -> Arc<Scope> {
        let is_it =
            |it: &&Arc<Scope>| it.account == account && it.service == service && it.base == base;
        if let Some(known) = self.0.iter().find(is_it) {
            return Arc::clone(known);
        }
        let scope = Arc::new(Scope::new(service, base, account));
        if self.0.len() < Self::MAX {
            self.0.push(Arc::clone(&scope));
        }
        scope
    }
}

/// A decoded record that borrows the bytes.
struct DecodedRecord<'a> {
    facts: RecordFacts<'a>,
    owner: Option<Fingerprint>,
    renewal: Option<&'a str>,
    alias: Option<KeyInScope<'a>>,
    /// The bytes of the fingerprints.
    rejections: Option<&'a [u8]>,
    alive_us: Option<i64>,
    reject_login: Option<RejectLogin>,
    manifest: Option<[u8; 32]>,
    shared_generation: Option<u64>,
}

fn decode<'a>(bytes: &'a [u8], scopes: &mut Scopes) -> Option<DecodedRecord<'a>> {
    let mut input = Decoder(bytes);
    let scope = scopes.of(input.text()?, input.text()?, input.text()?);
    let (resource_kind, access, id) = decode_key_in_scope(&mut input)?;
    let key = TokenKeyRef {
        scope: scope.fingerprint(),
        resource_kind,
        id,
        access,
    };
    let generation = input.u64()?;
    let flags = input.u16()?;
    if flags & !ALL_FLAGS != 0 {
        return None;
    }
    // The parts are read in this order.
    let mut part = Parts { flags, input };
    let owner = part.of(HAS_OWNER, Decoder::fingerprint)?;
    let token = part.of(HAS_TOKEN, |input| {
        decode_token(input).filter(|token| token.key() == key)
    })?;
    let renewal = part.of(HAS_RENEWAL, Decoder::text)?;
    let alias = part.of(HAS_ALIAS, decode_key_in_scope)?;
    let skew_us = part.of(HAS_SKEW, Decoder::i64)?;
    let rejections = part.of(HAS_REJECTIONS, decode_rejections)?;
    let alive_us = part.of(IS_ALIVE, Decoder::i64)?;
    let reject_login = part.of(HAS_REJECT_LOGIN, decode_reject_login)?;
    let acquired = part.of(HAS_BOOT_TIME, decode_boot_time)?;
    let manifest = part.of(HAS_MANIFEST, |input| input.bytes(32)?.try_into().ok())?;
    let shared_generation = part.of(HAS_SHARED_GENERATION, Decoder::u64)?;
    part.input.is_at_end().then_some(DecodedRecord {
        facts: RecordFacts {
            scope,
            resource_kind,
            id,
            access,
            generation,
            token,
            has_renewal: renewal.is_some(),
            clock: RecordClock {
                generation,
                skew_us,
                acquired_us: token.map(|token| token.meta().acquired_us),
                acquired,
            },
        },
        owner,
        renewal,
        alias,
        rejections,
        alive_us,
        reject_login,
        manifest,
        shared_generation,
    })
}

/// The parts of a record that are not decoded yet.
struct Parts<'a> {
    flags: u16,
    input: Decoder<'a>,
}

impl<'a> Parts<'a> {
    /// Decodes the next part: `Some(None)` if its flag is not set, `None` if it is malformed.
    fn of<T>(
        &mut self,
        flag: u16,
        decode: impl FnOnce(&mut Decoder<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.flags & flag == 0 {
            return Some(None);
        }
        decode(&mut self.input).map(Some)
    }
}

/// Encodes at most [`MAX_REJECTIONS`] fingerprints, preceded by their number.
fn encode_rejections(out: &mut Encoder, rejections: &[Fingerprint]) {
    let count = rejections.len().min(MAX_REJECTIONS);
    if count > 0 {
        out.byte(count as u8);
    }
    rejections[..count]
        .iter()
        .for_each(|resource| out.bytes(resource.bytes()));
}

fn decode_rejections<'a>(input: &mut Decoder<'a>) -> Option<&'a [u8]> {
    let count = usize::from(input.byte()?);
    if !(1..=MAX_REJECTIONS).contains(&count) {
        return None;
    }
    input.bytes(count * FINGERPRINT_BYTES)
}

fn fingerprints(bytes: &[u8]) -> Vec<Fingerprint> {
    let (all, _) = bytes.as_chunks::<FINGERPRINT_BYTES>();
    all.iter()
        .map(|one| Fingerprint::from_bytes(*one))
        .collect()
}

fn decode_reject_login(input: &mut Decoder<'_>) -> Option<RejectLogin> {
    Some(RejectLogin {
        step: u32::try_from(input.u64()?).ok()?,
        at_us: input.i64()?,
        rejected_us: input.i64()?,
    })
}

fn decode_boot_time(input: &mut Decoder<'_>) -> Option<BootTime> {
    Some(BootTime {
        boot: input.fingerprint()?,
        at_us: input.u64()?,
    })
}

fn encode_key_in_scope(out: &mut Encoder, key: &TokenKey) {
    out.byte(key.resource_kind as u8);
    out.byte(key.access as u8);
    out.text(&key.id);
}

/// A key without its scope: the kind of the resource, the access and the id.
type KeyInScope<'a> = (ResourceKind, Access, &'a str);

fn decode_key_in_scope<'a>(input: &mut Decoder<'a>) -> Option<KeyInScope<'a>> {
    Some((
        ResourceKind::from_number(input.byte()?)?,
        Access::from_number(input.byte()?)?,
        input.text()?,
    ))
}

fn encode_token(out: &mut Encoder, token: &Token) {
    let TokenMeta {
        scope,
        resource_kind,
        access,
        kind,
        generation,
        expires_us,
        acquired_us,
    } = *token.meta();
    let Layout {
        header_count,
        name_len,
        id_len,
        service_len,
        headers_len,
        details_len,
    } = *token.layout();
    [
        resource_kind as u8,
        access as u8,
        kind as u8,
        header_count,
        name_len,
        service_len,
    ]
    .into_iter()
    .for_each(|byte| out.byte(byte));
    [scope, generation, expires_us as u64, acquired_us as u64]
        .into_iter()
        .for_each(|number| out.u64(number));
    [
        u64::from(id_len),
        u64::from(headers_len),
        u64::from(details_len),
    ]
    .into_iter()
    .for_each(|number| out.u64(number));
    out.bytes(token.text());
}

fn decode_token<'a>(input: &mut Decoder<'a>) -> Option<TokenFacts<'a>> {
    let [
        resource_kind,
        access,
        kind,
        header_count,
        name_len,
        service_len,
    ] = input.bytes(6)?.try_into().ok()?;
    let [scope, generation, expires_us, acquired_us] =
        [input.u64()?, input.u64()?, input.u64()?, input.u64()?];
    let [id_len, headers_len, details_len] = [input.u64()?, input.u64()?, input.u64()?];
    let meta = TokenMeta {
        scope,
        resource_kind: ResourceKind::from_number(resource_kind)?,
        access: Access::from_number(access)?,
        kind: TokenKind::from_number(kind)?,
        generation,
        expires_us: expires_us as i64,
        acquired_us: acquired_us as i64,
    };
    let layout = Layout {
        header_count,
        name_len,
        id_len: u16::try_from(id_len).ok()?,
        service_len,
        headers_len: u32::try_from(headers_len).ok()?,
        details_len: u32::try_from(details_len).ok()?,
    };
    let text = input.bytes(layout.text_len())?;
    Some(TokenFacts::from_parts(meta, layout, text))
}

/// The kinds of errors that are stored, each with its number in the encoding.
const STORED_KINDS: [(ErrorKind, u8); 7] = [
    (ErrorKind::BadCredentials, 1),
    (ErrorKind::Unavailable, 2),
    (ErrorKind::NoResponse, 3),
    (ErrorKind::BadResponse, 4),
    (ErrorKind::Redirected, 5),
    (ErrorKind::Throttled, 6),
    (ErrorKind::SecretSource, 7),
];

/// Encodes a failure. `None` if its kind is not stored.
pub(super) fn encode_failure(failure: &FailureRecord) -> Option<Vec<u8>> {
    let FailureRecord {
        since_us,
        until_us,
        step,
        error,
    } = failure;
    let mut out = Encoder::default();
    out.u64(*since_us as u64);
    out.u64(*until_us as u64);
    out.u64(u64::from(*step));
    out.byte(STORED_KINDS.iter().find(|(kind, _)| *kind == error.kind)?.1);
    out.u64(error.http_status.map_or(0, u64::from));
    out.byte(u8::from(error.service_code.is_some()));
    out.u64(error.service_code.unwrap_or_default() as u64);
    out.text(error.message());
    Some(out.into_bytes())
}

/// Decodes a failure. `None` if the bytes are not a valid failure.
pub(super) fn decode_failure(bytes: &[u8]) -> Option<FailureRecord> {
    let mut input = Decoder(bytes);
    let (since_us, until_us, step) = (
        input.u64()? as i64,
        input.u64()? as i64,
        u32::try_from(input.u64()?).ok()?,
    );
    let number = input.byte()?;
    let kind = STORED_KINDS.iter().find(|(_, stored)| *stored == number)?.0;
    let status = u16::try_from(input.u64()?).ok()?;
    let (has_code, code) = (input.byte()? != 0, input.u64()? as i64);
    let mut error =
        Error::new(kind, input.text()?.to_owned()).with_service_code(has_code.then_some(code));
    error.http_status = (status != 0).then_some(status);
    input.is_at_end().then_some(FailureRecord {
        since_us,
        until_us,
        step,
        error,
    })
}

/// Appends numbers and strings to a buffer.
#[derive(Default)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn u16(&mut self, number: u16) {
        self.bytes(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.bytes(text.as_bytes());
    }
}

/// Takes numbers and strings from the front of a buffer. Each method returns `None` if too few
/// bytes are left.
struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        self.u64().map(|number| number as i64)
    }

    fn fingerprint(&mut self) -> Option<Fingerprint> {
        let bytes = self.bytes(FINGERPRINT_BYTES)?.try_into().ok()?;
        Some(Fingerprint::from_bytes(bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.u64()?).ok()?;
        std::str::from_utf8(self.bytes(len)?).ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use super::*;
    use crate::model::token::{NO_EXPIRY, NewToken};

    fn key() -> TokenKey {
        let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
        scope.key(ResourceKind::Package, "01A", Access::Manage)
    }

    fn token() -> Token {
        let mut new_token = NewToken::new(
            TokenKind::Package,
            "X-Package-Token",
            Secret::from("abc"),
            None,
        );
        new_token.details = serde_json::json!({"name": "\u{e9}"});
        let (scope, kind) = (key().scope.fingerprint(), TokenKind::Package);
        let meta = TokenMeta {
            scope,
            resource_kind: ResourceKind::Package,
            access: Access::Manage,
            kind,
            generation: 9,
            expires_us: NO_EXPIRY,
            acquired_us: -1,
        };
        Token::new(&new_token, "masv", "01A", meta).unwrap()
    }

    fn fingerprint(byte: u8) -> Fingerprint {
        Fingerprint::from_bytes([byte; 16])
    }

    /// A record with all parts.
    fn full() -> Record {
        Record {
            generation: 9,
            token: Some(token()),
            owner: Some(fingerprint(7)),
            renewal: Some(Secret::from("r")),
            alias: Some(key().with_access(Access::Read)),
            skew_us: Some(-5),
            rejections: (0..MAX_REJECTIONS as u8).map(fingerprint).collect(),
            alive_us: Some(-6),
            reject_login: Some(RejectLogin {
                step: 3,
                at_us: -7,
                rejected_us: 4,
            }),
            acquired: Some(BootTime {
                boot: fingerprint(8),
                at_us: 11,
            }),
            manifest: Some([12; 32]),
            shared_generation: Some(13),
        }
    }

    fn is_equal(one: &Record, other: &Record) -> bool {
        let parts = |token: &Token| (*token.meta(), *token.layout(), token.text().to_vec());
        let secret = |record: &Record| {
            record
                .renewal
                .as_ref()
                .map(|renewal| renewal.expose().to_owned())
        };
        let rest = |record: &Record| {
            (
                (record.generation, record.alias.clone(), record.skew_us),
                (record.alive_us, record.reject_login, record.acquired),
                (record.manifest, record.shared_generation),
            )
        };
        one.token.as_ref().map(parts) == other.token.as_ref().map(parts)
            && one.owner == other.owner
            && one.rejections == other.rejections
            && secret(one) == secret(other)
            && rest(one) == rest(other)
    }

    /// Removes one part of a record.
    type Removal = fn(&mut Record);
    const REMOVALS: [Removal; 11] = [
        |record| record.token = None,
        |record| record.owner = None,
        |record| record.renewal = None,
        |record| record.alias = None,
        |record| record.skew_us = None,
        |record| record.rejections.clear(),
        |record| record.alive_us = None,
        |record| record.reject_login = None,
        |record| record.acquired = None,
        |record| record.manifest = None,
        |record| record.shared_generation = None,
    ];

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        let mut records = vec![full(), Record::default()];
        for (at, remove) in REMOVALS.iter().enumerate() {
            let mut without = full();
            remove(&mut without);
            let mut alone = full();
            let others = REMOVALS
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at);
            others.for_each(|(_, remove)| remove(&mut alone));
            records.extend([without, alone]);
        }
        for record in records {
            let bytes = encode_record(&key(), &record);
            let (found, decoded) = decode_record(&bytes).unwrap();
            assert!(found == key() && is_equal(&decoded, &record));
            (0..bytes.len())
                .for_each(|len| assert!(decode_record(&bytes[..len]).is_none(), "{len}"));
            assert!(decode_record(&[&bytes[..], &[0]].concat()).is_none());
        }
    }

    #[test]
    fn rejections_beyond_the_maximum_are_not_encoded_and_their_number_is_checked() {
        let mut record = Record {
            rejections: (0..MAX_REJECTIONS as u8 + 1).map(fingerprint).collect(),
            ..Record::default()
        };
        let mut bytes = encode_record(&key(), &record);
        let (_, decoded) = decode_record(&bytes).unwrap();
        record.rejections.truncate(MAX_REJECTIONS);
        assert!(is_equal(&decoded, &record));
        let count_at = bytes.len() - MAX_REJECTIONS * 16 - 1;
        for count in [0, MAX_REJECTIONS as u8 + 1] {
            bytes[count_at] = count;
            bytes.truncate(count_at + 1 + usize::from(count) * 16);
            bytes.resize(count_at + 1 + usize::from(count) * 16, 0);
            assert!(decode_record(&bytes).is_none(), "{count}");
        }
    }

    #[test]
    fn a_flag_of_a_later_format_is_no_record() {
        let empty = encode_record(&key(), &Record::default());
        for bit in 13..16 {
            let mut bytes = empty.clone();
            let at = bytes.len() - 2;
            bytes[at + bit / 8] |= 1 << (bit % 8);
            assert!(decode_record(&bytes).is_none(), "{bit}");
        }
    }

    #[test]
    fn another_keys_token_is_no_record() {
        let other = TokenKey {
            id: "01B".into(),
            ..key()
        };
        assert!(
            decode_record(&encode_record(
                &other,
                &Record {
                    token: Some(token()),
                    ..Record::default()
                }
            ))
            .is_none()
        );
    }

    #[test]
    fn a_failure_is_decoded_as_it_was_encoded() {
        for (kind, _) in STORED_KINDS {
            let error = Error::new(kind, "no")
                .with_service_code(Some(-7))
                .with_http_status(401);
            let bytes = encode_failure(&FailureRecord {
                since_us: 3,
                until_us: 5,
                step: 2,
                error,
            })
            .unwrap();
            let decoded = decode_failure(&bytes).unwrap();
            assert_eq!(
                (
                    decoded.since_us,
                    decoded.until_us,
                    decoded.step,
                    decoded.error.kind,
                    decoded.error.message()
                ),
                (3, 5, 2, kind, "no")
            );
            assert_eq!(
                (decoded.error.http_status, decoded.error.service_code),
                (Some(401), Some(-7))
            );
            (0..bytes.len())
                .for_each(|len| assert!(decode_failure(&bytes[..len]).is_none(), "{len}"));
        }
        assert!(
            encode_failure(&FailureRecord {
                since_us: 0,
                until_us: 0,
                step: 0,
                error: Error::new(ErrorKind::Panic, "x")
            })
            .is_none()
        );
    }
}
