//! All that the sandbox knows, behind one lock, and the counters that a test can wait for.
//!
//! Nothing waits for the network under the lock: it is held for one decision at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::agent::data::AgentData;
use crate::clock::Clock;
use crate::faults::Fault;
use crate::fileverbs::data::FileVerbsData;
use crate::masv::data::MasvData;
use crate::request::{SandboxRequest, SeenRequest};
use crate::settings::{Change, Settings};
use crate::tls::Certificates;
use crate::tokens::Tokens;

/// Requests remembered for [`crate::Sandbox::requests`]. About 1 MB: tests measure the memory of this process.
const SEEN_LIMIT: usize = 2_000;

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    state: Mutex<SandboxState>,
    changed: Condvar,
}

pub(crate) struct SandboxState {
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) seen: VecDeque<SeenRequest>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) masv: MasvData,
    pub(crate) agent: AgentData,
    pub(crate) fileverbs: FileVerbsData,
    certificates: Option<Arc<Certificates>>,
}

impl SandboxState {
    pub(crate) fn new(now_ms: i64, certificates: Option<Arc<Certificates>>) -> std::io::Result<SandboxState> {
        Ok(SandboxState {
            counts: BTreeMap::new(),
            seen: VecDeque::new(),
            faults: Vec::new(),
            settings: Settings::new(),
            tokens: Tokens::new()?,
            masv: MasvData::new(now_ms),
            agent: AgentData::default(),
            fileverbs: FileVerbsData::default(),
            certificates,
        })
    }

    pub(crate) fn count(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name.to_owned(), 1);
            }
        }
    }

    /// Forgets counts and remembered requests, and nothing else.
    pub(crate) fn reset_counts(&mut self) {
        self.counts.clear();
        self.seen.clear();
    }

    /// Everything as it was at the start, but for the clock.
    pub(crate) fn start_over(&mut self, now_ms: i64) -> Result<(), String> {
        if let Some(certificates) = &self.certificates {
            certificates.show("valid")?;
        }
        *self = SandboxState::new(now_ms, self.certificates.take()).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Changes one behaviour. `Err` says why it can't.
    pub(crate) fn configure(&mut self, key: &str, value: &Value, now_ms: i64) -> Result<(), String> {
        match self.settings.set(key, value)? {
            Change::Done => {}
            Change::Packages(count) => self.masv.fill_packages(count, now_ms),
            Change::Inbox(count) => self.masv.fill_inbox(count, now_ms),
            Change::AgentSignedIn(signed_in) => self.agent.set_signed_in(signed_in),
            Change::Opaque(kinds) => self.tokens.set_opaque(kinds),
            Change::WithoutExpiry(kinds) => self.tokens.set_without_expiry(kinds),
            Change::Certificate(kind) => self.certificates.as_ref().ok_or("without TLS there is no certificate")?.show(&kind)?,
        }
        Ok(())
    }

    pub(crate) fn remember(&mut self, call: &SandboxRequest) {
        if self.seen.len() == SEEN_LIMIT {
            self.seen.pop_front();
        }
        self.seen.push_back(call.seen());
    }
}

impl Shared {
    pub(crate) fn new(clock: Clock, certificates: Option<Arc<Certificates>>) -> std::io::Result<Shared> {
        let state = SandboxState::new(clock.now_unix_ms(), certificates)?;
        Ok(Shared { clock, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Runs `change` under the lock and wakes whoever waits for a counter. The clock may be a test's own function:
    /// ask it before, never in here.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut SandboxState) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    pub(crate) fn wait_for(&self, counter: &str, wanted: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if state.counts.get(counter).copied().unwrap_or_default() >= wanted {
                return true;
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.counts.get(counter).copied().unwrap_or_default() >= wanted;
            }
        }
    }
}
