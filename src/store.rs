//! The port to a store: keeps records beyond the cache, shared by all who use it.
//!
//! Traits and values only. Imports the nouns of floor 1.
//!
//! A store MUST
//! - give back a record whole or not at all;
//! - let one holder at a time have the lock of a key, and free it when the holder ends, however it ends;
//! - wait for a lock no longer than it is told to;
//! - never remove a record of a later generation than it is told to remove.
//!
//! A store SHOULD survive what it can't do (a full disk, a folder it may not write to) with an error and nothing lost.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::key::{Fingerprint, Key};
use crate::request::Cancel;
use crate::secret::Secret;
use crate::token::Token;

/// What is kept of a key.
#[derive(Clone)]
pub struct Record {
    /// The token. A store that ends with the process may leave it to the cache.
    pub token: Option<Token>,
    /// What renews it. Never leaves the engine.
    pub renewal: Option<Secret>,
}

/// What is kept of a secret that a service refused, or of a service that did not answer a login.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// No login before this time, in microseconds since 1970 by this machine's clock.
    pub until_us: i64,
    /// How many refusals came one after the other.
    pub step: u32,
    /// What the service said.
    pub error: Error,
}

/// Keeps records. The default ends with the session.
pub trait Store: Send + Sync {
    /// Its name in texts: `memory`, `file`.
    fn name(&self) -> &'static str;

    /// The record of a key.
    ///
    /// # Errors
    /// [`crate::error::Kind::Store`] if the store can't be read; none there is `None`.
    fn load(&self, key: &Key) -> Result<Option<Record>>;

    /// Keeps a record in place of the one before.
    ///
    /// # Errors
    /// [`crate::error::Kind::Store`]; the record before is still there.
    fn save(&self, key: &Key, record: &Record) -> Result<()>;

    /// Forgets the record of a key, if its generation is not above this one.
    ///
    /// # Errors
    /// [`crate::error::Kind::Store`].
    fn remove(&self, key: &Key, up_to_generation: u64) -> Result<()>;

    /// Forgets everything, refusals too.
    ///
    /// # Errors
    /// [`crate::error::Kind::Store`].
    fn clear(&self) -> Result<()>;

    /// Locks a key against other processes.
    ///
    /// # Errors
    /// [`crate::error::Kind::Busy`] at the deadline, naming the holder; [`crate::error::Kind::Cancelled`].
    fn lock(&self, key: &Key, deadline: Instant, cancel: &Cancel) -> Result<Box<dyn Lock>>;

    /// What is remembered of a secret's refusal.
    fn refusal(&self, secret: &Fingerprint) -> Option<Refusal>;

    /// Remembers a refusal, or forgets it with `None`.
    fn set_refusal(&self, secret: &Fingerprint, refusal: Option<Refusal>);
}

/// A lock that ends when it is dropped.
pub trait Lock {}
