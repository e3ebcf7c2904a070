//! A session that goes nowhere: it has what the store has, and no way to a service.
//!
//! For a program that ends at once and has another to do the rest: it links no network, starts no
//! thread, and takes a token only where nothing but to hand it out is left to do.

use std::time::Instant;

use crate::config::Config;
use crate::engine::acquisition::accesses;
use crate::engine::freshness;
use crate::error::{Error, Kind, Result};
use crate::model::key::Class;
use crate::model::request::Request;
use crate::model::token::Token;
use crate::plugin::Plugins;
use crate::ports::http::{Answer, Failure, Http, Request as Exchange};
use crate::session::{Options, Session};

/// The way to nowhere.
struct Nowhere;

impl Http for Nowhere {
    fn exchange(&self, _request: &Exchange, _deadline: Instant) -> Result<Answer, Failure> {
        Err(Failure { error: Error::new(Kind::Unreachable, "this program has no network"), sent: false })
    }

    fn close(&self) {}
}

impl Session {
    /// Opens a session without a network.
    ///
    /// # Errors
    /// Those of [`Session::open`]; [`Kind::Unsupported`] where plugins are configured: a program that is linked statically loads none,
    /// and without them it can't tell whose a URL is.
    pub fn open_offline(config: Config) -> Result<Self> {
        if config.profile(config.chosen_account())?.is_set("plugins") {
            return Err(Error::new(Kind::Unsupported, "plugins are configured, which this program does not load"));
        }
        Self::open_over(&config, Options { refreshes_beside: false, ..Options::default() }, &Plugins::default(), |_| Box::new(Nowhere))
    }

    /// The stored token that serves a request as it is. None where a service, a secret or a fingerprint is needed to tell.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn kept(&self, request: &Request) -> Result<Option<Token>> {
        let engine = &*self.engine;
        let account = engine.accounts.number(request.account.as_deref())?;
        engine.accounts.locate(account, &request.resource, |spot| {
            if matches!(spot.target.class, Class::Key | Class::Link | Class::Session) {
                return Ok(None);
            }
            let bound = engine.accounts.bound(spot.account, spot.service);
            let serves = |token: &Token| {
                // Only now: the record may have told of the service's clock.
                let now_us = engine.now_us(bound);
                let times = freshness::windows(token.facts(), 0);
                now_us < times.mandatory_us && freshness::lasts(token.facts(), request.min_valid, now_us)
            };
            let key = |access| bound.key(spot.target.class, spot.target.id, access);
            let accesses = accesses(spot.target.need, request.access).iter();
            Ok(accesses.filter_map(|access| engine.record(bound, &key(*access))?.token).find(serves))
        })
    }
}
