//! A session without a network. It returns stored tokens.
//!
//! It is for a program that runs only for one call and leaves all other work to another program. Such a
//! program links no network code, and the session starts no thread.

use std::time::Instant;

use url::Url;

use crate::engine::acquisition::accesses;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::replacement;
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::model::request::Request;
use crate::model::token::Token;
use crate::ports::http::{Failure, Http, Reader, Request as HttpRequest, Response};
use crate::ports::store::Record;

/// An HTTP client that fails every request.
pub(super) struct NoNetwork;

impl Http for NoNetwork {
    fn exchange(
        &self,
        _account: usize,
        _request: &HttpRequest,
        _deadline: Instant,
    ) -> Result<Response, Failure> {
        Err(no_network())
    }

    fn exchange_to_end(
        &self,
        _account: usize,
        _request: &HttpRequest,
        _deadline: Instant,
    ) -> Result<Response, Failure> {
        Err(no_network())
    }

    fn reader(&self, _account: usize) -> Box<dyn Reader + '_> {
        Box::new(NoNetwork)
    }

    fn close_idle(&self) {}

    fn close(&self, _deadline: Instant) {}
}

impl Reader for NoNetwork {
    fn open(&mut self, _url: &Url) {}

    fn read(&mut self, _request: &HttpRequest, _deadline: Instant) -> Result<Response, Failure> {
        Err(no_network())
    }

    fn keep(&mut self) {}
}

fn no_network() -> Failure {
    Failure {
        error: Error::new(
            ErrorKind::Unreachable,
            "cannot send a request: this program has no network code; use `keyferry`",
        ),
        sent: false,
    }
}

/// Returns the stored token for a request, without contacting a service. Returns `None` if this
/// needs a service, a secret or a fingerprint.
///
/// # Errors
/// Returns the errors of resolving the resource.
pub(super) fn stored(state: &EngineState, request: &Request) -> Result<Option<Token>> {
    let account = state.accounts.number(request.account.as_deref())?;
    state
        .accounts
        .resolve(account, &request.resource, |resolved| {
            if matches!(
                resolved.target.resource_kind,
                ResourceKind::Key | ResourceKind::Link | ResourceKind::Session
            ) {
                return Ok(None);
            }
            let bound = state.accounts.bound(resolved.account, resolved.service);
            let tokens = Persistence::new(state, bound);
            // Each of these reads the clock after the record, which may have set the service's clock
            // skew.
            let is_unexpired = |token: &Token| state.now_us(bound) < token.meta().expires_us;
            let serves = |token: &Token| {
                let now_us = state.now_us(bound);
                let times = freshness::windows(token.meta(), 0);
                now_us < times.mandatory_us
                    && freshness::lasts(token.meta(), request.min_valid, now_us)
                    && freshness::is_recent(token.meta(), request.max_age, now_us)
            };
            let is_rejected = |record: &Record| {
                !record.rejections.is_empty()
                    && record
                        .rejections
                        .contains(&replacement::fingerprint(state, resolved.path))
            };
            let key = |access| bound.key(resolved.target.resource_kind, resolved.target.id, access);
            let accesses = accesses(resolved.target.required, request.access).iter();
            // The first unexpired token decides, as in `Broker::stored_for`: if it must be refreshed
            // or replaced, a token of another access level does not stand in for it.
            let first = accesses
                .filter_map(|access| tokens.record(&key(*access)))
                .find(|record| record.token.as_ref().is_some_and(is_unexpired));
            Ok(first.and_then(|record| {
                let token = record.token.clone()?;
                (serves(&token) && !is_rejected(&record)).then_some(token)
            }))
        })
}
