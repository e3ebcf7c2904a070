//! Fuzzes the store's files. Whatever a file contains, the store must return the stored token or
//! none, and must not crash.
//!
//! The first input byte chooses the file that gets the rest of the input. If the first byte is 128
//! or more, the rest is parsed as the decrypted content of a file instead.
#![no_main]

use std::cell::OnceCell;
use std::fs::{self, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyferry::config::Environment;
use keyferry::error::{Error, ErrorKind};
use keyferry::model::key::{Access, ResourceKind, Fingerprint, TokenKey, Scope};
use keyferry::secret::Secret;
use keyferry::ports::store::{FailureRecord, Reach, Record, Store};
use keyferry::stores::file::{self, FileStore};
use keyferry::model::token::{NewToken, TokenMeta, TokenKind, NO_EXPIRY, Token};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const VALUE: &str = "c4n4ry-t0ken";
fn secret() -> Fingerprint {
    Fingerprint::from_bytes([7; 16])
}

/// A store with one record and one refusal, and the original content of its files.
struct Kept {
    folder: TempDir,
    key: TokenKey,
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn open(folder: &Path) -> FileStore {
    let nothing: Environment = Arc::new(|_| None);
    FileStore::new(&format!("file:{}", folder.join("store").display()), &nothing)
}

fn keep() -> Kept {
    let folder = TempDir::new().expect("a folder");
    let key = TokenKey {
        scope: Arc::new(Scope::new("masv", "https://a.example", "default")),
        resource_kind: ResourceKind::User,
        id: "".into(),
        access: Access::Full,
    };
    let new_token = NewToken::new(TokenKind::User, "X-User-Token", Secret::from(VALUE), None);
    let scope = key.scope.fingerprint();
    let meta =
        TokenMeta { scope, resource_kind: key.resource_kind, access: key.access, kind: TokenKind::User, generation: 7, expires_us: NO_EXPIRY, acquired_us: 0 };
    let token = Token::new(&new_token, "masv", "", meta).expect("a token");
    let store = open(folder.path());
    store.save(&key, &Record { generation: 7, token: Some(token), ..Record::default() }).expect("a record");
    store.set_failure(&secret(), Some(FailureRecord { since_us: 8, until_us: 9, step: 1, error: Error::new(ErrorKind::BadCredentials, "no") }), Reach::Everywhere, &|_| false);
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
        file::is_record_or_failure(bytes);
        return;
    }
    KEPT.with(|kept| {
        let Kept { folder, key, files } = kept.get_or_init(keep);
        let (path, whole) = &files[usize::from(*which) % files.len()];
        put(path, bytes);
        let store = open(folder.path());
        let found = store.load(key).expect("a store that can't be read has nothing");
        assert!(found.and_then(|record| record.token).is_none_or(|token| token.value() == VALUE));
        assert!(store.failure(&secret(), Reach::Everywhere).is_none_or(|failure| failure.error.message() == "no"));
        let mut count = 0;
        let visited = store.visit(&mut |facts| {
            count += 1;
            assert!(facts.key() == *key);
            ControlFlow::Continue(())
        });
        match visited {
            Ok(()) => assert!(count <= 1),
            Err(error) => assert!(!error.message().chars().any(char::is_control), "{}", error.message()),
        }
        put(path, whole);
    });
});
