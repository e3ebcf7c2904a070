//! The rejections that this process knows: for which resources it must not hand out which token.
//! [`crate::engine::replacement`] has the rule.

use crate::model::key::{Fingerprint, TokenKey, TokenKeyRef};
use crate::sys::sync::Mutex;

/// How long the service's word that a token is alive is remembered.
pub const ALIVE_US: i64 = 10_000_000;
/// The maximum number of resources of one token that this process remembers. A record has fewer.
const MAX_KNOWN: usize = 1024;
/// The maximum number of keys whose rejections this process remembers.
const MAX_KEYS: usize = 256;

/// The rejections that this process knows: its own ones, and those in the records that it has read.
#[derive(Default)]
pub struct Rejections(Mutex<Vec<KeyRejections>>);

/// A caller or flight that rejected a token. keyferry does not return the token to it again.
#[derive(Clone, Copy)]
pub enum Asker<'a> {
    /// A caller that asks for a resource: its path below the version prefix. All processes know of
    /// its rejections.
    Resource(&'a str),
    /// Any caller of this session: the rejection named no resource.
    Session,
    /// A flight of this process, which needs the token to fetch another one. Only this process
    /// knows of its rejections, and they end if the token is alive: the flight then tries again.
    Flight(&'a str),
}

/// The rejections of one token.
struct KeyRejections {
    key: TokenKey,
    /// The generation of the token. Older tokens of the key are rejected too.
    generation: u64,
    /// The resources for which the token was rejected, at most [`MAX_KNOWN`].
    resources: Vec<Fingerprint>,
    /// The flights that rejected the token, at most [`MAX_KNOWN`].
    flights: Vec<Fingerprint>,
    /// The time until which this session gets the token for no resource at all, because it rejected
    /// the token without naming a resource.
    session_until_us: Option<i64>,
    /// When the service last accepted the token.
    alive_us: Option<i64>,
}

impl Asker<'_> {
    /// Returns the resource of the asker.
    pub fn resource(&self) -> &str {
        match self {
            Self::Resource(resource) | Self::Flight(resource) => resource,
            Self::Session => "",
        }
    }
}

impl Rejections {
    /// Records a rejection.
    pub fn add(&self, key: &TokenKey, generation: u64, asker: Asker<'_>, resource: Fingerprint) {
        self.with(key, generation, |known| match asker {
            Asker::Resource(_) => push(&mut known.resources, resource, MAX_KNOWN),
            Asker::Flight(_) => push(&mut known.flights, resource, MAX_KNOWN),
            Asker::Session => known.session_until_us = Some(i64::MAX),
        });
    }

    /// Adds the rejections that a record has. Returns whether this process knows of a rejection of
    /// this generation.
    pub fn merge(&self, key: &TokenKey, generation: u64, resources: &[Fingerprint]) -> bool {
        if !resources.is_empty() {
            self.with(key, generation, |known| {
                resources
                    .iter()
                    .for_each(|resource| push(&mut known.resources, *resource, MAX_KNOWN));
            });
        }
        let mut all = self.0.lock();
        all.retain(|known| known.key != *key || known.generation >= generation);
        all.iter().any(|known| known.key == *key)
    }

    /// Records that the service accepted a token at `at_us`. This ends the rejections of flights. It
    /// also ends a rejection without a resource, once the service would be asked again: nobody can
    /// tell for which resource the token is of no use.
    pub fn note_alive(&self, key: &TokenKey, generation: u64, at_us: i64) {
        self.with(key, generation, |known| {
            known.alive_us = Some(at_us);
            known.flights.clear();
            known.session_until_us = known.session_until_us.and(Some(at_us + ALIVE_US));
        });
    }

    /// Returns when the service last accepted a token of this generation.
    pub fn alive_us(&self, key: &TokenKey, generation: u64) -> Option<i64> {
        let all = self.0.lock();
        let known = all.iter().find(|known| known.key == *key)?;
        known.alive_us.filter(|_| known.generation == generation)
    }

    /// Returns whether the asker must not get a token. `resource` is called only if the token was
    /// rejected for some resource.
    pub fn forbids(
        &self,
        key: &TokenKeyRef<'_>,
        generation: u64,
        asker: Asker<'_>,
        now_us: i64,
        resource: impl FnOnce() -> Fingerprint,
    ) -> bool {
        let all = self.0.lock();
        let rejected = all
            .iter()
            .find(|known| known.key.borrow() == *key && generation <= known.generation);
        let Some(known) = rejected else {
            return false;
        };
        let of_session = || known.session_until_us.is_some_and(|until| now_us < until);
        match asker {
            Asker::Flight(_) => !known.flights.is_empty() && known.flights.contains(&resource()),
            _ if of_session() => true,
            _ => !known.resources.is_empty() && known.resources.contains(&resource()),
        }
    }

    /// Forgets the keys for which `which` returns true.
    pub fn forget(&self, which: impl Fn(&TokenKey) -> bool) {
        self.0.lock().retain(|known| !which(&known.key));
    }

    /// Changes the rejections of a token, unless those of a newer token of the key are known.
    fn with(&self, key: &TokenKey, generation: u64, change: impl FnOnce(&mut KeyRejections)) {
        let mut all = self.0.lock();
        match all.iter_mut().find(|known| known.key == *key) {
            Some(known) if known.generation > generation => return,
            Some(known) if known.generation == generation => return change(known),
            _ => {}
        }
        all.retain(|known| known.key != *key);
        if all.len() >= MAX_KEYS {
            all.remove(0);
        }
        let mut known = KeyRejections {
            key: key.clone(),
            generation,
            resources: Vec::new(),
            flights: Vec::new(),
            session_until_us: None,
            alive_us: None,
        };
        change(&mut known);
        all.push(known);
    }
}

/// Adds a resource. If there would be more than `max`, the oldest one goes.
pub fn push(resources: &mut Vec<Fingerprint>, resource: Fingerprint, max: usize) {
    if resources.contains(&resource) {
        return;
    }
    if resources.len() >= max {
        resources.remove(0);
    }
    resources.push(resource);
}
