//! Expired records are removed in bounded steps, and never by a reader.

use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use keyferry::model::token::NO_EXPIRY;
use keyferry::ports::store::{Record, Store};
use keyferry::secret::Secret;
use keyferry::stores::file::FileStore;

use crate::processes::empty_environment;
use crate::worker::{key, token};

const HOUR_US: i64 = 3600 * 1_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const NOW_US: i64 = 1_900_000_000_000_000;

struct GcHarness {
    folder: tempfile::TempDir,
    store: FileStore,
}

impl GcHarness {
    /// A store on a memory file system if there is one: ten thousand files are synced here.
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let store = FileStore::new(
            &format!("file:{}/store", folder.path().display()),
            &empty_environment(),
        );
        Self { folder, store }
    }

    fn save(&self, id: &str, expires_us: i64, renewal: Option<&str>) {
        let (key, generation) = (key(id), u64::try_from(NOW_US).unwrap());
        let token = Some(token(&key, "abc", generation, NOW_US, expires_us));
        self.store
            .save(
                &key,
                &Record {
                    generation,
                    token,
                    renewal: renewal.map(Secret::from),
                    ..Record::default()
                },
            )
            .unwrap();
    }

    fn save_without_token(&self, id: &str, made_us: i64) {
        self.store
            .save(
                &key(id),
                &Record {
                    generation: u64::try_from(made_us).unwrap(),
                    ..Record::default()
                },
            )
            .unwrap();
    }

    /// Makes it look as if the last look at the records was longer ago than an hour.
    fn let_an_hour_pass(&self) {
        let last_run = File::options()
            .write(true)
            .open(self.folder.path().join("store/swept"))
            .unwrap();
        last_run
            .set_modified(SystemTime::now() - Duration::from_secs(3700))
            .unwrap();
    }

    fn has(&self, id: &str) -> bool {
        self.store.load(&key(id)).unwrap().is_some()
    }

    fn count(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("store/tokens"))
            .unwrap()
            .count()
    }
}

#[test]
fn records_that_are_over_go_with_a_later_save_once_an_hour() {
    let harness = GcHarness::new();
    harness.save("first", NOW_US + HOUR_US, None);
    harness.save("ended", NOW_US - 2 * DAY_US, None);
    harness.save("just ended", NOW_US - HOUR_US, None);
    harness.save("renewable", NOW_US - 90 * DAY_US, Some("renewal"));
    harness.save("endless", NO_EXPIRY, None);
    harness.save_without_token("rejected long ago", NOW_US - 32 * DAY_US);
    harness.save_without_token("rejected", NOW_US - 30 * DAY_US);
    harness.save("second", NOW_US + HOUR_US, None);
    assert_eq!(harness.count(), 8, "within the hour nobody looks");
    harness.let_an_hour_pass();
    harness.save_without_token("without a clock", NOW_US);
    assert_eq!(harness.count(), 9, "what has no token tells no time");
    harness.save("third", NOW_US + HOUR_US, None);
    let gone = ["ended", "rejected long ago"];
    for id in [
        "first",
        "ended",
        "just ended",
        "renewable",
        "endless",
        "rejected long ago",
        "rejected",
        "second",
        "third",
    ] {
        assert_eq!(harness.has(id), !gone.contains(&id), "{id}");
    }
    harness.save("ended again", NOW_US - 2 * DAY_US, None);
    assert!(harness.has("ended again"), "within the hour nobody looks");
}

#[test]
fn ten_thousand_records_are_swept_in_steps_and_what_lives_stays() {
    let harness = GcHarness::new();
    harness.save("first", NOW_US + HOUR_US, None);
    for at in 0..10_000 {
        let lives = at % 10 == 0;
        harness.save(
            &at.to_string(),
            if lives {
                NOW_US + HOUR_US
            } else {
                NOW_US - 2 * DAY_US
            },
            None,
        );
    }
    assert_eq!(harness.count(), 10_001);
    let (mut slowest, mut steps) = (Duration::ZERO, 0);
    while harness.count() > 1_001 {
        let before = harness.count();
        harness.let_an_hour_pass();
        let began = Instant::now();
        harness.save("first", NOW_US + HOUR_US, None);
        slowest = slowest.max(began.elapsed());
        steps += 1;
        assert!(
            before - harness.count() <= 2_000 && steps < 200,
            "{before} before, {} after",
            harness.count()
        );
    }
    println!(
        "10,000 records: {steps} steps, the slowest took {} ms",
        slowest.as_millis()
    );
    assert!(
        (0..10_000)
            .step_by(10)
            .all(|at| harness.has(&at.to_string()))
    );
    let before = harness.count();
    harness.save("first", NOW_US + HOUR_US, None);
    assert_eq!(harness.count(), before, "the next step is not due yet");
}
