//! The parts of a session that can be shown to a person: its services, the token that a resource
//! gets, and the cached and stored tokens.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use url::Url;

use crate::clock::Clock;
use crate::engine::acquisition::Acquisition;
use crate::engine::broker::Broker;
use crate::engine::cache::entry::{CachedToken, RefreshTimes};
use crate::engine::forecast::forecast;
use crate::engine::persistence::Persistence;
use crate::engine::service_context::log_exchange;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};
use crate::model::request::Request;
use crate::model::token::{NO_EXPIRY, Token, TokenFacts, TokenKind, TokenMeta};
use crate::plugin::UnusablePlugin;
use crate::ports::http::Request as HttpRequest;
use crate::ports::service::Service;
use crate::ports::wait_budget::WaitBudget;
use crate::secret::Secret;
use crate::session::lookup::{Lookup, no_service, not_cached};
use crate::text::remove_invisible;

pub use crate::engine::forecast::{NextStep, Sources};

/// The longest name of a user that is shown.
const MAX_USER_CHARS: usize = 64;

/// A service and its base URL.
#[derive(Clone, Copy)]
pub struct ServiceInfo<'a> {
    /// Its name.
    pub service: &'a str,
    /// Its base URL.
    pub base: &'a BaseUrl,
}

/// The response of a service to a request without any header.
pub struct Probe {
    /// The HTTP status.
    pub status: u16,
    /// How long the exchange took.
    pub time: Duration,
    /// How far the service's clock is ahead of this machine's, in whole seconds, if the response
    /// had a `Date` header. A value from -2 to 2 means no measurable difference.
    pub ahead_s: Option<i64>,
}

/// Where the token of a resource comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The cache of this session.
    Memory,
    /// The store.
    Store,
    /// A configured secret, which is the token itself.
    Setting,
    /// The service, which must be asked first.
    Service,
}

impl Origin {
    /// Returns the name of the origin in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Setting => "setting",
            Self::Service => "service",
        }
    }
}

/// A setting, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingSource {
    /// The key of the setting, such as `masv.password`.
    pub key: String,
    /// The source, such as `file /home/me/pw`.
    pub source: String,
}

/// What a request for a resource would do, and why. It contains no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the service that the resource belongs to.
    pub service: String,
    /// The base URL of that service.
    pub base: String,
    /// The account.
    pub account: String,
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource. It is empty if the service has only one resource of this kind.
    pub id: String,
    /// The access of the token that the request looks for first.
    pub access: Access,
    /// The key of that token, in words.
    pub key: String,
    /// The name of the store.
    pub store: &'static str,
    /// How far the service's clock is ahead of this machine's, in seconds.
    pub clock_skew_s: i64,
    /// Where the token comes from.
    pub origin: Origin,
    /// The cached or stored token, if it has not expired.
    pub token: Option<TokenInfo>,
    /// When requests begin to refresh the cached token in the background, by the service's clock.
    /// `None` without such a token or such a time.
    pub refresh_from_unix_s: Option<i64>,
    /// When requests begin to wait for the refresh of the cached token, by the service's clock.
    /// `None` without such a token or such a time.
    pub callers_wait_from_unix_s: Option<i64>,
    /// What the next request does, as a sentence.
    pub next: &'static str,
    /// The last error, if requests return it for a while without contacting the service.
    pub pause: Option<Error>,
    /// The first step of a fetch. `None` if the cached or stored token is returned.
    pub fetch: Option<NextStep>,
    /// The credential settings that the fetch would use.
    pub settings: Vec<SettingSource>,
}

/// A cached or stored token without the values of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The name of the service.
    pub service: String,
    /// The account, if the configuration still has it.
    pub account: Option<String>,
    /// The e-mail address of the user who is logged in, if the service sent it with the token.
    pub user: Option<String>,
    /// The kind of the token.
    pub kind: TokenKind,
    /// The id of the resource. It is empty if the service has only one resource of this kind.
    pub id: String,
    /// The access that the token allows.
    pub access: Access,
    /// The generation. A later token of the same resource has a greater one.
    pub generation: u64,
    /// When the token expires by the service's clock, in seconds since 1970, or `None` if it does
    /// not expire.
    pub expires_unix_s: Option<i64>,
    /// When the token expires by the clock of this machine, in seconds since 1970, or `None` if it
    /// does not expire.
    pub expires_here_unix_s: Option<i64>,
    /// When the token was acquired by the service's clock, in seconds since 1970.
    pub acquired_unix_s: i64,
    /// The names of the token's headers.
    pub header_names: Vec<String>,
}

/// Counters of a session's work. Cache hits are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Fetches that were started. Callers that need the same token share one.
    pub flights: u64,
    /// Fetches that have not ended yet.
    pub flights_under_way: usize,
    /// Callers that waited for the fetch of another caller.
    pub waits: u64,
    /// HTTP exchanges with services.
    pub exchanges: u64,
    /// Requests that carried the user's secrets, without their retries.
    pub logins: u64,
    /// Attempts to refresh a token without the user's secrets.
    pub renewals: u64,
    /// Refreshes that ran in the background.
    pub background_refreshes: u64,
    /// Logins that were not sent, because the service recently rejected the same secrets.
    pub refused_from_memory: u64,
    /// Tokens that callers or services rejected.
    pub rejected: u64,
}

/// The account for calls that name none, in a form that can be shown to a person. It contains no
/// secret.
pub struct Inspect<'a> {
    pub(super) broker: &'a Broker,
    pub(super) account: usize,
}

impl<'a> Inspect<'a> {
    /// Returns the services of the account.
    pub fn services(&self) -> impl Iterator<Item = ServiceInfo<'a>> + use<'a> {
        let services = &self.broker.state.accounts.account(self.account).services;
        // A plugin that only provides secrets has no URL.
        let served = services
            .iter()
            .filter(|bound| !bound.service.prefixes().is_empty());
        served.map(|bound| ServiceInfo {
            service: bound.service.name(),
            base: bound.service.base(),
        })
    }

    /// Returns the name of the header of all tokens of a kind, if it is known before a token is.
    pub fn header_name(&self, service: &str, kind: ResourceKind) -> Option<&'static str> {
        self.service(service)?.header_name(kind)
    }

    /// Returns a resource of a plugin's service, for [`Inspect::explain`]. It need not exist. `None` for
    /// a built-in service.
    pub fn sample_resource(&self, service: &str) -> Option<String> {
        let path = self.service(service)?.sample_path()?;
        Some(format!("{service}:{path}"))
    }

    fn service(&self, name: &str) -> Option<&'a dyn Service> {
        let services = &self.broker.state.accounts.account(self.account).services;
        let mut services = services.iter().map(|bound| &*bound.service);
        services.find(|service| service.name() == name)
    }

    /// Returns the plugins that the account cannot use, and why.
    pub fn plugin_faults(&self) -> &'a [UnusablePlugin] {
        &self.broker.state.accounts.account(self.account).faults
    }

    /// Returns the name of the account.
    pub fn account_name(&self) -> &'a str {
        self.broker
            .state
            .accounts
            .account(self.account)
            .profile
            .account()
    }

    /// Returns the name of the store.
    pub fn store_name(&self) -> &'static str {
        self.broker.state.store.name()
    }

    /// Returns how the store protects its records.
    pub fn protection(&self) -> &'static str {
        self.broker.state.store.protection()
    }

    /// Returns the place where failures are recorded while the store cannot be used. `None` if the
    /// store needs no such place.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if this process can record failures in its memory only.
    pub fn failure_fallback(&self) -> Option<Result<String>> {
        self.broker.state.store.failure_fallback()
    }

    /// Returns when a token expires by the clock of this machine. Other programs compare the expiry
    /// with that clock.
    pub fn ends_here_unix_s(&self, token: &Token) -> Option<i64> {
        self.expiry_here_unix_s(token.meta())
    }

    /// Explains what a request for a resource would do, and why. Reads the store and the secrets of
    /// these sources, and sends no request. A link may have a password.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    pub fn explain(
        &self,
        resource: &str,
        link_password: Option<Secret>,
        sources: Sources,
    ) -> Result<Explanation> {
        let state = &self.broker.state;
        let lookup = Lookup {
            state,
            account: self.account,
        };
        let _budget = WaitBudget::begin(None);
        let request = Request {
            link_password,
            ..Request::default()
        };
        lookup.at(resource, |resolved, bound| {
            let cached = || {
                let now_us = state.now_us(bound);
                let hit = Persistence::new(state, bound).cached_for(resolved, &request, now_us)?;
                Ok::<_, Error>(hit.filter(|hit| !hit.rejected))
            };
            let is_fresh = |hit: &CachedToken| state.now_us(bound) < hit.times.mandatory_us;
            let mut hit = cached()?;
            let mut acquisition =
                Acquisition::of_request(state, bound, resolved, &request, hit.as_ref())?;
            let mut origin = Origin::Memory;
            if !hit.as_ref().is_some_and(is_fresh) {
                // Caches the stored token, if it has not expired.
                let _ = self
                    .broker
                    .stored_for(bound, resolved, &mut acquisition, &request);
                let before = hit.as_ref().map(|hit| hit.token.meta().generation);
                hit = cached()?;
                if hit.as_ref().map(|hit| hit.token.meta().generation) != before {
                    origin = Origin::Store;
                }
            }
            let key = lookup.keys(resolved, bound, &request)?.into_iter().next();
            let key = key.ok_or_else(not_cached)?;
            let needs_fetch = !hit.as_ref().is_some_and(is_fresh);
            let fetched = needs_fetch.then(|| forecast(state, &acquisition, sources));
            let (fetch, used) = fetched
                .map(|fetched| (fetched.next, fetched.settings))
                .unzip();
            let failure = match &fetch {
                Some(NextStep::Fail {
                    error,
                    since_unix_s,
                }) => Some((error, since_unix_s)),
                _ => None,
            };
            let recorded = failure.filter(|(_, since_unix_s)| since_unix_s.is_some());
            let pause = state
                .backoff
                .remaining(&key, state.clock.now_us())
                .or_else(|| recorded.map(|(error, _)| error.clone()));
            let next = match hit.as_ref().map(|hit| hit.times) {
                Some(times) => next_step(times, state.now_us(bound)),
                None if pause.is_some() => "the last error is returned until the pause ends",
                None if failure.is_some() => "the error in `fetch` is returned",
                None => "the store is checked, then the service is contacted",
            };
            if hit.is_none() {
                origin = match fetch {
                    Some(NextStep::UseSecret(_)) => Origin::Setting,
                    _ => Origin::Service,
                };
            }
            let source = |key: String| {
                let source = bound.profile.source_of(&key)?;
                Some(SettingSource { key, source })
            };
            let account = &bound.scope.account;
            let times = hit.as_ref().map(|hit| hit.times);
            Ok(Explanation {
                service: bound.service.name().to_owned(),
                base: bound.service.base().to_string(),
                account: account.clone(),
                resource_kind: resolved.target.resource_kind,
                id: resolved.target.id.to_owned(),
                access: key.access,
                key: key.to_string(),
                store: state.store.name(),
                clock_skew_s: (bound.skew_us() + state.steady.set_back_us()) / 1_000_000,
                origin,
                token: hit.map(|hit| self.token_info(&hit.token.facts(), Some(account))),
                refresh_from_unix_s: times.and_then(|times| expiry_unix_s(times.advisory_us)),
                callers_wait_from_unix_s: times.and_then(|times| expiry_unix_s(times.mandatory_us)),
                next,
                pause,
                fetch,
                settings: used.into_iter().flatten().filter_map(source).collect(),
            })
        })
    }

    /// Lists the cached tokens, then the stored tokens that are newer than the cached ones. Leaves
    /// out the tokens for which `is_wanted` returns false. Its second argument is the account, if
    /// the configuration still has it. Only the tokens in the list take memory.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    pub fn list(
        &self,
        mut is_wanted: impl FnMut(&TokenFacts<'_>, Option<&str>) -> bool,
    ) -> Result<Vec<TokenInfo>> {
        let mut wanted = self.cached(&mut is_wanted);
        self.visit_stored(&mut |token, account| {
            if is_wanted(token, account) {
                wanted.push((self.token_info(token, account), *token.meta()));
            }
            ControlFlow::Continue(())
        })?;
        // The clock skew is only known after all records were read.
        let known = |(info, meta)| self.with_expiry_here(info, &meta);
        Ok(wanted.into_iter().map(known).collect())
    }

    /// Passes the tokens that [`Inspect::list`] lists to `visit`, until `visit` breaks. Only one
    /// stored token is in memory at a time. Reads each record twice: first to learn the clock skew,
    /// on which the expiry by this machine's clock depends.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    pub fn visit(&self, visit: &mut dyn FnMut(TokenInfo) -> ControlFlow<()>) -> Result<()> {
        self.visit_stored(&mut |_, _| ControlFlow::Continue(()))?;
        for (info, meta) in self.cached(&mut |_, _| true) {
            if visit(self.with_expiry_here(info, &meta)).is_break() {
                return Ok(());
            }
        }
        self.visit_stored(&mut |token, account| visit(self.token_info(token, account)))
    }

    /// Returns the cached tokens for which `is_wanted` returns true.
    fn cached(
        &self,
        is_wanted: &mut dyn FnMut(&TokenFacts<'_>, Option<&str>) -> bool,
    ) -> Vec<(TokenInfo, TokenMeta)> {
        let state = &self.broker.state;
        state.cache.choose(|token| {
            let token = token.facts();
            let bound = state.accounts.at_scope(token.meta().scope);
            let account = bound.map(|bound| bound.scope.account.as_str());
            is_wanted(&token, account).then(|| (self.token_info(&token, account), *token.meta()))
        })
    }

    /// Passes the stored tokens that are newer than the cached ones to `visit`, each with its
    /// account. Applies the clock skew in the records.
    fn visit_stored(
        &self,
        visit: &mut dyn FnMut(&TokenFacts<'_>, Option<&str>) -> ControlFlow<()>,
    ) -> Result<()> {
        let state = &self.broker.state;
        let is_later = |token: &TokenFacts<'_>| {
            let cached = state.cache.get(&token.key());
            cached.is_none_or(|hit| hit.token.meta().generation < token.meta().generation)
        };
        state.store.visit(&mut |record| {
            if let Some(bound) = state.accounts.at_scope(record.scope.fingerprint()) {
                Persistence::new(state, bound).apply_stored_skew(&record.clock);
            }
            match record.token.filter(is_later) {
                Some(token) => visit(&token, Some(&record.scope.account)),
                None => ControlFlow::Continue(()),
            }
        })
    }

    fn token_info(&self, token: &TokenFacts<'_>, account: Option<&str>) -> TokenInfo {
        let meta = token.meta();
        TokenInfo {
            service: token.service().to_owned(),
            account: account.map(str::to_owned),
            user: user_of(token.details()),
            kind: meta.kind,
            id: token.id().to_owned(),
            access: meta.access,
            generation: meta.generation,
            expires_unix_s: expiry_unix_s(meta.expires_us),
            expires_here_unix_s: self.expiry_here_unix_s(meta),
            acquired_unix_s: meta.acquired_us.div_euclid(1_000_000),
            header_names: token.header_names().map(str::to_owned).collect(),
        }
    }

    /// Computes the expiry by this machine's clock again.
    fn with_expiry_here(&self, info: TokenInfo, meta: &TokenMeta) -> TokenInfo {
        TokenInfo {
            expires_here_unix_s: self.expiry_here_unix_s(meta),
            ..info
        }
    }

    fn expiry_here_unix_s(&self, meta: &TokenMeta) -> Option<i64> {
        let bound = self.broker.state.accounts.at_scope(meta.scope);
        let ahead_us = bound.map_or(0, |bound| {
            bound.skew_us() + self.broker.state.steady.set_back_us()
        });
        (meta.expires_us != NO_EXPIRY).then(|| {
            meta.expires_us
                .saturating_sub(ahead_us)
                .div_euclid(1_000_000)
        })
    }

    /// Returns the counters of the session.
    pub fn stats(&self) -> SessionStats {
        let stats = &self.broker.state.stats;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SessionStats {
            flights: read(&stats.flights),
            flights_under_way: self.broker.flights_under_way(),
            waits: read(&stats.waits),
            exchanges: read(&stats.exchanges),
            logins: read(&stats.logins),
            renewals: read(&stats.renewals),
            background_refreshes: read(&stats.background),
            refused_from_memory: read(&stats.refused_from_memory),
            rejected: read(&stats.rejected),
        }
    }

    /// Requests the base URL of a service, without any header. Any response shows that the service
    /// is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], [`ErrorKind::Tls`] or [`ErrorKind::NoResponse`] if the service
    /// does not respond; [`ErrorKind::NotConfigured`] if there is no such service.
    pub fn probe(&self, service: &str, limit: Duration) -> Result<Probe> {
        let found = self.services().find(|info| info.service == service);
        let base = found.ok_or_else(|| no_service(service))?.base;
        let url = Url::parse(base.as_str()).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("the base URL of {service} is malformed; correct `{service}.url`"),
            )
        })?;
        let (began, clock) = (Instant::now(), Clock::system());
        let request = HttpRequest::get(url);
        let outcome = self
            .broker
            .state
            .http
            .exchange(self.account, &request, began + limit);
        log_exchange(service, &request, Some(request.url.path()), &outcome, began);
        let response = outcome.map_err(|failure| failure.error)?;
        let now_s = clock.now_us().div_euclid(1_000_000);
        Ok(Probe {
            status: response.status,
            time: began.elapsed(),
            ahead_s: response.date_unix_s.map(|date| date - now_s),
        })
    }
}

/// Returns the e-mail address of the user who is logged in, if the service sent it with the token.
fn user_of(details: &str) -> Option<String> {
    let details: Value = serde_json::from_str(details).ok()?;
    let user = details.get("user").unwrap_or(&details);
    let email = user.get("email").or_else(|| user.get("Email"))?.as_str()?;
    Some(remove_invisible(email, MAX_USER_CHARS))
}

/// Returns a time in seconds, or `None` if it is [`NO_EXPIRY`].
fn expiry_unix_s(us: i64) -> Option<i64> {
    (us != NO_EXPIRY).then(|| us.div_euclid(1_000_000))
}

/// Says what the next request does with a cached token.
fn next_step(cached: RefreshTimes, now_us: i64) -> &'static str {
    if now_us < cached.advisory_us {
        "the cached token is fresh and is returned"
    } else if now_us < cached.mandatory_us {
        "the cached token is returned, and refreshed in the background"
    } else {
        "callers wait for a refresh; if it fails, the cached token is returned"
    }
}
