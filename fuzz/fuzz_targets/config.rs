//! Fuzzes the parser of the configuration file. Loading must succeed with readable profiles, or
//! fail with a message that doesn't quote a secret from the file.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keyferry::config::Config;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

const CANARY: &str = "c4n4ry";

/// Returns whether the canary may be part of a key or of a section's name, which errors do quote.
fn is_in_key(text: &str) -> bool {
    text.lines().any(|line| line.split('=').next().is_some_and(|key| key.contains(CANARY)))
}

fuzz_target!(|text: &str| {
    FOLDER.with(|folder| {
        let path = folder.get_or_init(|| TempDir::new().expect("a folder")).path().join("config.toml");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        match Config::load(Some(&path), Arc::new(|_| None)) {
            Err(error) => {
                assert!(is_in_key(text) || !error.message().contains(CANARY), "a value in an error");
            }
            Ok(config) => config.accounts().iter().for_each(|account| drop(config.profile(account))),
        }
    });
});
