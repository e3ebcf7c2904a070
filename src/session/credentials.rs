//! The work of `keyferry reject`, `login` and `logout`: finds the token that was handed out for a
//! resource, tests a credential, and forgets the tokens of a service.

use std::ops::ControlFlow;

use super::Session;
use crate::engine::acquisition::{accesses, link_key};
use crate::engine::persistence::Persistence;
use crate::engine::rejections::Asker;
use crate::engine::replacement;
use crate::error::Result;
use crate::model::key::{ResourceKind, Scope, TokenKey};
use crate::model::request::Request;
use crate::model::token::Token;
use crate::ports::service::Context;
use crate::ports::store::Reach;
use crate::ports::wait_budget::WaitBudget;

impl Session {
    /// Returns the unexpired token that is cached or stored for a request. Uses no network. Returns
    /// `None` for a configured secret, which has no stored token.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    #[doc(hidden)]
    pub fn present(&self, request: &Request) -> Result<Option<Token>> {
        let _budget = WaitBudget::begin(None);
        let state = &self.broker.state;
        self.lookup().at(&request.resource, |resolved, bound| {
            let tokens = Persistence::new(state, bound);
            let find = |key: &TokenKey| {
                let cached = tokens.cached(key).map(|hit| hit.token);
                let stored = tokens.record(key).and_then(|record| record.token);
                let is_newer = |token: &Token, other: &Token| {
                    token.meta().generation > other.meta().generation
                };
                match (cached, stored) {
                    (Some(cached), Some(stored)) if is_newer(&stored, &cached) => Some(stored),
                    (cached, stored) => cached.or(stored),
                }
                .filter(|token| state.now_us(bound) < token.meta().expires_us)
            };
            let (kind, id) = (resolved.target.resource_kind, resolved.target.id);
            if kind == ResourceKind::Link {
                return Ok(find(&link_key(state, bound, resolved, request)?));
            }
            let mut accesses = accesses(resolved.target.required, request.access).iter();
            Ok(accesses.find_map(|access| find(&bound.key(kind, id, *access))))
        })
    }

    /// Returns whether a request for this resource gets a configured secret, such as an API key.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    #[doc(hidden)]
    pub fn is_configured_secret(&self, resource: &str) -> Result<bool> {
        self.lookup().at(resource, |resolved, _| {
            Ok(resolved.target.resource_kind == ResourceKind::Key)
        })
    }

    /// Reports that the service answered 401 to this token, which was handed out for this resource.
    /// Otherwise the same as [`Session::reject_value`].
    ///
    /// # Errors
    /// Returns the errors of [`Session::reject_value`].
    #[doc(hidden)]
    pub fn reject_for(&self, resource: &str, token: &Token) -> Result<()> {
        let _budget = WaitBudget::begin(None);
        self.lookup().at(resource, |resolved, _| {
            let asker = Asker::Resource(resolved.path);
            replacement::reject(&self.broker.state, token, asker)
        })
    }

    /// Returns whether the service has a test request for this token, which it accepts with every
    /// valid token.
    #[doc(hidden)]
    pub fn has_test_request(&self, token: &Token) -> bool {
        let bound = self.broker.state.accounts.at_scope(token.meta().scope);
        bound.is_some_and(|bound| bound.service.probe(token).is_some())
    }

    /// Sends the service's test request with this token. Returns the HTTP status of the response,
    /// or `None` if the service has no test request.
    ///
    /// # Errors
    /// Returns the errors of the network and the service.
    #[doc(hidden)]
    pub fn test(&self, token: &Token) -> Result<Option<u16>> {
        let _budget = WaitBudget::begin(None);
        let (number, bound) = self.service(
            |bound| bound.scope.fingerprint() == token.meta().scope,
            token.service(),
        )?;
        let Some(request) = bound.service.probe(token) else {
            return Ok(None);
        };
        let response = self.service_context(number, true).send(&request?)?;
        Ok(Some(response.status))
    }

    /// Removes all tokens of this session's account, or those of one of its services, from the cache
    /// and the store, and their renewal secrets. Returns the number of the tokens. The tokens may
    /// belong to a plugin that is no longer configured.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::error::ErrorKind::Store) if the store cannot be used.
    #[doc(hidden)]
    pub fn forget_service(&self, service: Option<&str>) -> Result<usize> {
        let _budget = WaitBudget::begin(None);
        let state = &self.broker.state;
        state.http.close_idle();
        let account = self.inspect().account_name();
        let is_meant = |scope: &Scope| {
            scope.account == account && service.is_none_or(|name| scope.service == name)
        };
        let cached = state.cache.choose(|token| {
            let (scope, key) = (token.meta().scope, token.key());
            let scope = &state.accounts.at_scope(scope)?.scope;
            is_meant(scope).then(|| scope.key(key.resource_kind, key.id, key.access))
        });
        for key in cached {
            state.cache.remove(&key.borrow(), u64::MAX);
        }
        let (mut stored, mut count) = (Vec::new(), 0);
        state.store.visit(&mut |record| {
            if is_meant(&record.scope) {
                stored.push(record.key());
                count += usize::from(record.token.is_some());
            }
            ControlFlow::Continue(())
        })?;
        for key in stored {
            state.store.forget(&key, u64::MAX, Reach::Everywhere)?;
        }
        let is_affected = |key: &TokenKey| is_meant(&key.scope);
        state.backoff.forget(is_affected);
        state.rejections.forget(is_affected);
        state.forget_refusals(is_affected);
        let mut aliases = state.aliases.write();
        aliases.retain(|alias, _| !is_affected(alias));
        Ok(count)
    }
}
