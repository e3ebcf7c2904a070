//! Saves that take long: callers get their token 200 ms after the response, and the flight keeps
//! its lock until the save ends.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use keyferry::engine::accounts::Accounts;
use keyferry::engine::broker::Broker;
use keyferry::engine::rejections::Asker;
use keyferry::engine::replacement;
use keyferry::engine::state::EngineParts;
use keyferry::error::Result;
use keyferry::model::key::{Fingerprint, Fingerprinter, TokenKey};
use keyferry::model::request::Request;
use keyferry::model::token::{NewToken, Token, TokenKind};
use keyferry::plugin::Plugins;
use keyferry::ports::store::{
    FailureRecord, LockHolder, Reach, Record, RecordFacts, RecordLock, Saved, Store, Turn,
};
use keyferry::secret::Secret;
use keyferry::stores::file::FileStore;
use keyferry::transport::{self, Proxy, Transport};
use keyferry_testing::harness::Harness;
use keyferry_testing::settings::{config, settings};

use crate::sessions::{LONG, START_US, package};

/// Stops the saves until it opens.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicUsize,
    saved: AtomicUsize,
}

impl Gate {
    fn pass<T>(&self, save: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
        drop(is_open);
        let saved = save();
        self.saved.fetch_add(1, Ordering::SeqCst);
        saved
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// A file store whose flights save through a gate.
struct SlowStore(FileStore, Arc<Gate>);

struct SlowLock(Box<dyn RecordLock>, Arc<Gate>);

impl RecordLock for SlowLock {
    fn record(&self) -> Option<&Record> {
        self.0.record()
    }
    fn still_held(&self) -> bool {
        self.0.still_held()
    }
    fn take_renewal(&self) -> Option<Secret> {
        self.0.take_renewal()
    }
    fn return_renewal(&self, renewal: Secret) {
        self.0.return_renewal(renewal);
    }
    fn save(&self, record: &Record) -> Result<Saved> {
        self.1.pass(|| self.0.save(record))
    }
}

impl Store for SlowStore {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn protection(&self) -> &'static str {
        self.0.protection()
    }
    fn load(&self, key: &TokenKey) -> Result<Option<Record>> {
        self.0.load(key)
    }
    fn turn(&self, key: &TokenKey, above: u64) -> Result<Turn> {
        Ok(match self.0.turn(key, above)? {
            Turn::Locked(lock) => Turn::Locked(Box::new(SlowLock(lock, Arc::clone(&self.1)))),
            other => other,
        })
    }
    fn lock_holder(&self, key: &TokenKey) -> Option<LockHolder> {
        self.0.lock_holder(key)
    }
    fn save(&self, key: &TokenKey, record: &Record) -> Result<Saved> {
        self.0.save(key, record)
    }
    fn update(&self, key: &TokenKey, generation: u64, change: &dyn Fn(&mut Record)) -> Result<()> {
        self.0.update(key, generation, change)
    }
    fn forget(&self, key: &TokenKey, up_to_generation: u64, reach: Reach) -> Result<()> {
        self.0.forget(key, up_to_generation, reach)
    }
    fn forget_all(&self, reach: Reach) -> Result<()> {
        self.0.forget_all(reach)
    }
    fn visit(&self, visit: &mut dyn FnMut(&RecordFacts<'_>) -> ControlFlow<()>) -> Result<()> {
        self.0.visit(visit)
    }
    fn fingerprints(&self) -> &Fingerprinter {
        self.0.fingerprints()
    }
    fn failure(&self, secret: &Fingerprint, reach: Reach) -> Option<FailureRecord> {
        self.0.failure(secret, reach)
    }
    fn set_failure(
        &self,
        secret: &Fingerprint,
        failure: Option<FailureRecord>,
        reach: Reach,
        stays: &dyn Fn(&FailureRecord) -> bool,
    ) {
        self.0.set_failure(secret, failure, reach, stays);
    }
}

/// A broker whose saves hang.
struct SlowBroker {
    broker: Arc<Broker>,
    gate: Arc<Gate>,
    harness: Harness,
}

impl SlowBroker {
    fn new() -> Self {
        let harness = Harness::at(START_US);
        let gate: Arc<Gate> = Arc::default();
        let accounts = Accounts::open(
            &config(settings(harness.sandbox(), &[])),
            &Plugins::default(),
        );
        let parts = EngineParts {
            store: Box::new(SlowStore(Self::store_of(&harness), Arc::clone(&gate))),
            http: Box::new(Transport::new(transport::Options {
                proxy: Proxy::from_setting(None),
                ..transport::Options::default()
            })),
            clock: harness.clock().clone(),
            timeout: LONG,
        };
        Self {
            broker: Broker::new(accounts.unwrap(), parts, false),
            gate,
            harness,
        }
    }

    fn store_of(harness: &Harness) -> FileStore {
        let setting = format!("file:{}", harness.path("store").display());
        FileStore::new(&setting, &(Arc::new(|_: &str| None) as _))
    }

    /// The store as another session has it. Its saves don't hang.
    fn store(&self) -> FileStore {
        Self::store_of(&self.harness)
    }

    fn token(&self, resource: &str) -> Token {
        let began = Instant::now();
        let token = self.broker.token_for(&Request::new(resource)).unwrap();
        assert!(began.elapsed() < LONG / 2, "before its deadline");
        token
    }

    fn key(&self, token: &Token) -> TokenKey {
        let accounts = &self.broker.state.accounts;
        accounts.at_scope(token.meta().scope).unwrap().key_of(token)
    }

    /// Lets the saves end, and waits until no flight is under way.
    fn finish(&self) {
        self.gate.open();
        let deadline = Instant::now() + LONG;
        while self.broker.flights_under_way() > 0 {
            assert!(Instant::now() < deadline, "a flight does not end");
            std::thread::yield_now();
        }
    }

    fn begun(&self) -> usize {
        self.gate.begun.load(Ordering::SeqCst)
    }

    fn saved(&self) -> usize {
        self.gate.saved.load(Ordering::SeqCst)
    }
}

impl Drop for SlowBroker {
    fn drop(&mut self) {
        self.gate.open();
    }
}

#[test]
fn callers_get_the_token_while_its_save_hangs_and_the_lock_is_kept() {
    let slow = SlowBroker::new();
    let token = slow.token("user");
    assert_eq!((slow.begun(), slow.saved()), (1, 0));
    let key = slow.key(&token);
    let cached = slow.broker.state.cache.get(&key.borrow()).unwrap();
    assert_eq!(cached.token.meta(), token.meta());
    assert!(matches!(slow.store().turn(&key, 0), Ok(Turn::Held { .. })));
    assert_eq!(slow.token("user").meta(), token.meta());
    slow.finish();
    assert_eq!(slow.saved(), 1);
    let stored = slow.store().load(&key).unwrap().unwrap();
    assert_eq!(stored.generation, token.meta().generation);
    let free = slow.store().turn(&key, stored.generation);
    assert!(matches!(free, Ok(Turn::Locked(_))));
    assert_eq!(slow.harness.sandbox().count("login"), 1);
}

#[test]
fn a_flight_goes_on_with_a_token_whose_save_hangs() {
    let slow = SlowBroker::new();
    slow.token(&package(1));
    assert_eq!(
        (slow.begun(), slow.saved()),
        (2, 0),
        "the user's and the package's"
    );
    slow.finish();
    assert_eq!(slow.saved(), 2);
}

#[test]
fn a_token_that_is_rejected_while_it_is_saved_is_not_handed_out_again() {
    let slow = SlowBroker::new();
    let token = slow.token("user");
    replacement::reject(&slow.broker.state, &token, Asker::Session).unwrap();
    let request = Request {
        timeout: Some(Duration::from_millis(50)),
        ..Request::new("user")
    };
    assert!(slow.broker.token_for(&request).is_err());
    slow.finish();
    let stored = slow.store().load(&slow.key(&token)).unwrap().unwrap();
    assert_eq!(stored.generation, token.meta().generation);
    assert!(stored.token.is_some(), "a rejection removes nothing");
}

#[test]
fn a_token_that_is_removed_while_it_is_saved_is_not_stored() {
    let slow = SlowBroker::new();
    let token = slow.token("user");
    slow.broker.state.cache.clear();
    slow.finish();
    assert!(slow.store().load(&slow.key(&token)).unwrap().is_none());
}

#[test]
fn a_save_that_loses_puts_the_winner_in_the_place_of_the_token() {
    let slow = SlowBroker::new();
    let token = slow.token("user");
    let key = slow.key(&token);
    let meta = keyferry::model::token::TokenMeta {
        generation: token.meta().generation - 1,
        ..*token.meta()
    };
    let new = NewToken::new(
        TokenKind::User,
        "Authorization",
        Secret::from("of.a.login"),
        None,
    );
    let winner = Token::new(&new, "masv", &key.id, meta).unwrap();
    let record = Record {
        generation: meta.generation,
        token: Some(winner.clone()),
        ..Record::default()
    };
    assert!(matches!(slow.store().save(&key, &record), Ok(Saved::Kept)));
    slow.finish();
    assert_eq!(slow.token("user").value(), winner.value());
    let stored = slow.store().load(&key).unwrap().unwrap();
    assert_eq!(stored.generation, meta.generation);
}

#[test]
fn the_end_of_a_session_waits_for_a_save() {
    let slow = SlowBroker::new();
    slow.token("user");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !slow.broker.state.closed.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            slow.gate.open();
        });
        slow.broker.close();
        assert_eq!(slow.saved(), 1);
    });
}

#[test]
fn the_end_of_a_session_waits_for_a_save_at_most_half_a_second() {
    let slow = SlowBroker::new();
    slow.token("user");
    let began = Instant::now();
    slow.broker.close();
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(500) && took < Duration::from_millis(1500),
        "{took:?}"
    );
}
