//! The sandbox's state, behind one lock, and the counters that a test can wait for.
//!
//! The lock is held for one decision at a time, never during network I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::agent::data::AgentData;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::faults::Fault;
use crate::fileverbs::data::FileVerbsData;
use crate::masv::data::MasvData;
use crate::request::{RecordedRequest, SandboxRequest};
use crate::settings::{SettingChange, Settings};
use crate::storage::data::StorageData;
use crate::tls::Certificates;
use crate::tokens::Tokens;

/// Maximum number of requests recorded for [`crate::Sandbox::requests`]. They take about 1 MB,
/// which is small enough for tests that measure the memory of this process.
const RECORDED_REQUEST_LIMIT: usize = 2_000;

/// The state and the clock, shared by the server's thread and the test's thread.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// The budget of the storage, which the server uses before it has read a request.
    pub(crate) budget: Arc<Budget>,
    state: Mutex<SandboxState>,
    changed: Condvar,
}

/// Everything that the sandbox remembers between two requests.
pub(crate) struct SandboxState {
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) requests: VecDeque<RecordedRequest>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) masv: MasvData,
    pub(crate) agent: AgentData,
    pub(crate) fileverbs: FileVerbsData,
    pub(crate) storage: StorageData,
    certificates: Option<Arc<Certificates>>,
}

impl SandboxState {
    pub(crate) fn new(
        now_ms: i64,
        certificates: Option<Arc<Certificates>>,
        storage: StorageData,
    ) -> std::io::Result<SandboxState> {
        Ok(SandboxState {
            counts: BTreeMap::new(),
            requests: VecDeque::new(),
            faults: Vec::new(),
            settings: Settings::new(),
            tokens: Tokens::new()?,
            masv: MasvData::new(now_ms),
            agent: AgentData::default(),
            fileverbs: FileVerbsData::default(),
            storage,
            certificates,
        })
    }

    /// Adds 1 to a counter.
    pub(crate) fn count(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name.to_owned(), 1);
            }
        }
    }

    /// Clears the counters and the recorded requests, and nothing else.
    pub(crate) fn reset_counts(&mut self) {
        self.counts.clear();
        self.requests.clear();
    }

    /// Resets everything except the clock to its initial state.
    pub(crate) fn reset_all(&mut self, now_ms: i64) -> Result<(), String> {
        if let Some(certificates) = &self.certificates {
            certificates.select("valid")?;
        }
        let storage = self.storage.emptied().map_err(|error| error.to_string())?;
        *self = SandboxState::new(now_ms, self.certificates.take(), storage)
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Changes one behaviour. Returns a message if the key or the value is wrong.
    pub(crate) fn configure(
        &mut self,
        key: &str,
        value: &Value,
        now_ms: i64,
    ) -> Result<(), String> {
        match self.settings.set(key, value)? {
            SettingChange::None => {}
            SettingChange::Packages(count) => {
                self.masv.fill_packages(count, now_ms);
                self.drop_orphans();
            }
            SettingChange::Inbox(count) => {
                self.masv.fill_inbox(count, now_ms);
                self.drop_orphans();
            }
            SettingChange::Storage(bytes) => self.storage.budget.set_limit_bytes(bytes),
            SettingChange::AgentSignedIn(signed_in) => self.agent.set_signed_in(signed_in),
            SettingChange::Opaque(kinds) => self.tokens.set_opaque(kinds),
            SettingChange::NoExpiry(kinds) => self.tokens.set_no_expiry(kinds),
            SettingChange::Certificate(kind) => self
                .certificates
                .as_ref()
                .ok_or("the sandbox has no certificate without TLS")?
                .select(&kind)?,
        }
        Ok(())
    }

    /// Drops the stored files of packages that no longer exist.
    pub(crate) fn drop_orphans(&mut self) {
        let packages = &self.masv.packages;
        self.storage
            .retain_packages(|package| packages.contains_key(package));
    }

    /// Records a request for tests. Drops the oldest one if the limit is reached.
    pub(crate) fn record_request(&mut self, request: &SandboxRequest) {
        if self.requests.len() == RECORDED_REQUEST_LIMIT {
            self.requests.pop_front();
        }
        self.requests.push_back(request.recorded());
    }
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        certificates: Option<Arc<Certificates>>,
    ) -> std::io::Result<Shared> {
        let budget = Budget::new();
        let storage = StorageData::new(Arc::clone(&budget))?;
        let state = SandboxState::new(clock.now_unix_ms(), certificates, storage)?;
        Ok(Shared {
            clock,
            budget,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Runs `change` under the lock, then wakes the threads that wait for a counter.
    ///
    /// `change` must not read the clock, because the clock may call a function of the test. Read
    /// the clock before this call.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut SandboxState) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until a counter reaches `minimum`. Returns `false` if the timeout expires first.
    pub(crate) fn wait_for(&self, counter: &str, minimum: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if state.counts.get(counter).copied().unwrap_or_default() >= minimum {
                return true;
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.counts.get(counter).copied().unwrap_or_default() >= minimum;
            }
        }
    }
}
