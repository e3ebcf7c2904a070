//! The tasks of worker processes. Each line that is meant for the test begins with `@ `.

#![expect(unsafe_code, reason = "system calls")]

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use keyferry::clock::Clock;
use keyferry::config::{Config, process_environment};
use keyferry::error;
use keyferry::log::{self, Level};
use keyferry::model::key::{Access, Fingerprint, ResourceKind, Scope, TokenKey};
use keyferry::model::request::Request;
use keyferry::model::token::{NO_EXPIRY, NewToken, Token, TokenKind, TokenMeta};
use keyferry::ports::store::{FailureRecord, Reach, Record, RecordLock, Store, Turn};
use keyferry::ports::wait_budget::WaitBudget;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry::stores::failure_fallback::FailureFallback;
use keyferry::stores::file::FileStore;
use keyferry::sys::file_lock::{FileLocks, LockId, TryLock};
use keyferry::sys::private_keyring::PrivateKeyring;
use keyferry_sandbox::credentials as c;
use keyferry_testing::http;

use crate::power_cuts::Found;

fn report(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@ {text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn wait() {
    report("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Does nothing in the test's own process.
#[test]
fn runs_its_task() {
    let Some(task) = variable("KEYFERRY_ACT") else {
        return;
    };
    log::install(
        Some(Level::Warn),
        Some(Box::new(|level, text| {
            report(&format!("log {level:?} {text}"))
        })),
    )
    .unwrap();
    let words: Vec<&str> = task.split(' ').collect();
    match words.as_slice() {
        ["get", resource] => get(resource, 1, 1, None),
        ["get", resource, "times", times, "threads", threads] => get(
            resource,
            times.parse().unwrap(),
            threads.parse().unwrap(),
            None,
        ),
        ["get", resource, "telling"] => get_and_report_wait(resource),
        ["get", resource, "within", ms] => get(
            resource,
            1,
            1,
            Some(Duration::from_millis(ms.parse().unwrap())),
        ),
        ["reject", resource] => {
            let session = session();
            if let Ok(token) = session.token(resource) {
                let value = Secret::from(token.value());
                session.reject_value(resource, &value).unwrap();
            }
            let next = session.token(resource).map_err(|error| error.kind);
            report(&format!("then {:?}", next.map(drop)));
        }
        ["use", path, "threads", threads] => use_token(path, threads.parse().unwrap()),
        ["use-forbidden", count] => use_forbidden(count.parse().unwrap()),
        ["save", generation] => save(&record(&key("01A"), generation.parse().unwrap())),
        ["save", generation, "without", "renewal"] => {
            save(&record_without_renewal(
                &key("01A"),
                generation.parse().unwrap(),
            ));
        }
        ["forget", "one"] => forget_one(),
        ["forget", "all"] => forget_all(),
        ["refuse"] => refuse(),
        ["renew"] => renew(),
        ["power-cuts"] => change_before_cuts(),
        ["open-after-cuts", folder, count] => open_after_cuts(folder, count.parse().unwrap()),
        ["store", count] => store_many(count.parse().unwrap()),
        ["load"] => load(),
        ["hold"] => hold(),
        ["take", "each", "lock"] => take_each_lock(),
        ["hold-byte", path, space, number] => hold_byte(
            Path::new(path),
            LockId::new(space.parse().unwrap(), number.parse().unwrap()),
        ),
        ["timed", call, resource] => timed(call, resource),
        ["get", resource, "short", short_ms, "long", long_ms] => get_short_and_long(
            resource,
            short_ms.parse().unwrap(),
            long_ms.parse().unwrap(),
        ),
        ["begin", resource, "and", end] => begin_and_end(resource, end),
        ["get", resource, "and", "exit"] => get_and_exit(resource),
        ["fork"] => fork(),
        ["fork-and-lock", round] => fork_and_lock(round),
        ["take"] => take(),
        ["count", threads, times] => count(threads.parse().unwrap(), times.parse().unwrap()),
        ["mixed", seed] => mixed(seed.parse().unwrap()),
        ["kernel-keys"] => kernel_keys(),
        ["clear-kernel-keys"] => clear_kernel_keys(),
        ["loosen-kernel-keyring"] => loosen_kernel_keyring(),
        ["race-for-kernel-keyring", rounds] => race_for_kernel_keyring(rounds.parse().unwrap()),
        ["forget", resource] => session().forget(Some(resource)).unwrap(),
        ["forget"] => report(&format!(
            "{:?}",
            session().forget(None).map_err(|error| error.to_string())
        )),
        _ => panic!("no task {task}"),
    }
}

fn session() -> Session {
    let clock = variable("KEYFERRY_ACT_NOW_US")
        .map_or_else(Clock::system, |now| Clock::manual(now.parse().unwrap()));
    let config = Config::load(None, process_environment()).unwrap();
    Session::open_with(
        config,
        Options {
            clock,
            refreshes_in_background: false,
        },
    )
    .unwrap()
}

/// Reports for each thread how the last call ended, and for all threads how many calls succeeded.
fn get(resource: &str, times: usize, threads: usize, within: Option<Duration>) {
    let session = session();
    wait();
    let began = Instant::now();
    let barrier = Barrier::new(threads);
    let ask = || {
        barrier.wait();
        let request = Request {
            timeout: within,
            ..Request::new(resource)
        };
        let outcomes: Vec<_> = (0..times).map(|_| session.token_for(&request)).collect();
        outcomes.last().into_iter().for_each(report_outcome);
        outcomes.into_iter().filter(Result::is_ok).count()
    };
    let good: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    report(&format!(
        "good {good} in {} us",
        began.elapsed().as_micros()
    ));
}

/// Sends a request with the token of its URL. After a 401, rejects the token.
fn send_with_token(session: &Session, path: &str) -> Result<u16, error::ErrorKind> {
    let base = variable("KEYFERRY_MASV_URL").unwrap();
    let url = format!("{base}/{path}");
    let token = session.token(&url).map_err(|error| error.kind)?;
    let headers: Vec<_> = token.headers().collect();
    let status = http::send(&base, "GET", &format!("/{path}"), &headers, "").status;
    if status == 401 {
        session
            .reject_value(&url, &Secret::from(token.value()))
            .unwrap();
    }
    Ok(status)
}

/// Reports how many threads had an answer, at the latest with their second token.
fn use_token(path: &str, threads: usize) {
    let session = session();
    wait();
    let served = &|_| {
        let outcome = match send_with_token(&session, path) {
            Ok(401) => send_with_token(&session, path),
            outcome => outcome,
        };
        if outcome != Ok(200) {
            report(&format!("got {outcome:?}"));
        }
        outcome == Ok(200)
    };
    let served = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || served(number)))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.filter(|served| *served).count()
    });
    report(&format!("served {served}"));
}

/// Uses routes that answer 401 to a good token, and reports how many got no other token.
fn use_forbidden(count: usize) {
    let session = session();
    wait();
    let forbidden = (0..count)
        .map(|number| format!("v1/things/{number}"))
        .filter(|path| {
            send_with_token(&session, path) == Ok(401)
                && send_with_token(&session, path) == Err(error::ErrorKind::InsufficientAccess)
        })
        .count();
    report(&format!("forbidden {forbidden}"));
}

/// Reports when it waits for another process: a call with a short timeout fails for that reason,
/// and the fetch goes on without it.
fn get_and_report_wait(resource: &str) {
    let session = session();
    wait();
    let short_request = Request {
        timeout: Some(Duration::from_millis(50)),
        ..Request::new(resource)
    };
    while !session
        .token_for(&short_request)
        .is_err_and(|error| error.kind == error::ErrorKind::Busy)
    {}
    report("waiting");
    report(&format!(
        "got {}",
        session.token(resource).unwrap().meta().generation
    ));
}

pub(crate) fn key(id: &str) -> TokenKey {
    let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
    TokenKey {
        scope,
        resource_kind: ResourceKind::Package,
        id: id.into(),
        access: Access::Manage,
    }
}

/// A package's token of a key.
pub(crate) fn token(
    key: &TokenKey,
    value: &str,
    generation: u64,
    acquired_us: i64,
    expires_us: i64,
) -> Token {
    let new_token = NewToken::new(
        TokenKind::Package,
        "X-Package-Token",
        Secret::from(value),
        None,
    );
    let scope = key.scope.fingerprint();
    let facts = TokenMeta {
        scope,
        resource_kind: key.resource_kind,
        access: key.access,
        kind: TokenKind::Package,
        generation,
        expires_us,
        acquired_us,
    };
    Token::new(&new_token, "masv", &key.id, facts).unwrap()
}

/// A record whose every part follows from its generation.
pub(crate) fn record(key: &TokenKey, generation: u64) -> Record {
    let value = format!("{generation}-").repeat(40);
    let token = token(key, &value, generation, 0, NO_EXPIRY);
    Record {
        generation,
        token: Some(token),
        renewal: Some(Secret::new(value)),
        ..Record::default()
    }
}

/// A record of a token that can be acquired again at any time.
pub(crate) fn record_without_renewal(key: &TokenKey, generation: u64) -> Record {
    record(key, generation).without_renewal()
}

/// The generation of a record. Fails if a part of the record does not belong to it.
pub(crate) fn intact_generation(record: &Record) -> u64 {
    let value = format!("{}-", record.generation).repeat(40);
    assert_eq!(record.token.as_ref().unwrap().value(), value);
    assert!(record.renewal.is_none(), "only a lock gives it out");
    record.generation
}

/// The keys of all records that can be read, each with the generation of its facts. The facts must
/// belong together.
pub(crate) fn generations(store: &FileStore) -> Vec<(TokenKey, u64)> {
    let mut all = Vec::new();
    let visited = store.visit(&mut |record| {
        let token = record.token.as_ref().unwrap();
        assert_eq!(token.meta().generation, record.generation);
        assert_eq!(token.id(), record.id);
        all.push((record.key(), record.generation));
        ControlFlow::Continue(())
    });
    visited.unwrap();
    all
}

/// Takes the renewal secret of a record and puts it back. Fails if it belongs to another generation.
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
fn take_and_return_renewal(store: &FileStore, key: &TokenKey) {
    let Turn::Locked(lock) = store.turn(key, u64::MAX).unwrap() else {
        return;
    };
    if let Some(renewal) = lock.take_renewal() {
        let generation = lock.record().unwrap().generation;
        assert_eq!(renewal.expose(), format!("{generation}-").repeat(40));
        lock.return_renewal(renewal);
    }
}

/// Reports whether the kernel has keyrings for this process, the names of the keys in the keyring
/// `keyferry`, and all keys that this process can see.
fn kernel_keys() {
    let keyring = PrivateKeyring::open("keyferry");
    report(&format!("keyrings {}", keyring.is_ok()));
    let names = keyring.ok().flatten().map(|it| it.names().unwrap());
    report(&format!("names {}", names.unwrap_or_default().join(" ")));
    for line in std::fs::read_to_string("/proc/keys").unwrap().lines() {
        report(&format!("key {line}"));
    }
}

/// Lets other users see the keyring `keyferry`.
fn loosen_kernel_keyring() {
    const KEYCTL_SETPERM: i64 = 5;
    let keys = std::fs::read_to_string("/proc/keys").unwrap();
    for line in keys.lines().filter(|line| line.contains(" keyferry: ")) {
        let id = i64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        // SAFETY: the call takes numbers.
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, id, 0x3f3f_0001_i64) };
    }
}

/// Creates the fallback for failures in several threads at the same moment, and clears it again.
/// Reports the rounds in which all threads got the same key.
fn race_for_kernel_keyring(rounds: usize) {
    const THREADS: usize = 8;
    let good = (0..rounds).filter(|_| {
        clear_kernel_keys();
        wait_for_key_quota();
        let barrier = Barrier::new(THREADS);
        let fingerprint = || {
            let fallback = FailureFallback::new(&process_environment());
            barrier.wait();
            fallback.fingerprints().unwrap().of(&["s"])
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(fingerprint)).collect();
            let all: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
            all.iter().all(|one| *one == all[0])
        })
    });
    report(&format!("good {}", good.count()));
}

/// Waits until the kernel has freed the removed keys of this process's user, who may have 200.
fn wait_for_key_quota() {
    let user = std::fs::metadata("/proc/self").unwrap().uid().to_string();
    let count = || {
        let users = std::fs::read_to_string("/proc/key-users").unwrap();
        let mut lines = users.lines().map(|line| line.split_whitespace());
        let line = lines.find(|line| line.clone().next() == Some(&format!("{user}:")));
        let keys = line.and_then(|mut line| line.nth(3)).unwrap_or("0/");
        keys.split_once('/').unwrap().0.parse::<u32>().unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while count() > 100 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

/// Removes all keys from the keyring of this process's user.
fn clear_kernel_keys() {
    const KEYCTL_CLEAR: i64 = 7;
    const USER_KEYRING: i64 = -4;
    // SAFETY: the call takes numbers.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_CLEAR, USER_KEYRING) };
}

fn store() -> FileStore {
    FileStore::new(&variable("KEYFERRY_STORE").unwrap(), &process_environment())
}

/// A system call that strace shows, and nobody else makes.
fn trace_mark(name: &str) {
    let _ = std::fs::metadata(name);
}

/// Many failing calls of each sort that a save makes. Strace counts calls by thread: so many as
/// this thread's no other makes, and a fault that is injected at this thread's count hits no other.
fn outnumber_other_threads() {
    use libc::{
        SYS_close, SYS_fcntl, SYS_flock, SYS_fsync, SYS_getdents64, SYS_newfstatat, SYS_openat,
        SYS_pwrite64, SYS_read, SYS_write,
    };
    use libc::{SYS_mkdirat, SYS_renameat, SYS_renameat2, SYS_unlinkat};
    let calls = [
        [
            SYS_close,
            SYS_fcntl,
            SYS_flock,
            SYS_fsync,
            SYS_getdents64,
            SYS_newfstatat,
            SYS_openat,
        ],
        [
            SYS_pwrite64,
            SYS_read,
            SYS_write,
            SYS_mkdirat,
            SYS_renameat,
            SYS_renameat2,
            SYS_unlinkat,
        ],
    ];
    for _ in 0..30 {
        for call in calls.concat() {
            // SAFETY: each of them fails at its first argument, a descriptor that is none, before
            // it looks at another.
            unsafe { libc::syscall(call, -1, 0, 0, 0, 0) };
        }
        trace_mark("/nonexistent/x");
        let _ = std::fs::create_dir("/nonexistent/x");
    }
}

/// Saves the tokens of different packages, and reports how many it saved in a second.
fn store_many(count: u64) {
    let store = store();
    store
        .save(&key("first"), &record_without_renewal(&key("first"), 1))
        .unwrap();
    let began = Instant::now();
    for id in 0..count {
        let key = key(&format!("{id:026}"));
        store.save(&key, &record_without_renewal(&key, 1)).unwrap();
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    report(&format!("stored {rate:.0} tokens/s"));
}

fn save(record: &Record) {
    let (store, key) = (store(), key("01A"));
    outnumber_other_threads();
    trace_mark("/begin");
    let outcome = store.save(&key, record);
    trace_mark("/end");
    report(&format!("saved {}", outcome.is_ok()));
}

/// Takes the renewal secret of the record and saves one that has none.
fn renew() {
    let (store, key) = (store(), key("01A"));
    let lock = locked(&store, &key);
    trace_mark("/begin");
    let renewal = lock.take_renewal();
    trace_mark("/taken");
    lock.save(&record_without_renewal(&key, 8)).unwrap();
    trace_mark("/end");
    report(&format!("took {}", renewal.is_some()));
}

fn locked(store: &FileStore, key: &TokenKey) -> Box<dyn RecordLock> {
    match store.turn(key, u64::MAX).unwrap() {
        Turn::Locked(lock) => lock,
        _ => panic!("somebody else has the lock"),
    }
}

/// Makes each sort of change of a store, and says in the trace what must hold after a power cut.
fn change_before_cuts() {
    let (store, renewable, other) = (store(), key("01A"), key("01B"));
    let say = |text: &str| trace_mark(&format!("/say {text}"));
    let save = |key: &TokenKey, record: &Record| drop(store.save(key, record).unwrap());
    save(&other, &record_without_renewal(&other, 1));
    save(&renewable, &record(&renewable, 5));
    say("kept 5");
    let lock = locked(&store, &renewable);
    say("taking 5");
    lock.take_renewal().unwrap();
    say("sent 5");
    lock.save(&record(&renewable, 6)).unwrap();
    drop(lock);
    say("kept 6");
    let lock = locked(&store, &renewable);
    say("taking 6");
    let renewal = lock.take_renewal().unwrap();
    say("sent 6");
    say("returning 6");
    lock.return_renewal(renewal);
    say("kept 6");
    say("taking 6");
    lock.take_renewal().unwrap();
    say("sent 6");
    say("unsynced");
    lock.save(&record_without_renewal(&renewable, 7)).unwrap();
    drop(lock);
    save(&other, &record_without_renewal(&other, 2));
    save(&renewable, &record(&renewable, 8));
    say("kept 8");
    say("taking 8");
    save(&renewable, &record_without_renewal(&renewable, 9));
    say("taking 9");
    store.forget(&other, 2, Reach::Everywhere).unwrap();
    say("forgotten");
}

/// Opens stores as a power cut may have left them, and reports what is in each. Fails if a file is
/// set aside, or if the store can't be used.
fn open_after_cuts(folder: &str, count: usize) {
    for number in 0..count {
        let path = Path::new(folder).join(number.to_string());
        let open = || FileStore::new(&format!("file:{}", path.display()), &process_environment());
        let (store, key) = (open(), key("01A"));
        let lock = locked(&store, &key);
        let found = Found {
            generation: lock.record().map(intact_generation),
            renewal: lock.take_renewal().map(|renewal| generation_of(&renewal)),
            has_other: store.load(&self::key("01B")).unwrap().is_some(),
        };
        report(&found.to_line());
        lock.save(&record(&key, 20)).unwrap();
        drop((lock, store));
        let saved = open().load(&key).unwrap();
        assert_eq!(saved.as_ref().map(intact_generation), Some(20), "{number}");
        let tokens = std::fs::read_dir(path.join("tokens")).unwrap();
        let is_bad = |name: &std::ffi::OsStr| name.as_encoded_bytes().ends_with(b".bad");
        assert!(
            !tokens.flatten().any(|entry| is_bad(&entry.file_name())),
            "{number}"
        );
    }
}

/// The generation of a renewal secret of [`record`].
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
fn generation_of(renewal: &Secret) -> u64 {
    let generation = renewal.expose().split('-').next().unwrap().parse().unwrap();
    assert_eq!(renewal.expose(), format!("{generation}-").repeat(40));
    generation
}

fn forget_one() {
    let store = store();
    trace_mark("/begin");
    let outcome = store.forget(&key("01A"), u64::MAX, Reach::Everywhere);
    trace_mark("/end");
    report(&format!("forgot {}", outcome.is_ok()));
}

fn forget_all() {
    let store = store();
    trace_mark("/begin");
    let outcome = store.forget_all(Reach::Everywhere);
    trace_mark("/end");
    report(&format!("forgot {}", outcome.is_ok()));
}

/// Records a failure, and removes it.
fn refuse() {
    let store = store();
    let secret = store.fingerprints().of(&["secret"]);
    let failure = FailureRecord {
        since_us: 0,
        until_us: 1,
        step: 0,
        error: error::Error::new(error::ErrorKind::BadCredentials, "wrong"),
    };
    trace_mark("/begin");
    store.set_failure(&secret, Some(failure), Reach::Everywhere, &|_| false);
    store.set_failure(&secret, None, Reach::Everywhere, &|_| false);
    trace_mark("/end");
    report("refused");
}

fn load() {
    let (store, key) = (store(), key("01A"));
    // The first of its kind asks the system for more than itself.
    trace_mark("/nonexistent/x");
    trace_mark("/begin");
    let found = store.load(&key);
    trace_mark("/end");
    report(&format!(
        "loaded {:?}",
        found.unwrap().as_ref().map(intact_generation)
    ));
    trace_mark("/begin-again");
    let _ = store.load(&key);
    trace_mark("/end-again");
}

/// The key of the user's token.
pub(crate) fn user_key(masv_url: &str) -> TokenKey {
    let scope = Arc::new(Scope::new("masv", masv_url, "default"));
    TokenKey {
        scope,
        resource_kind: ResourceKind::User,
        id: "".into(),
        access: Access::Full,
    }
}

/// Takes each lock of the store: to create it, and for the record of the user's token and a failure.
/// Removes both at the end.
fn take_each_lock() {
    let (store, key) = (store(), user_key(&variable("KEYFERRY_MASV_URL").unwrap()));
    outnumber_other_threads();
    trace_mark("/begin");
    let Turn::Locked(lock) = store.turn(&key, u64::MAX).unwrap() else {
        panic!("somebody else has the lock")
    };
    let base = lock.record().cloned().unwrap_or_default();
    let generation = base.generation;
    let record = Record {
        renewal: Some(Secret::from("made up")),
        ..base
    };
    lock.save(&record).unwrap();
    drop(lock);
    let Turn::Locked(lock) = store.turn(&key, u64::MAX).unwrap() else {
        panic!("somebody else has the lock")
    };
    let renewal = lock.take_renewal().unwrap();
    lock.return_renewal(renewal);
    drop(lock);
    let secret = Fingerprint::unkeyed(&["secret"]);
    let failure = FailureRecord {
        since_us: 0,
        until_us: 1,
        step: 0,
        error: error::Error::new(error::ErrorKind::BadCredentials, "wrong"),
    };
    store.set_failure(&secret, Some(failure), Reach::Everywhere, &|_| false);
    store.set_failure(&secret, None, Reach::Everywhere, &|_| false);
    let change = |record: &mut Record| record.alive_us = Some(1);
    store.update(&key, generation, &change).unwrap();
    trace_mark("/forget");
    store.forget(&key, u64::MAX, Reach::Everywhere).unwrap();
    trace_mark("/end");
    report("took each lock");
}

/// Holds the lock of the user's token until the end.
fn hold() {
    let (store, key) = (store(), user_key(&variable("KEYFERRY_MASV_URL").unwrap()));
    let Turn::Locked(_lock) = store.turn(&key, u64::MAX).unwrap() else {
        panic!("somebody else has the lock")
    };
    wait();
}

/// Holds one lock of a lock file until the end.
fn hold_byte(path: &Path, id: LockId) {
    let locks = open_locks(path).unwrap();
    let outcome = locks.try_lock(id, |_| unreachable!("it locks bytes"));
    assert!(matches!(outcome, Ok(TryLock::Acquired(_))));
    let _held = outcome;
    wait();
}

/// Gets a token, and then reports how long another call for it takes.
fn timed(call: &str, resource: &str) {
    let session = session();
    let token = session.token(resource).unwrap();
    wait();
    let began = Instant::now();
    let outcome = match call {
        "hits" => (0..1000).try_for_each(|_| session.token(resource).map(drop)),
        "reject" => session.reject(&token),
        "forget" => session.forget(Some(resource)),
        _ => panic!("no call {call}"),
    };
    let took = began.elapsed();
    let error = outcome.err().map(|error| error.to_string());
    report(&format!("took {} us {error:?}", took.as_micros()));
}

/// Gets a token, and exits without closing the session.
fn get_and_exit(resource: &str) {
    let session = std::mem::ManuallyDrop::new(session());
    let token = session.token(resource).unwrap();
    report(&format!("got {}", token.meta().generation));
    std::process::exit(0);
}

/// Begins to get a token, and ends at a signal from the test: exits, or frees the session.
fn begin_and_end(resource: &str, end: &str) {
    let session = session();
    let request = Request::new(resource);
    session.start(request, |outcome| {
        report(&format!(
            "ended {:?}",
            outcome.err().map(|error| error.kind)
        ));
    });
    wait();
    if end == "exit" {
        std::process::exit(0);
    }
    drop(session);
}

/// Two callers with these timeouts wait for one flight.
fn get_short_and_long(resource: &str, short_ms: u64, long_ms: u64) {
    let session = session();
    wait();
    let ask = |ms| {
        let request = Request {
            timeout: Some(Duration::from_millis(ms)),
            ..Request::new(resource)
        };
        let began = Instant::now();
        let kind = session.token_for(&request).err().map(|error| error.kind);
        report(&format!(
            "{kind:?} after {} ms",
            began.elapsed().as_millis()
        ));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| ask(short_ms));
        scope.spawn(|| {
            while session.stats().flights == 0 {
                std::thread::yield_now();
            }
            ask(long_ms);
        });
    });
}

/// Leaves a child behind that lives on, and ends without a word while it holds the lock.
fn fork() {
    let (store, key) = (store(), key("01A"));
    let Turn::Locked(lock) = store.turn(&key, u64::MAX).unwrap() else {
        panic!("somebody else has the lock")
    };
    // SAFETY: the child calls nothing but what may be called after a fork.
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: takes nothing, and ends with a signal.
            unsafe { libc::pause() };
        },
        child => report(&format!("child {child}")),
    }
    std::mem::forget(lock);
    std::process::exit(0);
}

/// Whether another process holds the lock of a file that [`fork_and_lock`] has locked.
pub(crate) fn is_locked(path: &Path) -> bool {
    let locks = open_locks(path).unwrap();
    let outcome = locks.try_lock(LockId::new(0, 0), |_| unreachable!("it locks bytes"));
    matches!(outcome.unwrap(), TryLock::Busy)
}

fn open_locks(path: &Path) -> std::io::Result<Arc<FileLocks>> {
    FileLocks::open(|| {
        std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    })
}

/// Opens and locks files while another thread forks, and ends without a word while it holds all
/// locks. Its children live on.
fn fork_and_lock(round: &str) {
    const FILES: usize = 480;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let forks = scope.spawn(|| {
            let mut children = Vec::new();
            while !done.load(Ordering::Relaxed) && children.len() < 200 {
                // SAFETY: the child calls nothing but what may be called after a fork.
                match unsafe { libc::fork() } {
                    0 => {
                        // A child ends by itself if the test does not end it.
                        // SAFETY: takes a number.
                        unsafe { libc::alarm(60) };
                        loop {
                            // SAFETY: takes nothing, and ends with a signal.
                            unsafe { libc::pause() };
                        }
                    }
                    child => children.push(child),
                }
            }
            children
        });
        for id in 0..FILES {
            let locks = open_locks(Path::new(&format!("../race-{round}-{id}"))).unwrap();
            let outcome = locks.try_lock(LockId::new(0, 0), |_| unreachable!("it locks bytes"));
            std::mem::forget(outcome.unwrap());
        }
        done.store(true, Ordering::Relaxed);
        for child in forks.join().unwrap() {
            report(&format!("child {child}"));
        }
    });
    report(&format!("locks {FILES}"));
    std::process::exit(0);
}

/// Takes the renewal secret of a record, and goes on for ever.
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
fn take() {
    let (store, key) = (store(), key("01A"));
    let Turn::Locked(lock) = store.turn(&key, u64::MAX).unwrap() else {
        panic!("somebody else has the lock")
    };
    report(&format!("took {}", lock.take_renewal().unwrap().expose()));
    wait();
}

fn report_outcome(outcome: &error::Result<Token>) {
    match outcome {
        Ok(token) => report(&format!(
            "got {} {}",
            token.meta().generation,
            token.value()
        )),
        Err(error) => report(&format!("failed {:?} {error}", error.kind)),
    }
}

/// Counts up in a file under a record's lock.
fn count(threads: usize, times: usize) {
    wait();
    let count = || {
        let store = store();
        for _ in 0..times {
            let _lock = loop {
                match store.turn(&key("01A"), 0).unwrap() {
                    Turn::Locked(lock) => break lock,
                    Turn::Held { retry_after, .. } => std::thread::sleep(retry_after),
                    Turn::Newer(_) => panic!("there is no record"),
                }
            };
            let before: usize = std::fs::read_to_string("../counter")
                .unwrap()
                .parse()
                .unwrap();
            std::thread::yield_now();
            std::fs::write("../counter", (before + 1).to_string()).unwrap();
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(count))));
}

/// Two hundred operations in an order that the seed tells, on few keys, by way of a session that is
/// new each tenth time.
fn mixed(seed: u64) {
    wait();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    // On a busy machine, so many processes may wait for one record longer than a call does.
    let _budget = WaitBudget::of(Duration::from_secs(3600), None);
    let keys: Vec<TokenKey> = (0..5).map(|id| key(&format!("mixed{id}"))).collect();
    let mut store = store();
    let mut times = Vec::new();
    for round in 0..200 {
        if round % 10 == 0 {
            store = self::store();
        }
        let key = &keys[random(5) as usize];
        let began = Instant::now();
        match random(10) {
            0..=3 => {
                let before = store
                    .load(key)
                    .unwrap()
                    .map_or(0, |record| record.generation);
                store
                    .save(key, &record(key, before + 1 + random(3)))
                    .unwrap();
            }
            4 => store.forget(key, random(1000), Reach::Everywhere).unwrap(),
            5 => take_and_return_renewal(&store, key),
            6 => {
                for (key, _) in generations(&store) {
                    let record = store.load(&key).unwrap();
                    record.as_ref().map(intact_generation);
                }
            }
            _ => drop(store.load(key).unwrap().as_ref().map(intact_generation)),
        }
        times.push(began.elapsed().as_micros());
    }
    times.sort_unstable();
    report(&format!(
        "middle {} p99 {} worst {} us",
        times[100], times[197], times[199]
    ));
}

/// A package of the sandbox, as it is asked for.
pub(crate) fn package() -> String {
    format!("packages/{}", c::PACKAGE_ID)
}
