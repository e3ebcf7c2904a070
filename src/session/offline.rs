//! A session without a network: it hands out what the store has.
//!
//! For a program that ends at once and leaves the rest to another program: it links no network and
//! starts no thread.

use std::time::Instant;

use crate::engine::acquisition::accesses;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::model::request::Request;
use crate::model::token::Token;
use crate::ports::http::{Failure, Http, Request as HttpRequest, Response};

/// An HTTP client that fails every request.
pub(super) struct NoNetwork;

impl Http for NoNetwork {
    fn exchange(&self, _request: &HttpRequest, _deadline: Instant) -> Result<Response, Failure> {
        Err(Failure {
            error: Error::new(ErrorKind::Unreachable, "this program has no network"),
            sent: false,
        })
    }

    fn close(&self) {}
}

/// The stored token that serves a request as it is. None where a service, a secret or a fingerprint
/// is needed to tell.
///
/// # Errors
/// Those of reading the resource.
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
            let serves = |token: &Token| {
                // Only now: the record may have told of the service's clock.
                let now_us = state.now_us(bound);
                let times = freshness::windows(token.meta(), 0);
                now_us < times.mandatory_us
                    && freshness::lasts(token.meta(), request.min_valid, now_us)
            };
            let key = |access| bound.key(resolved.target.resource_kind, resolved.target.id, access);
            let accesses = accesses(resolved.target.required, request.access).iter();
            Ok(accesses
                .filter_map(|access| tokens.record(&key(*access))?.token)
                .find(serves))
        })
}
