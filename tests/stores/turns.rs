//! What a store answers a flight: the lock, its holder, or a newer record; and what the holder of a
//! lock may do with the record.

use std::time::{Duration, Instant};

use keyferry::model::key::Fingerprint;
use keyferry::ports::store::{Reach, Record, RecordLock, RejectLogin, Saved, Store, Turn};
use keyferry::secret::Secret;
use keyferry::stores::memory::MemoryStore;
use keyferry_sandbox::Fault;

use crate::processes::{StoreProcesses, Worker, new_harness};
use crate::two_sessions::StoreSessions;
use crate::worker::{intact_generation, key, record, record_without_renewal};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

const BEARER: &str = "fileverbs:bearer";
const REFRESH: &str = "/api/v1/accounts/refresh-token";

/// Runs a check with each store.
fn with_each_store(check: impl Fn(&dyn Store)) {
    check(&MemoryStore::default());
    check(&new_harness().store());
}

fn locked(store: &dyn Store, id: &str) -> Box<dyn RecordLock> {
    match store.turn(&key(id), u64::MAX).unwrap() {
        Turn::Locked(lock) => lock,
        _ => panic!("somebody else has the lock"),
    }
}

fn save(store: &dyn Store, generation: u64) {
    let saved = store.save(&key("01A"), &record(&key("01A"), generation));
    assert!(matches!(saved, Ok(Saved::Kept)));
}

fn generation(store: &dyn Store) -> Option<u64> {
    let record = store.load(&key("01A")).unwrap()?;
    assert!(record.renewal.is_none(), "only a lock gives it out");
    Some(record.generation)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
fn exposed(renewal: Option<Secret>) -> Option<String> {
    renewal.map(|renewal| renewal.expose().to_owned())
}

/// The renewal secret of [`record`].
fn renewal_of(generation: u64) -> Option<String> {
    exposed(record(&key("01A"), generation).renewal)
}

#[test]
fn a_turn_gives_the_lock_the_holder_or_a_newer_record() {
    let harness = new_harness();
    let store = harness.store();
    save(&store, 7);
    let turn = |above| store.turn(&key("01A"), above).unwrap();
    assert!(
        matches!(turn(6), Turn::Newer(record) if intact_generation(&record) == 7),
        "nobody has to wait for it"
    );
    let Turn::Locked(lock) = turn(7) else {
        panic!("nothing is newer")
    };
    assert_eq!(lock.record().map(intact_generation), Some(7));
    let Turn::Held { retry_after } = turn(7) else {
        panic!("it is held")
    };
    let holder = store.lock_holder(&key("01A")).unwrap();
    assert_eq!(holder.name, format!("process {}", std::process::id()));
    assert!(!holder.is_stopped);
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_millis(10));
    assert!(matches!(turn(6), Turn::Newer(_)), "also while it is held");
    assert!(matches!(
        store.turn(&key("01B"), 0).unwrap(),
        Turn::Locked(lock) if lock.record().is_none()
    ));
    drop(lock);
    let remove_token = |record: &mut Record| record.token = None;
    store.update(&key("01A"), 7, &remove_token).unwrap();
    assert!(
        matches!(turn(6), Turn::Locked(lock) if lock.record().unwrap().generation == 7),
        "a record without a token serves nobody"
    );
}

#[test]
fn a_lock_in_memory_is_held_once() {
    let store = MemoryStore::default();
    let lock = locked(&store, "01A");
    std::thread::scope(|scope| {
        let turn = scope.spawn(|| matches!(store.turn(&key("01A"), 0).unwrap(), Turn::Held { .. }));
        assert!(turn.join().unwrap());
    });
    drop(locked(&store, "01B"));
    drop(lock);
    drop(locked(&store, "01A"));
}

#[test]
fn a_lock_saves_unless_another_record_was_stored_meanwhile() {
    with_each_store(|store| {
        let lock = locked(store, "01A");
        assert!(matches!(
            lock.save(&record(&key("01A"), 5)),
            Ok(Saved::Kept)
        ));
        drop(lock);
        let lock = locked(store, "01A");
        save(store, 9);
        for generation in [6, 10] {
            let saved = lock.save(&record(&key("01A"), generation)).unwrap();
            assert!(
                matches!(saved, Saved::Lost(winner) if winner.generation == 9 && winner.renewal.is_none()),
                "the generation was 5 when the lock was granted"
            );
        }
        assert!(lock.take_renewal().is_none(), "it is another record's");
        drop(lock);
        assert_eq!(generation(store), Some(9));
        let lock = locked(store, "01A");
        assert_eq!(exposed(lock.take_renewal()), renewal_of(9));
        store.forget(&key("01A"), 9, Reach::Everywhere).unwrap();
        assert!(
            matches!(lock.save(&record(&key("01A"), 10)), Ok(Saved::Kept)),
            "a record that was forgotten wins over nothing"
        );
    });
}

#[test]
fn a_record_without_a_renewal_secret_that_was_stored_meanwhile_wins_too() {
    with_each_store(|store| {
        let record = |generation| record_without_renewal(&key("01A"), generation);
        let lock = locked(store, "01A");
        store.save(&key("01A"), &record(9)).unwrap();
        let saved = lock.save(&record(10)).unwrap();
        assert!(matches!(saved, Saved::Lost(winner) if winner.generation == 9));
        store.forget(&key("01A"), 9, Reach::Everywhere).unwrap();
        assert!(matches!(lock.save(&record(10)), Ok(Saved::Kept)));
        drop(lock);
        let lock = locked(store, "01A");
        assert!(matches!(lock.save(&record(11)), Ok(Saved::Kept)));
    });
}

#[test]
fn an_update_of_a_record_without_a_renewal_secret_is_kept() {
    with_each_store(|store| {
        let record = record_without_renewal(&key("01A"), 7);
        store.save(&key("01A"), &record).unwrap();
        let reject = |record: &mut Record| record.rejections.push(Fingerprint::from_bytes([1; 16]));
        store.update(&key("01A"), 7, &reject).unwrap();
        let found = store.load(&key("01A")).unwrap().unwrap();
        assert_eq!((found.generation, found.rejections.len()), (7, 1));
    });
}

#[test]
fn a_renewal_secret_is_taken_once_and_can_be_put_back() {
    with_each_store(|store| {
        save(store, 7);
        let lock = locked(store, "01A");
        let renewal = lock.take_renewal().unwrap();
        assert_eq!(exposed(Some(renewal.clone())), renewal_of(7));
        assert!(lock.take_renewal().is_none());
        drop(lock);
        assert!(locked(store, "01A").take_renewal().is_none());
        locked(store, "01A").return_renewal(renewal);
        assert_eq!(exposed(locked(store, "01A").take_renewal()), renewal_of(7));
        let stale = locked(store, "01A");
        save(store, 8);
        stale.return_renewal(Secret::from("spent"));
        drop(stale);
        assert_eq!(exposed(locked(store, "01A").take_renewal()), renewal_of(8));
    });
}

#[test]
fn an_update_changes_its_generation_alone_and_keeps_the_renewal_secret() {
    with_each_store(|store| {
        save(store, 7);
        let login = RejectLogin {
            step: 2,
            at_us: 5,
            rejected_us: 6,
        };
        let change = |record: &mut Record| {
            assert!(record.renewal.is_none(), "only a lock gives it out");
            record.rejections.push(Fingerprint::from_bytes([1; 16]));
            record.reject_login = Some(login);
        };
        for (generation, expected) in [(6, 0), (8, 0), (7, 1), (7, 2)] {
            store.update(&key("01A"), generation, &change).unwrap();
            let found = store.load(&key("01A")).unwrap().unwrap();
            assert_eq!(found.rejections.len(), expected, "{generation}");
        }
        let lock = locked(store, "01A");
        assert_eq!(lock.record().unwrap().reject_login, Some(login));
        assert_eq!(exposed(lock.take_renewal()), renewal_of(7));
    });
}

#[test]
fn a_lock_whose_file_was_removed_stands_no_longer() {
    let harness = new_harness();
    let store = harness.store();
    let lock = locked(&store, "01A");
    assert!(lock.still_held());
    std::fs::remove_file(harness.path("store/lock")).unwrap();
    assert!(!lock.still_held());
    let second = locked(&store, "01A");
    assert!(second.still_held());
    drop(lock);
    assert!(
        matches!(
            harness.store().turn(&key("01A"), 0).unwrap(),
            Turn::Held { .. }
        ),
        "the end of the first lock does not end the second"
    );
}

#[test]
fn nothing_is_sent_after_the_lock_was_lost() {
    let harness = new_harness();
    let (config, started, go) = (
        harness.path("home/.config/keyferry/config.toml"),
        harness.path("started"),
        harness.path("go"),
    );
    // The command of the password waits, so that the lock can be lost meanwhile.
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.01; done; echo password",
        started.display(),
        go.display()
    );
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    let command =
        format!("[masv]\npassword = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}\n");
    std::fs::write(&config, command).unwrap();
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut worker = Worker::start(
        harness
            .command("get user")
            .env_remove("KEYFERRY_MASV_PASSWORD"),
    );
    assert_eq!(worker.line(), "ready");
    worker.go();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !started.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_file(harness.path("store/lock")).unwrap();
    std::fs::write(go, "").unwrap();
    let output = worker.finish();
    assert!(output[0].starts_with("failed Busy "), "{output:?}");
    assert_eq!(harness.sandbox().count("login"), 0);
}

#[test]
fn a_flight_adopts_the_token_of_a_login_meanwhile() {
    let harness = new_harness();
    let (first, second) = (harness.session(), harness.session());
    let slow = Duration::from_millis(400);
    harness.sandbox().fault(Fault::slow(slow).path("/v1/auth"));
    let (got, login) = std::thread::scope(|scope| {
        let flight = scope.spawn(|| first.token("user").unwrap());
        assert!(
            harness
                .sandbox()
                .wait_for("login", 1, Duration::from_secs(10))
        );
        let login = second.masv_login(None, None).unwrap();
        (flight.join().unwrap(), login)
    });
    assert_eq!((got.meta(), got.value()), (login.meta(), login.value()));
    assert_eq!(first.token("user").unwrap().meta(), login.meta());
    assert_eq!(
        harness.session().token("user").unwrap().meta(),
        login.meta()
    );
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn a_process_that_is_killed_with_a_renewal_secret_leaves_none_behind() {
    let harness = new_harness();
    save(&harness.store(), 7);
    let mut holder = harness.worker("take");
    assert_eq!(
        Some(holder.line()),
        renewal_of(7).map(|it| format!("took {it}"))
    );
    holder.signal(libc::SIGKILL);
    holder.end_of_process();
    let store = harness.store();
    let lock = locked(&store, "01A");
    assert_eq!(lock.record().map(intact_generation), Some(7));
    assert!(lock.take_renewal().is_none());
}

#[test]
fn a_process_that_is_killed_during_a_refresh_costs_a_login_and_no_reuse() {
    let harness = new_harness();
    harness.sandbox().set_life("bearer", 600);
    harness.run_together(1, &format!("get {BEARER}"));
    harness.sandbox().clock().advance(Duration::from_secs(700));
    // The service uses the secret up, and its answer comes late.
    let late = Fault::slow(Duration::from_secs(3)).path(REFRESH);
    harness.sandbox().fault(late);
    let mut killed = harness.worker(&format!("get {BEARER}"));
    assert_eq!(killed.line(), "ready");
    killed.go();
    let count = |name: &str| harness.sandbox().count(name);
    assert!(
        harness
            .sandbox()
            .wait_for("refresh", 1, Duration::from_secs(10))
    );
    killed.signal(libc::SIGKILL);
    killed.end_of_process();
    let output = harness.run_together(4, &format!("get {BEARER}")).concat();
    assert_eq!(
        output
            .iter()
            .filter(|line| line.starts_with("got "))
            .count(),
        4,
        "{output:?}"
    );
    assert_eq!(
        (
            count("fileverbs_login"),
            count("refresh"),
            count("refresh_reuse")
        ),
        (2, 1, 0)
    );
}

/// How many rounds of kills there are: KEYFERRY_KILL_ROUNDS, or 20.
fn kill_rounds() -> u64 {
    std::env::var("KEYFERRY_KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20)
}

#[test]
fn no_renewal_secret_is_sent_twice_by_processes_that_are_killed() {
    let harness = new_harness();
    harness.sandbox().set_life("bearer", 600);
    let task = format!("get {BEARER}");
    let count = |name: &str| harness.sandbox().count(name);
    for round in 0..kill_rounds() {
        harness.sandbox().clock().advance(Duration::from_secs(700));
        let late = Fault::slow(Duration::from_millis(20)).path(REFRESH);
        harness.sandbox().fault(late);
        let mut workers: Vec<_> = (0..4).map(|_| harness.worker(&task)).collect();
        workers
            .iter_mut()
            .for_each(|worker| assert_eq!(worker.line(), "ready"));
        let sent = count("refresh");
        workers.iter_mut().for_each(Worker::go);
        // In each fourth round, the first kill comes after a refresh was sent, on a slow machine too.
        let given_up = Instant::now() + Duration::from_secs(10);
        while round % 4 == 0 && count("refresh") == sent && Instant::now() < given_up {
            std::thread::sleep(Duration::from_millis(1));
        }
        for (at, worker) in workers.iter_mut().enumerate() {
            // Spreads the kills over the time that a refresh takes.
            let pause = (round * 7 + at as u64 * 11) % 40;
            std::thread::sleep(Duration::from_millis(pause / 4));
            worker.signal(libc::SIGKILL);
            worker.end_of_process();
        }
        harness.sandbox().clear_faults();
        let output = harness.run_together(1, &task).concat();
        assert!(output[0].starts_with("got "), "{output:?}");
    }
    println!(
        "{} refreshes and {} logins in {} rounds",
        count("refresh"),
        count("fileverbs_login"),
        kill_rounds()
    );
    assert_eq!(count("refresh_reuse"), 0);
    assert!(count("refresh") > 0);
}

#[test]
fn threads_and_processes_are_never_in_one_lock_together() {
    let harness = new_harness();
    let counter = harness.path("counter");
    std::fs::write(&counter, "0").unwrap();
    // Reads a number, and writes the next one: without the lock some would be lost.
    let output = harness.run_together(4, "count 4 25");
    assert!(output.iter().all(Vec::is_empty), "{output:?}");
    assert_eq!(std::fs::read_to_string(counter).unwrap(), "400");
}

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn a_fork_before_a_lock_is_taken_leaves_no_lock_with_the_child() {
    let harness = new_harness();
    let (mut kept, mut locks, mut forks) = (0, 0, 0);
    for round in 0..8 {
        let mut parent = harness.worker(&format!("fork-and-lock {round}"));
        let mut children: Vec<i32> = Vec::new();
        let count = loop {
            let line = parent.line();
            match line.split_once(' ').unwrap() {
                ("child", pid) => children.push(pid.parse().unwrap()),
                (_, count) => break count.parse::<usize>().unwrap(),
            }
        };
        assert!(parent.end_of_process().success());
        (locks, forks) = (locks + count, forks + children.len());
        kept += (0..count)
            .filter(|id| is_kept(&harness, round, *id))
            .count();
        for child in children {
            // SAFETY: the number is of the child, which lives until here.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
    }
    println!("{locks} locks beside {forks} forks");
    assert!(forks >= 8, "{forks}");
    assert_eq!(kept, 0, "of {locks} locks");
}

/// Whether somebody holds a lock file's lock, though the process that took it has ended. A child
/// that has just been forked may need a moment before it closes its descriptors.
fn is_kept(harness: &Harness, round: usize, id: usize) -> bool {
    let path = harness.path(&format!("race-{round}-{id}"));
    let deadline = Instant::now() + Duration::from_secs(5);
    while crate::worker::is_locked(&path) {
        if Instant::now() >= deadline {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn a_flight_reads_its_record_once_and_once_more_to_replace_it() {
    if skip::without_strace() {
        return;
    }
    let harness = new_harness();
    harness.run_together(1, "get user");
    harness
        .sandbox()
        .clock()
        .advance(Duration::from_secs(30 * 24 * 3600));
    let log = harness.path("strace.log");
    let options = ["-f", "-o", log.to_str().unwrap(), "-e", "trace=openat"];
    let mut worker = Worker::start(&mut crate::syscalls::syscalls(
        &harness, "get user", &options,
    ));
    worker.try_go();
    let (output, _) = worker.end();
    assert!(output[1].starts_with("got "), "{output:?}");
    let text = std::fs::read_to_string(log).unwrap();
    let opened = text.matches("\"tokens/").count();
    // Before the flight, with the lock of the flight, and to replace it.
    assert_eq!(opened, 3, "{text}");
    assert_eq!(harness.sandbox().count("login"), 2);
}
