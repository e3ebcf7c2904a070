//! Removes files that are no longer needed: leftovers of killed writers, old failure records and
//! expired token records.
//!
//! Readers never wait for the removal. Leftovers and old failure records are removed when a store
//! is opened for writing. Expired token records are removed after a save, at most once an hour.
//! Each search for them reads at most 2,000 records.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use super::lock::{self, LockAttempt};
use super::open_store::{FAILURES_DIR, NEW_DIR, OpenStore, new_file_name};
use super::private_dir::{self, FileContents};
use super::sealed_file::{FactsReader, RecordName};
use crate::error::Result;
use crate::model::token::NO_EXPIRY;
use crate::ports::store::{Record, RecordFacts};
use crate::sys::dir::OpenMode;
use crate::sys::file_facts::FileFacts;
use crate::sys::private_file;

/// The file whose modification time is the time of the last search for expired records.
const LAST_RUN_FILE: &str = "swept";
/// The minimum interval between searches for expired records.
const RUN_INTERVAL: Duration = Duration::from_secs(3600);
/// How long the record of a failure is kept after it was written.
const KEEP_FAILURES: Duration = Duration::from_secs(24 * 3600);
/// The maximum number of records that one search reads. Later searches read the others.
const MAX_RECORDS: usize = 2_000;
/// How long a record is kept after its token has expired.
const KEEP_AFTER_EXPIRY_US: i64 = 24 * 3600 * 1_000_000;
/// How long a record without a token is kept after it was created. Such a record belongs to a link
/// or to a configured secret that was rejected.
const KEEP_WITHOUT_TOKEN_US: i64 = 31 * KEEP_AFTER_EXPIRY_US;

fn is_older_than(modified: std::io::Result<SystemTime>, age: Duration) -> bool {
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed > age))
}

/// Returns whether a record is no longer needed. A record with a renewal secret is always kept.
fn is_expired(record: &RecordFacts<'_>, now_us: i64) -> bool {
    let remove_at_us = match &record.token {
        Some(token) if token.meta().expires_us == NO_EXPIRY => return false,
        Some(token) => token.meta().expires_us.saturating_add(KEEP_AFTER_EXPIRY_US),
        None => i64::try_from(record.generation)
            .unwrap_or(i64::MAX)
            .saturating_add(KEEP_WITHOUT_TOKEN_US),
    };
    !record.has_renewal && remove_at_us < now_us
}

/// Removes files that killed writers left behind, and old failure records.
pub(super) fn remove_leftovers(store: &OpenStore) {
    let dir = &store.dir;
    for name in dir.list(NEW_DIR).unwrap_or_default() {
        if let Ok(locks) = store.locks()
            && let Ok(LockAttempt::Acquired(_lock)) = locks.try_acquire(lock::write(&name))
        {
            let _ = dir.remove_file(&new_file_name(&name));
        }
    }
    for name in dir.list(FAILURES_DIR).unwrap_or_default() {
        let name = format!("{FAILURES_DIR}/{name}");
        let facts = dir
            .open_file(&name, OpenMode::Read)
            .and_then(|file| FileFacts::of(&file));
        if facts.is_ok_and(|facts| is_older_than(facts.modified(), KEEP_FAILURES)) {
            let _ = dir.remove_file(&name);
        }
    }
}

/// Removes expired records if a search is due. `saved` is the record that was just saved: the time
/// at which its token was acquired is used as the present time.
pub(super) fn remove_expired_records(store: &OpenStore, saved: &Record) {
    let Some(now_us) = saved.token.as_ref().map(|token| token.meta().acquired_us) else {
        return;
    };
    if !is_due(store) {
        return;
    }
    for (name, generation) in expired_records(store, now_us).unwrap_or_default() {
        // Nothing is synced. If a removed record reappears after a power failure, a later search
        // removes it again.
        store.remove_if_unlocked(&name, generation);
    }
}

/// Reads at most [`MAX_RECORDS`] records. Returns the names and generations of those that have
/// expired.
fn expired_records(store: &OpenStore, now_us: i64) -> Result<Vec<(RecordName, u64)>> {
    let mut count = 0;
    store.visit_record_names(|_| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    // Each search starts at a random record, so that repeated searches reach all records. After the
    // last record, it goes on at the first one.
    let start = getrandom::u32().unwrap_or(0) as usize % count.max(1);
    let (mut reader, mut expired) = (FactsReader::new(store)?, Vec::new());
    let mut index = 0;
    store.visit_record_names(|name| {
        let distance = (index + count - start) % count.max(1);
        index += 1;
        if distance < MAX_RECORDS
            && let Some(record) = reader
                .read(name)
                .filter(|record| is_expired(record, now_us))
        {
            expired.push((RecordName::of_record_file(name), record.generation));
        }
        ControlFlow::Continue(())
    })?;
    Ok(expired)
}

/// Returns whether the last search was more than an hour ago. If so, records the present time as
/// the time of the last search.
fn is_due(store: &OpenStore) -> bool {
    // This function runs after each save, and the search is seldom due. So in most cases the
    // function makes only this one system call.
    let last_run = store.dir.modified(LAST_RUN_FILE);
    if last_run.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed <= RUN_INTERVAL)) {
        return false;
    }
    match private_dir::read_file(&store.dir, &store.path, LAST_RUN_FILE) {
        Ok(FileContents::Missing | FileContents::Bytes(_)) => {}
        _ => return false,
    }
    let file = store.dir.open_file(LAST_RUN_FILE, OpenMode::OpenOrCreate);
    let Ok((mut file, facts)) =
        file.and_then(|file| FileFacts::of(&file).map(|facts| (file, facts)))
    else {
        return false;
    };
    let is_due = facts.is_empty() || is_older_than(facts.modified(), RUN_INTERVAL);
    is_due && private_file::write(&mut file, b"\n").is_ok()
}
