//! A store that an earlier release made, and an earlier release on a store of this one.

use std::path::Path;

use keyferry::ports::store::{Reach, Store};

use crate::processes::{StoreProcesses, new_harness};
use crate::worker::{generations, intact_generation, key, record};
use keyferry_testing::harness::Harness;

/// Gives a sealed file the version of 0.1.0.
fn make_old(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[4] = 1;
    let checksum = ring::digest::digest(&ring::digest::SHA256, &bytes[..16]);
    bytes[16..24].copy_from_slice(&checksum.as_ref()[..8]);
    std::fs::write(path, bytes).unwrap();
}

/// A store as 0.1.0 leaves it behind, with a record of generation 7.
fn old_store() -> Harness {
    let harness = new_harness();
    let store = harness.store();
    store.save(&key("01A"), &record(&key("01A"), 7)).unwrap();
    make_old(&harness.token_file());
    let label = label(&harness).replacen("store 2", "store 1", 1);
    std::fs::write(harness.path("store/store"), label).unwrap();
    std::fs::remove_file(harness.path("store/lock")).unwrap();
    std::fs::create_dir(harness.path("store/locks")).unwrap();
    for name in ["label", "package-07", "write-03"] {
        std::fs::write(harness.path("store/locks").join(name), "1234      \n").unwrap();
    }
    harness
}

fn label(harness: &Harness) -> String {
    std::fs::read_to_string(harness.path("store/store")).unwrap()
}

/// What 0.1.0 does when it opens a store for writing: it reads the label like this.
fn label_error_of_0_1_0(label: &str) -> Option<&'static str> {
    let version = label.lines().next()?.strip_prefix("keyferry store ")?;
    (version != "1" && version.parse::<u32>().is_ok())
        .then_some("was written by another release of keyferry; use that release or a newer one")
}

#[test]
fn an_earlier_release_refuses_the_store() {
    let harness = new_harness();
    let store = harness.store();
    store.save(&key("01A"), &record(&key("01A"), 7)).unwrap();
    assert!(label_error_of_0_1_0(&label(&harness)).is_some());
    assert!(label_error_of_0_1_0("keyferry store 1\nkey file 0123456789abcdef\n").is_none());
    // It refuses each file too: it compares the version, after the checksum of the header.
    let bytes = std::fs::read(harness.token_file()).unwrap();
    let checksum = ring::digest::digest(&ring::digest::SHA256, &bytes[..16]);
    assert!(bytes[4] != 1 && bytes[16..24] == checksum.as_ref()[..8]);
}

#[test]
fn a_store_of_an_earlier_release_is_replaced_and_keeps_its_key() {
    let harness = old_store();
    let master_key = std::fs::read(harness.path("store/store.key")).unwrap();
    let store = harness.store();
    assert!(store.load(&key("01A")).unwrap().is_none());
    assert!(generations(&store).is_empty());
    assert_eq!(harness.names("tokens").len(), 1, "readers change nothing");
    store.save(&key("01B"), &record(&key("01B"), 8)).unwrap();
    let read = |id| harness.store().load(&key(id)).unwrap();
    assert_eq!(read("01B").as_ref().map(intact_generation), Some(8));
    assert!(read("01A").is_none());
    assert_eq!(harness.names("tokens").len(), 1, "the old record is gone");
    assert!(!harness.path("store/locks").exists());
    assert!(label(&harness).starts_with("keyferry store 2\nkey file "));
    assert_eq!(
        std::fs::read(harness.path("store/store.key")).unwrap(),
        master_key
    );
    crate::permissions::assert_private(&harness.path("store"));
}

#[test]
fn one_login_follows_an_upgrade_without_a_warning() {
    let harness = new_harness();
    harness.run_together(1, "get user");
    make_old(&harness.token_file());
    let old = label(&harness).replacen("store 2", "store 1", 1);
    std::fs::write(harness.path("store/store"), old).unwrap();
    let output = harness.run_together(8, "get user").concat();
    let got = output.iter().filter(|line| line.starts_with("got "));
    assert_eq!(got.count(), 8, "{output:?}");
    assert!(
        !output.iter().any(|line| line.starts_with("log ")),
        "{output:?}"
    );
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn an_old_record_under_the_new_label_is_replaced() {
    // A process of the earlier release that had the store open has written it.
    let harness = new_harness();
    let (store, key) = (harness.store(), key("01A"));
    store.save(&key, &record(&key, 9)).unwrap();
    make_old(&harness.token_file());
    assert!(store.load(&key).unwrap().is_none());
    store.save(&key, &record(&key, 8)).unwrap();
    let found = harness.store().load(&key).unwrap();
    assert_eq!(found.as_ref().map(intact_generation), Some(8));
    assert_eq!(harness.names("tokens").len(), 1);
}

#[test]
fn a_store_of_an_earlier_release_can_be_cleared() {
    let harness = old_store();
    harness.store().forget_all(Reach::Everywhere).unwrap();
    assert!(harness.names("tokens").is_empty() && !harness.path("store/store").exists());
}
