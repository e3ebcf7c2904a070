//! Records and refusals as bytes, and back.
//!
//! What it reads was authenticated before: a mistake in it is one of ours, and is told as damage.
//! Numbers are little-endian; a text has its length before it.

use std::sync::Arc;

use super::wire::{Reader, Writer};
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

/// A record, and whose it is.
pub(super) fn write_record(key: &TokenKey, record: &Record) -> Vec<u8> {
    let Record { generation, token, owner, renewal, alias, skew_us, rejected, replaced_us } = record;
    let mut to = Writer::default();
    for part in [&key.scope.service, &key.scope.base, &key.scope.account] {
        to.text(part);
    }
    write_name(&mut to, key);
    to.number(*generation);
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    let parts = flag(token.is_some(), HAS_TOKEN) | flag(renewal.is_some(), HAS_RENEWAL) | flag(alias.is_some(), HAS_ALIAS);
    let more = flag(skew_us.is_some(), HAS_SKEW) | flag(*rejected, IS_REJECTED) | flag(replaced_us.is_some(), IS_REPLACED);
    to.byte(parts | more | flag(owner.is_some(), HAS_OWNER));
    owner.iter().for_each(|owner| to.bytes(owner.bytes()));
    token.iter().for_each(|token| write_token(&mut to, token));
    renewal.iter().for_each(|renewal| to.text(renewal.expose()));
    alias.iter().for_each(|alias| write_name(&mut to, alias));
    skew_us.iter().chain(replaced_us).for_each(|us| to.number(*us as u64));
    to.0
}

/// The record, and whose it is. None if these bytes are no record.
pub(super) fn read_record(bytes: &[u8]) -> Option<(TokenKey, Record)> {
    let mut from = Reader(bytes);
    let scope = Arc::new(Scope::new(from.text()?, from.text()?, from.text()?));
    let key = read_name(&mut from, &scope)?;
    let generation = from.number()?;
    let flags = from.byte()?;
    let owner = if flags & HAS_OWNER != 0 { Some(Fingerprint::from_bytes(from.bytes(16)?.try_into().ok()?)) } else { None };
    let token = if flags & HAS_TOKEN != 0 { Some(read_token(&mut from).filter(|token| token.key() == key.borrow())?) } else { None };
    let renewal = if flags & HAS_RENEWAL != 0 { Some(Secret::from(from.text()?)) } else { None };
    let alias = if flags & HAS_ALIAS != 0 { Some(read_name(&mut from, &scope)?) } else { None };
    let skew_us = if flags & HAS_SKEW != 0 { Some(from.number()? as i64) } else { None };
    let replaced_us = if flags & IS_REPLACED != 0 { Some(from.number()? as i64) } else { None };
    let rejected = flags & IS_REJECTED != 0;
    from.0.is_empty().then_some((key, Record { generation, token, owner, renewal, alias, skew_us, rejected, replaced_us }))
}

fn write_name(to: &mut Writer, key: &TokenKey) {
    to.byte(key.resource_kind as u8);
    to.byte(key.access as u8);
    to.text(&key.id);
}

fn read_name(from: &mut Reader<'_>, scope: &Arc<Scope>) -> Option<TokenKey> {
    let (resource_kind, access) = (ResourceKind::from_number(from.byte()?)?, Access::from_number(from.byte()?)?);
    Some(scope.key(resource_kind, from.text()?, access))
}

fn write_token(to: &mut Writer, token: &Token) {
    let TokenMeta { scope, resource_kind, access, kind, generation, expires_us, acquired_us } = *token.meta();
    let Layout { header_count, name_len, id_len, service_len, headers_len, details_len } = *token.layout();
    [resource_kind as u8, access as u8, kind as u8, header_count, name_len, service_len].into_iter().for_each(|byte| to.byte(byte));
    [scope, generation, expires_us as u64, acquired_us as u64].into_iter().for_each(|number| to.number(number));
    [u64::from(id_len), u64::from(headers_len), u64::from(details_len)].into_iter().for_each(|number| to.number(number));
    to.bytes(token.text());
}

fn read_token(from: &mut Reader<'_>) -> Option<Token> {
    let [resource_kind, access, kind, header_count, name_len, service_len] = from.bytes(6)?.try_into().ok()?;
    let [scope, generation, expires, acquired] = [from.number()?, from.number()?, from.number()?, from.number()?];
    let [id_len, headers_len, details_len] = [from.number()?, from.number()?, from.number()?];
    let meta = TokenMeta {
        scope,
        resource_kind: ResourceKind::from_number(resource_kind)?,
        access: Access::from_number(access)?,
        kind: TokenKind::from_number(kind)?,
        generation,
        expires_us: expires as i64,
        acquired_us: acquired as i64,
    };
    let layout = Layout {
        header_count,
        name_len,
        id_len: u16::try_from(id_len).ok()?,
        service_len,
        headers_len: u32::try_from(headers_len).ok()?,
        details_len: u32::try_from(details_len).ok()?,
    };
    let text = from.bytes(layout.text_len())?;
    Some(Token::from_parts(meta, layout, text.into()))
}

/// The failures that are remembered, each with its number.
const KINDS: [(ErrorKind, u8); 7] = [
    (ErrorKind::BadCredentials, 1),
    (ErrorKind::Unavailable, 2),
    (ErrorKind::NoResponse, 3),
    (ErrorKind::BadResponse, 4),
    (ErrorKind::Redirected, 5),
    (ErrorKind::Throttled, 6),
    (ErrorKind::SecretSource, 7),
];

/// A refusal. None if it is of a kind that is not remembered.
pub(super) fn write_refusal(refusal: &FailureRecord) -> Option<Vec<u8>> {
    let FailureRecord { since_us, until_us, step, error } = refusal;
    let mut to = Writer::default();
    to.number(*since_us as u64);
    to.number(*until_us as u64);
    to.number(u64::from(*step));
    to.byte(KINDS.iter().find(|(kind, _)| *kind == error.kind)?.1);
    to.number(error.http_status.map_or(0, u64::from));
    to.byte(u8::from(error.service_code.is_some()));
    to.number(error.service_code.unwrap_or_default() as u64);
    to.text(error.message());
    Some(to.0)
}

/// The refusal. None if these bytes are none.
pub(super) fn read_refusal(bytes: &[u8]) -> Option<FailureRecord> {
    let mut from = Reader(bytes);
    let (since_us, until_us, step) = (from.number()? as i64, from.number()? as i64, u32::try_from(from.number()?).ok()?);
    let number = from.byte()?;
    let kind = KINDS.iter().find(|(_, own)| *own == number)?.0;
    let status = u16::try_from(from.number()?).ok()?;
    let (has_code, code) = (from.byte()? != 0, from.number()? as i64);
    let mut error = Error::new(kind, from.text()?.to_owned()).with_service_code(has_code.then_some(code));
    error.http_status = (status != 0).then_some(status);
    from.0.is_empty().then_some(FailureRecord { since_us, until_us, step, error })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::model::token::{NO_EXPIRY, NewToken};

    fn key() -> TokenKey {
        let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
        scope.key(ResourceKind::Package, "01A", Access::Manage)
    }

    fn token() -> Token {
        let mut new_token = NewToken::new(TokenKind::Package, "X-Package-Token", Secret::from("abc"), None);
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
    fn a_record_is_read_as_it_was_written() {
        for (token, renewal, alias, skew_us, rejected, replaced_us) in [
            (None, None, None, None, true, None),
            (Some(token()), None, None, Some(0), false, Some(3)),
            (None, Some(Secret::from("r")), None, Some(-5), true, Some(4)),
            (Some(token()), Some(Secret::from("r")), Some(key().with_access(Access::Read)), Some(7), false, None),
        ] {
            let owner = token.is_some().then(|| Fingerprint::from_bytes([7; 16]));
            let record = Record { generation: 9, token, owner, renewal, alias, skew_us, rejected, replaced_us };
            let bytes = write_record(&key(), &record);
            let (found, again) = read_record(&bytes).unwrap();
            assert!(found == key() && again.generation == 9 && again.alias == record.alias && again.skew_us == record.skew_us);
            assert!((again.rejected, again.replaced_us, again.owner) == (record.rejected, record.replaced_us, record.owner));
            assert_eq!(again.renewal.as_ref().map(Secret::expose), record.renewal.as_ref().map(Secret::expose));
            let parts = |token: &Token| (*token.meta(), *token.layout(), token.text().to_vec());
            assert_eq!(again.token.as_ref().map(parts), record.token.as_ref().map(parts));
            (0..bytes.len()).for_each(|len| assert!(read_record(&bytes[..len]).is_none(), "{len}"));
        }
    }

    #[test]
    fn another_keys_token_is_no_record() {
        let other = TokenKey { id: "01B".into(), ..key() };
        assert!(read_record(&write_record(&other, &Record { token: Some(token()), ..Record::default() })).is_none());
    }

    #[test]
    fn a_refusal_is_read_as_it_was_written() {
        for (kind, _) in KINDS {
            let error = Error::new(kind, "no").with_service_code(Some(-7)).with_http_status(401);
            let bytes = write_refusal(&FailureRecord { since_us: 3, until_us: 5, step: 2, error }).unwrap();
            let again = read_refusal(&bytes).unwrap();
            assert_eq!((again.since_us, again.until_us, again.step, again.error.kind, again.error.message()), (3, 5, 2, kind, "no"));
            assert_eq!((again.error.http_status, again.error.service_code), (Some(401), Some(-7)));
            (0..bytes.len()).for_each(|len| assert!(read_refusal(&bytes[..len]).is_none(), "{len}"));
        }
        assert!(write_refusal(&FailureRecord { since_us: 0, until_us: 0, step: 0, error: Error::new(ErrorKind::Panic, "x") }).is_none());
    }
}
