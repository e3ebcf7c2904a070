//! A session that goes nowhere: it has what the store has, and no way to a service.
//!
//! For a program that ends at once and has another to do the rest: it links no network, starts no
//! thread, and takes a token only where nothing but to hand it out is left to do.

use std::time::Instant;

use crate::config::Config;
use crate::engine::acquisition::accesses;
use crate::engine::freshness;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::ResourceKind;
use crate::model::request::Request;
use crate::model::token::Token;
use crate::plugin::Plugins;
use crate::ports::http::{Failure, Http, Request as Exchange, Response};
use crate::session::{Options, Session};

/// The way to nowhere.
struct NoNetwork;

impl Http for NoNetwork {
    fn exchange(&self, _request: &Exchange, _deadline: Instant) -> Result<Response, Failure> {
        Err(Failure { error: Error::new(ErrorKind::Unreachable, "this program has no network"), sent: false })
    }

    fn close(&self) {}
}

impl Session {
    /// Opens a session without a network.
    ///
    /// # Errors
    /// Those of [`Session::open`]; [`ErrorKind::Unsupported`] where plugins are configured: a program that is linked statically loads none,
    /// and without them it can't tell whose a URL is.
    pub fn open_offline(config: Config) -> Result<Self> {
        if config.profile(config.chosen_account())?.is_set("plugins") {
            return Err(Error::new(ErrorKind::Unsupported, "plugins are configured, which this program does not load"));
        }
        Self::open_over(&config, Options { refreshes_in_background: false, ..Options::default() }, &Plugins::default(), |_| {
            Box::new(NoNetwork)
        })
    }

    /// The stored token that serves a request as it is. None where a service, a secret or a fingerprint is needed to tell.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn stored(&self, request: &Request) -> Result<Option<Token>> {
        let engine = &*self.engine;
        let account = engine.accounts.number(request.account.as_deref())?;
        engine.accounts.resolve(account, &request.resource, |resolved| {
            if matches!(resolved.target.resource_kind, ResourceKind::Key | ResourceKind::Link | ResourceKind::Session) {
                return Ok(None);
            }
            let bound = engine.accounts.bound(resolved.account, resolved.service);
            let serves = |token: &Token| {
                // Only now: the record may have told of the service's clock.
                let now_us = engine.now_us(bound);
                let times = freshness::windows(token.meta(), 0);
                now_us < times.mandatory_us && freshness::lasts(token.meta(), request.min_valid, now_us)
            };
            let key = |access| bound.key(resolved.target.resource_kind, resolved.target.id, access);
            let accesses = accesses(resolved.target.required, request.access).iter();
            Ok(accesses.filter_map(|access| engine.record(bound, &key(*access))?.token).find(serves))
        })
    }
}
