//! The port for a store: keeps the records of tokens, and shares them between the processes that
//! use the store.
//!
//! A store MUST
//! - return a record completely or not at all;
//! - grant the lock of a key to one holder at a time, thread or process, and release it when the
//!   holding process ends for any reason;
//! - never wait for a lock that is held during a flight, because the engine has a deadline and asks
//!   again;
//! - give out a renewal secret only through [`RecordLock::take_renewal`], and only after the stored
//!   record has lost it for good;
//! - never replace or remove a record of a later generation than the generation that the caller
//!   passes;
//! - open no file or connection before its first operation.
//!
//! A store SHOULD continue in memory if it cannot write, for example because the disk is full or a
//! directory is not writable. It then logs a warning that names the remedy.
//!
//! A lock saves work: it keeps processes from fetching the same token twice. It does not guarantee
//! that a renewal secret is sent only once, because a holder may be suspended for longer than the
//! store can keep the lock for that holder. The guarantee comes from another rule: a renewal secret
//! is removed from the store before it is sent.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::key::{Access, Fingerprint, Fingerprinter, ResourceKind, Scope, TokenKey};
use crate::model::token::{Token, TokenFacts};
use crate::secret::Secret;

/// The maximum number of resources in [`Record::rejections`].
pub const MAX_REJECTIONS: usize = 64;

/// The stored data for one key.
#[derive(Clone, Default)]
pub struct Record {
    /// The generation of the token. It remains after the token is removed.
    pub generation: u64,
    /// The token. A store that only lives as long as the process may omit it, because the token is
    /// cached.
    pub token: Option<Token>,
    /// A fingerprint of the value of the setting that identifies the token's user. `None` if the token does not
    /// depend on the user.
    pub owner: Option<Fingerprint>,
    /// The renewal secret to save. A store never returns it in a record: see
    /// [`RecordLock::take_renewal`].
    pub renewal: Option<Secret>,
    /// For a link: the key of the package that the link opens, which has the token. It has the same
    /// scope.
    pub alias: Option<TokenKey>,
    /// How many microseconds the service's clock was ahead of this machine's when the record was
    /// saved, if known.
    pub skew_us: Option<i64>,
    /// Keyed fingerprints of the resources for which the token of this generation was rejected, at
    /// most [`MAX_REJECTIONS`]. The token stays usable for all other resources.
    pub rejections: Vec<Fingerprint>,
    /// When the service last accepted the token of this generation in spite of a rejection, in
    /// microseconds since 1970 by this machine's clock.
    pub alive_us: Option<i64>,
    /// The last login that a rejection caused. It outlives the generation.
    pub reject_login: Option<RejectLogin>,
    /// When the token was acquired, by the boot-time clock, which cannot be set.
    pub acquired: Option<BootTime>,
    /// The SHA-256 fingerprint of the manifest of the plugin that acquired the token. Not used yet.
    pub manifest: Option<[u8; 32]>,
    /// The generation of the record in a store of several machines from which this record was
    /// copied. Not used yet.
    pub shared_generation: Option<u64>,
}

/// The facts of a stored record, without its secrets. They are valid until the next record is read.
pub struct RecordFacts<'a> {
    /// The scope of the record's key.
    pub scope: Arc<Scope>,
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// [`TokenKey::id`].
    pub id: &'a str,
    /// The access that the token allows.
    pub access: Access,
    /// [`Record::generation`].
    pub generation: u64,
    /// The token, if the record has one.
    pub token: Option<TokenFacts<'a>>,
    /// Whether the record has a renewal secret.
    pub has_renewal: bool,
    /// The record's times.
    pub clock: RecordClock,
}

impl RecordFacts<'_> {
    /// Returns the record's key.
    pub fn key(&self) -> TokenKey {
        self.scope.key(self.resource_kind, self.id, self.access)
    }
}

/// The facts of a record that say how the clocks of the service and of this machine differ.
#[derive(Clone, Copy)]
pub struct RecordClock {
    /// [`Record::generation`].
    pub generation: u64,
    /// [`Record::skew_us`].
    pub skew_us: Option<i64>,
    /// When the token was acquired, in microseconds since 1970 by the service's clock. `None` if
    /// the record has no token.
    pub acquired_us: Option<i64>,
    /// [`Record::acquired`].
    pub acquired: Option<BootTime>,
}

/// A login that a rejection caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectLogin {
    /// The number of such logins since an hour without a rejection. The interval to the next one
    /// depends on it.
    pub step: u32,
    /// When it happened, in microseconds since 1970 by this machine's clock.
    pub at_us: i64,
    /// When a token was last rejected, by the same clock.
    pub rejected_us: i64,
}

/// A point in time by the clock that counts from the machine's boot, also while it is suspended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BootTime {
    /// A fingerprint of the kernel's boot id. Times of two boots cannot be compared.
    pub boot: Fingerprint,
    /// The microseconds since the boot.
    pub at_us: u64,
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

/// How far an operation reaches. A store that one machine uses treats both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine.
    Here,
    /// All machines that share the store.
    Everywhere,
}

/// The result of asking for the lock of a key.
pub enum Turn {
    /// The caller holds the lock until this value is dropped.
    Locked(Box<dyn RecordLock>),
    /// Another process or thread holds the lock.
    Held {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The store has a newer token, so the caller may need no lock.
    Newer(Box<Record>),
}

/// The process that holds the lock of a key.
pub struct LockHolder {
    /// The holder as messages name it, such as `process 123`.
    pub name: String,
    /// Whether the holder is known to be stopped, so that it can't release the lock.
    pub is_stopped: bool,
}

/// The result of saving a record.
pub enum Saved {
    /// The record is stored, or is kept in memory by a store that cannot write.
    Kept,
    /// Another record was stored meanwhile, and stays stored. The caller uses that record.
    Lost(Box<Record>),
}

/// The lock of a key. It is released when it is dropped. It does not borrow the store, so another
/// thread can save the record while the callers already use the token.
pub trait RecordLock: Send {
    /// Returns the record that was read when the lock was granted. It is valid for the whole flight:
    /// only the holder of the lock acquires tokens of the key.
    fn record(&self) -> Option<&Record>;

    /// Returns whether the lock still excludes other processes. The engine asks before each request
    /// that spends something: a login, or a renewal secret.
    fn still_held(&self) -> bool;

    /// Takes the renewal secret out of the stored record, and returns it. When this returns, no
    /// other process can get it, even if this process is killed or the machine loses power. Returns
    /// `None` if the record has none, or if it cannot be removed.
    fn take_renewal(&self) -> Option<Secret>;

    /// Puts the renewal secret back into the stored record. The caller knows that the service did
    /// not use it: no byte of the request was written, or the service answered 429.
    fn return_renewal(&self, renewal: Secret);

    /// Saves the record that this flight acquired, unless the stored record is no longer the one
    /// that was read.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the record cannot be saved.
    fn save(&self, record: &Record) -> Result<Saved>;
}

/// A store of records.
pub trait Store: Send + Sync {
    /// Returns the name used in messages, such as `memory` or `file`.
    fn name(&self) -> &'static str;

    /// Describes in a few words how the records are protected.
    fn protection(&self) -> &'static str;

    /// Returns the record of a key without its renewal secret, or `None` if there is none.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be read.
    fn load(&self, key: &TokenKey) -> Result<Option<Record>>;

    /// Tries to lock a key for a flight, without waiting. Returns the stored record instead if it
    /// has a token of a generation greater than `above`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn turn(&self, key: &TokenKey, above: u64) -> Result<Turn>;

    /// Returns the holder of a lock that [`Store::turn`] reported as held, if it is known. This may
    /// take longer than a turn, so callers ask only to write a message.
    fn lock_holder(&self, key: &TokenKey) -> Option<LockHolder>;

    /// Saves a record that was acquired outside a flight of its key. It replaces the previous
    /// record, unless that has a later generation.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the record cannot be saved. The previous record is
    /// then unchanged.
    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved>;

    /// Changes the stored record of a key in place, if it has exactly this generation. This needs no
    /// lock, so it can happen during a flight. `change` sees no renewal secret, and the record keeps
    /// the one that it has. It may run several times.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()>;

    /// Removes the record of a key, unless its generation is greater than `up_to_generation`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn forget(&self, key: &TokenKey, up_to_generation: u64, reach: Reach) -> Result<()>;

    /// Removes all records, including failure records.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be used.
    fn forget_all(&self, reach: Reach) -> Result<()>;

    /// Passes the facts of each record that outlives the cache to `visit`, in no particular order,
    /// until `visit` breaks. Skips records that cannot be read. A record that is saved or removed
    /// meanwhile may be passed or not. Only one record is in memory at a time, so `visit` should
    /// keep little of each: a store may have 100,000 records.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Store`] if the store cannot be read. `visit` was not called then.
    fn visit(&self, visit: &mut dyn FnMut(&RecordFacts<'_>) -> ControlFlow<()>) -> Result<()>;

    /// Returns the fingerprinter that all processes of the store share.
    fn fingerprints(&self) -> &Fingerprinter;

    /// Returns the failure that is recorded for a fingerprint.
    fn failure(&self, secret: &Fingerprint, reach: Reach) -> Option<FailureRecord>;

    /// Replaces the failure recorded for a fingerprint, or removes it if `failure` is `None`.
    /// Changes nothing if `stays` returns true for the current failure. No other process changes
    /// the record between that check and the replacement. `stays` may run several times.
    fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
        reach: Reach,
        stays: &dyn Fn(&FailureRecord) -> bool,
    );

    /// Returns the place where failures are recorded while the store cannot be used. `None` if the
    /// store needs no such place.
    ///
    /// # Errors
    /// The error says why this process can record failures in its memory only.
    fn failure_fallback(&self) -> Option<Result<String>> {
        None
    }
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

impl Record {
    /// Returns the facts about the clocks.
    pub fn clock(&self) -> RecordClock {
        RecordClock {
            generation: self.generation,
            skew_us: self.skew_us,
            acquired_us: self.token.as_ref().map(|token| token.meta().acquired_us),
            acquired: self.acquired,
        }
    }

    /// Returns whether the record has a token of a generation greater than `above`.
    pub fn is_newer(&self, above: u64) -> bool {
        self.token.is_some() && self.generation > above
    }

    /// Returns the record without its renewal secret.
    #[must_use]
    pub fn without_renewal(self) -> Self {
        Self {
            renewal: None,
            ..self
        }
    }
}
