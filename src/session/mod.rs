//! The public Rust API: [`Session`], one handle over configuration, services, cache and store.
//!
//! One default session serves the whole process.

pub mod inspect;
mod lookup;
pub mod offline;

use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock::Clock;
use crate::config::{Config, Profile, process_environment};
use crate::engine::accounts::{Accounts, BoundService, ResolvedResource};
use crate::engine::acquisition::{self, Acquisition};
use crate::engine::broker::Broker;
use crate::engine::cache::Peek;
use crate::engine::freshness;
use crate::engine::persistence::{self, Persistence};
use crate::engine::service_context::ServiceContext;
use crate::engine::state::EngineParts;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind, TokenKey};
use crate::model::request::Request;
use crate::model::resource::{self, is_plain};
use crate::model::token::Token;
use crate::plugin::Plugins;
use crate::ports::http::Http;
use crate::ports::service::{Acquired, Agent, Context};
use crate::secret::Secret;
use crate::secret_sources;
use crate::stores;
use crate::sys::fork::PerProcess;
use crate::transport::{self, Proxy, Transport};

use inspect::Inspect;
use lookup::{Lookup, no_service, not_cached};
use offline::NoNetwork;

/// How a session differs from the usual one.
pub struct Options {
    /// The wall clock.
    pub clock: Clock,
    /// Whether refreshes run beside callers; a program that ends at once has no use for that.
    pub refreshes_in_background: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            refreshes_in_background: true,
        }
    }
}

/// One handle over configuration, services, cache and store.
///
/// Any thread may use it at any time. Dropping it ends its background refreshes within a second;
/// its tokens stay valid.
///
/// ```
/// use keyferry::{Access, Config, Request, Session};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), keyferry::Error> {
/// # let mut config = Config::new();
/// # config.set("masv.api_key", "made-up-key".into())?;
/// let session = Session::open(config)?;
///
/// // A plain URL or a short form such as `packages/ID`, and a request that says more.
/// let token = session.token("user")?;
/// let mut request = Request::new("user");
/// request.timeout = Some(Duration::from_secs(5));
/// assert_eq!(session.token_for(&request)?.value(), token.value());
///
/// // After a 401: the next call gets another token, or tells why there is none.
/// session.reject(&token)?;
/// assert!(session.token("user").is_err());
/// # Ok(())
/// # }
/// ```
pub struct Session {
    broker: Arc<Broker>,
    /// The number of the account that calls without a name use.
    account: usize,
}

/// A header line that was found; it stands in the buffer if that is longer than the line.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Its length in bytes, without NUL.
    pub len: usize,
}

static DEFAULT: PerProcess<Session> = PerProcess::new();

impl Session {
    /// Opens a session. It reads no secret, goes to no network and, unless plugins are set, starts
    /// no thread before it is asked for a token.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::UnsafeFile`] if a setting can't be used: the message
    /// names it and the remedy.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_with(config, Options::default())
    }

    /// Opens a session from the user's file and the environment.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_user() -> Result<Self> {
        Self::open(Config::load(None, process_environment())?)
    }

    /// The process-wide session, opened from the user's configuration at its first use; a forked
    /// child opens its own.
    ///
    /// # Errors
    /// Those of [`Session::open_user`]; the next call tries again.
    #[inline]
    pub fn default_session() -> Result<&'static Self> {
        match DEFAULT.get() {
            Some(session) => Ok(session),
            None => DEFAULT.get_or_try_init(Self::open_user),
        }
    }

    /// Opens a session that differs from the usual one.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    #[doc(hidden)]
    pub fn open_with(mut config: Config, options: Options) -> Result<Self> {
        let plugins = Plugins::load(&mut config)?;
        Self::open_over(&config, options, &plugins, |profile| {
            Box::new(Transport::new(transport::Options {
                ca_file: profile.text("http.ca_file").map(PathBuf::from),
                proxy: Proxy::from_setting(profile.text("http.proxy")),
            }))
        })
    }

    /// Opens a session without a network.
    ///
    /// # Errors
    /// Those of [`Session::open`]; [`ErrorKind::Unsupported`] if plugins are configured: a program
    /// that is linked statically loads none, and without them it can't tell which service a URL
    /// belongs to.
    #[doc(hidden)]
    pub fn open_offline(config: Config) -> Result<Self> {
        if config.profile(config.selected_account())?.is_set("plugins") {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "plugins are configured, which this program does not load",
            ));
        }
        let options = Options {
            refreshes_in_background: false,
            ..Options::default()
        };
        Self::open_over(&config, options, &Plugins::default(), |_| {
            Box::new(NoNetwork)
        })
    }

    /// The same with other plugins, over another HTTP client.
    fn open_over(
        config: &Config,
        options: Options,
        plugins: &Plugins,
        http: impl FnOnce(&Profile) -> Box<dyn Http>,
    ) -> Result<Self> {
        let accounts = Accounts::open(config, plugins)?;
        let account = accounts.number(None)?;
        let profile = &accounts.account(account).profile;
        let parts = EngineParts {
            store: stores::open(profile, config.is_standalone(), || {
                Box::new(secret_sources::Keyring::new(profile.environment()))
            }),
            http: http(profile),
            clock: options.clock,
            timeout: Duration::from_millis(profile.milliseconds("http.timeout_ms")),
        };
        Ok(Self {
            broker: Arc::new(Broker::new(
                accounts,
                parts,
                options.refreshes_in_background,
            )),
            account,
        })
    }

    /// A token for a request: from the cache, the store or the service. May go to the network, and
    /// blocks until the token is there or the request's timeout is over.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownService`] if no service owns the URL, [`ErrorKind::NotConfigured`] and
    /// [`ErrorKind::LoginRequired`] if a person has to act, [`ErrorKind::BadCredentials`] if the
    /// service refused the secret, [`ErrorKind::Timeout`], [`ErrorKind::Cancelled`], and those of
    /// the network and the service.
    pub fn token_for(&self, request: &Request) -> Result<Token> {
        self.broker.token_for(request)
    }

    /// A token for a resource: a URL, or a short form such as `packages/ID` or `fileverbs:bearer`.
    /// Otherwise as [`Session::token_for`].
    ///
    /// # Errors
    /// Those of [`Session::token_for`].
    #[inline]
    pub fn token(&self, resource: &str) -> Result<Box<Token>> {
        match self.cached_fresh(resource) {
            Some(token) => Ok(token),
            None => resource::check_length(resource)
                .and_then(|()| self.broker.token_for(&Request::new(resource)))
                .map(Box::new),
        }
    }

    /// The hit on a fresh token under its usual name, without a request object.
    #[inline]
    fn cached_fresh(&self, resource: &str) -> Option<Box<Token>> {
        let fast_match = &self
            .broker
            .state
            .accounts
            .match_prefix(self.account, resource);
        let fast_match = fast_match.as_ref()?;
        let resolved = &fast_match.resolved;
        if matches!(
            resolved.target.resource_kind,
            ResourceKind::Link | ResourceKind::Session
        ) || !is_plain(fast_match.rest.as_bytes())
        {
            return None;
        }
        let bound = self
            .broker
            .state
            .accounts
            .bound(resolved.account, resolved.service);
        let now_us = self.broker.state.now_us(bound);
        self.broker.state.cache.fresh(
            &acquisition::key_prefix(bound, resolved),
            acquisition::accesses(resolved.target.required, None),
            now_us,
        )
    }

    /// An unexpired token from memory. Never goes to the network and never blocks.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`]: ask [`Session::token_for`]; and those of reading the resource.
    pub fn cached(&self, request: &Request) -> Result<Token> {
        let state = &self.broker.state;
        let account = state.accounts.number(request.account.as_deref())?;
        state
            .accounts
            .resolve(account, &request.resource, |resolved| {
                let bound = state.accounts.bound(resolved.account, resolved.service);
                let now_us = state.now_us(bound);
                let hit = Persistence::new(state, bound)
                    .cached_for(&resolved, request, now_us)?
                    .map(|hit| hit.token);
                hit.filter(|token| freshness::lasts(token.meta(), request.min_valid, now_us))
                    .ok_or_else(not_cached)
            })
    }

    /// Copies the header line of a fresh token from memory. Goes to no store and no network;
    /// allocates for links and for odd spellings alone.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`], [`ErrorKind::MultipleHeaders`], and those of reading the resource.
    #[doc(hidden)]
    #[inline]
    pub fn peek(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<TokenView> {
        if let Some(fast_match) = &self
            .broker
            .state
            .accounts
            .match_prefix(self.account, resource)
            && !matches!(
                fast_match.resolved.target.resource_kind,
                ResourceKind::Link | ResourceKind::Session
            )
            && is_plain(fast_match.rest.as_bytes())
        {
            match self.look(&fast_match.resolved, out) {
                Peek::Line(len) => return Ok(TokenView { len }),
                // Nothing under this id: that is the answer, unless another spelling of it is
                // known.
                Peek::Miss
                    if !is_plain(fast_match.resolved.target.id.as_bytes())
                        || fast_match.resolved.target.id.starts_with('.') => {}
                other => return settle(other),
            }
        }
        self.peek_any(resource, out)
    }

    #[inline(always)]
    fn look(&self, resolved: &ResolvedResource<'_>, out: &mut [MaybeUninit<u8>]) -> Peek {
        let state = &self.broker.state;
        let bound = state.accounts.bound(resolved.account, resolved.service);
        let now_us = state.now_us(bound);
        state.cache.peek(
            &acquisition::key_prefix(bound, resolved),
            acquisition::accesses(resolved.target.required, None),
            now_us,
            out,
        )
    }

    #[cold]
    fn peek_any(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<TokenView> {
        let state = &self.broker.state;
        state
            .accounts
            .resolve_slow(self.account, resource, |resolved| {
                let bound = state.accounts.bound(resolved.account, resolved.service);
                match resolved.target.resource_kind {
                    ResourceKind::Session => {
                        return Err(acquisition::no_header(bound.service.name()));
                    }
                    ResourceKind::Link => {}
                    _ => return settle(self.look(&resolved, out)),
                }
                let key = acquisition::opened_by(state, bound, &resolved, &Request::default())?
                    .ok_or_else(not_cached)?;
                settle(state.cache.peek(
                    &key.borrow().prefix(),
                    &[key.access],
                    state.now_us(bound),
                    out,
                ))
            })
    }

    /// Logs in to MASV, also if a token is cached.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`], and those of the service.
    pub fn masv_login(&self, email: Option<Secret>, password: Option<Secret>) -> Result<Token> {
        let (number, bound) = self.service(|bound| bound.service.name() == "masv", "masv")?;
        let context = self.service_context(number, true);
        let (email, password) = given_or_set(&context, email, password)?;
        let key = bound.key(ResourceKind::User, "", Access::Full);
        let acquired = bound.service.login(
            &email,
            &password,
            &ServiceContext {
                key: Some(&key),
                ..context
            },
        )?;
        self.broker.state.backoff.forget(|other| *other == key);
        Persistence::new(&self.broker.state, bound).store_login(
            Acquisition::new(self.account, number, key),
            acquired,
            &email,
        )
    }

    /// Who is signed in to the MASV Agent: JSON.
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`], [`ErrorKind::Unreachable`].
    pub fn agent_session(&self) -> Result<String> {
        self.with_agent(false, |agent, context| agent.session(context))
    }

    /// Signs in to the MASV Agent.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`], [`ErrorKind::NotConfigured`], [`ErrorKind::Unsupported`],
    /// [`ErrorKind::Unreachable`].
    pub fn agent_sign_in(&self, email: Option<Secret>, password: Option<Secret>) -> Result<String> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, email, password)?;
            agent.sign_in(&email, &password, context)
        })
    }

    /// Makes an account through an old agent, and signs in with it.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`], [`ErrorKind::Unsupported`], [`ErrorKind::Unreachable`].
    pub fn agent_sign_up(&self, email: Secret, password: Secret, name: &str) -> Result<String> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, Some(email), Some(password))?;
            agent.sign_up(&email, &password, name, context)
        })
    }

    fn with_agent(
        &self,
        explicit: bool,
        call: impl FnOnce(&dyn Agent, &dyn Context) -> Result<Value>,
    ) -> Result<String> {
        let (number, bound) = self.service(|bound| bound.service.agent().is_some(), "agent")?;
        let agent = bound.service.agent().ok_or_else(|| no_service("agent"))?;
        call(agent, &self.service_context(number, explicit)).map(|response| response.to_string())
    }

    /// Tells that the service answered 401 to this token: it is no longer used, in memory and in
    /// the store. A newer token of the same resource stays.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store can't be written.
    pub fn reject(&self, token: &Token) -> Result<()> {
        persistence::reject(&self.broker.state, token)
    }

    /// Stores a token that the caller got itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`], [`ErrorKind::Unsupported`], and those of reading the resource.
    pub fn adopt(&self, resource: &str, value: Secret, expires_unix_s: Option<i64>) -> Result<()> {
        let state = &self.broker.state;
        self.lookup().at(resource, |resolved, bound| {
            let mut found = bound.service.adopt(&resolved.target, value)?;
            found.new_token.expires_unix_s = expires_unix_s.or(found.new_token.expires_unix_s);
            let now_s = state.now_us(bound).div_euclid(1_000_000);
            if found
                .new_token
                .expires_unix_s
                .is_some_and(|expires| expires <= now_s)
            {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "the token has ended already: get another",
                ));
            }
            let key = bound.key(found.resource_kind, &found.id, found.access);
            let acquired = Acquired {
                found,
                renewal: None,
                others: Vec::new(),
            };
            let acquisition = Acquisition::new(resolved.account, resolved.service, key);
            Persistence::new(state, bound)
                .store_acquired(&acquisition, acquired)
                .map(drop)
        })
    }

    /// Whether a cached or stored token of this resource has this value.
    ///
    /// # Errors
    /// Those of reading the resource.
    #[doc(hidden)]
    pub fn is_known_value(&self, resource: &str, value: &Secret) -> Result<bool> {
        self.lookup()
            .token_of_value(resource, value)
            .map(|token| token.is_some())
    }

    /// Tells that the service rejected this value, which was handed out for this resource.
    ///
    /// # Errors
    /// Those of reading the resource; [`ErrorKind::Store`].
    pub fn reject_value(&self, resource: &str, value: &Secret) -> Result<()> {
        self.lookup()
            .token_of_value(resource, value)?
            .map_or(Ok(()), |token| self.reject(&token))
    }

    /// Forgets the tokens of a resource, or of all, in memory and in the store, with what renews
    /// them.
    ///
    /// # Errors
    /// [`ErrorKind::Store`], and those of reading the resource.
    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let state = &self.broker.state;
        let Some(resource) = resource else {
            state.cache.clear();
            state.aliases.write().clear();
            state.backoff.forget(|_| true);
            return state.store.clear();
        };
        let lookup = self.lookup();
        lookup.at(resource, |resolved, bound| {
            for key in lookup.keys(resolved, bound)? {
                state.cache.remove(&key.borrow(), u64::MAX);
                state.store.remove(&key, u64::MAX)?;
            }
            // What is refused of a user's is refused of all that the user asks for; a link is the
            // same with any password.
            let is_user = matches!(
                resolved.target.resource_kind,
                ResourceKind::Key | ResourceKind::User | ResourceKind::Bearer
            );
            let is_it = |key: &TokenKey| {
                key.resource_kind == resolved.target.resource_kind
                    && key.url_id() == resolved.target.id
            };
            let is_met = |key: &TokenKey| {
                key.scope.fingerprint() == bound.scope.fingerprint() && (is_user || is_it(key))
            };
            state.backoff.forget(is_met);
            state.forget_refusals(is_met);
            state.aliases.write().retain(|alias, _| !is_it(alias));
            Ok(())
        })
    }

    /// What would happen for a resource, and why: JSON without secrets.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn explain(&self, resource: &str) -> Result<String> {
        self.inspect().explain(resource)
    }

    /// The tokens in memory and in the store: JSON without secrets.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store can't be read.
    pub fn list(&self) -> Result<String> {
        self.inspect().list()
    }

    /// Counters of what the session did: JSON of numbers.
    pub fn stats(&self) -> String {
        self.inspect().stats()
    }

    /// What the session shows of itself.
    #[doc(hidden)]
    pub fn inspect(&self) -> Inspect<'_> {
        Inspect {
            broker: &self.broker,
            account: self.account,
        }
    }

    /// The stored token that serves a request as it is. None where a service, a secret or a
    /// fingerprint is needed to tell.
    ///
    /// # Errors
    /// Those of reading the resource.
    #[doc(hidden)]
    pub fn stored(&self, request: &Request) -> Result<Option<Token>> {
        offline::stored(&self.broker.state, request)
    }

    /// A setting of that account, from wherever it is, plugins too; none where it is not set.
    ///
    /// # Errors
    /// Those of its source.
    #[doc(hidden)]
    pub fn secret(&self, key: &str) -> Result<Option<Secret>> {
        self.service_context(0, false).setting(key)
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            state: &self.broker.state,
            account: self.account,
        }
    }

    fn service_context(&self, service: usize, explicit: bool) -> ServiceContext<'_> {
        let deadline = Some(Instant::now() + self.broker.state.timeout);
        ServiceContext {
            state: &self.broker.state,
            prerequisites: &*self.broker,
            account: self.account,
            service,
            explicit,
            key: None,
            newer: None,
            deadline,
        }
    }

    fn service(
        &self,
        is: impl Fn(&BoundService) -> bool,
        name: &str,
    ) -> Result<(usize, &BoundService)> {
        let services = &self.broker.state.accounts.account(self.account).services;
        services
            .iter()
            .enumerate()
            .find(|(_, bound)| is(bound))
            .ok_or_else(|| no_service(name))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.broker.close();
    }
}

/// E-mail and password of a login by hand: what is given, else what is configured. What can be
/// neither is refused here, for a service would count it as a wrong try.
fn given_or_set(
    context: &dyn Context,
    email: Option<Secret>,
    password: Option<Secret>,
) -> Result<(Secret, Secret)> {
    let one = |given: Option<Secret>, name: &str| {
        let found = given.map_or_else(|| context.setting(name), |given| Ok(Some(given)))?;
        let missing = || {
            Error::new(
                ErrorKind::NotConfigured,
                format!("`{name}` is neither given nor set: give it, or set it"),
            )
        };
        let found = found.ok_or_else(missing)?;
        found.check(name).map(|()| found)
    };
    Ok((one(email, "masv.email")?, one(password, "masv.password")?))
}

fn settle(look: Peek) -> Result<TokenView> {
    match look {
        Peek::Line(len) => Ok(TokenView { len }),
        Peek::Multiple => Err(Error::new(
            ErrorKind::MultipleHeaders,
            "the token has several headers: ask token_for for it",
        )),
        Peek::Miss | Peek::RefreshDue => Err(not_cached()),
    }
}
