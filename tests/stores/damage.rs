//! Damaged, truncated and foreign files: they are detected and quarantined, and the token is
//! fetched again.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use keyferry::config::Config;
use keyferry::model::key::{Fingerprint, TokenKey};
use keyferry::ports::store::{KeyBackend, Reach, Record, Store};
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::stores::file::FileStore;

use crate::processes::{StoreProcesses, empty_environment, new_harness};
use crate::worker::{intact_generation, key, record};
use keyferry_testing::harness::Harness;

fn stored(harness: &Harness) -> (keyferry::stores::file::FileStore, TokenKey, Vec<u8>) {
    let (store, key) = (harness.store(), key("01A"));
    store.save(&key, &record(&key, 7)).unwrap();
    let bytes = std::fs::read(harness.token_file()).unwrap();
    (store, key, bytes)
}

#[test]
fn every_bit_of_a_file_counts() {
    let harness = new_harness();
    let (store, key, bytes) = stored(&harness);
    let path = harness.token_file();
    let bad = path.with_extension("bad");
    let is_detected = |damaged: &[u8], what: String| {
        std::fs::write(&path, damaged).unwrap();
        assert!(store.load(&key).unwrap().is_none(), "{what}");
        assert!(
            !path.exists() && std::fs::read(&bad).unwrap() == damaged,
            "{what}: it is set aside"
        );
        std::fs::set_permissions(&bad, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(&bad, &path).unwrap();
    };
    is_detected(b"bent", "another file that is short".into());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        is_detected(&damaged, format!("bit {bit}"));
    }
    is_detected(&[bytes.as_slice(), b"x"].concat(), "one byte more".into());
    // A save heals, and keeps one damaged file at most.
    std::fs::write(&path, b"bent").unwrap();
    store.save(&key, &record(&key, 8)).unwrap();
    assert_eq!(intact_generation(&store.load(&key).unwrap().unwrap()), 8);
    assert_eq!(harness.names("tokens").len(), 2);
}

/// Replaces a file by a part of it.
fn shorten(path: &Path, part: &[u8]) {
    std::fs::write(path, part).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn an_empty_or_short_file_counts_as_none() {
    let harness = new_harness();
    let (store, key, bytes) = stored(&harness);
    let path = harness.token_file();
    for len in 0..bytes.len() {
        shorten(&path, &bytes[..len]);
        assert!(store.load(&key).unwrap().is_none(), "{len} bytes");
        assert_eq!(
            std::fs::read(harness.token_file()).unwrap(),
            &bytes[..len],
            "{len} bytes: it is not set aside"
        );
    }
    for len in [0, 1, 23, 24, 47, bytes.len() / 2, bytes.len() - 1] {
        shorten(&path, &bytes[..len]);
        assert_eq!(harness.run("load"), ["loaded None"], "{len}: no warning");
        assert_eq!(harness.run("save 8"), ["saved true"], "{len}: no warning");
        assert_eq!(harness.run("load"), ["loaded Some(8)"]);
        assert_eq!(harness.token_file(), path, "{len}: it is not set aside");
        shorten(&path, &bytes[..len]);
        store.forget(&key, u64::MAX, Reach::Everywhere).unwrap();
        assert!(!path.exists(), "{len}: what it holds of a token is removed");
    }
}

#[test]
fn a_session_with_a_short_file_logs_in_without_a_warning() {
    let harness = new_harness();
    session(&harness).token("user").unwrap();
    let path = harness.token_file();
    for (len, logins) in [(0, 2), (300, 3)] {
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() > len);
        shorten(&path, &bytes[..len]);
        let mut worker = harness.worker("get user");
        assert_eq!(worker.line(), "ready");
        worker.go();
        let lines = worker.finish();
        assert!(
            lines.iter().all(|line| !line.starts_with("log")),
            "{lines:?}"
        );
        assert_eq!(harness.sandbox().count("login"), logins);
        assert_eq!(harness.token_file(), path);
    }
}

fn session(harness: &Harness) -> Session {
    let mut config = Config::new();
    let all = harness
        .sandbox()
        .variables()
        .into_iter()
        .map(|(name, value)| (name.to_lowercase().replacen("keyferry_", "", 1), value));
    for (name, value) in all.filter(|(name, _)| name.starts_with("masv_")) {
        config
            .set(&name.replacen('_', ".", 1), value.as_str().into())
            .unwrap();
    }
    config
        .set("store", harness.setting().as_str().into())
        .unwrap();
    let clock = keyferry::clock::Clock::manual(crate::processes::START_MS * 1000);
    Session::open_with(
        config,
        keyferry::session::Options {
            clock,
            refreshes_in_background: false,
        },
    )
    .unwrap()
}

#[test]
fn a_damaged_token_is_got_anew() {
    let harness = new_harness();
    session(&harness).token("user").unwrap();
    let path = harness.token_file();
    let bytes = std::fs::read(&path).unwrap();
    let mut logins = 1;
    for at in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        session(&harness).token("user").unwrap();
        logins += 1;
        assert_eq!(harness.sandbox().count("login"), logins, "byte {at}");
        // Healed: the next process takes it from the store.
        session(&harness).token("user").unwrap();
        assert_eq!(harness.sandbox().count("login"), logins, "byte {at}");
    }
}

#[test]
fn a_file_under_another_name_is_damage() {
    let harness = new_harness();
    let (store, first, bytes) = stored(&harness);
    let other = key("01B");
    store.save(&other, &record(&other, 9)).unwrap();
    for name in harness.names("tokens") {
        std::fs::write(harness.path("store/tokens").join(name), &bytes).unwrap();
    }
    assert!(store.load(&other).unwrap().is_none());
    assert_eq!(
        store.load(&first).unwrap().as_ref().map(intact_generation),
        Some(7)
    );
}

#[test]
fn what_another_key_or_release_has_written_is_left_alone() {
    for (place, offset) in [("the format", 4), ("the key", 8)] {
        let harness = new_harness();
        let (store, key, mut bytes) = stored(&harness);
        bytes[offset] ^= 1;
        let check = ring::digest::digest(&ring::digest::SHA256, &bytes[..16]);
        bytes[16..24].copy_from_slice(&check.as_ref()[..8]);
        let path = harness.token_file();
        std::fs::write(&path, &bytes).unwrap();
        assert!(store.load(&key).unwrap().is_none());
        store.save(&key, &record(&key, 8)).unwrap();
        assert_eq!(
            store.load(&key).unwrap().unwrap().generation,
            8,
            "{place}: kept in memory"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{place}: left alone");
        store.forget_all(Reach::Everywhere).unwrap();
        assert!(!path.exists(), "who has the store cleared means all of it");
    }
}

#[test]
fn a_store_is_not_written_with_another_key() {
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (harness, other) = (new_harness(), new_harness());
    stored(&other);
    for damage in [
        &(|path: &Path| assert!(std::fs::copy(other.path("store/store.key"), path).is_ok()))
            as &dyn Fn(&Path),
        &|path| std::fs::remove_file(path).unwrap(),
        &|path| std::fs::write(path, lines(path).replacen("key 1", "key 2", 1)).unwrap(),
        &|path| {
            let mut text = lines(path).trim_end().to_owned();
            let other = if text.pop() == Some('0') { '1' } else { '0' };
            std::fs::write(path, format!("{text}{other}\n")).unwrap()
        },
        &|path| std::fs::write(path, "").unwrap(),
        &|path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap(),
    ] {
        let (_, key, bytes) = stored(&harness);
        let path = harness.path("store/store.key");
        damage(&path);
        let damaged = std::fs::read(&path).ok();
        let store = harness.store();
        assert!(store.load(&key).unwrap().is_none());
        store.save(&key, &record(&key, 8)).unwrap();
        let stored: Record = store.load(&key).unwrap().unwrap();
        assert_eq!(
            (
                stored.generation,
                std::fs::read(harness.token_file()).unwrap()
            ),
            (8, bytes)
        );
        assert_eq!(std::fs::read(&path).ok(), damaged);
        let _ = std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600));
        harness.store().forget_all(Reach::Everywhere).unwrap();
        let _ = std::fs::remove_dir_all(harness.path("store"));
    }
}

#[test]
#[expect(unsafe_code, reason = "system calls")]
fn odd_files_in_the_place_of_a_token_are_replaced_and_what_they_lead_to_is_not() {
    let harness = new_harness();
    let victim = harness.path("victim");
    std::fs::write(&victim, b"precious").unwrap();
    let fifo = |path: &Path| {
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the name is a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    };
    for replace in [
        &(|path: &Path| symlink(&victim, path).unwrap()) as &dyn Fn(&Path),
        &|path| std::fs::hard_link(&victim, path).unwrap(),
        &fifo,
        &|path| symlink("/dev/zero", path).unwrap(),
        &|path| std::fs::create_dir(path).unwrap(),
        &|path| {
            std::fs::write(path, b"wide").unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
        },
    ] {
        let (_, key, _) = stored(&harness);
        let path = harness.token_file();
        std::fs::remove_file(&path).unwrap();
        replace(&path);
        let store = harness.store();
        assert!(store.load(&key).unwrap().is_none());
        store.save(&key, &record(&key, 9)).unwrap();
        assert_eq!(
            intact_generation(&harness.store().load(&key).unwrap().unwrap()),
            9
        );
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        std::fs::remove_dir_all(harness.path("store")).unwrap();
    }
}

/// A keyring that holds one key.
#[derive(Clone, Default)]
struct FakeKeyring(Arc<parking_lot::Mutex<Option<String>>>);

impl KeyBackend for FakeKeyring {
    fn get(&self, _name: &str) -> keyferry::error::Result<Option<Secret>> {
        Ok(self.0.lock().clone().map(Secret::new))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the secrets in tests are made up"
    )]
    fn put(&self, _name: &str, key: &Secret) -> keyferry::error::Result<()> {
        *self.0.lock() = Some(key.expose().to_owned());
        Ok(())
    }
}

#[test]
fn a_store_whose_key_in_the_keyring_is_damaged_is_good_again_when_it_was_cleared() {
    let (harness, keyring, key) = (new_harness(), FakeKeyring::default(), key("01A"));
    let store = || {
        FileStore::with_keyring(
            Some(Box::new(keyring.clone())),
            &harness.setting(),
            &empty_environment(),
        )
    };
    store().save(&key, &record(&key, 7)).unwrap();
    assert_eq!(
        store().load(&key).unwrap().as_ref().map(intact_generation),
        Some(7)
    );
    *keyring.0.lock() = Some("bent".to_owned());
    store().save(&key, &record(&key, 8)).unwrap();
    assert_eq!(
        (
            store().load(&key).unwrap().is_none(),
            keyring.0.lock().as_deref()
        ),
        (true, Some("bent")),
        "it is left alone"
    );
    store().forget_all(Reach::Everywhere).unwrap();
    store().save(&key, &record(&key, 9)).unwrap();
    assert_eq!(
        store().load(&key).unwrap().as_ref().map(intact_generation),
        Some(9)
    );
}

#[test]
fn a_lock_file_with_a_second_name_is_not_used_and_what_was_rejected_stays_so() {
    let harness = new_harness();
    let (_, key, bytes) = stored(&harness);
    std::fs::hard_link(harness.path("store/lock"), harness.path("second")).unwrap();
    let store = harness.store();
    let resource = Fingerprint::from_bytes([1; 16]);
    let reject = |record: &mut Record| record.rejections = vec![resource];
    store.update(&key, 7, &reject).unwrap();
    assert_eq!(
        std::fs::read(harness.token_file()).unwrap(),
        bytes,
        "nothing is written without the lock"
    );
    let record = store.load(&key).unwrap().unwrap();
    assert!(
        record.rejections == [resource] && record.token.is_some() && record.generation == 7,
        "the stored one is of the same generation, and older"
    );
}

#[test]
fn a_damaged_key_is_not_taken_for_a_new_store_s() {
    let harness = new_harness();
    let (_, key, bytes) = stored(&harness);
    let (key_file, label) = (harness.path("store/store.key"), harness.path("store/store"));
    let intact = std::fs::read_to_string(&key_file).unwrap();
    let mut damaged = intact.trim_end().to_owned();
    let other = if damaged.pop() == Some('0') { '1' } else { '0' };
    std::fs::write(&key_file, format!("{damaged}{other}\n")).unwrap();
    std::fs::remove_file(&label).unwrap();
    harness.store().save(&key, &record(&key, 8)).unwrap();
    assert!(!label.exists(), "no label names it");
    assert_eq!(std::fs::read(harness.token_file()).unwrap(), bytes);
    std::fs::write(&key_file, intact).unwrap();
    let restored = harness.store().load(&key).unwrap().unwrap();
    assert_eq!(intact_generation(&restored), 7);
}
