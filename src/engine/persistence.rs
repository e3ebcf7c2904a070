//! Keeping what a service gave, and forgetting what it refused.

use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::config::Setting;
use crate::engine::accounts::Bound;
use crate::engine::acquisition::Wish;
use crate::engine::cache::entry::{Hit, Times};
use crate::engine::freshness;
use crate::engine::negative_cache;
use crate::engine::state::{self, Engine};
use crate::error::{Error, Kind, Result};
use crate::log::{self, Level};
use crate::model::key::{Access, Class, Fingerprint, Key};
use crate::model::token::{Facts, Kind as TokenKind, NO_EXPIRY, Token};
use crate::ports::service::{Acquired, Found};
use crate::ports::store::{Record, Refusal};
use crate::secret::Secret;

impl Engine {
    /// What landed in memory since the caller looked.
    pub fn settled(&self, bound: &Bound, wish: &Wish) -> Option<Token> {
        let now_us = self.now_us(bound);
        let hit = self.held(bound, &wish.key)?;
        let newer = wish.stale.is_none_or(|stale| hit.token.facts().generation > stale);
        (newer && now_us < hit.times.mandatory_us).then_some(hit.token)
    }

    /// The unexpired token in memory under a key, also of a link's package.
    pub fn held(&self, bound: &Bound, key: &Key) -> Option<Hit> {
        let alias = if key.class == Class::Link { Some(self.aliases.read().get(key).cloned()?) } else { None };
        let now_us = self.now_us(bound);
        self.cache.get(&alias.as_ref().unwrap_or(key).borrow()).filter(|hit| now_us < hit.token.facts().expires_us)
    }

    /// What another process has put into the store since. What has not ended comes into memory, also if it is not fresh, unless a
    /// later generation is there that has not ended either.
    pub fn stored(&self, bound: &Bound, wish: &Wish) -> Option<Token> {
        let token = self.record(bound, &wish.key)?.token?;
        let facts = *token.facts();
        let now_us = self.now_us(bound);
        let held = self.held(bound, &wish.key).map_or(0, |hit| hit.token.facts().generation);
        if now_us >= facts.expires_us || facts.generation <= held {
            return None;
        }
        let times = freshness::windows(&facts, state::random());
        self.cache.publish(&token, &times, now_us);
        let newer = wish.stale.is_none_or(|stale| facts.generation > stale);
        (newer && now_us < times.mandatory_us).then_some(token)
    }

    /// What the store has under a key, or under that of a link's package. A store that can't be read is one that has nothing. What
    /// a record knows of the service's clock counts from here on, where nobody here knows better.
    pub fn record(&self, bound: &Bound, key: &Key) -> Option<Record> {
        let load = |key: &Key| {
            let loaded = self.store.load(key);
            let record = loaded.map_err(|error| log::write(Level::Warn, format_args!("{key} can't be looked up: {error}"))).ok()??;
            self.saw_generation(record.generation);
            self.believe(bound, &record);
            let is_anothers = record.owner.is_some_and(|theirs| owner(bound, key).is_some_and(|own| own != theirs));
            Some(if is_anothers { Record { generation: record.generation, ..Record::default() } } else { record })
        };
        let record = load(key)?;
        let Some(alias) = record.alias.as_ref().filter(|_| key.class == Class::Link) else {
            return Some(record);
        };
        self.aliases.write().insert(key.clone(), alias.clone());
        load(alias)
    }

    /// Keeps what a login by hand gave. It is this user's, unless who is configured can't be told from here; what a former user could
    /// manage is dropped.
    ///
    /// # Errors
    /// Those of [`Engine::keep`].
    pub fn keep_login(&self, bound: &Bound, mut wish: Wish, acquired: Acquired, email: &Secret) -> Result<Token> {
        let before = self.held(bound, &wish.key).and_then(|hit| serde_json::from_str::<Value>(hit.token.details()).ok());
        if before.is_some_and(|before| before["user"]["id"] != acquired.found.draft.details["user"]["id"]) {
            self.forget_managed(bound);
        }
        wish.owner = matches!(bound.profile.setting("masv.email"), None | Some(Setting::Literal(_))).then(|| named("masv.email", email));
        self.keep(bound, &wish, acquired)
    }

    /// Another user has logged in: what the former one could manage is not theirs.
    fn forget_managed(&self, bound: &Bound) {
        let is_managed = |class: Class, access: Access| class == Class::Transfer || class == Class::Package && access == Access::Manage;
        for hit in self.cache.all() {
            let facts = *hit.token.facts();
            if facts.scope == bound.scope.fingerprint() && is_managed(facts.class, facts.access) {
                self.cache.remove(&hit.token.key(), facts.generation);
            }
        }
        for (key, record) in self.store.list().unwrap_or_default() {
            if key.scope.fingerprint() == bound.scope.fingerprint() && is_managed(key.class, key.access) {
                // What can't be removed is told when it is looked up.
                let _ = self.store.remove(&key, record.generation);
            }
        }
    }

    /// Takes from a record what it knows of the service's clock.
    pub fn believe(&self, bound: &Bound, record: &Record) {
        let Some(skew_us) = record.skew_us else { return };
        // Got in time to come: this machine's clock was set back since, so the difference is another one.
        let got_us = record.token.as_ref().map_or(i64::MIN, |token| token.facts().acquired_us.saturating_sub(skew_us));
        if got_us <= self.clock.now_us() {
            bound.believe_skew(skew_us, record.generation);
        }
    }

    fn save(&self, key: &Key, record: &Record) {
        if let Err(error) = self.store.save(key, record) {
            log::write(Level::Warn, format_args!("{key} is kept in memory only: {error}"));
        }
    }

    /// Keeps what a service gave: in the store, then in memory.
    ///
    /// # Errors
    /// [`Kind::BadAnswer`] if it can't be used.
    pub fn keep(&self, bound: &Bound, wish: &Wish, acquired: Acquired) -> Result<Token> {
        let Acquired { found, renewal, others } = acquired;
        others.iter().for_each(|found| self.keep_in_memory(bound, found));
        let key = bound.key(found.class, &found.id, found.access);
        // For its generation, which the next one has to exceed.
        let _ = self.record(bound, &key);
        let token = self.make(bound, &key, &found)?;
        let generation = token.facts().generation;
        if token.facts().kind == TokenKind::Key {
            let print = self.print(bound, &[token.value()]);
            negative_cache::remembered(&*self.store, &print, self.clock.now_us()).map_or(Ok(()), Err)?;
        } else {
            let (token, skew_us, replaced_us) = (Some(token.clone()), bound.told_skew_us(), self.pace.replaced_us(&key));
            let owner = wish.owner.or_else(|| owner(bound, &key));
            self.save(&key, &Record { generation, token, owner, renewal, skew_us, replaced_us, ..Record::default() });
        }
        self.publish(bound, &key, &token);
        if wish.key != key {
            self.save(&wish.key, &Record { generation, alias: Some(key.clone()), ..Record::default() });
            self.aliases.write().insert(wish.key.clone(), key.clone());
        }
        log::write(Level::Info, format_args!("got {key}, generation {generation}"));
        Ok(token)
    }

    fn publish(&self, bound: &Bound, key: &Key, token: &Token) {
        let now_us = self.now_us(bound);
        let mut times = freshness::windows(token.facts(), state::random());
        // The same expiry again: there is no fresher one to be had, so nobody asks before it ends.
        let before = self.cache.get(&key.borrow()).map(|hit| hit.token.facts().expires_us);
        if before == Some(token.facts().expires_us) && now_us >= times.soft_us {
            times = Times { soft_us: token.facts().expires_us, mandatory_us: token.facts().expires_us };
        }
        self.cache.publish(token, &times, now_us);
    }

    /// Keeps a token that was seen on the way.
    pub fn keep_in_memory(&self, bound: &Bound, found: &Found) {
        let key = bound.key(found.class, &found.id, found.access);
        match self.make(bound, &key, found) {
            Ok(token) => self.publish(bound, &key, &token),
            Err(error) => log::write(Level::Warn, format_args!("{key} was listed with a token that can't be used: {error}")),
        }
    }

    /// Gives a token its generation, and refuses one that has ended.
    ///
    /// # Errors
    /// [`Kind::BadAnswer`].
    pub fn make(&self, bound: &Bound, key: &Key, found: &Found) -> Result<Token> {
        let now_us = self.now_us(bound);
        let expires_us = found.draft.expires_unix_s.map_or(NO_EXPIRY, |expires| expires.saturating_mul(1_000_000));
        let name = bound.service.name();
        if expires_us <= now_us {
            return Err(Error::new(
                Kind::BadAnswer,
                format!("{name} gave a token that has ended already: check the clock of this machine"),
            ));
        }
        let facts = Facts {
            scope: bound.scope.fingerprint(),
            class: key.class,
            access: key.access,
            kind: found.draft.kind,
            generation: self.next_generation(),
            expires_us,
            acquired_us: now_us,
        };
        Token::new(&found.draft, name, &key.id, facts)
    }

    /// The service refused this token: its generation is dead.
    ///
    /// # Errors
    /// [`Kind::Store`].
    pub fn reject(&self, token: &Token) -> Result<()> {
        self.stats.rejected.fetch_add(1, Ordering::Relaxed);
        let generation = token.facts().generation;
        let Some(bound) = self.accounts.at_scope(token.facts().scope) else {
            return Ok(());
        };
        let key = bound.key(token.facts().class, token.id(), token.facts().access);
        let was_there = self.cache.remove(&token.key(), generation);
        if token.facts().kind == TokenKind::Key {
            self.refuse_key(bound, key, token);
            return Ok(());
        }
        if was_there {
            self.pace.rejected(&key, generation);
        }
        let record = self.store.load(&key)?;
        match record.filter(|record| record.token.is_some() && record.generation <= generation) {
            Some(record) => self.store.save(&key, &Record { token: None, rejected: true, ..record }),
            None => Ok(()),
        }
    }

    /// However many tell of it, it is one refusal; a handle from before the pause says nothing of the one after it.
    fn refuse_key(&self, bound: &Bound, key: Key, token: &Token) {
        let (print, now_us) = (self.print(bound, &[token.value()]), self.clock.now_us());
        let mut refusals = self.refusals.lock();
        if self.cache.get(&key.borrow()).is_some() || negative_cache::remembered(&*self.store, &print, now_us).is_some() {
            return;
        }
        let what = format!("{} refused the configured secret: check it", key.scope.service);
        negative_cache::note(&*self.store, &print, Some(&Error::new(Kind::Refused, what)), now_us);
        refusals.insert(key, print);
    }

    /// The failure of a source of secrets that another process has met under the lock of a key, since this one began to wait for it.
    ///
    /// Rationale: ten programs with a command that fails after a second ran it one after the other, and the last one waited for ten.
    /// Who asks after the failure runs it anew, for its user may have mended it.
    pub fn failed_since(&self, bound: &Bound, key: &Key, asked_us: i64) -> Option<Error> {
        let failure = self.store.refusal(&self.failure_print(bound, key))?;
        (asked_us..=self.clock.now_us()).contains(&failure.until_us).then_some(failure.error)
    }

    /// Tells it to those who wait for the lock.
    pub fn note_failure(&self, bound: &Bound, key: &Key, error: &Error) {
        let now_us = self.clock.now_us();
        let failure = Refusal { since_us: now_us, until_us: now_us, step: 0, error: error.clone() };
        self.store.set_refusal(&self.failure_print(bound, key), Some(failure), &|_| false);
    }

    fn failure_print(&self, bound: &Bound, key: &Key) -> Fingerprint {
        self.print(bound, &["failure", key.class.name(), &key.id, key.access.name()])
    }

    /// Forgets the dead renewal secret of a record. Its token stays: it may be good for a while.
    pub fn drop_renewal(&self, key: &Key, record: Record) {
        self.save(key, &Record { renewal: None, ..record });
    }
}

/// Whose the tokens of a key are, by the setting that says it. A reference counts as it is written, for what it leads to is read
/// only when it is needed.
///
/// Rationale: a profile whose e-mail was changed went on with the tokens of the former user until they ended.
pub fn owner(bound: &Bound, key: &Key) -> Option<Fingerprint> {
    let mut names = bound.service.owner(key.class, key.access).into_iter();
    let (name, setting) = names.find_map(|name| Some((name, bound.profile.setting(name)?)))?;
    match setting {
        Setting::Literal(value) => Some(named(name, value)),
        reference => Some(Fingerprint::unkeyed(&[name, &format!("{reference:?}")])),
    }
}

fn named(setting: &str, value: &Secret) -> Fingerprint {
    Fingerprint::unkeyed(&[setting, value.expose()])
}
