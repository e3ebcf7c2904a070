//! Encodes records and failures as bytes, and decodes them.
//!
//! The bytes are authenticated before they are decoded. So malformed bytes mean a bug in keyferry.
//! The store treats them as damage.
//!
//! Numbers are little-endian. A string follows its length. To change the encoding, increment
//! `VERSION` in `envelope.rs`; otherwise older files are treated as damaged.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::model::key::{Access, Fingerprint, ResourceKind, Scope, TokenKey};
use crate::model::token::{Layout, Token, TokenKind, TokenMeta};
use crate::ports::store::{FailureRecord, Record};
use crate::secret::Secret;

const HAS_TOKEN: u8 = 1;
const HAS_RENEWAL: u8 = 2;
const HAS_ALIAS: u8 = 4;
const HAS_OWNER: u8 = 64;
const HAS_SKEW: u8 = 8;
const IS_REJECTED: u8 = 16;
const IS_REPLACED: u8 = 32;

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
        rejected,
        replaced_us,
    } = record;
    let mut out = Encoder::default();
    for part in [&key.scope.service, &key.scope.base, &key.scope.account] {
        out.text(part);
    }
    encode_key_in_scope(&mut out, key);
    out.u64(*generation);
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let parts = flag(token.is_some(), HAS_TOKEN)
        | flag(renewal.is_some(), HAS_RENEWAL)
        | flag(alias.is_some(), HAS_ALIAS);
    let state = flag(skew_us.is_some(), HAS_SKEW)
        | flag(*rejected, IS_REJECTED)
        | flag(replaced_us.is_some(), IS_REPLACED);
    out.byte(parts | state | flag(owner.is_some(), HAS_OWNER));
    owner.iter().for_each(|owner| out.bytes(owner.bytes()));
    token.iter().for_each(|token| encode_token(&mut out, token));
    renewal
        .iter()
        .for_each(|renewal| out.text(renewal.expose()));
    alias
        .iter()
        .for_each(|alias| encode_key_in_scope(&mut out, alias));
    skew_us
        .iter()
        .chain(replaced_us)
        .for_each(|us| out.u64(*us as u64));
    out.into_bytes()
}

/// Decodes a record and its key. `None` if the bytes are not a valid record.
pub(super) fn decode_record(bytes: &[u8]) -> Option<(TokenKey, Record)> {
    let mut input = Decoder(bytes);
    let scope = Arc::new(Scope::new(input.text()?, input.text()?, input.text()?));
    let key = decode_key_in_scope(&mut input, &scope)?;
    let generation = input.u64()?;
    let flags = input.byte()?;
    let owner = if flags & HAS_OWNER != 0 {
        Some(Fingerprint::from_bytes(input.bytes(16)?.try_into().ok()?))
    } else {
        None
    };
    let token = if flags & HAS_TOKEN != 0 {
        Some(decode_token(&mut input).filter(|token| token.key() == key.borrow())?)
    } else {
        None
    };
    let renewal = if flags & HAS_RENEWAL != 0 {
        Some(Secret::from(input.text()?))
    } else {
        None
    };
    let alias = if flags & HAS_ALIAS != 0 {
        Some(decode_key_in_scope(&mut input, &scope)?)
    } else {
        None
    };
    let skew_us = if flags & HAS_SKEW != 0 {
        Some(input.u64()? as i64)
    } else {
        None
    };
    let replaced_us = if flags & IS_REPLACED != 0 {
        Some(input.u64()? as i64)
    } else {
        None
    };
    let rejected = flags & IS_REJECTED != 0;
    input.is_at_end().then_some((
        key,
        Record {
            generation,
            token,
            owner,
            renewal,
            alias,
            skew_us,
            rejected,
            replaced_us,
        },
    ))
}

fn encode_key_in_scope(out: &mut Encoder, key: &TokenKey) {
    out.byte(key.resource_kind as u8);
    out.byte(key.access as u8);
    out.text(&key.id);
}

fn decode_key_in_scope(input: &mut Decoder<'_>, scope: &Arc<Scope>) -> Option<TokenKey> {
    let (resource_kind, access) = (
        ResourceKind::from_number(input.byte()?)?,
        Access::from_number(input.byte()?)?,
    );
    Some(scope.key(resource_kind, input.text()?, access))
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

fn decode_token(input: &mut Decoder<'_>) -> Option<Token> {
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
    Some(Token::from_parts(meta, layout, text.into()))
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
#[expect(clippy::disallowed_methods, reason = "a test reads what it made up")]
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

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        for (token, renewal, alias, skew_us, rejected, replaced_us) in [
            (None, None, None, None, true, None),
            (Some(token()), None, None, Some(0), false, Some(3)),
            (None, Some(Secret::from("r")), None, Some(-5), true, Some(4)),
            (
                Some(token()),
                Some(Secret::from("r")),
                Some(key().with_access(Access::Read)),
                Some(7),
                false,
                None,
            ),
        ] {
            let owner = token.is_some().then(|| Fingerprint::from_bytes([7; 16]));
            let record = Record {
                generation: 9,
                token,
                owner,
                renewal,
                alias,
                skew_us,
                rejected,
                replaced_us,
            };
            let bytes = encode_record(&key(), &record);
            let (found, decoded) = decode_record(&bytes).unwrap();
            assert!(
                found == key()
                    && decoded.generation == 9
                    && decoded.alias == record.alias
                    && decoded.skew_us == record.skew_us
            );
            assert!(
                (decoded.rejected, decoded.replaced_us, decoded.owner)
                    == (record.rejected, record.replaced_us, record.owner)
            );
            assert_eq!(
                decoded.renewal.as_ref().map(Secret::expose),
                record.renewal.as_ref().map(Secret::expose)
            );
            let parts = |token: &Token| (*token.meta(), *token.layout(), token.text().to_vec());
            assert_eq!(
                decoded.token.as_ref().map(parts),
                record.token.as_ref().map(parts)
            );
            (0..bytes.len())
                .for_each(|len| assert!(decode_record(&bytes[..len]).is_none(), "{len}"));
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
