//! Looks up and stores the tokens of one service, in the cache and the store.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::Value;

use crate::config::Setting;
use crate::engine::accounts::{BoundService, ResolvedResource, limited_skew};
use crate::engine::acquisition::{Acquisition, accesses, key_prefix, no_header, opened_by};
use crate::engine::cache::entry::{CachedToken, RefreshTimes};
use crate::engine::freshness;
use crate::engine::negative_cache;
use crate::engine::rejections::Asker;
use crate::engine::replacement;
use crate::engine::saves::{MAX_SAVE_WAIT, RunningRenewal};
use crate::engine::single_flight::Flight;
use crate::engine::state::{self, EngineState};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, Fingerprint, ResourceKind, TokenKey};
use crate::model::request::Request;
use crate::model::token::{NO_EXPIRY, Token, TokenKind, TokenMeta};
use crate::ports::service::{Acquired, FoundToken};
use crate::ports::store::{
    FailureRecord, Reach, Record, RecordClock, RecordLock, RejectLogin, Saved,
};
use crate::secret::Secret;
use crate::secret_sources;

/// A smaller difference between the boot-time clock and the wall clock is ignored.
const SET_BACK_FLOOR_US: i64 = 2_000_000;

/// How a flight stores its token.
#[derive(Clone, Copy)]
pub struct FlightSave<'a> {
    /// The lock of the flight's key.
    pub lock: &'a dyn RecordLock,
    /// The renewal that returned the token, if one did. It ends when the save begins.
    pub renewal: &'a RefCell<Option<RunningRenewal>>,
    /// The callers that wait for the token.
    pub waiting: &'a Flight<Token>,
    /// The login to note in the record, if a rejection caused it.
    pub login: Option<RejectLogin>,
}

/// A view of the cache and the store, for one service of one account.
#[derive(Clone, Copy)]
pub struct Persistence<'a> {
    /// The engine's shared state.
    pub state: &'a EngineState,
    /// The service.
    pub bound: &'a BoundService,
}

impl<'a> Persistence<'a> {
    /// Creates the view of one service.
    #[inline]
    pub fn new(state: &'a EngineState, bound: &'a BoundService) -> Self {
        Self { state, bound }
    }

    /// Returns the unexpired cached token for a resource. Tries the acceptable access levels in
    /// order, and returns the first token found. It is marked as rejected only if the caller must
    /// not get it, because it was rejected for this resource.
    ///
    /// # Errors
    /// [`ErrorKind::NoHeader`] if the resource needs no header; [`ErrorKind::InvalidResource`] if
    /// the link's secret is malformed.
    #[inline]
    pub fn cached_for(
        &self,
        resolved: &ResolvedResource<'_>,
        request: &Request,
        now_us: i64,
    ) -> Result<Option<CachedToken>> {
        let cache = &self.state.cache;
        if resolved.target.resource_kind == ResourceKind::Session {
            return Err(no_header(self.bound.service.name()));
        }
        if resolved.target.resource_kind == ResourceKind::Link {
            let package = opened_by(self.state, self.bound, resolved, request)?;
            return Ok(package
                .and_then(|key| cache.unexpired(&key.borrow().prefix(), &[key.access], now_us))
                .map(|hit| self.checked(hit, resolved)));
        }
        let prefix = key_prefix(self.bound, resolved);
        let accesses = accesses(resolved.target.required, request.access);
        Ok(cache
            .unexpired(&prefix, accesses, now_us)
            .map(|hit| self.checked(hit, resolved)))
    }

    #[inline]
    fn checked(&self, mut hit: CachedToken, resolved: &ResolvedResource<'_>) -> CachedToken {
        if hit.rejected {
            hit.rejected = self.forbids(&hit.token, Asker::Resource(resolved.path));
        }
        hit
    }

    /// Returns whether the asker must not get a token, because it rejected the token.
    pub fn forbids(&self, token: &Token, asker: Asker<'_>) -> bool {
        replacement::forbids(self.state, &token.key(), token.meta().generation, asker)
    }

    /// Returns the cached token if it is fresh and newer than the stale token of `acquisition`.
    pub fn newer_in_cache(&self, acquisition: &Acquisition) -> Option<Token> {
        let now_us = self.state.now_us(self.bound);
        let hit = self.cached(&acquisition.key)?;
        let newer = acquisition.accepts(hit.token.meta().generation);
        (newer && now_us < hit.times.mandatory_us).then_some(hit.token)
    }

    /// Returns whether the cache has an unexpired token that lasts as long as the request needs, and
    /// that the caller did not reject.
    pub fn serves(&self, acquisition: &Acquisition) -> bool {
        let now_us = self.state.now_us(self.bound);
        !acquisition.rejected
            && self.cached(&acquisition.key).is_some_and(|hit| {
                let meta = hit.token.meta();
                freshness::lasts(meta, acquisition.min_valid, now_us)
                    && freshness::is_recent(meta, acquisition.max_age, now_us)
            })
    }

    /// Returns the unexpired cached token of a key. For a link's key, this is the token of the
    /// link's package.
    pub fn cached(&self, key: &TokenKey) -> Option<CachedToken> {
        let alias = if key.resource_kind == ResourceKind::Link {
            Some(self.state.aliases.read().get(key).cloned()?)
        } else {
            None
        };
        let now_us = self.state.now_us(self.bound);
        self.state
            .cache
            .get(&alias.as_ref().unwrap_or(key).borrow())
            .filter(|hit| now_us < hit.token.meta().expires_us)
    }

    /// Returns the stored token if it is fresh and newer than both the stale token of `acquisition`
    /// and the cached token. Also caches the stored token if it has not expired, unless the cache
    /// has an unexpired token of the same or a later generation.
    pub fn load_newer(&self, acquisition: &Acquisition) -> Option<Token> {
        self.newer_token(acquisition, self.record(&acquisition.key)?)
    }

    /// Returns the fresh token of a usable record, as [`Persistence::load_newer`] does.
    pub fn newer_token(&self, acquisition: &Acquisition, record: Record) -> Option<Token> {
        let token = record.token.clone()?;
        let meta = *token.meta();
        let now_us = self.state.now_us(self.bound);
        let cached = self
            .cached(&acquisition.key)
            .map_or(0, |hit| hit.token.meta().generation);
        if now_us >= meta.expires_us || meta.generation <= cached {
            return None;
        }
        let times = freshness::windows(&meta, state::random());
        self.cache(&token, &times, now_us, &record.rejections);
        (acquisition.accepts(meta.generation) && now_us < times.mandatory_us).then_some(token)
    }

    /// Returns the record of a key, or of a link's package. A store that cannot be read is treated
    /// as empty. If the record belongs to another user, only its generation is returned. The clock
    /// skew in the record is applied, unless this process knows a better value.
    pub fn record(&self, key: &TokenKey) -> Option<Record> {
        let record = self.load(key)?;
        self.follow_link(key, record)
    }

    /// Returns the record that was read when the lock of a key was granted, or the record of a
    /// link's package, as [`Persistence::record`] does.
    pub fn locked_record(&self, key: &TokenKey, lock: &dyn RecordLock) -> Option<Record> {
        let record = self.usable(key, lock.record()?.clone());
        self.follow_link(key, record)
    }

    fn load(&self, key: &TokenKey) -> Option<Record> {
        let loaded = self.state.store.load(key);
        let record = loaded
            .map_err(|error| log::write(Level::Warn, format_args!("cannot look up {key}: {error}")))
            .ok()??;
        Some(self.usable(key, record))
    }

    /// Applies the generation and the clock skew of a record. Returns only the generation if the
    /// record belongs to another user. Leaves out a token that has expired by the boot-time clock.
    pub fn usable(&self, key: &TokenKey, record: Record) -> Record {
        self.state.observe_generation(record.generation);
        self.apply_stored_skew(&record.clock());
        if self.is_own(key, &record) {
            let token = record.token.clone();
            return Record {
                token: token.filter(|_| !self.has_expired_since_boot(&record)),
                ..record
            };
        }
        Record {
            generation: record.generation,
            ..Record::default()
        }
    }

    /// Returns whether the configured user owns a record.
    pub fn is_own(&self, key: &TokenKey, record: &Record) -> bool {
        let (Some(theirs), Some((name, setting))) = (record.owner, owner_setting(self.bound, key))
        else {
            return true;
        };
        let is_own = configured_owner(self.bound, name, setting) == theirs;
        // A package's or transfer's token says nothing of the user token that this process uses.
        let says_user = !matches!(
            key.resource_kind,
            ResourceKind::Package | ResourceKind::Transfer
        );
        if is_own && (says_user || self.bound.used_owner(name).is_none()) {
            self.bound.use_owner(name, theirs);
        }
        is_own
    }

    fn follow_link(&self, key: &TokenKey, record: Record) -> Option<Record> {
        let Some(alias) = record
            .alias
            .as_ref()
            .filter(|_| key.resource_kind == ResourceKind::Link)
        else {
            return Some(record);
        };
        self.state
            .aliases
            .write()
            .insert(key.clone(), alias.clone());
        self.load(alias)
    }

    /// Stores the token of an explicit login. The token's owner is the given e-mail address, unless
    /// reading `masv.email` takes long: then the owner is that reference. If another user was logged in
    /// before, that user's management and transfer tokens are dropped.
    ///
    /// # Errors
    /// Returns the errors of [`Persistence::store_acquired`].
    pub fn store_login(
        &self,
        mut acquisition: Acquisition,
        acquired: Acquired,
        email: &Secret,
    ) -> Result<Token> {
        let before = self
            .cached(&acquisition.key)
            .and_then(|hit| serde_json::from_str::<Value>(hit.token.details()).ok());
        if before.is_some_and(|before| {
            before["user"]["id"] != acquired.found.new_token.details["user"]["id"]
        }) {
            self.forget_managed();
        }
        let setting = self.bound.profile.setting("masv.email");
        if setting.is_none_or(secret_sources::is_quick) {
            let owner = named("masv.email", email);
            self.bound.use_owner("masv.email", owner);
            acquisition.owner = Some(owner);
        }
        self.store_acquired(&acquisition, acquired)
    }

    /// Drops the former user's management and transfer tokens, after another user has logged in.
    fn forget_managed(&self) {
        let is_managed = |resource_kind: ResourceKind, access: Access| {
            resource_kind == ResourceKind::Transfer
                || resource_kind == ResourceKind::Package && access == Access::Manage
        };
        let scope = &self.bound.scope;
        let cached = self.state.cache.choose(|token| {
            let meta = token.meta();
            let is_meant =
                meta.scope == scope.fingerprint() && is_managed(meta.resource_kind, meta.access);
            let key = || scope.key(meta.resource_kind, token.id(), meta.access);
            is_meant.then(|| (key(), meta.generation))
        });
        for (key, generation) in cached {
            self.state.cache.remove(&key.borrow(), generation);
        }
        let mut stored = Vec::new();
        // Ignore a failure here and below: the next lookup of the key reports a broken store.
        let _ = self.state.store.visit(&mut |record| {
            if record.scope.fingerprint() == scope.fingerprint()
                && is_managed(record.resource_kind, record.access)
            {
                stored.push((record.key(), record.generation));
            }
            ControlFlow::Continue(())
        });
        for (key, generation) in stored {
            let _ = self.state.store.forget(&key, generation, Reach::Everywhere);
        }
    }

    /// Applies the clock skew of a record: the stored skew, or the skew that the boot-time clock
    /// shows if the wall clock was set back since the token was acquired.
    pub fn apply_stored_skew(&self, record: &RecordClock) {
        let now_us = self.state.clock.now_us();
        let acquired_us = record.acquired_us.unwrap_or(i64::MIN);
        // If the token's time of acquisition is in the future, the local clock has been set back
        // since. The stored skew is then wrong, so ignore it.
        let stored_us = record
            .skew_us
            .filter(|skew_us| acquired_us.saturating_sub(*skew_us) <= now_us)
            .map(limited_skew);
        let counted_us = self
            .since_acquired_us(record)
            .map(|since_us| acquired_us.saturating_add(since_us) - now_us)
            .filter(|counted_us| counted_us - stored_us.unwrap_or(0) > SET_BACK_FLOOR_US);
        if let Some(skew_us) = counted_us.or(stored_us) {
            self.bound.set_stored_skew(
                skew_us - self.state.steady.set_back_us(),
                record.generation,
                record.skew_us.is_some(),
            );
        }
    }

    /// Returns how long ago the token of a record was acquired, by the boot-time clock. `None` if it
    /// was acquired before the last boot, or by another machine.
    fn since_acquired_us(&self, record: &RecordClock) -> Option<i64> {
        record.acquired_us?;
        let acquired = record.acquired?;
        let now = self
            .state
            .boot_time()
            .filter(|now| now.boot == acquired.boot)?;
        i64::try_from(now.at_us.checked_sub(acquired.at_us)?).ok()
    }

    /// Returns whether the boot-time clock says that the token of a record has expired.
    fn has_expired_since_boot(&self, record: &Record) -> bool {
        let life_us =
            record
                .token
                .as_ref()
                .map_or(NO_EXPIRY, |token| match token.meta().expires_us {
                    NO_EXPIRY => NO_EXPIRY,
                    expires_us => expires_us.saturating_sub(token.meta().acquired_us),
                });
        life_us != NO_EXPIRY
            && self
                .since_acquired_us(&record.clock())
                .is_some_and(|since_us| since_us >= life_us)
    }

    /// Saves a record, under the lock of its key if this flight holds it. If another record was
    /// stored meanwhile, keeps that record and returns it.
    fn save(
        &self,
        key: &TokenKey,
        record: &Record,
        lock: Option<&dyn RecordLock>,
    ) -> Option<Record> {
        let saved = match lock {
            Some(lock) => lock.save(record),
            None => self.state.store.save(key, record),
        };
        match saved {
            Ok(Saved::Kept) => None,
            Ok(Saved::Lost(winner)) => Some(*winner),
            Err(error) => {
                log::write(
                    Level::Warn,
                    format_args!("the token for {key} is cached but not stored: {error}"),
                );
                None
            }
        }
    }

    /// Stores a token that was acquired outside a flight, then caches it. A configured secret is
    /// only cached.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] if the token is malformed or has expired; the recorded error if
    /// the token is a configured secret that was rejected recently.
    pub fn store_acquired(&self, acquisition: &Acquisition, acquired: Acquired) -> Result<Token> {
        self.store_under(acquisition, acquired, None)
    }

    /// Stores the token of a flight, then caches it, as [`Persistence::store_acquired`] does. If
    /// another token was stored since the lock was granted, returns that token, and drops the token
    /// of the flight. If the save takes longer than [`MAX_SAVE_WAIT`], the callers of the flight get
    /// the token before the save ends.
    ///
    /// # Errors
    /// Returns the errors of [`Persistence::store_acquired`].
    pub fn store_fetched(
        &self,
        acquisition: &Acquisition,
        acquired: Acquired,
        flight: FlightSave<'_>,
    ) -> Result<Token> {
        self.store_under(acquisition, acquired, Some(flight))
    }

    fn store_under(
        &self,
        acquisition: &Acquisition,
        acquired: Acquired,
        flight: Option<FlightSave<'_>>,
    ) -> Result<Token> {
        let Acquired {
            found,
            renewal,
            others,
        } = acquired;
        let lock = flight.map(|flight| flight.lock);
        others.iter().for_each(|found| self.cache_found(found));
        let key = self.bound.key(found.resource_kind, &found.id, found.access);
        let own_lock = lock.filter(|_| key == acquisition.key);
        // Reading the record makes the next generation exceed the stored one. If this flight holds
        // the lock of `key`, the record was already read when the lock was granted.
        let before = match own_lock {
            Some(lock) => lock.record().and_then(|record| record.reject_login),
            None => self.record(&key).and_then(|record| record.reject_login),
        };
        let token = self.make(&key, &found)?;
        let generation = token.meta().generation;
        let is_key = token.meta().kind == TokenKind::Key;
        if is_key {
            let fingerprint = self.state.fingerprint(self.bound, &[token.value()]);
            negative_cache::lookup(&*self.state.store, &fingerprint, self.state.clock.now_us())
                .map_or(Ok(()), Err)?;
        }
        log::write(
            Level::Info,
            format_args!("acquired a token for {key}, generation {generation}"),
        );
        if is_key {
            self.cache_acquired(acquisition, &key, &token);
            return Ok(token);
        }
        let record = Record {
            generation,
            token: Some(token.clone()),
            owner: acquisition.owner.or_else(|| used_owner(self.bound, &key)),
            renewal,
            skew_us: self
                .bound
                .known_skew_us()
                .map(|skew_us| skew_us + self.state.steady.set_back_us()),
            acquired: self.state.boot_time(),
            // A login outside a flight begins anew.
            reject_login: flight.and_then(|flight| flight.login.or(before)),
            ..Record::default()
        };
        let _running = self.state.saves.begin();
        flight.map(|flight| flight.renewal.take());
        // Callers may use the token before it is stored: see `MAX_SAVE_WAIT`.
        self.cache_acquired(acquisition, &key, &token);
        if let Some(flight) = flight {
            let from = Instant::now() + MAX_SAVE_WAIT;
            flight.waiting.offer(token.clone(), from);
        }
        let winner = self.save(&key, &record, own_lock);
        if acquisition.key != key {
            self.save_link(acquisition, &key, generation, lock);
        }
        Ok(match winner.filter(|_| own_lock.is_some()) {
            Some(winner) => self.replace_by(winner, acquisition, &key, token),
            None => {
                self.forget_if_removed(&key, generation);
                token
            }
        })
    }

    /// Caches the token that another process stored while the flight saved its own token. Returns
    /// the token of the flight if the stored one is not fresh.
    fn replace_by(
        &self,
        winner: Record,
        acquisition: &Acquisition,
        key: &TokenKey,
        token: Token,
    ) -> Token {
        self.state
            .cache
            .remove(&token.key(), token.meta().generation);
        self.adopt(acquisition, winner).unwrap_or_else(|| {
            self.cache_acquired(acquisition, key, &token);
            token
        })
    }

    /// Returns the fresh token that was stored while the flight ran. The flight returns this token
    /// instead of the token that it acquired itself.
    fn adopt(&self, acquisition: &Acquisition, winner: Record) -> Option<Token> {
        let winner = self.usable(&acquisition.key, winner);
        let token = self
            .newer_token(acquisition, winner)
            .or_else(|| self.newer_in_cache(acquisition))?;
        log::write(
            Level::Info,
            format_args!(
                "using the token for {} that was stored meanwhile",
                acquisition.key
            ),
        );
        Some(token)
    }

    /// Removes a stored token if a caller removed it from the cache while it was being saved, for
    /// example to log out.
    fn forget_if_removed(&self, key: &TokenKey, generation: u64) {
        let cached = self.state.cache.get(&key.borrow());
        if cached.is_some_and(|hit| hit.token.meta().generation >= generation) {
            return;
        }
        let outcome = self.state.store.forget(key, generation, Reach::Everywhere);
        if let Err(error) = outcome {
            log::write(
                Level::Warn,
                format_args!("the removed token for {key} is still stored: {error}"),
            );
        }
    }

    /// Saves the record of a link, which names the package that has the token.
    fn save_link(
        &self,
        acquisition: &Acquisition,
        package: &TokenKey,
        generation: u64,
        lock: Option<&dyn RecordLock>,
    ) {
        let link = Record {
            generation,
            alias: Some(package.clone()),
            ..Record::default()
        };
        // If another record was stored meanwhile, it names the same package.
        let _ = self.save(&acquisition.key, &link, lock);
    }

    /// Caches an acquired token, and which package a link opens.
    fn cache_acquired(&self, acquisition: &Acquisition, key: &TokenKey, token: &Token) {
        self.publish(token);
        if acquisition.key != *key {
            self.state
                .aliases
                .write()
                .insert(acquisition.key.clone(), key.clone());
        }
    }

    fn publish(&self, token: &Token) {
        let now_us = self.state.now_us(self.bound);
        let times = freshness::windows(token.meta(), state::random());
        self.cache(token, &times, now_us, &[]);
    }

    /// Caches a token. Marks it if this process knows of a rejection of it, or if its record has
    /// `rejected` resources.
    fn cache(&self, token: &Token, times: &RefreshTimes, now_us: i64, rejected: &[Fingerprint]) {
        let (meta, state) = (token.meta(), self.state);
        state.cache.publish(token, times, now_us);
        let key = self.bound.key_of(token);
        if state.rejections.merge(&key, meta.generation, rejected) {
            state.cache.mark_rejected(&token.key(), meta.generation);
        }
    }

    /// Caches a token from a list or from another response of the service.
    pub fn cache_found(&self, found: &FoundToken) {
        let key = self.bound.key(found.resource_kind, &found.id, found.access);
        match self.make(&key, found) {
            Ok(token) => self.publish(&token),
            Err(error) => log::write(
                Level::Warn,
                format_args!("cannot use the listed token for {key}: {error}"),
            ),
        }
    }

    /// Makes a token with the next generation.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] if the token is malformed or has expired.
    pub fn make(&self, key: &TokenKey, found: &FoundToken) -> Result<Token> {
        let now_us = self.state.now_us(self.bound);
        let expires_us = found
            .new_token
            .expiry
            .unix_s(now_us.div_euclid(1_000_000))
            .map_or(NO_EXPIRY, |expires| expires.saturating_mul(1_000_000));
        let name = self.bound.service.name();
        if expires_us <= now_us {
            return Err(Error::new(
                ErrorKind::BadResponse,
                format!(
                    "{name} returned a token that has already expired; check this machine's clock"
                ),
            ));
        }
        let meta = TokenMeta {
            scope: self.bound.scope.fingerprint(),
            resource_kind: key.resource_kind,
            access: key.access,
            kind: found.new_token.kind,
            generation: self.state.next_generation(),
            expires_us,
            acquired_us: now_us,
        };
        Token::new(&found.new_token, name, &key.id, meta)
    }

    /// Returns the failure of a secret source that another process recorded while this process
    /// waited for the lock of the key.
    ///
    /// Rationale: without this, ten programs whose command failed after 1 s ran the command one
    /// after the other, and the last program waited 10 s. A request made after the failure runs the
    /// command again, because the user may have fixed it.
    pub fn failed_since(&self, key: &TokenKey, asked_us: i64) -> Option<Error> {
        let failure = self
            .state
            .store
            .failure(&self.failure_fingerprint(key), Reach::Here)?;
        (asked_us..=self.state.clock.now_us())
            .contains(&failure.until_us)
            .then_some(failure.error)
    }

    /// Records the failure of a secret source, for the processes that wait for the lock of the key.
    /// It concerns this machine only.
    pub fn note_failure(&self, key: &TokenKey, error: &Error) {
        let now_us = self.state.clock.now_us();
        let failure = FailureRecord {
            since_us: now_us,
            until_us: now_us,
            step: 0,
            error: error.clone(),
        };
        self.state.store.set_failure(
            &self.failure_fingerprint(key),
            Some(failure),
            Reach::Here,
            &|_| false,
        );
    }

    /// Checks whether a token of the key may be fetched, after the service returned one that this
    /// machine cannot use.
    ///
    /// # Errors
    /// Returns the error that [`Persistence::note_unusable`] recorded, until the time for which it
    /// blocks requests has passed.
    pub fn check_unusable(&self, key: &TokenKey) -> Result<()> {
        if key.resource_kind == ResourceKind::Key {
            return Ok(());
        }
        let fingerprint = self.fingerprint_of("unusable", key);
        let (store, now_us) = (&*self.state.store, self.state.clock.now_us());
        let Some(error) = negative_cache::lookup_within(store, Reach::Here, &fingerprint, now_us)
        else {
            return Ok(());
        };
        self.state.note_refusal(key, fingerprint);
        Err(error)
    }

    /// Records whether this machine could use the token that the service returned. A token that has
    /// expired already is treated like an outage: the service is not asked again for 5 s, doubling
    /// to 5 min. This concerns this machine only, because its clock is the likely cause.
    ///
    /// Rationale: the service accepts a login whose token this machine cannot use, so keyferry
    /// recorded no failure. On a machine whose clock was 10 years ahead, each call of each program
    /// sent a login.
    pub fn note_unusable(&self, key: &TokenKey, error: Option<&mut Error>) {
        let failed = error.is_some();
        let is_unusable = error
            .as_ref()
            .is_none_or(|error| error.kind == ErrorKind::BadResponse);
        if key.resource_kind == ResourceKind::Key || !is_unusable {
            return;
        }
        let fingerprint = self.fingerprint_of("unusable", key);
        let (store, now_us) = (&*self.state.store, self.state.clock.now_us());
        negative_cache::record_within(store, Reach::Here, &fingerprint, error, now_us);
        if failed {
            self.state.note_refusal(key, fingerprint);
        }
    }

    fn failure_fingerprint(&self, key: &TokenKey) -> Fingerprint {
        self.fingerprint_of("failure", key)
    }

    fn fingerprint_of(&self, what: &str, key: &TokenKey) -> Fingerprint {
        self.state.fingerprint(
            self.bound,
            &[what, key.resource_kind.name(), &key.id, key.access.name()],
        )
    }
}

/// Returns the configured owner of the tokens of a key: a fingerprint of the value of the setting
/// that identifies the user, however the setting refers to it.
///
/// Rationale: without this, a profile whose e-mail address was changed went on using the former
/// user's tokens until they expired.
pub fn owner(bound: &BoundService, key: &TokenKey) -> Option<Fingerprint> {
    let (name, setting) = owner_setting(bound, key)?;
    Some(configured_owner(bound, name, setting))
}

/// Returns the owner of a token that this process has acquired: the user whose tokens it uses. The
/// setting may name another user since.
fn used_owner(bound: &BoundService, key: &TokenKey) -> Option<Fingerprint> {
    let (name, setting) = owner_setting(bound, key)?;
    Some(
        bound
            .used_owner(name)
            .unwrap_or_else(|| configured_owner(bound, name, setting)),
    )
}

/// Notes the user of a flight, if the setting that was read identifies the user of its key.
pub fn note_used(
    bound: &BoundService,
    key: &TokenKey,
    name: &str,
    setting: &Setting,
    value: &Secret,
) {
    if owner_setting(bound, key).is_some_and(|(owner, _)| owner == name) {
        let owner = if secret_sources::is_quick(setting) {
            named(name, value)
        } else {
            referred(name, setting)
        };
        bound.use_owner(name, owner);
    }
}

/// Returns the setting that identifies the user of a key, and its name.
fn owner_setting<'a>(bound: &'a BoundService, key: &TokenKey) -> Option<(&'a str, &'a Setting)> {
    bound
        .service
        .owner_settings(key.resource_kind, key.access)
        .into_iter()
        .find_map(|name| Some((name, bound.profile.setting(name)?)))
}

/// Returns the owner that a setting names. If its value takes long to read, or cannot be read, the
/// owner is the reference itself.
fn configured_owner(bound: &BoundService, name: &str, setting: &Setting) -> Fingerprint {
    let read = || secret_sources::resolve(setting, name, bound.profile.environment()).ok();
    secret_sources::is_quick(setting)
        .then(read)
        .flatten()
        .map_or_else(|| referred(name, setting), |value| named(name, &value))
}

/// Returns the owner that stands for a reference.
fn referred(name: &str, reference: &Setting) -> Fingerprint {
    Fingerprint::unkeyed(&["reference", name, &format!("{reference:?}")])
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fingerprint identifies the owner of a token"
)]
fn named(setting: &str, value: &Secret) -> Fingerprint {
    Fingerprint::unkeyed(&[setting, value.expose()])
}
