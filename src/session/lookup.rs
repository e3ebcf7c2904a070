//! Finds the keys of a resource's tokens, and the token that has a given value.

use crate::engine::accounts::{BoundService, ResolvedResource};
use crate::engine::acquisition::{accesses, link_key};
use crate::engine::persistence::Persistence;
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, Fingerprint, ResourceKind, TokenKey};
use crate::model::request::Request;
use crate::model::token::Token;
use crate::secret::Secret;

/// A lookup of resources of one account.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    /// The engine's shared state.
    pub(crate) state: &'a EngineState,
    /// The number of the account.
    pub(crate) account: usize,
}

impl Lookup<'_> {
    /// Resolves a resource, and calls `then` with the result and its service.
    pub(crate) fn at<T>(
        &self,
        resource: &str,
        then: impl FnOnce(&ResolvedResource<'_>, &BoundService) -> Result<T>,
    ) -> Result<T> {
        let accounts = &self.state.accounts;
        accounts.resolve(self.account, resource, |resolved| {
            then(
                &resolved,
                accounts.bound(resolved.account, resolved.service),
            )
        })
    }

    /// Returns all keys that the tokens of a resource can have, the usual one first. `request` may have
    /// the password of a link.
    pub(crate) fn keys(
        &self,
        resolved: &ResolvedResource<'_>,
        bound: &BoundService,
        request: &Request,
    ) -> Result<Vec<TokenKey>> {
        if resolved.target.resource_kind == ResourceKind::Link {
            let link = link_key(self.state, bound, resolved, request)?;
            // Loads the link's package, if another process has stored it.
            let _ = Persistence::new(self.state, bound).record(&link);
            // A protected link was opened with a password, which is part of its key.
            let is_it = |other: &TokenKey| {
                other.scope.fingerprint() == link.scope.fingerprint()
                    && other.url_id() == link.url_id()
            };
            let aliases = self.state.aliases.read();
            let others = aliases.iter().filter(|(other, _)| is_it(other));
            let mut keys: Vec<_> = aliases.get(&link).cloned().into_iter().collect();
            keys.extend(others.map(|(_, package)| package.clone()));
            drop(aliases);
            keys.push(link);
            return Ok(keys);
        }
        let usual = accesses(resolved.target.required, None);
        let others = [Access::Manage, Access::Write, Access::Read]
            .into_iter()
            .filter(|access| usual[0] != Access::Full && !usual.contains(access));
        let key = |access| bound.key(resolved.target.resource_kind, resolved.target.id, access);
        Ok(usual.iter().copied().chain(others).map(key).collect())
    }

    /// Returns the cached or stored token of a resource that has this value. The value may have its
    /// scheme in front, as in the header.
    #[expect(clippy::disallowed_methods, reason = "fingerprints are compared")]
    pub(crate) fn token_of_value(&self, resource: &str, value: &Secret) -> Result<Option<Token>> {
        // Digests are compared, so the duration of the comparison reveals nothing about the values.
        let digest =
            |text: &str| Fingerprint::unkeyed(&[text.strip_prefix("Bearer ").unwrap_or(text)]);
        let wanted = digest(value.expose());
        self.at(resource, |resolved, bound| {
            let known = |key: TokenKey| {
                let cached = self.state.cache.get(&key.borrow()).map(|hit| hit.token);
                let stored = || {
                    self.state
                        .store
                        .load(&key)
                        .ok()
                        .flatten()
                        .and_then(|record| record.token)
                };
                cached
                    .or_else(stored)
                    .filter(|token| digest(token.value()) == wanted)
            };
            Ok(self
                .keys(resolved, bound, &Request::default())?
                .into_iter()
                .find_map(known))
        })
    }
}

/// Builds the error of a lookup that uses only the cache.
#[cold]
pub(crate) fn not_cached() -> Error {
    Error::new(
        ErrorKind::NotCached,
        "no fresh token is cached; call token_for",
    )
}

/// Builds the error for a service that the account does not have.
pub(crate) fn no_service(name: &str) -> Error {
    Error::new(
        ErrorKind::NotConfigured,
        format!("there is no service {name}; run `keyferry doctor` to list the services"),
    )
}
