//! The public Rust API: [`Session`], one handle over configuration, services, cache and store.
//!
//! The first call that uses the process-wide default session opens it.

mod credentials;
pub mod inspect;
mod lookup;
pub mod offline;

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::config::{Config, Profile, process_environment, trusts_environment};
use crate::engine::accounts::{Accounts, BoundService, ResolvedResource};
use crate::engine::acquisition::{self, Acquisition};
use crate::engine::broker::Broker;
use crate::engine::cache::Peek;
use crate::engine::freshness;
use crate::engine::persistence::Persistence;
use crate::engine::rejections::Asker;
use crate::engine::replacement;
use crate::engine::saves::{Closing, MAX_RENEWAL_AT_END};
use crate::engine::service_context::ServiceContext;
use crate::engine::single_flight;
use crate::engine::state::EngineParts;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, ResourceKind, TokenKey};
use crate::model::request::{Login, Request, Resolution};
use crate::model::resource::{self, is_plain};
use crate::model::token::{Expiry, Token};
use crate::plugin::Plugins;
use crate::ports::http::Http;
use crate::ports::service::{Acquired, Agent, AgentSession, Context};
use crate::ports::store::Reach;
use crate::ports::wait_budget::WaitBudget;
use crate::secret::Secret;
use crate::secret_sources;
use crate::stores::{self, Damage};
use crate::sys::fork::PerProcess;
use crate::transport::{self, Proxy, Transport};

use inspect::{Explanation, Inspect, SessionStats, Sources, TokenInfo};
use lookup::{Lookup, no_service, not_cached};
use offline::NoNetwork;

/// The options of a session.
pub struct Options {
    /// The wall clock.
    pub clock: Clock,
    /// Whether tokens are refreshed in the background. A program that runs only for one call does not need
    /// such refreshes.
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
/// Any thread may use it at any time. Dropping it ends its background refreshes within 1 s; a refresh
/// that was sent may be answered and stored during that time. Its tokens stay valid.
///
/// ```
/// use keyferry::{Access, Config, Request, Session};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), keyferry::Error> {
/// # let mut config = Config::new();
/// # config.set("fileverbs.secret_key", "made-up-key".into())?;
/// let session = Session::open(config)?;
///
/// // A resource is a URL or a short form such as `packages/ID`. A request has more options.
/// let token = session.token("fileverbs:secret-key")?;
/// let mut request = Request::new("fileverbs:secret-key");
/// request.timeout = Some(Duration::from_secs(5));
/// assert_eq!(session.token_for(&request)?.value(), token.value());
///
/// // After a 401, reject the token. The next call for this resource returns another token, or the
/// // reason why not.
/// session.reject_value("fileverbs:secret-key", &token.value().into())?;
/// assert!(session.token("fileverbs:secret-key").is_err());
/// # Ok(())
/// # }
/// ```
pub struct Session {
    broker: Arc<Broker>,
    /// The number of the account for requests that name no account.
    account: usize,
}

static DEFAULT: PerProcess<Session> = PerProcess::new();

impl Session {
    /// Opens a session. This reads no secret and uses no network. Unless plugins are configured, no
    /// thread starts before the first token is requested.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or [`ErrorKind::UnsafeFile`] if a setting cannot be used; the message
    /// names the setting and the remedy. A process with raised privilege cannot use plugins, and
    /// its only store is `memory`.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_with(config, Options::default())
    }

    /// Opens a session from the user's configuration file and the environment.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open`]; [`ErrorKind::Config`] if the process has raised
    /// privilege: its program has the setuid or setgid bit or file capabilities.
    pub fn open_user() -> Result<Self> {
        Self::open(Config::load(None, process_environment())?)
    }

    /// Returns the process-wide session. The first call opens it from the user's configuration. A
    /// forked child opens its own.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open_user`]. After an error, the next call tries again.
    #[inline]
    pub fn default_session() -> Result<&'static Self> {
        match DEFAULT.get() {
            Some(session) => Ok(session),
            None => DEFAULT.get_or_try_init(Self::open_user),
        }
    }

    /// Opens a session with options.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open`].
    #[doc(hidden)]
    pub fn open_with(mut config: Config, options: Options) -> Result<Self> {
        config.check_privilege()?;
        let plugins = Plugins::load(&mut config)?;
        Self::open_over(&config, options, &plugins, Damage::Quarantined, |profile| {
            Box::new(Transport::new(transport::Options {
                ca_file: profile.paths("http.ca_file").map(PathBuf::from),
                proxy: Proxy::from_setting(profile.text("http.proxy")),
                ignores_environment: !trusts_environment(),
            }))
        })
    }

    /// Opens a session without a network. Looking up a stored token changes no file.
    ///
    /// # Errors
    /// Returns the errors of [`Session::open`]; [`ErrorKind::Unsupported`] if plugins are
    /// configured. A statically linked program cannot load plugins, and without them it cannot tell
    /// which service a URL belongs to.
    #[doc(hidden)]
    pub fn open_offline(config: Config) -> Result<Self> {
        config.check_privilege()?;
        if config.profile(config.selected_account())?.is_set("plugins") {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "plugins are configured, but this program cannot load plugins; use `keyferry`",
            ));
        }
        let options = Options {
            refreshes_in_background: false,
            ..Options::default()
        };
        let plugins = Plugins::default();
        Self::open_over(&config, options, &plugins, Damage::LeftAlone, |_| {
            Box::new(NoNetwork)
        })
    }

    /// Opens a session with these plugins and this HTTP client.
    fn open_over(
        config: &Config,
        options: Options,
        plugins: &Plugins,
        damage: Damage,
        http: impl FnOnce(&Profile) -> Box<dyn Http>,
    ) -> Result<Self> {
        let accounts = Accounts::open(config, plugins)?;
        let account = accounts.number(None)?;
        let profile = &accounts.account(account).profile;
        let parts = EngineParts {
            store: stores::open(profile, config.is_standalone(), damage, || {
                Box::new(secret_sources::Keyring::new(profile.environment()))
            }),
            http: http(profile),
            clock: options.clock,
            timeout: Duration::from_millis(profile.milliseconds("http.timeout_ms")),
        };
        Ok(Self {
            broker: Broker::new(accounts, parts, options.refreshes_in_background),
            account,
        })
    }

    /// Returns a token for a request: from the cache, the store or the service. Blocks until the
    /// token is there or the request times out, and may use the network.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownService`] if no service owns the URL; [`ErrorKind::NotConfigured`] or
    /// [`ErrorKind::LoginRequired`] if a person has to act; [`ErrorKind::BadCredentials`] if the
    /// service rejected the secret; [`ErrorKind::Timeout`] if the request timed out;
    /// [`ErrorKind::Cancelled`] if it was cancelled; the errors of the network and the service.
    pub fn token_for(&self, request: &Request) -> Result<Token> {
        self.boxed_token_for(request).map(|token| *token)
    }

    /// Does what [`Session::token_for`] does, without moving the token of a cache hit.
    #[inline]
    pub(crate) fn boxed_token_for(&self, request: &Request) -> Result<Box<Token>> {
        if request.login.is_none()
            && !request.cancel.is_cancelled()
            && let Some(token) = self.cached_fresh_for(request)
        {
            return Ok(token);
        }
        token_for(&self.broker, request).map(Box::new)
    }

    /// Calls [`Session::token_for`] on a thread of the session, which then calls `done` with the
    /// outcome.
    #[doc(hidden)]
    pub fn start(&self, request: Request, done: impl FnOnce(Result<Token>) + Send + 'static) {
        let broker = Arc::clone(&self.broker);
        self.broker
            .start(move || token_for(&broker, &request), done);
    }

    /// Returns a token for a resource: a URL, or a short form such as `packages/ID` or
    /// `fileverbs:bearer`. Otherwise the same as [`Session::token_for`].
    ///
    /// # Errors
    /// Returns the errors of [`Session::token_for`].
    #[inline]
    pub fn token(&self, resource: &str) -> Result<Box<Token>> {
        match self.cached_fresh(resource) {
            Some(token) => Ok(token),
            None => resource::check_length(resource)
                .and_then(|()| self.broker.token_for(&Request::new(resource)))
                .map(Box::new),
        }
    }

    /// Returns a fresh cached token for a resource in its normal form, without a request object.
    #[inline]
    fn cached_fresh(&self, resource: &str) -> Option<Box<Token>> {
        let state = &self.broker.state;
        let fast_match = &state.accounts.match_prefix(self.account, resource);
        let fast_match = fast_match.as_ref()?;
        let (resolved, bound) = (&fast_match.resolved, fast_match.bound);
        if !has_own_token(resolved.target.resource_kind) || !is_plain(fast_match.rest.as_bytes()) {
            return None;
        }
        state.cache.fresh(
            &acquisition::key_prefix(bound, resolved),
            acquisition::accesses(resolved.target.required, None),
            state.now_us(bound),
        )
    }

    /// Returns a fresh cached token for a request. Resolves its resource only if this session was not
    /// the first to do so.
    #[inline]
    fn cached_fresh_for(&self, request: &Request) -> Option<Box<Token>> {
        let state = &self.broker.state;
        let account = match request.account.as_deref() {
            None => self.account,
            name => state.accounts.number(name).ok()?,
        };
        let resolve = || self.resolution(account, &request.resource);
        let first = request.resource.resolution(resolve).ok()?;
        let own;
        let resolution = if first.session == state.number && first.account == account {
            first
        } else {
            own = resolve().ok()?;
            &own
        };
        if !has_own_token(resolution.resource_kind) {
            return None;
        }
        let now_us = state.now_us(state.accounts.bound(account, resolution.service));
        let token = state.cache.fresh_at(
            resolution.hash,
            &resolution.prefix(),
            acquisition::accesses(resolution.required, request.access),
            now_us,
        )?;
        let is_usable = freshness::lasts(token.meta(), request.min_valid, now_us)
            && freshness::is_recent(token.meta(), request.max_age, now_us);
        is_usable.then_some(token)
    }

    #[cold]
    fn resolution(&self, account: usize, resource: &str) -> Result<Resolution> {
        let state = &self.broker.state;
        state.accounts.resolve(account, resource, |resolved| {
            let bound = state.accounts.bound(resolved.account, resolved.service);
            let prefix = acquisition::key_prefix(bound, &resolved);
            Ok(Resolution {
                session: state.number,
                account: resolved.account,
                service: resolved.service,
                scope: prefix.scope,
                resource_kind: prefix.resource_kind,
                id: prefix.id.into(),
                required: resolved.target.required,
                hash: state.cache.hash(&prefix),
            })
        })
    }

    /// Returns an unexpired cached token. Never uses the network and never blocks.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`] if no usable token is cached (call [`Session::token_for`] then);
    /// [`ErrorKind::InvalidResource`], [`ErrorKind::UnknownService`] or [`ErrorKind::NoHeader`] if
    /// the resource has no token.
    pub fn cached(&self, request: &Request) -> Result<Token> {
        self.boxed_cached(request).map(|token| *token)
    }

    /// Does what [`Session::cached`] does, without moving a fresh token.
    #[inline]
    pub(crate) fn boxed_cached(&self, request: &Request) -> Result<Box<Token>> {
        match self.cached_fresh_for(request) {
            Some(token) => Ok(token),
            None => self.cached_unexpired(request).map(Box::new),
        }
    }

    #[cold]
    fn cached_unexpired(&self, request: &Request) -> Result<Token> {
        let state = &self.broker.state;
        let account = state.accounts.number(request.account.as_deref())?;
        state
            .accounts
            .resolve(account, &request.resource, |resolved| {
                let bound = state.accounts.bound(resolved.account, resolved.service);
                let now_us = state.now_us(bound);
                let hit = Persistence::new(state, bound)
                    .cached_for(&resolved, request, now_us)?
                    .filter(|hit| !hit.rejected)
                    .map(|hit| hit.token);
                hit.filter(|token| freshness::lasts(token.meta(), request.min_valid, now_us))
                    .filter(|token| freshness::is_recent(token.meta(), request.max_age, now_us))
                    .ok_or_else(not_cached)
            })
    }

    /// Copies the header line of a fresh cached token into `out`, if `out` is longer than the line.
    /// Returns the length of the line in bytes, without NUL. Uses neither the store nor the network.
    /// Allocates only for links and for URLs that are not in their normal form.
    ///
    /// Rationale: the error is only a kind, so that a processor register can hold the result.
    ///
    /// # Errors
    /// [`ErrorKind::NotCached`] if no fresh token is cached; [`ErrorKind::MultipleHeaders`] if the
    /// token has several headers; [`ErrorKind::InvalidResource`], [`ErrorKind::UnknownService`] or
    /// [`ErrorKind::NoHeader`] if the resource has no token.
    #[doc(hidden)]
    #[inline]
    pub fn peek(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<usize, ErrorKind> {
        if let Some(fast_match) = &self
            .broker
            .state
            .accounts
            .match_prefix(self.account, resource)
            && has_own_token(fast_match.resolved.target.resource_kind)
            && is_plain(fast_match.rest.as_bytes())
        {
            match self.look(fast_match.bound, &fast_match.resolved, out) {
                Peek::Line(len) => return Ok(len),
                // An id that is not in its normal form is cached in its normal form, which `peek_any`
                // looks up.
                Peek::Miss
                    if !is_plain(fast_match.resolved.target.id.as_bytes())
                        || fast_match.resolved.target.id.starts_with('.') => {}
                other => return settle(other),
            }
        }
        self.peek_any(resource, out)
    }

    #[inline(always)]
    fn look(
        &self,
        bound: &BoundService,
        resolved: &ResolvedResource<'_>,
        out: &mut [MaybeUninit<u8>],
    ) -> Peek {
        let state = &self.broker.state;
        let now_us = state.now_us(bound);
        state.cache.peek(
            &acquisition::key_prefix(bound, resolved),
            acquisition::accesses(resolved.target.required, None),
            now_us,
            out,
            |key, generation| {
                replacement::forbids(state, key, generation, Asker::Resource(resolved.path))
            },
        )
    }

    #[cold]
    fn peek_any(&self, resource: &str, out: &mut [MaybeUninit<u8>]) -> Result<usize, ErrorKind> {
        let state = &self.broker.state;
        let look = state
            .accounts
            .resolve_slow(self.account, resource, |resolved| {
                let bound = state.accounts.bound(resolved.account, resolved.service);
                match resolved.target.resource_kind {
                    ResourceKind::Session => {
                        return Err(acquisition::no_header(bound.service.name()));
                    }
                    ResourceKind::Link => {}
                    _ => return Ok(self.look(bound, &resolved, out)),
                }
                let Some(key) =
                    acquisition::opened_by(state, bound, &resolved, &Request::default())?
                else {
                    return Ok(Peek::Miss);
                };
                Ok(state.cache.peek(
                    &key.borrow().prefix(),
                    &[key.access],
                    state.now_us(bound),
                    out,
                    |key, generation| {
                        replacement::forbids(state, key, generation, Asker::Resource(resolved.path))
                    },
                ))
            });
        settle(look.map_err(|error| error.kind)?)
    }

    /// Logs in to MASV, even if a token is cached. `masv.email` and `masv.password` replace a
    /// missing argument.
    ///
    /// # Errors
    /// [`ErrorKind::NotConfigured`] if the e-mail address or the password is neither given nor set;
    /// the errors of the service.
    pub fn masv_login(&self, email: Option<Secret>, password: Option<Secret>) -> Result<Token> {
        let request = Request {
            login: Some(Login { email, password }),
            ..Request::new("user")
        };
        log_in(&self.broker, self.account, &request)
    }

    /// Returns the user who is signed in to the MASV Agent.
    ///
    /// # Errors
    /// [`ErrorKind::LoginRequired`] if no user is signed in; [`ErrorKind::Unreachable`] if the
    /// agent is not running.
    pub fn agent_session(&self) -> Result<AgentSession> {
        self.with_agent(false, |agent, context| agent.session(context))
    }

    /// Signs in to the MASV Agent. Returns the user.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if the agent rejects the password;
    /// [`ErrorKind::NotConfigured`] if the e-mail address or the password is neither given nor set;
    /// [`ErrorKind::Unsupported`] if this agent cannot sign in users; [`ErrorKind::Unreachable`] if
    /// the agent is not running.
    pub fn agent_sign_in(
        &self,
        email: Option<Secret>,
        password: Option<Secret>,
    ) -> Result<AgentSession> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, email, password)?;
            agent.sign_in(&email, &password, context)
        })
    }

    /// Creates an account through an old agent, and signs in with it. Returns the user.
    ///
    /// # Errors
    /// [`ErrorKind::BadCredentials`] if the agent rejects the password; [`ErrorKind::Unsupported`]
    /// if this agent cannot create accounts; [`ErrorKind::Unreachable`] if the agent is not
    /// running.
    pub fn agent_sign_up(
        &self,
        email: Secret,
        password: Secret,
        name: &str,
    ) -> Result<AgentSession> {
        self.with_agent(true, |agent, context| {
            let (email, password) = given_or_set(context, Some(email), Some(password))?;
            agent.sign_up(&email, &password, name, context)
        })
    }

    fn with_agent(
        &self,
        explicit: bool,
        call: impl FnOnce(&dyn Agent, &dyn Context) -> Result<AgentSession>,
    ) -> Result<AgentSession> {
        let _budget = WaitBudget::begin(None);
        let (number, bound) = self.service(|bound| bound.service.agent().is_some(), "agent")?;
        let agent = bound.service.agent().ok_or_else(|| no_service("agent"))?;
        let context = self.service_context(number, explicit);
        call(agent, &context).map_err(|error| context.with_sources(error).with_service("agent"))
    }

    /// Reports that the service answered 401 to this token, without saying for which resource. This
    /// session does not get the token again, unless the service then shows that the token is valid.
    /// Other sessions and processes go on using it until a newer token is stored.
    ///
    /// [`Session::reject_value`] also names the resource. Prefer it: its rejection stops no other
    /// resource.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be used.
    pub fn reject(&self, token: &Token) -> Result<()> {
        let _budget = WaitBudget::begin(None);
        replacement::reject(&self.broker.state, token, Asker::Session)
    }

    /// Stores a token that the caller obtained itself.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] if the value is malformed or has expired;
    /// [`ErrorKind::Unsupported`] if the service cannot use such a value; the errors of resolving
    /// the resource.
    pub fn adopt(&self, resource: &str, value: Secret, expires_unix_s: Option<i64>) -> Result<()> {
        let state = &self.broker.state;
        let _budget = WaitBudget::begin(None);
        self.lookup().at(resource, |resolved, bound| {
            let mut found = bound.service.adopt(&resolved.target, value)?;
            if let Some(expires_unix_s) = expires_unix_s {
                found.new_token.expiry = Expiry::At(expires_unix_s);
            }
            let now_s = state.now_us(bound).div_euclid(1_000_000);
            let expires_unix_s = found.new_token.expiry.unix_s(now_s);
            if expires_unix_s.is_some_and(|expires| expires <= now_s) {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "the token has already expired; get a new one",
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

    /// Returns whether a cached or stored token of this resource has this value.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    #[doc(hidden)]
    pub fn is_known_value(&self, resource: &str, value: &Secret) -> Result<bool> {
        self.lookup()
            .token_of_value(resource, value)
            .map(|token| token.is_some())
    }

    /// Reports that the service answered 401 to this value, which was handed out for this resource.
    /// No process gets the token for this resource again. All other resources go on using it until a
    /// newer token is stored. The next request for this resource finds out whether the token is
    /// still valid, and replaces it if it is not.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource; [`ErrorKind::Store`] if the store cannot be
    /// written.
    pub fn reject_value(&self, resource: &str, value: &Secret) -> Result<()> {
        let _budget = WaitBudget::begin(None);
        let Some(token) = self.lookup().token_of_value(resource, value)? else {
            return Ok(());
        };
        self.reject_for(resource, &token)
    }

    /// Removes the tokens of a resource, or all tokens, from the cache and the store. Their renewal
    /// secrets are removed too.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be written; the errors of resolving the resource.
    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let state = &self.broker.state;
        let _budget = WaitBudget::begin(None);
        state.http.close_idle();
        let Some(resource) = resource else {
            state.cache.clear();
            state.aliases.write().clear();
            state.backoff.forget(|_| true);
            state.rejections.forget(|_| true);
            return state.store.forget_all(Reach::Everywhere);
        };
        let lookup = self.lookup();
        lookup.at(resource, |resolved, bound| {
            for key in lookup.keys(resolved, bound, &Request::default())? {
                state.cache.remove(&key.borrow(), u64::MAX);
                state.rejections.forget(|other| *other == key);
                state.store.forget(&key, u64::MAX, Reach::Everywhere)?;
            }
            // The user's own credential fetches every other token of the service, so forgetting
            // that credential forgets all failures of the service. For another resource, only its
            // own failures are forgotten. A link is one resource, even if it was requested with
            // several passwords.
            let is_user = matches!(
                resolved.target.resource_kind,
                ResourceKind::Key | ResourceKind::User | ResourceKind::Bearer
            );
            let is_it = |key: &TokenKey| {
                key.resource_kind == resolved.target.resource_kind
                    && key.url_id() == resolved.target.id
            };
            let is_affected = |key: &TokenKey| {
                key.scope.fingerprint() == bound.scope.fingerprint() && (is_user || is_it(key))
            };
            state.backoff.forget(is_affected);
            state.forget_refusals(is_affected);
            state.aliases.write().retain(|alias, _| !is_it(alias));
            Ok(())
        })
    }

    /// Explains what a request for a resource would do, and why. Reads the store, and secrets in
    /// values, variables and files. Starts no program and sends no request.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    pub fn explain(&self, resource: &str) -> Result<Explanation> {
        self.inspect().explain(resource, None, Sources::Quick)
    }

    /// Lists the cached and stored tokens, without the values of their headers.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the store cannot be read.
    pub fn list(&self) -> Result<Vec<TokenInfo>> {
        self.inspect().list(|_, _| true)
    }

    /// Returns counters of the session's work.
    pub fn stats(&self) -> SessionStats {
        self.inspect().stats()
    }

    /// Returns the parts of the session that can be shown to a person.
    #[doc(hidden)]
    pub fn inspect(&self) -> Inspect<'_> {
        Inspect {
            broker: &self.broker,
            account: self.account,
        }
    }

    /// Returns the stored token for a request, without contacting a service. Returns `None` if this
    /// needs a service, a secret or a fingerprint.
    ///
    /// # Errors
    /// Returns the errors of resolving the resource.
    #[doc(hidden)]
    pub fn stored(&self, request: &Request) -> Result<Option<Token>> {
        offline::stored(&self.broker.state, request)
    }

    /// Returns a setting of the session's account, read from its source, which may be a plugin.
    /// Returns `None` if it is not set.
    ///
    /// # Errors
    /// Returns the errors of the source.
    #[doc(hidden)]
    pub fn secret(&self, key: &str) -> Result<Option<Secret>> {
        self.service_context(0, false).setting(key)
    }

    /// Ends the waits, exchanges and pauses of all calls, which then return
    /// [`ErrorKind::Cancelled`]. Waits for nothing.
    #[doc(hidden)]
    pub fn close(&self) {
        self.broker.begin_close(Instant::now() + MAX_RENEWAL_AT_END);
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup {
            state: &self.broker.state,
            account: self.account,
        }
    }

    fn service_context(&self, service: usize, explicit: bool) -> ServiceContext<'_> {
        let timeout = self.broker.state.timeout;
        service_context(&self.broker, self.account, service, explicit, timeout)
    }

    fn service(
        &self,
        is: impl Fn(&BoundService) -> bool,
        name: &str,
    ) -> Result<(usize, &BoundService)> {
        service(&self.broker, self.account, is, name)
    }
}

/// Returns a token for a request, as [`Session::token_for`] does.
fn token_for(broker: &Arc<Broker>, request: &Request) -> Result<Token> {
    if request.login.is_none() {
        return broker.token_for(request);
    }
    if request.cancel.is_cancelled() {
        return Err(single_flight::cancelled());
    }
    let account = broker.state.accounts.number(request.account.as_deref())?;
    log_in(broker, account, request)
}

/// Logs in to MASV with the credentials of a request, within its timeout.
fn log_in(broker: &Arc<Broker>, account: usize, request: &Request) -> Result<Token> {
    let _budget = WaitBudget::begin(None);
    let Login { email, password } = request.login.clone().unwrap_or_default();
    let state = &broker.state;
    let (number, bound) = service(
        broker,
        account,
        |bound| bound.service.name() == "masv",
        "masv",
    )?;
    let timeout = request.timeout.unwrap_or(state.timeout);
    let key = bound.key(ResourceKind::User, "", Access::Full);
    let context = service_context(broker, account, number, true, timeout);
    let (email, password) = given_or_set(&context, email, password)?;
    let context = ServiceContext {
        key: Some(&key),
        ..context
    };
    let acquired = bound
        .service
        .login(&email, &password, &context)
        .map_err(|error| {
            context
                .with_sources(error)
                .with_service(bound.service.name())
        })?;
    state.backoff.forget(|other| *other == key);
    Persistence::new(state, bound).store_login(
        Acquisition::new(account, number, key.clone()),
        acquired,
        &email,
    )
}

fn service_context(
    broker: &Arc<Broker>,
    account: usize,
    service: usize,
    explicit: bool,
    timeout: Duration,
) -> ServiceContext<'_> {
    ServiceContext {
        state: &broker.state,
        prerequisites: broker,
        account,
        service,
        explicit,
        used: RefCell::default(),
        key: None,
        flight: None,
        newer: None,
        reader: RefCell::new(broker.state.http.reader(account)),
        deadline: Some(Instant::now() + timeout),
        caller_timeout: None,
    }
}

/// Returns the first service of an account that `is` accepts, and its number.
fn service<'a>(
    broker: &'a Broker,
    account: usize,
    is: impl Fn(&BoundService) -> bool,
    name: &str,
) -> Result<(usize, &'a BoundService)> {
    let services = &broker.state.accounts.account(account).services;
    services
        .iter()
        .enumerate()
        .find(|(_, bound)| is(bound))
        .ok_or_else(|| no_service(name))
}

impl Drop for Session {
    fn drop(&mut self) {
        self.broker.close();
    }
}

/// Returns the e-mail address and the password for an explicit login: the given ones, else the
/// configured ones. A missing or malformed value is an error here, because the service would treat
/// it as an attempt with a wrong password.
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
                format!("`{name}` is neither given nor set; set it, or pass it to the login"),
            )
        };
        let found = found.ok_or_else(missing)?;
        found.check(name).map(|()| found)
    };
    Ok((one(email, "masv.email")?, one(password, "masv.password")?))
}

/// Returns whether the tokens of this kind of resource are cached under the resource's own key. A link
/// has the token of its package, and a session has none.
#[inline]
fn has_own_token(resource_kind: ResourceKind) -> bool {
    !matches!(resource_kind, ResourceKind::Link | ResourceKind::Session)
}

fn settle(look: Peek) -> Result<usize, ErrorKind> {
    match look {
        Peek::Line(len) => Ok(len),
        Peek::Multiple => Err(ErrorKind::MultipleHeaders),
        Peek::Miss | Peek::RefreshDue => Err(ErrorKind::NotCached),
    }
}
