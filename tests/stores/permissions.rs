//! Directories and files that the user doesn't own, or that are open to others: they are refused
//! with a reason and not changed.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use keyferry::ports::store::Store;
use keyferry_testing::skip;

use crate::processes::{StoreProcesses, new_harness};
use crate::worker::{key, record};
use keyferry_testing::harness::Harness;

/// Checks that neither a directory nor anything in it is open to others.
pub(crate) fn assert_private(path: &Path) {
    let facts = std::fs::symlink_metadata(path).unwrap();
    let expected = if facts.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(facts.mode() & 0o7777, expected, "{}", path.display());
    if facts.is_dir() {
        std::fs::read_dir(path)
            .unwrap()
            .for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

/// The one warning of a worker that gets its token though the store can't be used.
fn single_warning(harness: &Harness) -> String {
    let output = harness
        .run_together(1, "get user times 3 threads 2")
        .concat();
    let warnings: Vec<_> = output
        .iter()
        .filter_map(|line| line.strip_prefix("log Warn "))
        .collect();
    assert_eq!(warnings.len(), 1, "{output:?}");
    assert_eq!(
        output
            .iter()
            .filter(|line| line.starts_with("got "))
            .count(),
        2,
        "{output:?}"
    );
    warnings[0].to_owned()
}

#[test]
fn a_folder_that_is_not_safe_is_refused_with_its_remedy() {
    let wide = |mode| {
        move |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    type Row<'a> = (&'a dyn Fn(&Path), &'static str);
    let table: [Row<'_>; 5] = [
        (&wide(0o777), "chmod 700"),
        (&wide(0o750), "chmod 700"),
        (&wide(0o1777), "chmod 700"),
        (
            &|path| {
                std::fs::rename(path, path.with_extension("real")).unwrap();
                symlink(path.with_extension("real"), path).unwrap();
            },
            "a link",
        ),
        (
            &|path| {
                std::fs::rename(path, path.with_extension("real")).unwrap();
                std::fs::write(path, b"").unwrap();
            },
            "a link or a file",
        ),
    ];
    for (damage, remedy) in table {
        let harness = new_harness();
        harness.run("save 7");
        let path = harness.path("store");
        damage(&path);
        let before = snapshot(&path);
        let warning = single_warning(&harness);
        assert!(
            warning.contains(remedy) && warning.contains("memory only"),
            "{warning}"
        );
        assert_eq!(snapshot(&path), before, "left as it is");
        assert_eq!(harness.sandbox().count("login"), 1);
    }
}

/// Names, modes, owners and inodes of all files.
fn snapshot(path: &Path) -> Vec<(String, u32, u32, u64)> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned(), path.with_extension("real")];
    while let Some(path) = left.pop() {
        let Ok(facts) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        all.push((
            path.display().to_string(),
            facts.mode(),
            facts.uid(),
            facts.ino(),
        ));
        if facts.is_dir() {
            left.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    all.sort();
    all
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if skip::without_root() {
        return;
    }
    for (name, remedy) in [
        ("store", "belongs to another user"),
        ("store/store.key", "belongs to another user"),
    ] {
        let harness = new_harness();
        harness.run("save 7");
        chown(harness.path(name), Some(12345), None).unwrap();
        let before = snapshot(&harness.path("store"));
        let warning = single_warning(&harness);
        assert!(warning.contains(remedy), "{warning}");
        assert_eq!(snapshot(&harness.path("store")), before);
    }
    // One record alone is only got anew.
    let harness = new_harness();
    harness.run("save 7");
    chown(harness.token_file(), Some(12345), None).unwrap();
    assert!(harness.store().load(&key("01A")).unwrap().is_none());
    harness
        .store()
        .save(&key("01A"), &record(&key("01A"), 8))
        .unwrap();
    assert!(harness.store().load(&key("01A")).unwrap().is_some());
}

#[test]
fn an_attacker_who_swaps_names_gets_nothing_written() {
    let harness = new_harness();
    let (folder, outside) = (harness.path("shared"), harness.path("outside"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::set_permissions(&outside, PermissionsExt::from_mode(0o755)).unwrap();
    let (store, aside) = (folder.join("store"), folder.join("aside"));
    let setting = format!("file:{}", store.display());
    let (ended, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let seconds = std::env::var("KEYFERRY_RACE_S")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let _ = std::fs::rename(&store, &aside);
                swaps.fetch_add(
                    u32::from(symlink(&outside, &store).is_ok()),
                    Ordering::Relaxed,
                );
                let _ = std::fs::remove_file(&store);
                let _ = std::fs::rename(&aside, &store);
                let _ = std::fs::remove_dir_all(&aside);
            }
        });
        let mut generation = 0;
        while std::time::Instant::now() < deadline {
            generation += 1;
            let store = keyferry::stores::file::FileStore::new(
                &setting,
                &crate::processes::empty_environment(),
            );
            store
                .save(&key("01A"), &record(&key("01A"), generation))
                .unwrap();
            drop(store.load(&key("01A")).unwrap());
        }
        ended.store(true, Ordering::Relaxed);
        assert!(generation > 10, "only {generation} saves");
    });
    let swaps = swaps.into_inner();
    assert!(swaps > 10, "only {swaps} links to {}", outside.display());
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
