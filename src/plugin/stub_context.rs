//! A [`Context`] without an engine. The host uses it for calls without an account (`init`,
//! `deinit`, `get_extension`), and for the conformance test, which supplies the settings and the
//! responses.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, Fingerprint, Fingerprinter, ResourceKind};
use crate::model::token::Token;
use crate::ports::http::{Request, Response};
use crate::ports::service::{Context, FoundToken};
use crate::secret::Secret;

/// A function that returns the value of a setting.
type Settings<'a> = dyn Fn(&str) -> Result<Option<Secret>> + 'a;
/// A function that returns the response to a request.
type Services<'a> = dyn Fn(&Request) -> Result<Response> + 'a;

pub(super) struct StubContext<'a> {
    pub(super) settings: &'a Settings<'a>,
    pub(super) services: &'a Services<'a>,
}

/// The context of calls without an account: no settings, no network.
pub(super) const NO_CONTEXT: StubContext<'static> = StubContext {
    settings: &|_| unavailable(),
    services: &|_| unavailable(),
};

fn unavailable<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Plugin,
        "settings and the network are not available in `init`, `deinit` and `get_extension`; use them in `acquire`, `renew` or `get`",
    ))
}

impl Context for StubContext<'_> {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        (self.settings)(name)
    }

    fn token(&self, _resource_kind: ResourceKind, _id: &str, _access: Access) -> Result<Token> {
        unavailable()
    }

    fn reject(&self, _token: &Token) {}

    fn send(&self, request: &Request) -> Result<Response> {
        (self.services)(request)
    }

    fn send_no_retry(&self, request: &Request) -> Result<Response> {
        (self.services)(request)
    }

    fn login(
        &self,
        _secrets: &[&Secret],
        request: &Request,
        refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response> {
        let response = (self.services)(request)?;
        refused(&response).map_or(Ok(response), Err)
    }

    fn record_refusal(&self, _secrets: &[&Secret], _error: &mut Error) {}

    fn coalesce(
        &self,
        _name: &str,
        _job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        unavailable()
    }

    fn fingerprint(&self, parts: &[&str]) -> Fingerprint {
        Fingerprinter::random().of(parts)
    }

    fn now_unix_s(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
    }

    fn is_closing(&self) -> bool {
        false
    }
}
