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
use crate::engine::accounts::{Accounts, Bound, Spot};
use crate::engine::acquisition::{self, Wish};
use crate::engine::cache::Peek;
use crate::engine::freshness;
use crate::engine::service_context::Errand;
use crate::engine::state::{Engine, Parts};
use crate::error::{Error, Kind, Result};
use crate::model::key::{Access, Class, Key};
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
    pub refreshes_beside: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Clock::system(), refreshes_beside: true }
    }
}

/// Configuration, services, cache and store.
pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) default_account: usize,
}

/// A header line that was found; it stands in the buffer if that is longer than the line.
#[derive(Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Its length in bytes, without NUL.
    pub len: usize,
}

static DEFAULT: PerProcess<Session> = PerProcess::new();

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// [`Kind::Config`], [`Kind::UnsafeFile`] if a setting can't be used.
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
            refreshes_beside: options.refreshes_beside,
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
        match self.quick(resource) {
            Some(token) => Ok(token),
            None => resource::check_length(resource).and_then(|()| self.engine.token_for(&Request::new(resource))).map(Box::new),
        }
    }

    /// The hit on a fresh token under its usual name, without a request object.
    #[inline]
    fn quick(&self, resource: &str) -> Option<Box<Token>> {
        let glance = &self.engine.accounts.glance(self.default_account, resource);
        let glance = glance.as_ref()?;
        let spot = &glance.spot;
        if matches!(spot.target.class, Class::Link | Class::Session) || !is_plain(glance.rest.as_bytes()) {
            return None;
        }
        let bound = self.engine.accounts.bound(spot.account, spot.service);
        let now_us = self.engine.now_us(bound);
        self.engine.cache.fresh(&acquisition::thing_of(bound, spot), acquisition::accesses(spot.target.need, None), now_us)
    }

    /// An unexpired token from memory.
    ///
    /// # Errors
    /// [`Kind::NotCached`], and those of reading the resource.
    pub fn cached(&self, request: &Request) -> Result<Token> {
        let engine = &self.engine;
        let account = engine.accounts.number(request.account.as_deref())?;
        engine.accounts.locate(account, &request.resource, |spot| {
            let bound = engine.accounts.bound(spot.account, spot.service);
            let now_us = engine.now_us(bound);
            let hit = engine.in_memory(bound, &spot, request, now_us)?.map(|hit| hit.token);
            hit.filter(|token| freshness::lasts(token.facts(), request.min_valid, now_us)).ok_or_else(not_cached)
        })
    }

    /// Copies the header line of a fresh token from memory. Goes to no store and no network; allocates for links
    /// and for odd spellings alone.
    ///
    /// # Errors
    /// [`Kind::NotCached`], [`Kind::MultipleHeaders`], and those of reading the resource.
    #[inline]
    pub fn peek(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<Peeked> {
        if let Some(glance) = &self.engine.accounts.glance(self.default_account, resource)
            && !matches!(glance.spot.target.class, Class::Link | Class::Session)
            && is_plain(glance.rest.as_bytes())
        {
            match self.look(&glance.spot, out) {
                Peek::Line(len) => return Ok(Peeked { len }),
                // Nothing under this id: that is the answer, unless another spelling of it is known.
                Peek::Miss if !is_plain(glance.spot.target.id.as_bytes()) || glance.spot.target.id.starts_with('.') => {}
                other => return settle(other),
            }
        }
        self.peek_any(resource, out)
    }

    #[inline(always)]
    fn look(&self, spot: &Spot<'_>, out: &mut [MaybeUninit<u8>]) -> Peek {
        let engine = &*self.engine;
        let bound = engine.accounts.bound(spot.account, spot.service);
        let now_us = engine.now_us(bound);
        engine.cache.peek(&acquisition::thing_of(bound, spot), acquisition::accesses(spot.target.need, None), now_us, out)
    }

    #[cold]
    fn peek_any(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<Peeked> {
        let engine = &*self.engine;
        engine.accounts.locate_any(self.default_account, resource, |spot| {
            let bound = engine.accounts.bound(spot.account, spot.service);
            match spot.target.class {
                Class::Session => return Err(acquisition::no_header(bound.service.name())),
                Class::Link => {}
                _ => return settle(self.look(&spot, out)),
            }
            let key = engine.opened_by(bound, &spot, &Request::default())?.ok_or_else(not_cached)?;
            settle(engine.cache.peek(&key.borrow().thing(), &[key.access], engine.now_us(bound), out))
        })
    }

    /// Logs in to MASV: always one request.
    ///
    /// # Errors
    /// [`Kind::NotConfigured`], and those of the service.
    pub fn masv_login(&self, email: Option<Secret>, password: Option<Secret>) -> Result<Token> {
        let (number, bound) = self.service(|bound| bound.service.name() == "masv", "masv")?;
        let errand = self.errand(number, true);
        let (email, password) = given_or_set(&errand, email, password)?;
        let key = bound.key(Class::User, "", Access::Full);
        let acquired = bound.service.login(&email, &password, &Errand { key: Some(&key), ..errand })?;
        self.engine.pace.forget(|other| *other == key);
        self.engine.keep_login(bound, Wish::new(self.default_account, number, key), acquired, &email)
    }

    /// Who is signed in to the MASV Agent: JSON.
    ///
    /// # Errors
    /// [`Kind::LoginRequired`], [`Kind::Unreachable`].
    pub fn agent_session(&self) -> Result<String> {
        self.with_agent(false, |agent, context| agent.session(context))
    }

    /// Signs in to the MASV Agent.
    ///
    /// # Errors
    /// [`Kind::Refused`], [`Kind::NotConfigured`], [`Kind::Unsupported`], [`Kind::Unreachable`].
    pub fn agent_sign_in(&self, email: Option<Secret>, password: Option<Secret>) -> Result<String> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, email, password)?;
            agent.sign_in(&email, &password, context)
        })
    }

    /// Makes an account through an old agent, and signs in with it.
    ///
    /// # Errors
    /// [`Kind::Refused`], [`Kind::Unsupported`], [`Kind::Unreachable`].
    pub fn agent_sign_up(&self, email: Secret, password: Secret, name: &str) -> Result<String> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, Some(email), Some(password))?;
            agent.sign_up(&email, &password, name, context)
        })
    }

    fn with_agent(&self, explicit: bool, call: impl FnOnce(&dyn Agent, &dyn Context) -> Result<Value>) -> Result<String> {
        let (number, bound) = self.service(|bound| bound.service.agent().is_some(), "agent")?;
        let agent = bound.service.agent().ok_or_else(|| no_service("agent"))?;
        call(agent, &self.errand(number, explicit)).map(|answer| answer.to_string())
    }

    /// The service refused this token.
    ///
    /// # Errors
    /// [`Kind::Store`].
    pub fn reject(&self, token: &Token) -> Result<()> {
        self.engine.reject(token)
    }

    /// Forgets what is kept of a resource, or everything.
    ///
    /// # Errors
    /// [`Kind::Store`], and those of reading the resource.
    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let engine = &*self.engine;
        let Some(resource) = resource else {
            engine.cache.clear();
            engine.aliases.write().clear();
            engine.pace.forget(|_| true);
            return engine.store.clear();
        };
        self.at(resource, |spot, bound| {
            for key in self.keys(spot, bound)? {
                engine.cache.remove(&key.borrow(), u64::MAX);
                engine.store.remove(&key, u64::MAX)?;
            }
            // What is refused of a user's is refused of all that the user asks for; a link is the same with any password.
            let is_user = matches!(spot.target.class, Class::Key | Class::User | Class::Bearer);
            let is_it = |key: &Key| key.class == spot.target.class && key.bare_id() == spot.target.id;
            let is_met = |key: &Key| key.scope.fingerprint() == bound.scope.fingerprint() && (is_user || is_it(key));
            engine.pace.forget(is_met);
            engine.forget_refusals(is_met);
            engine.aliases.write().retain(|alias, _| !is_it(alias));
            Ok(())
        })
    }

    pub(crate) fn at<T>(&self, resource: &str, then: impl FnOnce(&Spot<'_>, &Bound) -> Result<T>) -> Result<T> {
        let accounts = &self.engine.accounts;
        accounts.locate(self.default_account, resource, |spot| then(&spot, accounts.bound(spot.account, spot.service)))
    }

    /// All keys that a spot's tokens can be under, the usual one first.
    pub(crate) fn keys(&self, spot: &Spot<'_>, bound: &Bound) -> Result<Vec<Key>> {
        if spot.target.class == Class::Link {
            let link = self.engine.link_key(bound, spot, &Request::default())?;
            // For what another process knows of it.
            let _ = self.engine.record(bound, &link);
            let package = self.engine.aliases.read().get(&link).cloned();
            return Ok(package.into_iter().chain([link]).collect());
        }
        let usual = acquisition::accesses(spot.target.need, None);
        let all =
            [Access::Manage, Access::Write, Access::Read].into_iter().filter(|access| usual[0] != Access::Full && !usual.contains(access));
        let key = |access| bound.key(spot.target.class, spot.target.id, access);
        Ok(usual.iter().copied().chain(all).map(key).collect())
    }

    pub(crate) fn errand(&self, service: usize, explicit: bool) -> Errand<'_> {
        let deadline = Some(Instant::now() + self.engine.timeout);
        Errand { engine: &self.engine, account: self.default_account, service, explicit, key: None, landed: None, deadline }
    }

    fn service(&self, is: impl Fn(&Bound) -> bool, name: &str) -> Result<(usize, &Bound)> {
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
        let missing = || Error::new(Kind::NotConfigured, format!("`{name}` is neither given nor set: give it, or set it"));
        let found = found.ok_or_else(missing)?;
        found.check(name).map(|()| found)
    };
    Ok((one(email, "masv.email")?, one(password, "masv.password")?))
}

fn settle(look: Peek) -> Result<Peeked> {
    match look {
        Peek::Line(len) => Ok(Peeked { len }),
        Peek::Multiple => Err(Error::new(Kind::MultipleHeaders, "the token has several headers: ask token_for for it")),
        Peek::Miss | Peek::Told => Err(not_cached()),
    }
}

#[cold]
pub(crate) fn not_cached() -> Error {
    Error::new(Kind::NotCached, "no fresh token is in memory: ask token_for")
}

pub(crate) fn no_service(name: &str) -> Error {
    Error::new(Kind::NotConfigured, format!("there is no service {name}: `keyferry doctor` shows those there are"))
}
