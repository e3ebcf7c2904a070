//! The state of a sandbox, behind one lock, and the counters that a test can wait for.
//!
//! The lock is held for one decision at a time, never while the network is used.

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
use crate::request::{RecordedRequest, SandboxRequest};
use crate::settings::{SettingChange, Settings};
use crate::tls::Certificates;
use crate::tokens::Tokens;

/// Requests recorded for [`crate::Sandbox::requests`]. About 1 MB: tests measure the memory of this
/// process.
const RECORDED_REQUEST_LIMIT: usize = 2_000;

/// The state and the clock, shared by the server's thread and the test's.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    state: Mutex<SandboxState>,
    changed: Condvar,
}

/// Everything that a sandbox remembers between two requests.
pub(crate) struct SandboxState {
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) requests: VecDeque<RecordedRequest>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) masv: MasvData,
    pub(crate) agent: AgentData,
    pub(crate) fileverbs: FileVerbsData,
    certificates: Option<Arc<Certificates>>,
}

impl SandboxState {
    pub(crate) fn new(
        now_ms: i64,
        certificates: Option<Arc<Certificates>>,
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
            certificates,
        })
    }

    /// Adds one to a counter.
    pub(crate) fn count(&mut self, name: &str) {
        match self.counts.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(name.to_owned(), 1);
            }
        }
    }

    /// Forgets counts and recorded requests, and nothing else.
    pub(crate) fn reset_counts(&mut self) {
        self.counts.clear();
        self.requests.clear();
    }

    /// Resets everything to the state of the start, but not the clock.
    pub(crate) fn reset_all(&mut self, now_ms: i64) -> Result<(), String> {
        if let Some(certificates) = &self.certificates {
            certificates.select("valid")?;
        }
        *self = SandboxState::new(now_ms, self.certificates.take())
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Changes one behaviour. `Err` says why the key or the value is wrong.
    pub(crate) fn configure(
        &mut self,
        key: &str,
        value: &Value,
        now_ms: i64,
    ) -> Result<(), String> {
        match self.settings.set(key, value)? {
            SettingChange::None => {}
            SettingChange::Packages(count) => self.masv.fill_packages(count, now_ms),
            SettingChange::Inbox(count) => self.masv.fill_inbox(count, now_ms),
            SettingChange::AgentSignedIn(signed_in) => self.agent.set_signed_in(signed_in),
            SettingChange::Opaque(kinds) => self.tokens.set_opaque(kinds),
            SettingChange::NoExpiry(kinds) => self.tokens.set_no_expiry(kinds),
            SettingChange::Certificate(kind) => self
                .certificates
                .as_ref()
                .ok_or("without TLS there is no certificate")?
                .select(&kind)?,
        }
        Ok(())
    }

    /// Records a request for a test to read; forgets the oldest beyond the limit.
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
        let state = SandboxState::new(clock.now_unix_ms(), certificates)?;
        Ok(Shared {
            clock,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Runs `change` under the lock and wakes the threads that wait for a counter. The clock may be
    /// a test's own function: read it before, never in `change`.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut SandboxState) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until a counter has reached `minimum`; `false` after the timeout.
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
