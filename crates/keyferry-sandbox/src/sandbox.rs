//! A running sandbox: starts the services, and lets a Rust test count requests, change behaviours
//! and inject faults.
//!
//! The control routes do the same over HTTP, for tests in other languages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Clock;
use crate::credentials;
use crate::faults::Fault;
use crate::options::Options;
use crate::request::RecordedRequest;
use crate::server::Server;
use crate::state::{SandboxState, Shared};
use crate::tls::{self, TlsSetup};
use crate::tokens::GrantKind;

/// The running services. Dropping this stops them and closes every connection at once.
pub struct Sandbox {
    shared: Arc<Shared>,
    server: Server,
    ca_pem: Option<String>,
}

impl Sandbox {
    /// Binds the listeners and serves them on one thread.
    ///
    /// # Errors
    ///
    /// Returns an error if a port is in use, or if the system has no thread, file descriptor or
    /// random bytes left.
    pub fn start(options: Options) -> std::io::Result<Sandbox> {
        let Options {
            masv_port,
            agent_port,
            fileverbs_port,
            storage_port,
            tls,
            clock,
        } = options;
        let (acceptor, ca_pem, certificates) = if tls {
            let TlsSetup {
                acceptor,
                ca_pem,
                certificates,
            } = tls::set_up()?;
            (Some(acceptor), Some(ca_pem), Some(certificates))
        } else {
            (None, None, None)
        };
        let shared = Arc::new(Shared::new(clock, certificates)?);
        let ports = [masv_port, agent_port, fileverbs_port, storage_port];
        let server = Server::start(&shared, ports, acceptor)?;
        Ok(Sandbox {
            shared,
            server,
            ca_pem,
        })
    }

    /// Returns the base URL of MASV cloud, without a version and without a trailing slash.
    pub fn masv_url(&self) -> &str {
        &self.server.urls[0]
    }

    /// Returns the base URL of the MASV Agent.
    pub fn agent_url(&self) -> &str {
        &self.server.urls[1]
    }

    /// Returns the base URL of FileVerbs.
    pub fn fileverbs_url(&self) -> &str {
        &self.server.urls[2]
    }

    /// Returns the base URL of the object storage behind MASV, which is another origin than MASV.
    pub fn storage_url(&self) -> &str {
        &self.server.urls[3]
    }

    /// Returns the certificate of the throw-away CA if TLS is on.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Returns the virtual clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Returns one counter, or 0 if nothing was counted under this name.
    pub fn count(&self, name: &str) -> u64 {
        self.shared
            .with(|state| state.counts.get(name).copied().unwrap_or_default())
    }

    /// Returns all counters.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.with(|state| state.counts.clone())
    }

    /// Clears all counters and recorded requests.
    pub fn reset_counts(&self) {
        self.shared.with(SandboxState::reset_counts);
    }

    /// Adds a fault after the existing ones.
    pub fn fault(&self, fault: Fault) {
        self.shared.with(|state| state.faults.push(fault));
    }

    /// Removes all faults. Requests that already hang keep hanging.
    pub fn clear_faults(&self) {
        self.shared.with(|state| state.faults.clear());
    }

    /// Sets the lifetime of the tokens of one kind (`user`, `package`, `transfer`, `bearer`,
    /// `refresh`) that are issued from now on.
    ///
    /// # Panics
    ///
    /// Panics if the kind is unknown, so that a typo in a test doesn't go unnoticed.
    pub fn set_life(&self, kind: &str, seconds: i64) {
        let kind = grant_kind(kind);
        self.shared
            .with(|state| state.tokens.set_lifetime_s(kind, seconds));
    }

    /// Returns how many tokens of a kind were issued since the start.
    ///
    /// # Panics
    ///
    /// Panics if the kind is unknown.
    pub fn issued(&self, kind: &str) -> u64 {
        let kind = grant_kind(kind);
        self.shared.with(|state| state.tokens.issued(kind))
    }

    /// Refuses this token, API key or SecretKey from now on.
    pub fn reject_token(&self, token: &str) {
        self.shared.with(|state| state.tokens.reject(token));
    }

    /// Refuses the `generation`-th token of a kind, counted from the start. Call this before that
    /// token is issued.
    ///
    /// # Panics
    ///
    /// Panics if the kind is unknown.
    pub fn reject_generation(&self, kind: &str, generation: u64) {
        let kind = grant_kind(kind);
        self.shared
            .with(|state| state.tokens.reject_generation(kind, generation));
    }

    /// Changes one of the behaviours that `docs/testing.md` in the repository lists.
    ///
    /// # Panics
    ///
    /// Panics if the key is unknown or the value has the wrong type. The control route returns a
    /// 400 instead.
    pub fn configure(&self, key: &str, value: Value) {
        let now_ms = self.shared.clock.now_unix_ms();
        let result = self
            .shared
            .with(|state| state.configure(key, &value, now_ms));
        if let Err(reason) = result {
            panic!("{reason}");
        }
    }

    /// Returns the last 2,000 requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared
            .with(|state| state.requests.iter().cloned().collect())
    }

    /// Waits until a counter reaches `n`. Returns `false` if the timeout expires first.
    pub fn wait_for(&self, counter: &str, n: u64, timeout: Duration) -> bool {
        self.shared.wait_for(counter, n, timeout)
    }

    /// Returns the environment variables that point keyferry at this sandbox.
    ///
    /// A name that starts with `# ` is an alternative: show it, but don't set it. With TLS, the
    /// caller also has to write [`Sandbox::ca_pem`] to a file and set `KEYFERRY_HTTP_CA_FILE` to
    /// its path.
    pub fn variables(&self) -> Vec<(String, String)> {
        let all = [
            ("KEYFERRY_MASV_URL", self.masv_url()),
            ("KEYFERRY_MASV_EMAIL", credentials::EMAIL),
            ("KEYFERRY_MASV_PASSWORD", credentials::PASSWORD),
            ("# KEYFERRY_MASV_API_KEY", credentials::API_KEY),
            ("KEYFERRY_MASV_TEAM", credentials::TEAM_ID),
            ("KEYFERRY_AGENT_URL", self.agent_url()),
            ("KEYFERRY_FILEVERBS_URL", self.fileverbs_url()),
            ("KEYFERRY_FILEVERBS_SECRET_KEY", credentials::SECRET_KEY),
            ("KEYFERRY_FILEVERBS_API_KEY", credentials::FV_API_KEY),
            // The sandbox forgets its tokens when it ends, so keep them out of the user's store.
            ("KEYFERRY_STORE", "memory"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sandbox({:?})", self.server.urls)
    }
}

fn grant_kind(kind: &str) -> GrantKind {
    match GrantKind::from_name(kind) {
        Ok(kind) => kind,
        Err(reason) => panic!("{reason}"),
    }
}
