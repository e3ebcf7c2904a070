//! The session: configuration, services, cache and store behind one handle. What every door calls.
//!
//! One default session serves the whole process.

pub mod inspect;
pub mod offline;
pub mod report;

use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock::Clock;
use crate::config::{Config, Profile, process_environment};
use crate::engine::accounts::{Accounts, BoundService, ResolvedResource};
use crate::engine::acquisition::{self, Acquisition};
use crate::engine::cache::Peek;
use crate::engine::freshness;
use crate::engine::service_context::ServiceContext;
use crate::engine::state::{Engine, Parts};
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind, TokenKey};
use crate::model::request::Request;
use crate::model::resource::{self, is_plain};
use crate::model::token::Token;
use crate::plugin::{self, Plugins};
use crate::ports::http::Http;
use crate::ports::service::{Agent, Context};
use crate::secret::Secret;
use crate::secret_sources;
use crate::stores;
use crate::sys::fork::PerProcess;
use crate::transport::{self, Proxy, Transport};

/// How a session differs from the usual one.
pub struct Options {
    /// The wall clock.
    pub clock: Clock,
    /// Whether refreshes run beside callers; a program that ends at once has no use for that.
    pub refreshes_in_background: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Clock::system(), refreshes_in_background: true }
    }
}

/// Configuration, services, cache and store.
pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) default_account: usize,
}

/// A header line that was found; it stands in the buffer if that is longer than the line.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Its length in bytes, without NUL.
    pub len: usize,
}

static DEFAULT: PerProcess<Session> = PerProcess::new();

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], [`ErrorKind::UnsafeFile`] if a setting can't be used.
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

    /// The process-wide session, opened from the user's configuration at its first use; a forked child opens its own.
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
    pub fn open_with(mut config: Config, options: Options) -> Result<Self> {
        let plugins = plugin::open(&mut config)?;
        Self::open_over(&config, options, &plugins, |profile| {
            Box::new(Transport::new(transport::Options {
                ca_file: profile.text("http.ca_file").map(PathBuf::from),
                proxy: Proxy::from_setting(profile.text("http.proxy")),
            }))
        })
    }

    /// The same with other plugins, over another way to the services.
    pub(crate) fn open_over(
        config: &Config,
        options: Options,
        plugins: &Plugins,
        way: impl FnOnce(&Profile) -> Box<dyn Http>,
    ) -> Result<Self> {
        let accounts = Accounts::open(config, plugins)?;
        let default_account = accounts.number(None)?;
        let profile = &accounts.account(default_account).profile;
        let parts = Parts {
            store: stores::open(profile, config.is_bare(), || Box::new(secret_sources::Keyring::new(profile.environment()))),
            http: way(profile),
            clock: options.clock,
            timeout: Duration::from_millis(profile.milliseconds("http.timeout_ms")),
            refreshes_in_background: options.refreshes_in_background,
        };
        Ok(Self { engine: Arc::new(Engine::new(accounts, parts)), default_account })
    }

    /// A token for a request, from wherever it comes.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub fn token_for(&self, request: &Request) -> Result<Token> {
        self.engine.token_for(request)
    }

    /// A token for a resource and nothing special.
    ///
    /// # Errors
    /// Those of [`Session::token_for`].
    #[inline]
    pub fn token(&self, resource: &str) -> Result<Box<Token>> {
        match self.cached_fresh(resource) {
            Some(token) => Ok(token),
            None => resource::check_length(resource).and_then(|()| self.engine.token_for(&Request::new(resource))).map(Box::new),
        }
    }

    /// The hit on a fresh token under its usual name, without a request object.
    #[inline]
    fn cached_fresh(&self, resource: &str) -> Option<Box<Token>> {
        let fast_match = &self.engine.accounts.match_prefix(self.default_account, resource);
        let fast_match = fast_match.as_ref()?;
        let resolved = &fast_match.resolved;
        if matches!(resolved.target.resource_kind, ResourceKind::Link | ResourceKind::Session) || !is_plain(fast_match.rest.as_bytes()) {
            return None;
        }
        let bound = self.engine.accounts.bound(resolved.account, resolved.service);
        let now_us = self.engine.now_us(bound);
        self.engine.cache.fresh(&acquisition::key_prefix(bound, resolved), acquisition::accesses(resolved.target.required, None), now_us)
    }

    /// An unexpired token from memory.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`], and those of reading the resource.
    pub fn cached(&self, request: &Request) -> Result<Token> {
        let engine = &self.engine;
        let account = engine.accounts.number(request.account.as_deref())?;
        engine.accounts.resolve(account, &request.resource, |resolved| {
            let bound = engine.accounts.bound(resolved.account, resolved.service);
            let now_us = engine.now_us(bound);
            let hit = engine.in_memory(bound, &resolved, request, now_us)?.map(|hit| hit.token);
            hit.filter(|token| freshness::lasts(token.meta(), request.min_valid, now_us)).ok_or_else(not_cached)
        })
    }

    /// Copies the header line of a fresh token from memory. Goes to no store and no network; allocates for links
    /// and for odd spellings alone.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`], [`ErrorKind::MultipleHeaders`], and those of reading the resource.
    #[inline]
    pub fn peek(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<TokenView> {
        if let Some(fast_match) = &self.engine.accounts.match_prefix(self.default_account, resource)
            && !matches!(fast_match.resolved.target.resource_kind, ResourceKind::Link | ResourceKind::Session)
            && is_plain(fast_match.rest.as_bytes())
        {
            match self.look(&fast_match.resolved, out) {
                Peek::Line(len) => return Ok(TokenView { len }),
                // Nothing under this id: that is the answer, unless another spelling of it is known.
                Peek::Miss if !is_plain(fast_match.resolved.target.id.as_bytes()) || fast_match.resolved.target.id.starts_with('.') => {}
                other => return settle(other),
            }
        }
        self.peek_any(resource, out)
    }

    #[inline(always)]
    fn look(&self, resolved: &ResolvedResource<'_>, out: &mut [MaybeUninit<u8>]) -> Peek {
        let engine = &*self.engine;
        let bound = engine.accounts.bound(resolved.account, resolved.service);
        let now_us = engine.now_us(bound);
        engine.cache.peek(&acquisition::key_prefix(bound, resolved), acquisition::accesses(resolved.target.required, None), now_us, out)
    }

    #[cold]
    fn peek_any(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<TokenView> {
        let engine = &*self.engine;
        engine.accounts.resolve_slow(self.default_account, resource, |resolved| {
            let bound = engine.accounts.bound(resolved.account, resolved.service);
            match resolved.target.resource_kind {
                ResourceKind::Session => return Err(acquisition::no_header(bound.service.name())),
                ResourceKind::Link => {}
                _ => return settle(self.look(&resolved, out)),
            }
            let key = engine.opened_by(bound, &resolved, &Request::default())?.ok_or_else(not_cached)?;
            settle(engine.cache.peek(&key.borrow().prefix(), &[key.access], engine.now_us(bound), out))
        })
    }

    /// Logs in to MASV: always one request.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`], and those of the service.
    pub fn masv_login(&self, email: Option<Secret>, password: Option<Secret>) -> Result<Token> {
        let (number, bound) = self.service(|bound| bound.service.name() == "masv", "masv")?;
        let context = self.service_context(number, true);
        let (email, password) = given_or_set(&context, email, password)?;
        let key = bound.key(ResourceKind::User, "", Access::Full);
        let acquired = bound.service.login(&email, &password, &ServiceContext { key: Some(&key), ..context })?;
        self.engine.backoff.forget(|other| *other == key);
        self.engine.store_login(bound, Acquisition::new(self.default_account, number, key), acquired, &email)
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
    /// [`ErrorKind::BadCredentials`], [`ErrorKind::NotConfigured`], [`ErrorKind::Unsupported`], [`ErrorKind::Unreachable`].
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

    fn with_agent(&self, explicit: bool, call: impl FnOnce(&dyn Agent, &dyn Context) -> Result<Value>) -> Result<String> {
        let (number, bound) = self.service(|bound| bound.service.agent().is_some(), "agent")?;
        let agent = bound.service.agent().ok_or_else(|| no_service("agent"))?;
        call(agent, &self.service_context(number, explicit)).map(|response| response.to_string())
    }

    /// The service refused this token.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub fn reject(&self, token: &Token) -> Result<()> {
        self.engine.reject(token)
    }

    /// Forgets what is kept of a resource, or everything.
    ///
    /// # Errors
    /// [`ErrorKind::Store`], and those of reading the resource.
    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let engine = &*self.engine;
        let Some(resource) = resource else {
            engine.cache.clear();
            engine.aliases.write().clear();
            engine.backoff.forget(|_| true);
            return engine.store.clear();
        };
        self.at(resource, |resolved, bound| {
            for key in self.keys(resolved, bound)? {
                engine.cache.remove(&key.borrow(), u64::MAX);
                engine.store.remove(&key, u64::MAX)?;
            }
            // What is refused of a user's is refused of all that the user asks for; a link is the same with any password.
            let is_user = matches!(resolved.target.resource_kind, ResourceKind::Key | ResourceKind::User | ResourceKind::Bearer);
            let is_it = |key: &TokenKey| key.resource_kind == resolved.target.resource_kind && key.bare_id() == resolved.target.id;
            let is_met = |key: &TokenKey| key.scope.fingerprint() == bound.scope.fingerprint() && (is_user || is_it(key));
            engine.backoff.forget(is_met);
            engine.forget_refusals(is_met);
            engine.aliases.write().retain(|alias, _| !is_it(alias));
            Ok(())
        })
    }

    pub(crate) fn at<T>(&self, resource: &str, then: impl FnOnce(&ResolvedResource<'_>, &BoundService) -> Result<T>) -> Result<T> {
        let accounts = &self.engine.accounts;
        accounts.resolve(self.default_account, resource, |resolved| then(&resolved, accounts.bound(resolved.account, resolved.service)))
    }

    /// All keys that a spot's tokens can be under, the usual one first.
    pub(crate) fn keys(&self, resolved: &ResolvedResource<'_>, bound: &BoundService) -> Result<Vec<TokenKey>> {
        if resolved.target.resource_kind == ResourceKind::Link {
            let link = self.engine.link_key(bound, resolved, &Request::default())?;
            // For what another process knows of it.
            let _ = self.engine.record(bound, &link);
            let package = self.engine.aliases.read().get(&link).cloned();
            return Ok(package.into_iter().chain([link]).collect());
        }
        let usual = acquisition::accesses(resolved.target.required, None);
        let all =
            [Access::Manage, Access::Write, Access::Read].into_iter().filter(|access| usual[0] != Access::Full && !usual.contains(access));
        let key = |access| bound.key(resolved.target.resource_kind, resolved.target.id, access);
        Ok(usual.iter().copied().chain(all).map(key).collect())
    }

    pub(crate) fn service_context(&self, service: usize, explicit: bool) -> ServiceContext<'_> {
        let deadline = Some(Instant::now() + self.engine.timeout);
        ServiceContext { engine: &self.engine, account: self.default_account, service, explicit, key: None, newer: None, deadline }
    }

    fn service(&self, is: impl Fn(&BoundService) -> bool, name: &str) -> Result<(usize, &BoundService)> {
        let services = &self.engine.accounts.account(self.default_account).services;
        services.iter().enumerate().find(|(_, bound)| is(bound)).ok_or_else(|| no_service(name))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// E-mail and password of a login by hand: what is given, else what is configured. What can be neither is refused here, for a service
/// would count it as a wrong try.
fn given_or_set(context: &dyn Context, email: Option<Secret>, password: Option<Secret>) -> Result<(Secret, Secret)> {
    let one = |given: Option<Secret>, name: &str| {
        let found = given.map_or_else(|| context.setting(name), |given| Ok(Some(given)))?;
        let missing = || Error::new(ErrorKind::NotConfigured, format!("`{name}` is neither given nor set: give it, or set it"));
        let found = found.ok_or_else(missing)?;
        found.check(name).map(|()| found)
    };
    Ok((one(email, "masv.email")?, one(password, "masv.password")?))
}

fn settle(look: Peek) -> Result<TokenView> {
    match look {
        Peek::Line(len) => Ok(TokenView { len }),
        Peek::Multiple => Err(Error::new(ErrorKind::MultipleHeaders, "the token has several headers: ask token_for for it")),
        Peek::Miss | Peek::RefreshDue => Err(not_cached()),
    }
}

#[cold]
pub(crate) fn not_cached() -> Error {
    Error::new(ErrorKind::NotCached, "no fresh token is in memory: ask token_for")
}

pub(crate) fn no_service(name: &str) -> Error {
    Error::new(ErrorKind::NotConfigured, format!("there is no service {name}: `keyferry doctor` shows those there are"))
}
