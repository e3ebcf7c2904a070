//! A file of the store with anything in it: what was kept, or nothing; never another token, and no fault. The first byte chooses the
//! file, or that the rest is what was within a seal.
#![no_main]

use std::cell::OnceCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyferry::config::Environment;
use keyferry::error::{Error, Kind};
use keyferry::model::key::{Access, Class, Fingerprint, Key, Scope};
use keyferry::secret::Secret;
use keyferry::ports::store::{Record, Refusal, Store};
use keyferry::stores::file::{self, Files};
use keyferry::model::token::{Draft, Facts, Kind as TokenKind, NO_EXPIRY, Token};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const VALUE: &str = "c4n4ry-t0ken";
fn secret() -> Fingerprint {
    Fingerprint::from_bytes([7; 16])
}

/// A store with a record and a refusal, and its files as they were written.
struct Kept {
    folder: TempDir,
    key: Key,
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn open(folder: &Path) -> Files {
    let nothing: Environment = Arc::new(|_| None);
    Files::new(&format!("file:{}", folder.join("store").display()), &nothing)
}

fn keep() -> Kept {
    let folder = TempDir::new().expect("a folder");
    let key = Key {
        scope: Arc::new(Scope::new("masv", "https://a.example", "default")),
        class: Class::User,
        id: "".into(),
        access: Access::Full,
    };
    let draft = Draft::new(TokenKind::User, "X-User-Token", Secret::from(VALUE), None);
    let scope = key.scope.fingerprint();
    let facts =
        Facts { scope, class: key.class, access: key.access, kind: TokenKind::User, generation: 7, expires_us: NO_EXPIRY, acquired_us: 0 };
    let token = Token::new(&draft, "masv", "", facts).expect("a token");
    let store = open(folder.path());
    store.save(&key, &Record { generation: 7, token: Some(token), ..Record::default() }).expect("a record");
    store.set_refusal(&secret(), Some(Refusal { since_us: 8, until_us: 9, step: 1, error: Error::new(Kind::Refused, "no") }), &|_| false);
    let folders = ["store", "store/tokens", "store/refusals"].map(|name| folder.path().join(name));
    let names = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder")).map(|entry| entry.expect("a file").path());
    let files: Vec<_> = names.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(&path).expect("a file"))).collect();
    assert!(files.len() >= 4, "{files:?}");
    Kept { folder, key, files }
}

thread_local! {
    static KEPT: OnceCell<Kept> = const { OnceCell::new() };
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("its mode");
}

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    if *which >= 128 {
        file::is_understood(bytes);
        return;
    }
    KEPT.with(|kept| {
        let Kept { folder, key, files } = kept.get_or_init(keep);
        let (path, whole) = &files[usize::from(*which) % files.len()];
        put(path, bytes);
        let store = open(folder.path());
        let found = store.load(key).expect("a store that can't be read has nothing");
        assert!(found.and_then(|record| record.token).is_none_or(|token| token.value() == VALUE));
        assert!(store.refusal(&secret()).is_none_or(|refusal| refusal.error.what() == "no"));
        match store.list() {
            Ok(all) => assert!(all.len() <= 1),
            Err(error) => assert!(!error.what().chars().any(char::is_control), "{}", error.what()),
        }
        put(path, whole);
    });
});
