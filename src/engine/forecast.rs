//! Finds out what the next fetch of a token would do, without a request to a service.
//!
//! The service acquires the token as in a flight, with a context that stops where a flight would send
//! its first request. Until then the context checks the recorded failures as a flight does.
//!
//! A plugin is not called, because its code may do anything. For a plugin's service, the forecast
//! checks the recorded failures of the secrets that the plugin may read.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Setting;
use crate::engine::acquisition::Acquisition;
use crate::engine::negative_cache;
use crate::engine::persistence::Persistence;
use crate::engine::service_context::{Prerequisites, ServiceContext};
use crate::engine::state::EngineState;
use crate::error::{Error, ErrorKind, Result};
use crate::model::key::{Access, Fingerprint, ResourceKind, TokenKey};
use crate::model::token::Token;
use crate::ports::http::{Request, Response};
use crate::ports::service::{Acquired, Context, FoundToken};
use crate::secret::Secret;
use crate::secret_sources;

/// The secret sources that a forecast may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Values, variables and files.
    Quick,
    /// Also keyrings and commands. Plugins are not read, because they may send requests.
    All,
}

/// The first thing that a fetch would do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NextStep {
    /// The fetch needs no request: the token is a configured secret, in a header of this name.
    UseSecret(String),
    /// It would send the user's secrets to the service.
    LogIn,
    /// It would send a request without the user's secrets.
    Ask,
    /// It would read the secret of this setting, whose source the forecast does not read.
    ReadSecret(String),
    /// It would call `acquire` of the plugin that provides the service.
    CallPlugin {
        /// The settings that the plugin declares without a default value, and that are not set.
        unset: Vec<String>,
    },
    /// It would fail.
    Fail {
        /// The error. Its `retry_after_ms` is the time until the service is contacted again.
        error: Error,
        /// When the recorded failure happened, in seconds since 1970. `None` if nothing was recorded.
        since_unix_s: Option<i64>,
    },
}

/// The next step of a fetch, and the credential settings that it would use.
pub struct Forecast {
    /// The next step.
    pub next: NextStep,
    /// The settings.
    pub settings: Vec<String>,
}

/// Says what the fetch of a token would do, if neither the cache nor the store has the token.
pub fn forecast(state: &EngineState, acquisition: &Acquisition, sources: Sources) -> Forecast {
    let dry_run = DryRun {
        context: ServiceContext {
            state,
            prerequisites: &NoFlights,
            account: acquisition.account,
            service: acquisition.service,
            explicit: false,
            used: RefCell::default(),
            key: Some(&acquisition.key),
            flight: None,
            newer: None,
            reader: RefCell::new(state.http.reader(acquisition.account)),
            deadline: Some(Instant::now() + state.timeout),
            caller_timeout: None,
        },
        sources,
        stopped_at: RefCell::default(),
    };
    let outcome = dry_run.run(acquisition);
    let next = match (dry_run.stopped_at.take(), outcome) {
        (Some(step), _) => step,
        (None, Ok(header)) => NextStep::UseSecret(header),
        (None, Err(error)) => NextStep::Fail {
            since_unix_s: error.since_unix_s,
            error: dry_run.context.with_sources(error),
        },
    };
    Forecast {
        next,
        settings: dry_run.context.used.take(),
    }
}

/// The context of a fetch that sends nothing.
struct DryRun<'a> {
    context: ServiceContext<'a>,
    sources: Sources,
    /// The step at which the fetch was stopped.
    stopped_at: RefCell<Option<NextStep>>,
}

/// The maximum number of secrets of a plugin for which a forecast looks for recorded failures. A
/// plugin may send any of them together, so more would need too many reads of the store.
const MAX_PLUGIN_SECRETS: usize = 4;

impl DryRun<'_> {
    /// Does what a flight does before its first request. Returns the name of the header if the token
    /// needs no request.
    fn run(&self, acquisition: &Acquisition) -> Result<String> {
        let (state, bound) = (self.context.state, self.context.bound());
        let (key, now_us) = (&acquisition.key, state.clock.now_us());
        let tokens = Persistence::new(state, bound);
        state.backoff.remaining(key, now_us).map_or(Ok(()), Err)?;
        tokens.check_unusable(key)?;
        if tokens.record(key).is_some() {
            self.context.check_renewal()?;
        }
        if bound.service.is_foreign() {
            self.check_plugin_secrets(acquisition)?;
            return Err(self.stop(self.plugin_call()));
        }
        let acquired = bound.service.acquire(&acquisition.spec(), self)?;
        self.header_of(&acquired)
    }

    /// Returns the failure that is recorded for the secrets of a plugin, or for its requests without
    /// secrets, as an error. The plugin sends the secrets that it reads, so this looks for each
    /// selection of them.
    fn check_plugin_secrets(&self, acquisition: &Acquisition) -> Result<()> {
        let key = &acquisition.key;
        let service = &self.context.bound().service;
        let mut secrets = Vec::new();
        for name in service.owner_settings(key.resource_kind, key.access) {
            secrets.extend(self.setting(name)?);
        }
        secrets.truncate(MAX_PLUGIN_SECRETS);
        // Bit N of a selection says whether it has secret N.
        for selection in 1_u32..1 << secrets.len() {
            let chosen: Vec<&Secret> = (secrets.iter().enumerate())
                .filter(|(index, _)| selection & (1 << index) != 0)
                .map(|(_, secret)| secret)
                .collect();
            self.check(&self.context.fingerprint_of(&chosen))?;
        }
        self.check(&self.context.pause_fingerprint())
    }

    /// Returns the call of the plugin that a fetch would begin with.
    fn plugin_call(&self) -> NextStep {
        let bound = self.context.bound();
        let required = bound.service.settings_without_default().into_iter();
        NextStep::CallPlugin {
            unset: required
                .filter(|name| !bound.profile.is_set(name))
                .map(str::to_owned)
                .collect(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a failure is recorded under the fingerprint of the secret"
    )]
    fn header_of(&self, acquired: &Acquired) -> Result<String> {
        let (name, value) = &acquired.found.new_token.headers[0];
        let parts = [value.expose()];
        self.check(&self.context.state.fingerprint(self.context.bound(), &parts))?;
        Ok(name.clone())
    }

    /// Returns the failure that is recorded under a fingerprint, as an error.
    fn check(&self, fingerprint: &Fingerprint) -> Result<()> {
        let state = self.context.state;
        let now_us = state.clock.now_us();
        let found = negative_cache::lookup(&*state.store, fingerprint, now_us);
        found.map_or(Ok(()), Err)
    }

    /// Stops the fetch at a step.
    fn stop(&self, step: NextStep) -> Error {
        self.stopped_at.replace(Some(step));
        Error::new(ErrorKind::Cancelled, "")
    }
}

impl Context for DryRun<'_> {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        let is_read = |setting: &Setting| match setting {
            Setting::Plugin(..) => false,
            _ => self.sources == Sources::All || secret_sources::is_quick(setting),
        };
        let setting = self.context.bound().profile.setting(name);
        if setting.is_some_and(|setting| !is_read(setting)) {
            self.context.note_used(name);
            return Err(self.stop(NextStep::ReadSecret(name.to_owned())));
        }
        self.context.setting(name)
    }

    fn token(&self, resource_kind: ResourceKind, id: &str, access: Access) -> Result<Token> {
        let (state, bound) = (self.context.state, self.context.bound());
        let tokens = Persistence::new(state, bound);
        let key = bound.key(resource_kind, id, access);
        let acquisition = Acquisition::new(self.context.account, self.context.service, key);
        let known = tokens
            .load_newer(&acquisition)
            .or_else(|| Some(tokens.cached(&acquisition.key)?.token));
        known.ok_or_else(|| {
            let Forecast { next, settings } = forecast(state, &acquisition, self.sources);
            self.context.used.borrow_mut().extend(settings);
            self.stop(next)
        })
    }

    fn reject(&self, _token: &Token) {}

    fn send(&self, _request: &Request) -> Result<Response> {
        self.check(&self.context.pause_fingerprint())?;
        Err(self.stop(NextStep::Ask))
    }

    fn send_no_retry(&self, _request: &Request) -> Result<Response> {
        Err(self.stop(NextStep::Ask))
    }

    fn login(
        &self,
        secrets: &[&Secret],
        _request: &Request,
        _refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response> {
        self.check(&self.context.fingerprint_of(secrets))?;
        Err(self.stop(NextStep::LogIn))
    }

    fn record_refusal(&self, _secrets: &[&Secret], _error: &mut Error) {}

    fn coalesce(
        &self,
        _name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        job().map(Arc::new)
    }

    fn fingerprint(&self, parts: &[&str]) -> Fingerprint {
        self.context.fingerprint(parts)
    }

    fn now_unix_s(&self) -> i64 {
        self.context.now_unix_s()
    }

    fn is_closing(&self) -> bool {
        self.context.is_closing()
    }
}

/// The prerequisites of a dry run, which fetches none.
struct NoFlights;

impl Prerequisites for NoFlights {
    fn token(
        &self,
        _account: usize,
        _service: usize,
        _key: TokenKey,
        _resource: &str,
        _caller_timeout: Option<Duration>,
        _before_fetch: &dyn Fn(),
    ) -> Result<Token> {
        Err(Error::new(ErrorKind::Cancelled, ""))
    }

    fn listing(
        &self,
        _account: usize,
        _service: usize,
        _name: &str,
        _job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        Err(Error::new(ErrorKind::Cancelled, ""))
    }
}
