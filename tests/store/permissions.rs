//! Folders and files that are not the user's own, or are open to others: refused with a reason, and left as they are.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use keyferry::ports::store::Store;

use crate::harness::Stage;
use crate::worker::{key, record};

/// Nothing in a folder, nor it itself, is open to others.
pub(crate) fn assert_narrow(path: &Path) {
    let facts = std::fs::symlink_metadata(path).unwrap();
    let expected = if facts.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(facts.mode() & 0o7777, expected, "{}", path.display());
    if facts.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_narrow(&entry.unwrap().path()));
    }
}

fn is_root() -> bool {
    // SAFETY: takes nothing and can't fail.
    unsafe { libc::geteuid() == 0 }
}

/// What an actor says who gets a token in spite of a store that can't be used: one warning, and the token.
fn warned(stage: &Stage) -> String {
    let said = stage.crowd(1, "get user times 3 threads 2").concat();
    let warnings: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("log Warn ")).collect();
    assert_eq!(warnings.len(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|line| line.starts_with("got ")).count(), 2, "{said:?}");
    warnings[0].to_owned()
}

#[test]
fn a_folder_that_is_not_safe_is_refused_with_its_remedy() {
    let wide = |mode| move |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
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
    for (spoil, remedy) in table {
        let stage = Stage::new();
        stage.play("save 7");
        let path = stage.path("store");
        spoil(&path);
        let before = snapshot(&path);
        let warning = warned(&stage);
        assert!(warning.contains(remedy) && warning.contains("memory only"), "{warning}");
        assert_eq!(snapshot(&path), before, "left as it is");
        assert_eq!(stage.sandbox.count("login"), 1);
    }
}

/// Modes, owners and names of all there is.
fn snapshot(path: &Path) -> Vec<(String, u32, u32, u64)> {
    let mut all = Vec::new();
    let mut left = vec![path.to_owned(), path.with_extension("real")];
    while let Some(path) = left.pop() {
        let Ok(facts) = std::fs::symlink_metadata(&path) else { continue };
        all.push((path.display().to_string(), facts.mode(), facts.uid(), facts.ino()));
        if facts.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !is_root() {
        println!("*** SKIPPED: only root can give files away ***");
        return;
    }
    for (name, remedy) in [("store", "belongs to another user"), ("store/store.key", "belongs to another user")] {
        let stage = Stage::new();
        stage.play("save 7");
        chown(stage.path(name), Some(12345), None).unwrap();
        let before = snapshot(&stage.path("store"));
        let warning = warned(&stage);
        assert!(warning.contains(remedy), "{warning}");
        assert_eq!(snapshot(&stage.path("store")), before);
    }
    // One record alone is only got anew.
    let stage = Stage::new();
    stage.play("save 7");
    chown(stage.token_file(), Some(12345), None).unwrap();
    assert!(stage.files().load(&key("01A")).unwrap().is_none());
    stage.files().save(&key("01A"), &record(&key("01A"), 8)).unwrap();
    assert!(stage.files().load(&key("01A")).unwrap().is_some());
}

#[test]
fn an_attacker_who_swaps_names_gets_nothing_written() {
    let stage = Stage::new();
    let (folder, outside) = (stage.path("shared"), stage.path("outside"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::set_permissions(&outside, PermissionsExt::from_mode(0o755)).unwrap();
    let (store, aside) = (folder.join("store"), folder.join("aside"));
    let setting = format!("file:{}", store.display());
    let ended = std::sync::atomic::AtomicBool::new(false);
    let seconds = std::env::var("KEYFERRY_RACE_S").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = std::fs::rename(&store, &aside);
                let _ = symlink(&outside, &store);
                let _ = std::fs::remove_file(&store);
                let _ = std::fs::rename(&aside, &store);
                let _ = std::fs::remove_dir_all(&aside);
            }
        });
        let mut generation = 0;
        while std::time::Instant::now() < deadline {
            generation += 1;
            let files = keyferry::stores::file::FileStore::new(&setting, &crate::harness::none());
            files.save(&key("01A"), &record(&key("01A"), generation)).unwrap();
            drop(files.load(&key("01A")).unwrap());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{generation} saves against the swapper");
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
