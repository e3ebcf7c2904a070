//! Keeping what a service gave, and forgetting what it refused.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::config::Setting;
use crate::engine::accounts::BoundService;
use crate::engine::acquisition::Acquisition;
use crate::engine::cache::entry::{CachedToken, RefreshTimes};
use crate::engine::freshness;
use crate::engine::negative_cache;
use crate::engine::state::{self, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, Fingerprint, ResourceKind, TokenKey};
use crate::model::token::{NO_EXPIRY, Token, TokenKind, TokenMeta};
use crate::ports::service::{Acquired, FoundToken};
use crate::ports::store::{FailureRecord, Record};
use crate::secret::Secret;

impl Engine {
    /// What landed in memory since the caller looked.
    pub fn newer_in_cache(&self, bound: &BoundService, acquisition: &Acquisition) -> Option<Token> {
        let now_us = self.now_us(bound);
        let hit = self.cached(bound, &acquisition.key)?;
        let newer = acquisition.stale.is_none_or(|stale| hit.token.meta().generation > stale);
        (newer && now_us < hit.times.mandatory_us).then_some(hit.token)
    }

    /// The unexpired token in memory under a key, also of a link's package.
    pub fn cached(&self, bound: &BoundService, key: &TokenKey) -> Option<CachedToken> {
        let alias = if key.resource_kind == ResourceKind::Link { Some(self.aliases.read().get(key).cloned()?) } else { None };
        let now_us = self.now_us(bound);
        self.cache.get(&alias.as_ref().unwrap_or(key).borrow()).filter(|hit| now_us < hit.token.meta().expires_us)
    }

    /// What another process has put into the store since. What has not ended comes into memory, also if it is not fresh, unless a
    /// later generation is there that has not ended either.
    pub fn load_newer(&self, bound: &BoundService, acquisition: &Acquisition) -> Option<Token> {
        let token = self.record(bound, &acquisition.key)?.token?;
        let meta = *token.meta();
        let now_us = self.now_us(bound);
        let cached = self.cached(bound, &acquisition.key).map_or(0, |hit| hit.token.meta().generation);
        if now_us >= meta.expires_us || meta.generation <= cached {
            return None;
        }
        let times = freshness::windows(&meta, state::random());
        self.cache.publish(&token, &times, now_us);
        let newer = acquisition.stale.is_none_or(|stale| meta.generation > stale);
        (newer && now_us < times.mandatory_us).then_some(token)
    }

    /// What the store has under a key, or under that of a link's package. A store that can't be read is one that has nothing. What
    /// a record knows of the service's clock counts from here on, where nobody here knows better.
    pub fn record(&self, bound: &BoundService, key: &TokenKey) -> Option<Record> {
        let load = |key: &TokenKey| {
            let loaded = self.store.load(key);
            let record = loaded.map_err(|error| log::write(Level::Warn, format_args!("{key} can't be looked up: {error}"))).ok()??;
            self.observe_generation(record.generation);
            self.apply_stored_skew(bound, &record);
            let is_anothers = record.owner.is_some_and(|theirs| owner(bound, key).is_some_and(|own| own != theirs));
            Some(if is_anothers { Record { generation: record.generation, ..Record::default() } } else { record })
        };
        let record = load(key)?;
        let Some(alias) = record.alias.as_ref().filter(|_| key.resource_kind == ResourceKind::Link) else {
            return Some(record);
        };
        self.aliases.write().insert(key.clone(), alias.clone());
        load(alias)
    }

    /// Keeps what a login by hand gave. It is this user's, unless who is configured can't be told from here; what a former user could
    /// manage is dropped.
    ///
    /// # Errors
    /// Those of [`Engine::store_acquired`].
    pub fn store_login(&self, bound: &BoundService, mut acquisition: Acquisition, acquired: Acquired, email: &Secret) -> Result<Token> {
        let before = self.cached(bound, &acquisition.key).and_then(|hit| serde_json::from_str::<Value>(hit.token.details()).ok());
        if before.is_some_and(|before| before["user"]["id"] != acquired.found.new_token.details["user"]["id"]) {
            self.forget_managed(bound);
        }
        acquisition.owner =
            matches!(bound.profile.setting("masv.email"), None | Some(Setting::Literal(_))).then(|| named("masv.email", email));
        self.store_acquired(bound, &acquisition, acquired)
    }

    /// Another user has logged in: what the former one could manage is not theirs.
    fn forget_managed(&self, bound: &BoundService) {
        let is_managed = |resource_kind: ResourceKind, access: Access| {
            resource_kind == ResourceKind::Transfer || resource_kind == ResourceKind::Package && access == Access::Manage
        };
        for hit in self.cache.all() {
            let meta = *hit.token.meta();
            if meta.scope == bound.scope.fingerprint() && is_managed(meta.resource_kind, meta.access) {
                self.cache.remove(&hit.token.key(), meta.generation);
            }
        }
        for (key, record) in self.store.list().unwrap_or_default() {
            if key.scope.fingerprint() == bound.scope.fingerprint() && is_managed(key.resource_kind, key.access) {
                // What can't be removed is told when it is looked up.
                let _ = self.store.remove(&key, record.generation);
            }
        }
    }

    /// Takes from a record what it knows of the service's clock.
    pub fn apply_stored_skew(&self, bound: &BoundService, record: &Record) {
        let Some(skew_us) = record.skew_us else { return };
        // Got in time to come: this machine's clock was set back since, so the difference is another one.
        let got_us = record.token.as_ref().map_or(i64::MIN, |token| token.meta().acquired_us.saturating_sub(skew_us));
        if got_us <= self.clock.now_us() {
            bound.set_stored_skew(skew_us, record.generation);
        }
    }

    fn save(&self, key: &TokenKey, record: &Record) {
        if let Err(error) = self.store.save(key, record) {
            log::write(Level::Warn, format_args!("{key} is kept in memory only: {error}"));
        }
    }

    /// Keeps what a service gave: in the store, then in memory.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] if it can't be used.
    pub fn store_acquired(&self, bound: &BoundService, acquisition: &Acquisition, acquired: Acquired) -> Result<Token> {
        let Acquired { found, renewal, others } = acquired;
        others.iter().for_each(|found| self.cache_found(bound, found));
        let key = bound.key(found.resource_kind, &found.id, found.access);
        // For its generation, which the next one has to exceed.
        let _ = self.record(bound, &key);
        let token = self.make(bound, &key, &found)?;
        let generation = token.meta().generation;
        if token.meta().kind == TokenKind::Key {
            let fingerprint = self.fingerprint(bound, &[token.value()]);
            negative_cache::lookup(&*self.store, &fingerprint, self.clock.now_us()).map_or(Ok(()), Err)?;
        } else {
            let (token, skew_us, replaced_us) = (Some(token.clone()), bound.known_skew_us(), self.backoff.replaced_us(&key));
            let owner = acquisition.owner.or_else(|| owner(bound, &key));
            self.save(&key, &Record { generation, token, owner, renewal, skew_us, replaced_us, ..Record::default() });
        }
        self.publish(bound, &key, &token);
        if acquisition.key != key {
            self.save(&acquisition.key, &Record { generation, alias: Some(key.clone()), ..Record::default() });
            self.aliases.write().insert(acquisition.key.clone(), key.clone());
        }
        log::write(Level::Info, format_args!("got {key}, generation {generation}"));
        Ok(token)
    }

    fn publish(&self, bound: &BoundService, key: &TokenKey, token: &Token) {
        let now_us = self.now_us(bound);
        let mut times = freshness::windows(token.meta(), state::random());
        // The same expiry again: there is no fresher one to be had, so nobody asks before it ends.
        let before = self.cache.get(&key.borrow()).map(|hit| hit.token.meta().expires_us);
        if before == Some(token.meta().expires_us) && now_us >= times.advisory_us {
            times = RefreshTimes { advisory_us: token.meta().expires_us, mandatory_us: token.meta().expires_us };
        }
        self.cache.publish(token, &times, now_us);
    }

    /// Keeps a token that was seen on the way.
    pub fn cache_found(&self, bound: &BoundService, found: &FoundToken) {
        let key = bound.key(found.resource_kind, &found.id, found.access);
        match self.make(bound, &key, found) {
            Ok(token) => self.publish(bound, &key, &token),
            Err(error) => log::write(Level::Warn, format_args!("{key} was listed with a token that can't be used: {error}")),
        }
    }

    /// Gives a token its generation, and refuses one that has ended.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`].
    pub fn make(&self, bound: &BoundService, key: &TokenKey, found: &FoundToken) -> Result<Token> {
        let now_us = self.now_us(bound);
        let expires_us = found.new_token.expires_unix_s.map_or(NO_EXPIRY, |expires| expires.saturating_mul(1_000_000));
        let name = bound.service.name();
        if expires_us <= now_us {
            return Err(Error::new(
                ErrorKind::BadResponse,
                format!("{name} gave a token that has ended already: check the clock of this machine"),
            ));
        }
        let meta = TokenMeta {
            scope: bound.scope.fingerprint(),
            resource_kind: key.resource_kind,
            access: key.access,
            kind: found.new_token.kind,
            generation: self.next_generation(),
            expires_us,
            acquired_us: now_us,
        };
        Token::new(&found.new_token, name, &key.id, meta)
    }

    /// The service refused this token: its generation is dead.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub fn reject(&self, token: &Token) -> Result<()> {
        self.stats.rejected.fetch_add(1, Ordering::Relaxed);
        let generation = token.meta().generation;
        let Some(bound) = self.accounts.at_scope(token.meta().scope) else {
            return Ok(());
        };
        let key = bound.key(token.meta().resource_kind, token.id(), token.meta().access);
        let was_there = self.cache.remove(&token.key(), generation);
        if token.meta().kind == TokenKind::Key {
            self.refuse_key(bound, key, token);
            return Ok(());
        }
        if was_there {
            self.backoff.rejected(&key, generation);
        }
        let record = self.store.load(&key)?;
        match record.filter(|record| record.token.is_some() && record.generation <= generation) {
            Some(record) => self.store.save(&key, &Record { token: None, rejected: true, ..record }),
            None => Ok(()),
        }
    }

    /// However many tell of it, it is one refusal; a handle from before the pause says nothing of the one after it.
    fn refuse_key(&self, bound: &BoundService, key: TokenKey, token: &Token) {
        let (fingerprint, now_us) = (self.fingerprint(bound, &[token.value()]), self.clock.now_us());
        let mut refusals = self.refusals.lock();
        if self.cache.get(&key.borrow()).is_some() || negative_cache::lookup(&*self.store, &fingerprint, now_us).is_some() {
            return;
        }
        let what = format!("{} refused the configured secret: check it", key.scope.service);
        negative_cache::record(&*self.store, &fingerprint, Some(&Error::new(ErrorKind::BadCredentials, what)), now_us);
        refusals.insert(key, fingerprint);
    }

    /// The failure of a source of secrets that another process has met under the lock of a key, since this one began to wait for it.
    ///
    /// Rationale: ten programs with a command that fails after a second ran it one after the other, and the last one waited for ten.
    /// Who asks after the failure runs it anew, for its user may have mended it.
    pub fn failed_since(&self, bound: &BoundService, key: &TokenKey, asked_us: i64) -> Option<Error> {
        let failure = self.store.failure(&self.failure_print(bound, key))?;
        (asked_us..=self.clock.now_us()).contains(&failure.until_us).then_some(failure.error)
    }

    /// Tells it to those who wait for the lock.
    pub fn note_failure(&self, bound: &BoundService, key: &TokenKey, error: &Error) {
        let now_us = self.clock.now_us();
        let failure = FailureRecord { since_us: now_us, until_us: now_us, step: 0, error: error.clone() };
        self.store.set_failure(&self.failure_print(bound, key), Some(failure), &|_| false);
    }

    fn failure_print(&self, bound: &BoundService, key: &TokenKey) -> Fingerprint {
        self.fingerprint(bound, &["failure", key.resource_kind.name(), &key.id, key.access.name()])
    }

    /// Forgets the dead renewal secret of a record. Its token stays: it may be good for a while.
    pub fn drop_renewal(&self, key: &TokenKey, record: Record) {
        self.save(key, &Record { renewal: None, ..record });
    }
}

/// Whose the tokens of a key are, by the setting that says it. A reference counts as it is written, for what it leads to is read
/// only when it is needed.
///
/// Rationale: a profile whose e-mail was changed went on with the tokens of the former user until they ended.
pub fn owner(bound: &BoundService, key: &TokenKey) -> Option<Fingerprint> {
    let mut names = bound.service.owner(key.resource_kind, key.access).into_iter();
    let (name, setting) = names.find_map(|name| Some((name, bound.profile.setting(name)?)))?;
    match setting {
        Setting::Literal(value) => Some(named(name, value)),
        reference => Some(Fingerprint::unkeyed(&[name, &format!("{reference:?}")])),
    }
}

fn named(setting: &str, value: &Secret) -> Fingerprint {
    Fingerprint::unkeyed(&[setting, value.expose()])
}
