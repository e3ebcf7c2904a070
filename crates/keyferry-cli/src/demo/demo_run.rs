//! The stage: sandbox, engine and user's program under one clock, and how a row comes about.
//!
//! Which rows there are is told by its siblings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::demo::client::{Client, Reply};
use crate::demo::report::{Report, Row, counter_increase};
use keyferry::clock::Clock;
use keyferry::config::Config;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::{NO_EXPIRY, Token};
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry::sys::clock::coarse_unix_us;
use keyferry_sandbox::{self, Sandbox, credentials as c};

/// A call that a token is for, and the status it has to get.
pub(super) struct ServiceCall {
    method: &'static str,
    url: String,
    body: Option<&'static str>,
    status: u16,
}

impl ServiceCall {
    pub(super) fn get(url: impl Into<String>) -> Self {
        Self { method: "GET", url: url.into(), body: None, status: 200 }
    }

    pub(super) fn send(method: &'static str, url: impl Into<String>, body: &'static str, status: u16) -> Self {
        Self { method, url: url.into(), body: Some(body), status }
    }

    pub(super) fn delete(url: impl Into<String>) -> Self {
        Self { method: "DELETE", url: url.into(), body: None, status: 204 }
    }

    /// The same, refused.
    pub(super) fn expecting(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// What a row asks for and what has to come of it.
pub(super) struct RowSpec<'a> {
    pub(super) request: Request,
    pub(super) header: &'static str,
    pub(super) access: Access,
    /// Where the token comes from, in a word.
    pub(super) source: &'static str,
    /// The requests that this takes: the sandbox's counters, and by how much they grow.
    pub(super) requests: &'a [(&'static str, u64)],
    pub(super) call: ServiceCall,
    pub(super) note: &'static str,
}

/// Sandbox, engine and user's program.
pub(super) struct DemoRun {
    pub(super) sandbox: Sandbox,
    pub(super) session: Session,
    clock: Clock,
    client: Client,
    calls: u64,
    rows: Vec<Row>,
    service: &'static str,
    start: Instant,
}

impl DemoRun {
    /// Starts the sandbox and opens a session on it. Whole seconds, for the tokens' expiries are.
    pub(super) fn start() -> Result<Self> {
        let start = Instant::now();
        let clock = Clock::manual(coarse_unix_us().div_euclid(1_000_000) * 1_000_000);
        let shared = clock.clone();
        let clock_ms = keyferry_sandbox::Clock::from_fn(Arc::new(move || shared.now_us().div_euclid(1000)));
        let sandbox = Sandbox::start(keyferry_sandbox::Options { clock: clock_ms, ..keyferry_sandbox::Options::default() })
            .map_err(|error| Error::new(ErrorKind::Config, format!("the sandbox can't start on this machine: {}", error.kind())))?;
        let options = Options { clock: clock.clone(), refreshes_in_background: false };
        let session = Session::open_with(config(&sandbox)?, options)?;
        Ok(Self { sandbox, session, clock, client: Client::new()?, calls: 0, rows: Vec::new(), service: "", start })
    }

    /// The rows that follow are of this service.
    pub(super) fn begin_service(&mut self, name: &'static str) {
        self.service = name;
    }

    /// The whole world's clock moves on.
    pub(super) fn advance_clock(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
    }

    /// A row: a token for a resource, and the call that it is for.
    pub(super) fn add_row(&mut self, plan: RowSpec<'_>) -> Option<Token> {
        self.add_row_with(plan, |session, ask| session.token_for(ask))
    }

    /// A row whose token is got in a way of its own.
    pub(super) fn add_row_with(&mut self, plan: RowSpec<'_>, obtain: impl FnOnce(&Session, &Request) -> Result<Token>) -> Option<Token> {
        let RowSpec { request: ask, header, access, source: from, requests: took, call, note } = plan;
        let before = self.sandbox.counts();
        let start = Instant::now();
        let got = obtain(&self.session, &ask);
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(&ask.resource, from, time, &call);
        row.requests = counter_increase(&before, &after, "requests");
        let token = match got {
            Ok(token) => token,
            Err(error) => {
                row.fail(error.message());
                self.rows.push(row);
                return None;
            }
        };
        let names: Vec<_> = token.headers().map(|(name, _)| name).collect();
        let meta = token.meta();
        row.header = Some(names.join(", "));
        row.access = Some(meta.access.name());
        row.life_left_s = (meta.expires_us != NO_EXPIRY).then(|| (meta.expires_us - self.clock.now_us()).div_euclid(1_000_000));
        row.note = (!note.is_empty()).then(|| note.to_owned());
        let headers: Vec<_> = token.headers().collect();
        row.record_call(self.call(&call, &headers).map(|reply| reply.status), call.status);
        if names != [header] || meta.access != access {
            row.fail(&format!("the header should be {header}, and allow: {}", access.name()));
        }
        row.check_requests(took, &before, &after);
        self.rows.push(row);
        Some(token)
    }

    /// A row that is right when it is refused; `with` makes the call all the same, to show why.
    pub(super) fn add_refused_row(&mut self, ask: &str, kind: ErrorKind, access: Access, with: Option<&Token>, call: ServiceCall) {
        let before = self.sandbox.counts();
        let start = Instant::now();
        let got = self.session.token_for(&Request::new(ask));
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(ask, "refused", time, &call);
        row.access = Some(access.name());
        let headers: Vec<_> = with.iter().flat_map(|token| token.headers()).collect();
        row.record_call(self.call(&call, &headers).map(|reply| reply.status), call.status);
        match got {
            Err(error) if error.kind == kind => row.note = Some(error.message().to_owned()),
            Err(error) => row.fail(error.message()),
            Ok(_) => row.fail("a token was handed out that can't be right"),
        }
        row.check_requests(&[], &before, &after);
        self.rows.push(row);
    }

    /// A row about a service whose session is state inside it: no header.
    pub(super) fn add_session_row(
        &mut self,
        (ask, from): (&str, &'static str),
        took: &[(&'static str, u64)],
        call: ServiceCall,
        obtain: impl FnOnce(&Session) -> Result<String>,
    ) {
        let before = self.sandbox.counts();
        let start = Instant::now();
        let told = obtain(&self.session);
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(ask, from, time, &call);
        row.requests = counter_increase(&before, &after, "requests");
        row.record_call(self.call(&call, &[]).map(|reply| reply.status), call.status);
        match told {
            Ok(note) => row.note = Some(note),
            Err(error) => row.fail(error.message()),
        }
        row.check_requests(took, &before, &after);
        self.rows.push(row);
    }

    /// A call of the user's own program.
    pub(super) fn call(&mut self, call: &ServiceCall, headers: &[(&str, &str)]) -> Result<Reply> {
        self.calls += 1;
        self.client.send(call.method, &call.url, headers, call.body)
    }

    /// Whether a token gets this status now.
    pub(super) fn has_status(&mut self, token: &Token, call: &ServiceCall, status: u16) -> bool {
        let headers: Vec<_> = token.headers().collect();
        self.call(call, &headers).is_ok_and(|reply| reply.status == status)
    }

    /// What the row before claims is not so.
    pub(super) fn fail_last_row(&mut self, why: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.fail(why);
        }
    }

    /// What all of it came to.
    pub(super) fn finish(self) -> Report {
        let stats = serde_json::from_str(&self.session.stats()).unwrap_or_default();
        Report { rows: self.rows, calls: self.calls, counts: self.sandbox.counts(), stats, elapsed: self.start.elapsed() }
    }

    fn new_row(&self, ask: &str, from: &'static str, time: Duration, call: &ServiceCall) -> Row {
        let bare = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        let bases = [self.sandbox.masv_url(), self.sandbox.agent_url(), self.sandbox.fileverbs_url()];
        let path = bases.iter().find_map(|base| call.url.strip_prefix(base)).unwrap_or(&call.url);
        Row {
            service: self.service,
            resource: bare(ask),
            header: None,
            access: None,
            life_left_s: None,
            from,
            requests: 0,
            time,
            call: format!("{} {}", call.method, bare(path)),
            status: None,
            ok: true,
            note: None,
        }
    }
}

/// Everything that the sandbox's account has; what a user writes into `config.toml`.
fn config(sandbox: &Sandbox) -> Result<Config> {
    let mut config = Config::new();
    for (key, value) in [
        ("store", "memory"),
        ("http.timeout_ms", "10000"),
        ("masv.url", sandbox.masv_url()),
        ("masv.api_key", c::API_KEY),
        ("masv.email", c::EMAIL),
        ("masv.password", c::PASSWORD),
        ("agent.url", sandbox.agent_url()),
        ("fileverbs.url", sandbox.fileverbs_url()),
        ("fileverbs.secret_key", c::SECRET_KEY),
        ("fileverbs.api_key", c::FV_API_KEY),
    ] {
        config.set(key, Secret::from(value))?;
    }
    Ok(config)
}
