//! The port for a store: keeps the records of tokens, and shares them between the processes that
//! use the store.
//!
//! A store MUST
//! - return a record completely or not at all;
//! - grant the lock of a key to one holder at a time, and release it when the holding process ends
//!   for any reason;
//! - never wait for a lock, because the engine retries and reads the store between its tries;
//! - never replace or remove a record of a later generation than the generation that the caller
//!   passes;
//! - open no file or connection before its first operation.
//!
//! A store SHOULD continue in memory if it cannot write, for example because the disk is full or a
//! directory is not writable. It then logs a warning that names the remedy.

use crate::error::{Error, Result};
use crate::model::key::{Fingerprint, Fingerprinter, TokenKey};
use crate::model::token::Token;
use crate::secret::Secret;

/// The stored data for one key.
#[derive(Clone, Default)]
pub struct Record {
    /// The generation of the token. It remains after the token is removed.
    pub generation: u64,
    /// The token. A store that only lives as long as the process may omit it, because the token is
    /// cached.
    pub token: Option<Token>,
    /// A fingerprint of the setting that identifies the token's user. `None` if the token does not
    /// depend on the user.
    pub owner: Option<Fingerprint>,
    /// The renewal secret. It never leaves the engine.
    pub renewal: Option<Secret>,
    /// For a link: the key of the package that the link opens, which has the token. It has the same
    /// scope.
    pub alias: Option<TokenKey>,
    /// How many microseconds the service's clock was ahead of this machine's when the record was
    /// saved, if known.
    pub skew_us: Option<i64>,
    /// Whether the token was rejected and no token has been acquired since.
    pub rejected: bool,
    /// When a token was last acquired to replace a rejected one, if ever, in microseconds since
    /// 1970 by this machine's clock.
    pub replaced_us: Option<i64>,
}

/// The record of a failure that applies to all processes: a rejected secret, a login without
/// response, a throttle, or a failed secret source.
#[derive(Clone, Debug)]
pub struct FailureRecord {
    /// When the failure happened, in microseconds since 1970 by this machine's clock.
    pub since_us: i64,
    /// The time until which the failure applies, by the same clock.
    pub until_us: i64,
    /// The number of consecutive failures.
    pub step: u32,
    /// The error that caused the record.
    pub error: Error,
}

/// A store of records.
pub trait Store: Send + Sync {
    /// Returns the name used in messages, such as `memory` or `file`.
    fn name(&self) -> &'static str;

    /// Describes in a few words how the records are protected.
    fn protection(&self) -> &'static str;

    /// Returns the record of a key, or `None` if there is none.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be read.
    fn load(&self, key: &TokenKey) -> Result<Option<Record>>;

    /// Saves a record. It replaces the previous record, unless that has a later generation.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the record cannot be saved. The previous record is
    /// then unchanged.
    fn save(&self, key: &TokenKey, record: &Record) -> Result<()>;

    /// Removes the record of a key, unless its generation is greater than `up_to_generation`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn remove(&self, key: &TokenKey, up_to_generation: u64) -> Result<()>;

    /// Removes all records, including failure records.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn clear(&self) -> Result<()>;

    /// Returns all records that outlive the cache.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn list(&self) -> Result<Vec<(TokenKey, Record)>>;

    /// Tries to lock a key against other processes, without waiting.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn try_lock(&self, key: &TokenKey) -> Result<LockResult>;

    /// Returns the fingerprinter that all processes of the store share.
    fn fingerprints(&self) -> &Fingerprinter;

    /// Returns the failure that is recorded for a fingerprint.
    fn failure(&self, secret: &Fingerprint) -> Option<FailureRecord>;

    /// Replaces the failure recorded for a fingerprint, or removes it if `refusal` is `None`.
    /// Changes nothing if `stays` returns true for the current failure. No other process changes
    /// the record between that check and the replacement.
    fn set_failure(
        &self,
        secret: &Fingerprint,
        refusal: Option<FailureRecord>,
        stays: &dyn Fn(&FailureRecord) -> bool,
    );
}

/// Keeps the encryption key of a store somewhere other than in a file.
pub trait KeyBackend: Send + Sync {
    /// Returns the key with this name, or `None` if it does not exist.
    ///
    /// # Errors
    /// An error if the key cannot be read, or if the backend cannot tell whether it exists.
    fn get(&self, name: &str) -> Result<Option<Secret>>;

    /// Saves a key.
    ///
    /// # Errors
    /// An error if the key cannot be saved.
    fn put(&self, name: &str, key: &Secret) -> Result<()>;
}

/// The result of trying a lock.
pub enum LockResult {
    /// The caller holds the lock until this value is dropped.
    Locked(Box<dyn Lock>),
    /// Another process holds the lock. Contains its process id, if known.
    Held(Option<u32>),
}

/// A lock that is released when it is dropped.
pub trait Lock {}

/// A no-op lock for stores that only one process can open.
pub struct NoopLock;

impl Lock for NoopLock {}
