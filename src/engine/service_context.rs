//! The engine's functions for a service during one flight: settings, other tokens, and HTTP
//! exchanges with retries, pauses and the negative cache.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::SettingDefinition;
use crate::engine::accounts::BoundService;
use crate::engine::negative_cache;
use crate::engine::persistence;
use crate::engine::rejections::Asker;
use crate::engine::replacement;
use crate::engine::saves::RunningRenewal;
use crate::engine::state::{self, Blocked, EngineState};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, Fingerprint, ResourceKind, TokenKey};
use crate::model::timestamp;
use crate::model::token::Token;
use crate::ports::http::{Failure, Method, Reader, Request, Response};
use crate::ports::service::{Context, FoundToken};
use crate::ports::store::RecordLock;
use crate::secret::Secret;
use crate::secret_sources::{self, PluginSecrets};

/// Fetches the other data that a flight needs: tokens, and whole lists such as the packages of a
/// team. The broker implements this trait.
pub trait Prerequisites {
    /// Returns another token that the flight needs, for a resource. `caller_timeout` is the timeout of
    /// the caller that began the flight, if it has one. Calls `before_fetch` if the token is not
    /// cached, or is due for a refresh.
    ///
    /// # Errors
    /// Returns the errors of fetching the token.
    fn token(
        &self,
        account: usize,
        service: usize,
        key: TokenKey,
        resource: &str,
        caller_timeout: Option<Duration>,
        before_fetch: &dyn Fn(),
    ) -> Result<Token>;

    /// Returns the tokens of a list. The list is fetched only once for all flights that need it at
    /// the same time.
    ///
    /// # Errors
    /// Returns the errors of `job`.
    fn listing(
        &self,
        account: usize,
        service: usize,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>>;
}

/// The lock that a flight holds, and whether the flight has used the service.
pub struct LockedFlight<'a> {
    /// The lock of the key that is being fetched.
    pub lock: &'a dyn RecordLock,
    /// Whether the service may have used what was sent: it received some of a request, and did not
    /// answer 429.
    pub sent: Cell<bool>,
    /// The renewal that the flight has taken from the store, until it is rejected or its outcome is
    /// being saved.
    pub renewal: RefCell<Option<RunningRenewal>>,
}

/// The context of one flight to one service.
pub struct ServiceContext<'a> {
    /// The engine's shared state.
    pub state: &'a EngineState,
    /// Fetches other tokens and lists.
    pub prerequisites: &'a dyn Prerequisites,
    /// The number of the account.
    pub account: usize,
    /// The number of the service in that account.
    pub service: usize,
    /// Whether a person asked for this login. Such a login is sent even if the negative cache has a
    /// failure of its secrets.
    pub explicit: bool,
    /// The credential settings that were read, for messages.
    pub used: RefCell<Vec<String>>,
    /// The key that is being fetched, if any.
    pub key: Option<&'a TokenKey>,
    /// The lock of that key. `None` outside a flight.
    pub flight: Option<&'a LockedFlight<'a>>,
    /// Returns the token of `key`, if another flight has cached it since this flight began.
    pub newer: Option<&'a dyn Fn() -> Option<Token>>,
    /// Sends the reads.
    pub reader: RefCell<Box<dyn Reader + 'a>>,
    /// The deadline for all exchanges, if the caller runs them on its own thread. `None` in a
    /// flight, because its callers have deadlines of their own.
    pub deadline: Option<Instant>,
    /// The timeout of the caller that began the flight, if it has one.
    pub caller_timeout: Option<Duration>,
}

/// The maximum number of retries of a read.
const REPEATS: u32 = 2;
/// The upper limit of the random pause before the first retry. It doubles with each retry.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest `Retry-After` that a flight waits for. If the `Retry-After` is longer, the flight
/// fails, and the error contains it.
const LONGEST_WAIT_MS: u64 = 2_000;

/// Logs the service, method, URL, status and duration of an exchange. The URL has no query, which
/// may contain the secret of a link, and only this path.
pub fn log_exchange(
    service: &str,
    request: &Request,
    path: Option<&str>,
    outcome: &Result<Response, Failure>,
    began: Instant,
) {
    let (method, url, ms) = (
        request.method.name(),
        &request.url,
        began.elapsed().as_millis(),
    );
    let origin = url.origin().ascii_serialization();
    let path = path.unwrap_or("/…");
    match outcome {
        Ok(Response { status, .. }) => log::write(
            Level::Debug,
            format_args!("{service}: {method} {origin}{path}: status {status} after {ms} ms"),
        ),
        Err(Failure { error, .. }) => log::write(
            Level::Debug,
            format_args!("{service}: {method} {origin}{path}: failed after {ms} ms: {error}"),
        ),
    }
}

impl ServiceContext<'_> {
    pub(super) fn bound(&self) -> &BoundService {
        self.state.accounts.bound(self.account, self.service)
    }

    /// Returns the fingerprint of secrets that are sent together.
    #[expect(
        clippy::disallowed_methods,
        reason = "a fingerprint says which secrets a service refused"
    )]
    pub(super) fn fingerprint_of(&self, secrets: &[&Secret]) -> Fingerprint {
        let exposed: Vec<&str> = secrets.iter().map(|secret| secret.expose()).collect();
        self.state.fingerprint(self.bound(), &exposed)
    }

    /// Names the sources of the credentials that were read in the error for their rejection.
    ///
    /// The recorded error does not name them: another process may read the same secret from another
    /// source.
    pub fn with_sources(&self, error: Error) -> Error {
        if error.kind != ErrorKind::BadCredentials {
            return error;
        }
        let profile = &self.bound().profile;
        let used = self.used.borrow();
        let source = |name: &String| Some(format!("`{name}` from {}", profile.source_of(name)?));
        error.with_sources(
            &used
                .iter()
                .filter_map(source)
                .collect::<Vec<_>>()
                .join(" and "),
        )
    }

    /// Notes that a setting was read, if it may be a credential.
    pub(super) fn note_used(&self, name: &str) {
        let is_other = |field: &SettingDefinition| !field.secret && name != "masv.email";
        let mut used = self.used.borrow_mut();
        if !SettingDefinition::find(name).is_some_and(is_other) && !used.iter().any(|it| it == name)
        {
            used.push(name.to_owned());
        }
    }

    /// Links the failure recorded under a fingerprint to the key that is being fetched.
    fn note_refusal_key(&self, fingerprint: Fingerprint) {
        self.key
            .iter()
            .for_each(|key| self.state.note_refusal(key, fingerprint));
    }

    /// Returns the resource for which this flight needs other tokens: the token that it fetches.
    fn resource(&self) -> String {
        self.key.map(TokenKey::to_string).unwrap_or_default()
    }

    /// Returns the fingerprint of the throttles of the reads of this user.
    pub(super) fn pause_fingerprint(&self) -> Fingerprint {
        let owner = self
            .key
            .and_then(|key| persistence::owner(self.bound(), key))
            .map(|owner| owner.to_string())
            .unwrap_or_default();
        self.state.fingerprint(self.bound(), &["pause", &owner, ""])
    }

    /// Returns the fingerprint of the renewal of the key that is being fetched.
    fn renewal_fingerprint(&self) -> Fingerprint {
        let parts = self.key.map_or(["renewal", "", ""], |key| {
            ["renewal", key.resource_kind.name(), &key.id]
        });
        self.state.fingerprint(self.bound(), &parts)
    }

    /// Checks whether the key may be renewed now.
    ///
    /// # Errors
    /// Returns the recorded error of the last renewal until the backoff for that error ends.
    pub fn check_renewal(&self) -> Result<()> {
        let fingerprint = self.renewal_fingerprint();
        let Some(error) = self.recorded_failure(&fingerprint) else {
            return Ok(());
        };
        self.note_refusal_key(fingerprint);
        Err(error)
    }

    /// Checks that no other process fetches the same token, before a request that spends something.
    fn check_lock(&self) -> Result<()> {
        match self.flight {
            Some(flight) if !flight.lock.still_held() => Err(Error::new(
                ErrorKind::Busy,
                "cannot send the request: the store's lock was lost, so another process may send it too; retry",
            )),
            _ => Ok(()),
        }
    }

    /// Does something that the flight waits for. Callers that time out meanwhile get the error of
    /// `why`.
    fn while_blocked<T>(&self, why: Option<Blocked>, wait: impl FnOnce() -> T) -> T {
        let Some((key, why)) = self.key.zip(why) else {
            return wait();
        };
        self.state.blocked.lock().insert(key.clone(), why);
        let outcome = wait();
        self.state.blocked.lock().remove(key);
        outcome
    }

    fn now_us(&self) -> i64 {
        self.state.now_us(self.bound())
    }

    /// Returns whether the flight is sending a renewal secret.
    fn is_renewal(&self) -> bool {
        self.flight
            .is_some_and(|flight| flight.renewal.borrow().is_some())
    }

    /// Returns whether a request uses up nothing, so that it may share a connection with other
    /// reads, and may be sent again if its response is lost.
    ///
    /// The GET of a plugin may be a login, for all that keyferry knows.
    fn is_read(&self, request: &Request) -> bool {
        request.method == Method::Get && !self.bound().service.is_foreign() && !self.is_renewal()
    }

    /// Makes one exchange. Redirects, 429, and 5xx except 501 become errors.
    fn exchange(&self, request: &Request) -> Result<Response, Failure> {
        let state = self.state;
        state.stats.exchanges.fetch_add(1, Ordering::Relaxed);
        let began_us = state.steady.now_us();
        let began = Instant::now();
        let deadline = began + state.timeout;
        let deadline = self.deadline.map_or(deadline, |at| at.min(deadline));
        let outcome = if self.is_renewal() {
            state.http.exchange_to_end(self.account, request, deadline)
        } else if self.is_read(request) {
            self.reader.borrow_mut().read(request, deadline)
        } else {
            state.http.exchange(self.account, request, deadline)
        };
        let may_be_used = match &outcome {
            Ok(response) => response.status != 429,
            Err(failure) => failure.sent,
        };
        self.flight
            .filter(|_| may_be_used)
            .iter()
            .for_each(|flight| flight.sent.set(true));
        let service = &*self.bound().service;
        // The paths of a plugin's URLs may contain secrets.
        let path = (!service.is_foreign()).then(|| request.url.path());
        log_exchange(service.name(), request, path, &outcome, began);
        let response = outcome?;
        let ended_us = state.steady.now_us();
        let set_back_us = state.steady.set_back_us();
        match response.date_unix_s {
            Some(date) => {
                self.bound()
                    .learn_skew(date, began_us..=ended_us, set_back_us);
            }
            None => self.bound().learn_no_date(set_back_us),
        }
        match self.fault(&response) {
            Some(error) => Err(Failure { error, sent: true }),
            None => Ok(response),
        }
    }

    /// Returns the failure that is recorded under a fingerprint, if the service must not be
    /// contacted yet.
    fn recorded_failure(&self, fingerprint: &Fingerprint) -> Option<Error> {
        let now_us = self.state.clock.now_us();
        let error = negative_cache::lookup(&*self.state.store, fingerprint, now_us)?;
        log::write(
            Level::Debug,
            format_args!(
                "{}: no request for the next {} ms, because the last one failed: {error}",
                self.bound().service.name(),
                error.retry_after_ms.unwrap_or(0)
            ),
        );
        Some(error)
    }

    /// Waits before a retry. Returns false if there is no time for the pause, or the session
    /// closes.
    fn pause(&self, pause: Duration) -> bool {
        log::write(
            Level::Debug,
            format_args!(
                "{}: retry after a pause of {} ms",
                self.bound().service.name(),
                pause.as_millis()
            ),
        );
        self.deadline.is_none_or(|at| Instant::now() + pause < at) && self.state.pause(pause)
    }

    /// Returns the error for a redirect, a 429, or a 5xx except 501.
    fn fault(&self, response: &Response) -> Option<Error> {
        let (name, title, status) = (
            self.bound().service.name(),
            self.bound().service.title(),
            response.status,
        );
        let after = response
            .retry_after
            .as_deref()
            .and_then(|text| retry_after_ms(text, self.now_us()));
        let error = match status {
            300..=399 => {
                let what = format!(
                    "{title} returned a redirect ({status}), which is never followed; check `{name}.url`"
                );
                Error::new(ErrorKind::Redirected, what)
            }
            429 => Error::new(
                ErrorKind::Throttled,
                format!("{title} is rate limiting requests (429); retry later"),
            )
            .with_retry_after_ms(after),
            500 | 502..=599 => {
                let what = format!("{title} is unavailable (status {status}); retry later");
                Error::new(ErrorKind::Unavailable, what).with_retry_after_ms(after)
            }
            _ => return None,
        };
        Some(error.with_http_status(status))
    }
}

impl ServiceContext<'_> {
    /// Sends a read. A GET is retried at most 2 times.
    fn read(&self, request: &Request) -> Result<Response> {
        let repeats = if request.method == Method::Get && !self.is_renewal() {
            REPEATS
        } else {
            0
        };
        let mut pause = PAUSE;
        for _ in 0..repeats {
            let error = match self.exchange(request) {
                Ok(response) => return Ok(response),
                Err(failure) => failure.error,
            };
            let asked = error.retry_after_ms.unwrap_or(0);
            if !error.is_transient() || asked > LONGEST_WAIT_MS {
                return Err(error);
            }
            let jittered = pause.mul_f64(f64::from(state::random()) / 255.0);
            if !self.pause(jittered.max(Duration::from_millis(asked))) {
                return Err(error);
            }
            pause *= 2;
        }
        self.exchange(request).map_err(|failure| failure.error)
    }

    /// Records the outcome of a read, for all reads that share this fingerprint.
    fn note_read(&self, whose: &Fingerprint, error: Option<&mut Error>) {
        let (store, now_us) = (&*self.state.store, self.state.clock.now_us());
        let Some(error) = error else {
            return negative_cache::clear_throttle(store, whose, now_us);
        };
        if negative_cache::record_throttle(store, whose, error, now_us) {
            self.note_refusal_key(*whose);
        }
    }

    /// Pauses before the retry of a login. Returns whether the login may be retried.
    fn may_repeat(&self, failure: &Failure) -> bool {
        let error = &failure.error;
        match error.retry_after_ms {
            Some(asked) if error.kind == ErrorKind::Throttled => {
                asked <= LONGEST_WAIT_MS && self.pause(Duration::from_millis(asked))
            }
            _ => !failure.sent && error.is_transient() && self.pause(PAUSE),
        }
    }

    /// Sends a login. If the login was not sent, retries it once: the service cannot treat the
    /// retry as a second attempt with a wrong password. Also retries it once if the service asked
    /// for a retry soon.
    fn send_secrets(&self, request: &Request) -> Result<Response> {
        let outcome = match self.exchange(request) {
            Err(failure) if self.may_repeat(&failure) => self.exchange(request),
            outcome => outcome,
        };
        outcome.map_err(|failure| failure.error)
    }
}

impl Context for ServiceContext<'_> {
    fn setting(&self, name: &str) -> Result<Option<Secret>> {
        let profile = &self.bound().profile;
        match profile.setting(name) {
            Some(setting) => {
                self.note_used(name);
                // A caller that times out while the secret is read gets the error of
                // `timeout_error`.
                let why = secret_sources::timeout_error(setting, name).map(Blocked::By);
                if let Some(layer) = profile.layer_of(name) {
                    let service = self.bound().service.name();
                    log::write(
                        Level::Debug,
                        format_args!("{service}: `{name}` is set by {layer}"),
                    );
                }
                let resolved = self.while_blocked(why, || {
                    secret_sources::resolve_with(setting, name, profile.environment(), self)
                });
                if let (Ok(value), Some(key)) = (&resolved, self.key) {
                    persistence::note_used(self.bound(), key, name, setting, value);
                }
                resolved.map(Some)
            }
            None => Ok(profile.text(name).map(Secret::from)),
        }
    }

    fn token(&self, resource_kind: ResourceKind, id: &str, access: Access) -> Result<Token> {
        let key = self.bound().key(resource_kind, id, access);
        let connect = || {
            // The service reads with this token next. Connect while the login runs.
            if resource_kind == ResourceKind::User
                && let Ok(url) = self.bound().service.base().join("/")
            {
                self.reader.borrow_mut().open(&url);
            }
        };
        self.while_blocked(Some(Blocked::OnToken(key.clone())), || {
            self.prerequisites.token(
                self.account,
                self.service,
                key,
                &self.resource(),
                self.caller_timeout,
                &connect,
            )
        })
    }

    fn reject(&self, token: &Token) {
        if let Err(error) = replacement::reject(self.state, token, Asker::Flight(&self.resource()))
        {
            log::write(
                Level::Warn,
                format_args!("cannot record that a token was rejected: {error}"),
            );
        }
    }

    fn send(&self, request: &Request) -> Result<Response> {
        let fingerprint = self.pause_fingerprint();
        if let Some(error) = self.recorded_failure(&fingerprint) {
            self.note_refusal_key(fingerprint);
            return Err(error);
        }
        let mut outcome = self.read(request);
        // The throttle applies to all reads of this user, in every process.
        self.note_read(&fingerprint, outcome.as_mut().err());
        outcome
    }

    fn send_no_retry(&self, request: &Request) -> Result<Response> {
        self.check_renewal()?;
        self.check_lock()?;
        let (store, fingerprint) = (&*self.state.store, self.renewal_fingerprint());
        let mut outcome = self.exchange(request).map_err(|failure| failure.error);
        let error = outcome.as_mut().err();
        // Record the outcome for all processes, as for a login. A lost response is not recorded,
        // because the service may have used up the renewal secret. A login follows then, and it has
        // its own pauses.
        if error
            .as_ref()
            .is_none_or(|error| error.kind != ErrorKind::NoResponse)
        {
            negative_cache::record(store, &fingerprint, error, self.state.clock.now_us());
        }
        if outcome.is_err() {
            self.note_refusal_key(fingerprint);
        }
        outcome
    }

    fn login(
        &self,
        secrets: &[&Secret],
        request: &Request,
        refused: &dyn Fn(&Response) -> Option<Error>,
    ) -> Result<Response> {
        let (store, fingerprint) = (&*self.state.store, self.fingerprint_of(secrets));
        let recorded = (!self.explicit).then(|| self.recorded_failure(&fingerprint));
        if let Some(error) = recorded.flatten() {
            self.state
                .stats
                .refused_from_memory
                .fetch_add(1, Ordering::Relaxed);
            self.note_refusal_key(fingerprint);
            return Err(error);
        }
        self.check_lock()?;
        self.state.stats.logins.fetch_add(1, Ordering::Relaxed);
        let outcome = if self.is_read(request) {
            self.read(request)
        } else {
            self.send_secrets(request)
        };
        let mut outcome = outcome.and_then(|response| refused(&response).map_or(Ok(response), Err));
        if request.method == Method::Get
            && outcome
                .as_ref()
                .err()
                .is_none_or(|error| error.kind != ErrorKind::BadCredentials)
        {
            // A GET that failed without a rejection says nothing about its API key. Record only a
            // throttle, so that the failure does not block the key.
            self.note_read(&fingerprint, outcome.as_mut().err());
        } else {
            negative_cache::record(
                store,
                &fingerprint,
                outcome.as_mut().err(),
                self.state.clock.now_us(),
            );
        }
        if outcome.is_err() {
            self.note_refusal_key(fingerprint);
        }
        outcome
    }

    fn keep_connection(&self) {
        self.reader.borrow_mut().keep();
    }

    fn record_refusal(&self, secrets: &[&Secret], error: &mut Error) {
        if secrets.is_empty() {
            return;
        }
        let fingerprint = self.fingerprint_of(secrets);
        negative_cache::record(
            &*self.state.store,
            &fingerprint,
            Some(error),
            self.state.clock.now_us(),
        );
        self.note_refusal_key(fingerprint);
    }

    fn is_closing(&self) -> bool {
        self.state.closed.load(Ordering::Relaxed)
    }

    fn coalesce(
        &self,
        name: &str,
        job: &mut dyn FnMut() -> Result<Vec<FoundToken>>,
    ) -> Result<Arc<Vec<FoundToken>>> {
        // Another flight has fetched a list with this token, and cached the token, since this
        // flight began. `Fetch::run` returns the cached token and drops this error.
        if self.newer.is_some_and(|newer| newer().is_some()) {
            return Err(Error::new(
                ErrorKind::Busy,
                "another request has fetched this token meanwhile; retry",
            ));
        }
        // Flights that share the list did not read the credentials themselves.
        let mut job = || job().map_err(|error| self.with_sources(error));
        self.prerequisites
            .listing(self.account, self.service, name, &mut job)
    }

    fn fingerprint(&self, parts: &[&str]) -> Fingerprint {
        self.state.fingerprints().of(parts)
    }

    fn now_unix_s(&self) -> i64 {
        self.now_us().div_euclid(1_000_000)
    }
}

impl PluginSecrets for ServiceContext<'_> {
    /// Reads a secret from a plugin, in the context of the plugin's own service: with its clock,
    /// its pauses and its recorded failures.
    fn secret(&self, plugin: &str, what: &str) -> Result<Secret> {
        let service = self.state.accounts.plugin(self.account, plugin)?;
        let context = ServiceContext {
            service,
            used: RefCell::default(),
            key: None,
            newer: None,
            reader: RefCell::new(self.state.http.reader(self.account)),
            ..*self
        };
        context.bound().service.secret(what, &context)
    }
}

/// Parses a `Retry-After`, which is a number of seconds or a date, into milliseconds from now, at most 15 min.
/// Returns `None` if it is malformed or a date in the past.
pub fn retry_after_ms(text: &str, now_us: i64) -> Option<u64> {
    let most = negative_cache::MAX_RETRY_AFTER_US as u64 / 1000;
    let text = text.trim();
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return Some(((seconds * 1000.0).ceil() as u64).min(most));
    }
    let left_us = timestamp::parse(text)?
        .checked_mul(1_000_000)?
        .checked_sub(now_us)?;
    u64::try_from(left_us / 1000).ok().map(|ms| ms.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now_us = 1_800_000_000_000_000;
        let table = [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(900_000)),
            ("86400", Some(900_000)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1.5", Some(1_500)),
            ("0.0001", Some(1)),
            ("1.2.3", None),
            (".", None),
            ("-0.5", None),
            ("1e3", None),
            ("inf", None),
            ("Fri, 15 Jan 2027 08:00:30 GMT", Some(30_000)),
            ("Fri, 15 Jan 2027 07:00:30 GMT", None),
            ("Friday, 15-Jan-27 08:00:30 GMT", Some(30_000)),
            ("Fri Jan 15 08:00:30 2027", Some(30_000)),
            ("2027-01-15T08:00:30Z", Some(30_000)),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after_ms(text, now_us), expected, "{text:?}");
        }
    }
}
