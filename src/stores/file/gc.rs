//! Taking away what nobody will ask for any more: what killed writers left behind, old refusals, tokens that have ended.
//!
//! Never on the way of a reader: small leavings go when a store is made ready for its first write,
//! records after a save, once an hour and a bounded number at a time.

use std::time::{Duration, SystemTime};

use super::codec;
use super::lock::{self, Try};
use super::open_store::{OpenStore, REFUSALS, TOKENS, new_name};
use super::private_dir::Read;
use super::sealed_file::ReadOutcome;
use super::{open_store, private_dir};
use crate::model::token::NO_EXPIRY;
use crate::ports::store::Record;
use crate::sys::dir::OpenMode;
use crate::sys::file_facts::FileFacts;
use crate::sys::signals::SigpipeGuard;

/// Its time of change says when records were looked through last.
const MARK: &str = "swept";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// So many records are looked at in one go: what is left comes the next time.
const MOST: usize = 2_000;
/// A record with a token goes a day after its end, one without a month after it was made: a rejected token's, a link's.
const AFTER_END_US: i64 = 24 * 3600 * 1_000_000;
const AFTER_MAKING_US: i64 = 31 * AFTER_END_US;

fn is_old(modified: std::io::Result<SystemTime>, age: Duration) -> bool {
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|passed| passed > age))
}

/// Whether nobody will ask for a record any more. What renews a token is kept for as long as it may.
fn is_over(record: &Record, now_us: i64) -> bool {
    let over_us = match &record.token {
        Some(token) if token.meta().expires_us == NO_EXPIRY => return false,
        Some(token) => token.meta().expires_us.saturating_add(AFTER_END_US),
        None => i64::try_from(record.generation).unwrap_or(i64::MAX).saturating_add(AFTER_MAKING_US),
    };
    record.renewal.is_none() && over_us < now_us
}

impl OpenStore {
    /// Removes what killed writers left behind, and refusals that nobody waits for any more.
    pub(super) fn sweep_leavings(&self) {
        let folder = &self.folder;
        for name in folder.names(open_store::NEW).unwrap_or_default() {
            if let Ok(writer) = name.parse()
                && let Ok(Try::Held(_lock)) = lock::attempt(folder, &self.path, &lock::writer_file(writer))
            {
                let _ = folder.remove(&new_name(writer));
            }
        }
        for name in folder.names(REFUSALS).unwrap_or_default() {
            let name = format!("{REFUSALS}/{name}");
            let facts = folder.file(&name, OpenMode::Read).and_then(|file| FileFacts::of(&file));
            if facts.is_ok_and(|facts| is_old(facts.modified(), DAY)) {
                let _ = folder.remove(&name);
            }
        }
    }

    /// Removes records that are over, if it is time for it. The clock is the one of the record that was just kept.
    pub(super) fn sweep_records(&self, kept: &Record) {
        let Some(now_us) = kept.token.as_ref().map(|token| token.meta().acquired_us) else { return };
        if !self.is_due() {
            return;
        }
        let mut names = self.names(TOKENS).unwrap_or_default();
        // Whoever sweeps next begins elsewhere.
        let start = getrandom::u32().unwrap_or(0) as usize % names.len().max(1);
        names.rotate_left(start);
        let over = |name: &_| match self.read(name) {
            Ok(ReadOutcome::Whole(plain)) => {
                codec::read_record(&plain).filter(|(_, record)| is_over(record, now_us)).map(|(_, record)| record)
            }
            _ => None,
        };
        let found: Vec<_> = names.iter().take(MOST).filter_map(|name| Some((name, over(name)?.generation))).collect();
        let removed = found.iter().filter(|(name, generation)| self.remove_now(name, *generation)).count();
        if removed > 0 {
            // What comes back after a crash goes the next time.
            let _ = self.folder.folder(TOKENS).and_then(|folder| folder.sync());
        }
    }

    /// Whether an hour has passed; the next one begins then.
    fn is_due(&self) -> bool {
        match private_dir::read(&self.folder, &self.path, MARK) {
            Ok(Read::Nothing | Read::Bytes(_)) => {}
            _ => return false,
        }
        let mark = self.folder.file(MARK, OpenMode::Keep);
        let Ok((mark, facts)) = mark.and_then(|mark| FileFacts::of(&mark).map(|facts| (mark, facts))) else { return false };
        let is_due = facts.is_empty() || is_old(facts.modified(), HOUR);
        let _shield = SigpipeGuard::raise();
        is_due && std::io::Write::write_all(&mut &mark, b"\n").is_ok()
    }
}
