//! The port to a store: keeps records beyond the cache, shared by all who use it.
//!
//! Traits and values only.
//!
//! A store MUST
//! - give back a record whole or not at all;
//! - let one holder at a time have the lock of a key, and free it when the holder ends, however it
//!   ends;
//! - never wait for a lock: who waits is the engine, which looks into the store between its tries;
//! - never replace or remove a record of a later generation than the one it is told of;
//! - open nothing before it is asked for something.
//!
//! A store SHOULD survive what it can't do (a full disk, a folder it may not write to): with a
//! warning that names the remedy, and in memory from there on.

use crate::error::{Error, Result};
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::model::token::Token;
use crate::secret::Secret;

/// The record of a key.
#[derive(Clone, Default)]
pub struct Record {
    /// The generation of its token, also when that is gone.
    pub generation: u64,
    /// The token. A store that ends with the process may leave it to the cache.
    pub token: Option<Token>,
    /// Its user: a fingerprint of the setting that identifies the user. None where any user's token
    /// will do.
    pub owner: Option<Fingerprint>,
    /// The secret that renews it. Never leaves the engine.
    pub renewal: Option<Secret>,
    /// The key that has the token instead: the package that a link opens. Of the same scope.
    pub alias: Option<TokenKey>,
    /// How far the service's clock was ahead of this machine's when this was kept, in microseconds,
    /// if that was known.
    pub skew_us: Option<i64>,
    /// Its token was rejected, and none was acquired since.
    pub rejected: bool,
    /// When a token was got in place of a rejected one, in microseconds since 1970 by this
    /// machine's clock, if one was.
    pub replaced_us: Option<i64>,
}

/// The record of a failure that all processes respect: a refused secret, a login without response,
/// a throttle, or a secret source that failed.
#[derive(Clone, Debug)]
pub struct FailureRecord {
    /// When it happened, in microseconds since 1970 by this machine's clock.
    pub since_us: i64,
    /// It counts until this time.
    pub until_us: i64,
    /// The number of consecutive refusals.
    pub step: u32,
    /// What the service said.
    pub error: Error,
}

/// Keeps records. The default ends with the session.
pub trait Store: Send + Sync {
    /// Its name in texts: `memory`, `file`.
    fn name(&self) -> &'static str;

    /// How its records are protected, in a few words.
    fn protection(&self) -> &'static str;

    /// The record of a key.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store can't be read; none there is `None`.
    fn load(&self, key: &TokenKey) -> Result<Option<Record>>;

    /// Keeps a record in place of the one before, unless that is of a later generation.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`]; the record before is still there.
    fn save(&self, key: &TokenKey, record: &Record) -> Result<()>;

    /// Forgets the record of a key, if its generation is not above this one.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`].
    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()>;

    /// Forgets everything, refusals too.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`].
    fn clear(&self) -> Result<()>;

    /// All records that outlive the cache.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`].
    fn list(&self) -> Result<Vec<(TokenKey, Record)>>;

    /// Locks a key against other processes, if nobody holds it.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`].
    fn try_lock(&self, key: &TokenKey) -> Result<LockResult>;

    /// Makes the fingerprints for all processes that share the store.
    fn fingerprints(&self) -> &Fingerprinter;

    /// The failure that is recorded under a fingerprint.
    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord>;

    /// Records a refusal, or removes it with `None`, unless `stays` returns true for the present
    /// one. No other process writes between that check and the change.
    fn set_failure(
        &self,
        secret: &Fingerprint,
        refusal: Option<FailureRecord>,
        stays: &dyn Fn(&FailureRecord) -> bool,
    );
}

/// Keeps the key of a store elsewhere than in a file.
pub trait KeyBackend: Send + Sync {
    /// The key of this name, if there is one.
    ///
    /// # Errors
    /// Whatever stands in the way; not to know is no answer.
    fn get(&self, name: &str) -> Result<Option<Secret>>;

    /// Keeps a key.
    ///
    /// # Errors
    /// Whatever stands in the way.
    fn put(&self, name: &str, key: &Secret) -> Result<()>;
}

/// The result of trying a lock.
pub enum LockResult {
    /// The lock; it ends when it is dropped.
    Locked(Box<dyn Lock>),
    /// Another process holds it; its id, where that is known.
    Held(Option<u32>),
}

/// A lock that ends when it is dropped.
pub trait Lock {}

/// A no-op lock for stores that only one process can open.
pub struct NoopLock;

impl Lock for NoopLock {}
