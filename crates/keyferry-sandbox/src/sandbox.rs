//! A running sandbox: starts it, and lets a Rust test count, configure and break what it serves.
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

/// The three services, serving until this is dropped. Dropping ends every connection at once.
pub struct Sandbox {
    shared: Arc<Shared>,
    server: Server,
    urls: [String; 3],
    ca_pem: Option<String>,
}

impl Sandbox {
    /// Binds the three listeners and serves them on one thread.
    ///
    /// # Errors
    ///
    /// A port that is taken, or no thread, descriptor or random byte left.
    pub fn start(options: Options) -> std::io::Result<Sandbox> {
        let Options {
            masv_port,
            agent_port,
            fileverbs_port,
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
        let server = Server::start(&shared, [masv_port, agent_port, fileverbs_port], acceptor)?;
        let scheme = if tls { "https" } else { "http" };
        let urls = server
            .ports
            .map(|port| format!("{scheme}://127.0.0.1:{port}"));
        Ok(Sandbox {
            shared,
            server,
            urls,
            ca_pem,
        })
    }

    /// Base URL of MASV cloud, without a version and without a slash at its end.
    pub fn masv_url(&self) -> &str {
        &self.urls[0]
    }

    /// Base URL of the MASV Agent.
    pub fn agent_url(&self) -> &str {
        &self.urls[1]
    }

    /// Base URL of FileVerbs.
    pub fn fileverbs_url(&self) -> &str {
        &self.urls[2]
    }

    /// Certificate of the throw-away CA, if TLS is on.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The virtual clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// One counter; 0 if nothing was counted under this name.
    pub fn count(&self, name: &str) -> u64 {
        self.shared
            .with(|state| state.counts.get(name).copied().unwrap_or_default())
    }

    /// All counters.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.with(|state| state.counts.clone())
    }

    /// Forgets all counts and recorded requests.
    pub fn reset_counts(&self) {
        self.shared.with(SandboxState::reset_counts);
    }

    /// Adds a fault behind those that are there.
    pub fn fault(&self, fault: Fault) {
        self.shared.with(|state| state.faults.push(fault));
    }

    /// Removes all faults. Requests that hang already keep hanging.
    pub fn clear_faults(&self) {
        self.shared.with(|state| state.faults.clear());
    }

    /// Sets the lifetime of the tokens of a kind (`user`, `package`, `transfer`, `bearer`,
    /// `refresh`) issued from now on.
    ///
    /// # Panics
    ///
    /// On another kind: a typo in a test must not pass as a setting.
    pub fn set_life(&self, kind: &str, seconds: i64) {
        let kind = grant_kind(kind);
        self.shared
            .with(|state| state.tokens.set_lifetime_s(kind, seconds));
    }

    /// The number of tokens of a kind that were issued since the start.
    ///
    /// # Panics
    ///
    /// On an unknown kind.
    pub fn issued(&self, kind: &str) -> u64 {
        let kind = grant_kind(kind);
        self.shared.with(|state| state.tokens.issued(kind))
    }

    /// Refuses this token, API key or SecretKey from now on.
    pub fn reject_token(&self, token: &str) {
        self.shared.with(|state| state.tokens.reject(token));
    }

    /// Refuses the `generation`-th token of a kind, counted from the start; set it before that
    /// token is issued.
    ///
    /// # Panics
    ///
    /// On an unknown kind.
    pub fn reject_generation(&self, kind: &str, generation: u64) {
        let kind = grant_kind(kind);
        self.shared
            .with(|state| state.tokens.reject_generation(kind, generation));
    }

    /// Changes a behaviour of the table in the [crate's documentation](crate).
    ///
    /// # Panics
    ///
    /// On an unknown key or a value of the wrong type; the control route answers 400 instead.
    pub fn configure(&self, key: &str, value: Value) {
        let now_ms = self.shared.clock.now_unix_ms();
        let result = self
            .shared
            .with(|state| state.configure(key, &value, now_ms));
        if let Err(reason) = result {
            panic!("{reason}");
        }
    }

    /// The last 2,000 requests, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared
            .with(|state| state.requests.iter().cloned().collect())
    }

    /// Waits until a counter has reached `n`; `false` if it hasn't within the time.
    pub fn wait_for(&self, counter: &str, n: u64, timeout: Duration) -> bool {
        self.shared.wait_for(counter, n, timeout)
    }

    /// The environment variables that point keyferry at this sandbox. A name that begins with `# `
    /// is an alternative, to be shown and not set. With TLS the caller adds `KEYFERRY_HTTP_CA_FILE`
    /// for the file it wrote [`Sandbox::ca_pem`] to.
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
            // A sandbox forgets its tokens when it ends: they are nothing for the user's store.
            ("KEYFERRY_STORE", "memory"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sandbox(ports {:?})", self.server.ports)
    }
}

fn grant_kind(kind: &str) -> GrantKind {
    match GrantKind::from_name(kind) {
        Ok(kind) => kind,
        Err(reason) => panic!("{reason}"),
    }
}
