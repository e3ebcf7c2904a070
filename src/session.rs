//! The session: configuration, services, cache and store behind one handle. What every door calls.
//!
//! Imports the engine, the stores and the transport, and joins them. One default session serves the whole process.

use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::accounts::{Accounts, Bound, Spot};
use crate::broker::{self, Broker, Parts, Wish};
use crate::cache::Peek;
use crate::clock::Clock;
use crate::config::{Config, process_environment};
use crate::error::{Error, Kind, Result};
use crate::exchange::Errand;
use crate::freshness;
use crate::key::{Access, Class, Key};
use crate::request::Request;
use crate::secret::Secret;
use crate::service::{Agent, Context};
use crate::stores::memory::Memory;
use crate::sys::fork::PerProcess;
use crate::token::{Facts, NO_EXPIRY, Token};
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
    broker: Arc<Broker>,
    default_account: usize,
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
    pub fn open_with(config: Config, options: Options) -> Result<Self> {
        let accounts = Accounts::open(&config)?;
        let default_account = accounts.number(None)?;
        let profile = &accounts.account(default_account).profile;
        let timeout = Duration::from_millis(profile.milliseconds("http.timeout_ms"));
        let transport = Transport::new(transport::Options {
            ca_file: profile.text("http.ca_file").map(PathBuf::from),
            proxy: Proxy::from_setting(profile.text("http.proxy")),
        });
        let parts = Parts {
            store: Box::new(Memory::default()),
            http: Box::new(transport),
            clock: options.clock,
            timeout,
            refreshes_beside: options.refreshes_beside,
        };
        Ok(Self { broker: Arc::new(Broker::new(accounts, parts)?), default_account })
    }

    /// A token for a request, from wherever it comes.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub fn token_for(&self, request: &Request) -> Result<Token> {
        self.broker.token_for(request)
    }

    /// A token for a resource and nothing special.
    ///
    /// # Errors
    /// Those of [`Session::token_for`].
    #[inline]
    pub fn token(&self, resource: &str) -> Result<Token> {
        match self.quick(resource) {
            Some(token) => Ok(token),
            None => self.broker.token_for(&Request::new(resource)),
        }
    }

    /// The hit on a fresh token under a plain name, without a request object.
    #[inline]
    fn quick(&self, resource: &str) -> Option<Token> {
        let spot = self.broker.accounts.locate_plain(self.default_account, resource).filter(|spot| spot.target.class != Class::Link)?;
        let bound = self.broker.accounts.bound(spot.account, spot.service);
        let now_us = self.broker.now_us(bound);
        let accesses = broker::accesses(spot.target.need, None);
        accesses.iter().find_map(|access| self.broker.cache.fresh(&broker::key_of(bound, &spot, *access), now_us))
    }

    /// An unexpired token from memory.
    ///
    /// # Errors
    /// [`Kind::NotCached`], and those of reading the resource.
    pub fn cached(&self, request: &Request) -> Result<Token> {
        let broker = &self.broker;
        let account = broker.accounts.number(request.account.as_deref())?;
        broker.accounts.locate(account, &request.resource, |spot| {
            let bound = broker.accounts.bound(spot.account, spot.service);
            let now_us = broker.now_us(bound);
            let hit = broker.in_memory(bound, &spot, request, now_us)?.map(|hit| hit.token);
            hit.filter(|token| freshness::lasts(token.facts(), request.min_valid, now_us)).ok_or_else(not_cached)
        })
    }

    /// Copies the header line of a fresh token from memory. Never blocks; allocates for links and for odd spellings alone.
    ///
    /// # Errors
    /// [`Kind::NotCached`], [`Kind::MultipleHeaders`], and those of reading the resource.
    #[inline]
    pub fn peek(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<Peeked> {
        match self.broker.accounts.locate_plain(self.default_account, resource) {
            Some(spot) => self.peek_at(&spot, out),
            None => self.broker.accounts.locate_any(self.default_account, resource, |spot| self.peek_at(&spot, out)),
        }
    }

    #[inline]
    fn peek_at(&self, spot: &Spot<'_>, out: &mut [MaybeUninit<u8>]) -> Result<Peeked> {
        let broker = &*self.broker;
        let bound = broker.accounts.bound(spot.account, spot.service);
        let now_us = broker.now_us(bound);
        if spot.target.class == Class::Link {
            let key = broker.aliases.read().get(&broker.link_key(bound, spot, &Request::default())?).cloned().ok_or_else(not_cached)?;
            return line(broker.cache.peek(&key.borrow(), now_us, out)).unwrap_or_else(|| Err(not_cached()));
        }
        broker::accesses(spot.target.need, None)
            .iter()
            .find_map(|access| line(broker.cache.peek(&broker::key_of(bound, spot, *access), now_us, out)))
            .unwrap_or_else(|| Err(not_cached()))
    }

    /// Logs in to MASV: always one request.
    ///
    /// # Errors
    /// [`Kind::NotConfigured`], and those of the service.
    pub fn masv_login(&self, email: Option<Secret>, password: Option<Secret>) -> Result<Token> {
        let (number, bound) = self.service(|bound| bound.service.name() == "masv", "masv")?;
        let errand = self.errand(number, true);
        let need = |given: Option<Secret>, name: &str| match given {
            Some(given) => given.check(name).map(|()| given),
            None => errand
                .setting(name)?
                .ok_or_else(|| Error::new(Kind::NotConfigured, format!("`{name}` is neither given nor set: give it, or set it"))),
        };
        let (email, password) = (need(email, "masv.email")?, need(password, "masv.password")?);
        let key = Key { scope: Arc::clone(&bound.scope), class: Class::User, id: "".into(), access: Access::Full };
        let acquired = bound.service.login(&email, &password, &Errand { key: Some(&key), ..errand })?;
        self.broker.pace.forget(|other| *other == key);
        self.broker.keep(bound, &Wish::new(self.default_account, number, key), acquired)
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
        self.with_agent(true, |agent, context| match (email, password) {
            (None, None) => agent.sign_in(None, context),
            (email, password) => {
                let missing =
                    |name: &str| Error::new(Kind::NotConfigured, format!("`{name}` is neither given nor set: give it, or set it"));
                let email = email.map_or_else(|| context.setting("masv.email"), |given| Ok(Some(given)))?;
                let password = password.map_or_else(|| context.setting("masv.password"), |given| Ok(Some(given)))?;
                let (email, password) = (email.ok_or_else(|| missing("masv.email"))?, password.ok_or_else(|| missing("masv.password"))?);
                agent.sign_in(Some((&email, &password)), context)
            }
        })
    }

    /// Makes an account through an old agent, and signs in with it.
    ///
    /// # Errors
    /// [`Kind::Refused`], [`Kind::Unsupported`], [`Kind::Unreachable`].
    pub fn agent_sign_up(&self, email: Secret, password: Secret, name: &str) -> Result<String> {
        self.with_agent(true, |agent, context| agent.sign_up(&email, &password, name, context))
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
        self.broker.reject(token)
    }

    /// The service refused this value, which was got for this resource.
    ///
    /// # Errors
    /// Those of reading the resource; [`Kind::Store`].
    pub fn reject_value(&self, resource: &str, value: &Secret) -> Result<()> {
        // By fingerprints: comparing them tells nothing of the values by the time it takes.
        let print = |text: &str| self.broker.fingerprints.of(&[text.strip_prefix("Bearer ").unwrap_or(text)]);
        let refused = print(value.expose());
        self.at(resource, |spot, bound| {
            for key in self.keys(spot, bound)? {
                let held = self.broker.cache.get(&key.borrow()).map(|hit| hit.token);
                let stored = || self.broker.store.load(&key).ok().flatten().and_then(|record| record.token);
                let Some(token) = held.or_else(stored) else { continue };
                if print(token.value()) == refused {
                    return self.broker.reject(&token);
                }
            }
            Ok(())
        })
    }

    /// Keeps a token that the caller got itself.
    ///
    /// # Errors
    /// [`Kind::InvalidValue`], [`Kind::Unsupported`], and those of reading the resource.
    pub fn adopt(&self, resource: &str, value: Secret, expires_unix_s: Option<i64>) -> Result<()> {
        self.at(resource, |spot, bound| {
            let mut found = bound.service.adopt(&spot.target, value)?;
            found.draft.expires_unix_s = expires_unix_s.or(found.draft.expires_unix_s);
            let now_s = self.broker.now_us(bound).div_euclid(1_000_000);
            if found.draft.expires_unix_s.is_some_and(|expires| expires <= now_s) {
                return Err(Error::new(Kind::InvalidValue, "the token has ended already: get another"));
            }
            let key = Key { scope: Arc::clone(&bound.scope), class: found.class, id: found.id.as_str().into(), access: found.access };
            let acquired = crate::service::Acquired { found, renewal: None, others: Vec::new() };
            self.broker.keep(bound, &Wish::new(spot.account, spot.service, key), acquired).map(drop)
        })
    }

    /// Forgets what is kept of a resource, or everything.
    ///
    /// # Errors
    /// [`Kind::Store`], and those of reading the resource.
    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let broker = &*self.broker;
        let Some(resource) = resource else {
            broker.cache.clear();
            broker.aliases.write().clear();
            broker.pace.forget(|_| true);
            return broker.store.clear();
        };
        self.at(resource, |spot, bound| {
            for key in self.keys(spot, bound)? {
                broker.cache.remove(&key.borrow(), u64::MAX);
                broker.store.remove(&key, u64::MAX)?;
            }
            // What is refused of a user's is refused of all that the user asks for; a link is the same with any password.
            let is_user = matches!(spot.target.class, Class::Key | Class::User | Class::Bearer);
            let is_it = |key: &Key| match key.class {
                Class::Link => key.id.starts_with(&format!("{}#", spot.target.id)),
                class => class == spot.target.class && *key.id == *spot.target.id,
            };
            let is_met = |key: &Key| key.scope.fingerprint() == bound.scope.fingerprint() && (is_user || is_it(key));
            broker.pace.forget(is_met);
            broker.forget_refusals(is_met);
            broker.aliases.write().retain(|alias, _| alias.class != Class::Link || !alias.id.starts_with(&format!("{}#", spot.target.id)));
            Ok(())
        })
    }

    /// What would happen for a resource, and why: JSON without secrets.
    ///
    /// # Errors
    /// Those of reading the resource.
    pub fn explain(&self, resource: &str) -> Result<String> {
        let broker = &*self.broker;
        self.at(resource, |spot, bound| {
            let now_us = broker.now_us(bound);
            let request = Request::default();
            let hit = broker.in_memory(bound, spot, &request, now_us)?;
            let key = self.keys(spot, bound)?.into_iter().next().ok_or_else(not_cached)?;
            let pause = broker.pace.pause(&key, broker.clock.now_us());
            let next = match &hit {
                Some(hit) if now_us < hit.times.soft_us => "the token in memory is fresh and is handed out",
                Some(hit) if now_us < hit.times.mandatory_us => "the token in memory is handed out, and refreshed beside",
                Some(_) => "callers wait for a refresh; the token in memory serves if that fails",
                None if pause.is_some() => "the last failure is answered until the pause is over",
                None => "store, then service, are asked",
            };
            let seconds = |us: i64| if us == NO_EXPIRY { Value::Null } else { json!(us.div_euclid(1_000_000)) };
            let mut token = hit.as_ref().map_or(Value::Null, |hit| describe(&hit.token));
            if let Some(hit) = &hit {
                token["refresh_from_unix_s"] = seconds(hit.times.soft_us);
                token["callers_wait_from_unix_s"] = seconds(hit.times.mandatory_us);
            }
            let explained = json!({
                "service": bound.service.name(), "base": bound.service.base().as_str(), "account": bound.scope.account,
                "class": spot.target.class.name(), "id": spot.target.id, "access": key.access.name(),
                "key": key.to_string(), "store": broker.store.name(), "clock_skew_s": bound.skew_us() / 1_000_000,
                "token": token, "next": next,
                "pause": pause.map(|error| json!({"error": error.what(), "retry_after_ms": error.retry_after_ms})),
            });
            Ok(explained.to_string())
        })
    }

    /// The tokens in memory: JSON without secrets.
    ///
    /// # Errors
    /// None yet; a store that can be listed may have some.
    pub fn list(&self) -> Result<String> {
        let account = |facts: &Facts| {
            let mut bounds = self.broker.accounts.every();
            bounds.find(|bound| bound.scope.fingerprint() == facts.scope).map(|bound| bound.scope.account.clone())
        };
        let rows = self.broker.cache.all().into_iter().map(|hit| {
            let mut row = describe(&hit.token);
            row["account"] = json!(account(hit.token.facts()));
            row
        });
        Ok(Value::Array(rows.collect()).to_string())
    }

    /// What the session did: JSON of numbers.
    pub fn stats(&self) -> String {
        let (stats, read) = (&self.broker.stats, |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed));
        json!({
            "flights": read(&stats.flights), "waits": read(&stats.waits), "exchanges": read(&stats.exchanges),
            "logins": read(&stats.logins), "renewals": read(&stats.renewals), "refreshes_beside": read(&stats.beside),
            "refused_from_memory": read(&stats.refused_from_memory), "rejected": read(&stats.rejected),
            "flights_under_way": self.broker.flights.count(),
        })
        .to_string()
    }

    fn at<T>(&self, resource: &str, then: impl FnOnce(&Spot<'_>, &Bound) -> Result<T>) -> Result<T> {
        let accounts = &self.broker.accounts;
        accounts.locate(self.default_account, resource, |spot| then(&spot, accounts.bound(spot.account, spot.service)))
    }

    /// All keys that a spot's tokens can be under, the usual one first.
    fn keys(&self, spot: &Spot<'_>, bound: &Bound) -> Result<Vec<Key>> {
        if spot.target.class == Class::Link {
            let link = self.broker.link_key(bound, spot, &Request::default())?;
            let package = self.broker.aliases.read().get(&link).cloned();
            return Ok(package.into_iter().chain([link]).collect());
        }
        let usual = broker::accesses(spot.target.need, None);
        let all =
            [Access::Manage, Access::Write, Access::Read].into_iter().filter(|access| usual[0] != Access::Full && !usual.contains(access));
        let key = |access| Key { scope: Arc::clone(&bound.scope), class: spot.target.class, id: spot.target.id.into(), access };
        Ok(usual.iter().copied().chain(all).map(key).collect())
    }

    fn errand(&self, service: usize, explicit: bool) -> Errand<'_> {
        let deadline = Some(std::time::Instant::now() + self.broker.timeout);
        Errand { broker: &self.broker, account: self.default_account, service, explicit, key: None, deadline }
    }

    fn service(&self, is: impl Fn(&Bound) -> bool, name: &str) -> Result<(usize, &Bound)> {
        let services = &self.broker.accounts.account(self.default_account).services;
        services.iter().enumerate().find(|(_, bound)| is(bound)).ok_or_else(|| no_service(name))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.broker.close();
    }
}

fn line(peek: Peek) -> Option<Result<Peeked>> {
    match peek {
        Peek::Line(len) => Some(Ok(Peeked { len })),
        Peek::Multiple => Some(Err(Error::new(Kind::MultipleHeaders, "the token has several headers"))),
        Peek::Miss => None,
    }
}

#[cold]
fn not_cached() -> Error {
    Error::new(Kind::NotCached, "no fresh token is in memory: ask token_for")
}

fn no_service(name: &str) -> Error {
    Error::new(Kind::NotConfigured, format!("there is no service {name}"))
}

/// A token for people: everything but its headers' values.
pub fn describe(token: &Token) -> Value {
    let facts = token.facts();
    let expires = (facts.expires_us != NO_EXPIRY).then(|| facts.expires_us.div_euclid(1_000_000));
    json!({
        "service": token.service(), "kind": facts.kind.name(), "id": token.id(), "access": facts.access.name(),
        "generation": facts.generation, "expires_unix_s": expires, "acquired_unix_s": facts.acquired_us.div_euclid(1_000_000),
        "headers": token.headers().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}
