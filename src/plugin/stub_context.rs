//! A context without an engine: for calls that are about no account (`init` and its kin), and for the conformance test, which says
//! what the settings are and what a service answers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};
use crate::model::key::{Access, Class, Fingerprint, Fingerprinter};
use crate::model::token::Token;
use crate::ports::http::{Answer, Request};
use crate::ports::service::{Context, Found};
use crate::secret::Secret;

/// Says what a setting is.
type Settings<'a> = dyn Fn(&str) -> Result<Option<Secret>> + 'a;
/// Says what a service answers.
type Services<'a> = dyn Fn(&Request) -> Result<Answer> + 'a;

pub(super) struct Alone<'a> {
    pub(super) settings: &'a Settings<'a>,
    pub(super) services: &'a Services<'a>,
}

/// Nothing of an account can be had.
pub(super) const NOBODY: Alone<'static> = Alone { settings: &|_| nothing(), services: &|_| nothing() };

fn nothing<T>() -> Result<T> {
    Err(Error::new(Kind::Plugin, "nothing of an account can be had here: ask in `acquire` or `get`"))
}

impl Context for Alone<'_> {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        (self.settings)(name)
    }

    fn token(&self, _class: Class, _id: &str, _access: Access) -> Result<Token> {
        nothing()
    }

    fn reject(&self, _token: &Token) {}

    fn send(&self, request: &Request) -> Result<Answer> {
        (self.services)(request)
    }

    fn send_once(&self, request: &Request) -> Result<Answer> {
        (self.services)(request)
    }

    fn login(&self, _secrets: &[&Secret], request: &Request, refused: &dyn Fn(&Answer) -> Option<Error>) -> Result<Answer> {
        let answer = (self.services)(request)?;
        refused(&answer).map_or(Ok(answer), Err)
    }

    fn refused(&self, _secrets: &[&Secret], _error: &Error) {}

    fn once(&self, _name: &str, _job: &mut dyn FnMut() -> Result<Vec<Found>>) -> Result<Arc<Vec<Found>>> {
        nothing()
    }

    fn fingerprint(&self, parts: &[&str]) -> Fingerprint {
        Fingerprinter::random().of(parts)
    }

    fn now_unix_s(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
    }

    fn is_over(&self) -> bool {
        false
    }
}
