//! A run of the demo. The sandbox, the engine and the demo's application share one clock. Each row
//! records what keyferry and the service did.

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
use keyferry::sys::io_cause::{self, Subject};
use keyferry_sandbox::{self, Sandbox, credentials as c};

/// A call of the application to a service, and the status that the service should return.
pub(super) struct ServiceCall {
    method: &'static str,
    url: String,
    body: Option<&'static str>,
    status: u16,
}

impl ServiceCall {
    pub(super) fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET",
            url: url.into(),
            body: None,
            status: 200,
        }
    }

    pub(super) fn send(
        method: &'static str,
        url: impl Into<String>,
        body: &'static str,
        status: u16,
    ) -> Self {
        Self {
            method,
            url: url.into(),
            body: Some(body),
            status,
        }
    }

    pub(super) fn delete(url: impl Into<String>) -> Self {
        Self {
            method: "DELETE",
            url: url.into(),
            body: None,
            status: 204,
        }
    }

    /// Returns the same call with another expected status.
    pub(super) fn expecting(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// The request of a row and its expected outcome.
pub(super) struct RowSpec<'a> {
    pub(super) request: Request,
    pub(super) header: &'static str,
    pub(super) access: Access,
    /// Where the token comes from, in one word.
    pub(super) source: &'static str,
    /// The requests that keyferry should send for the token. Each entry has the name of a counter
    /// of the sandbox and the expected number of requests.
    pub(super) requests: &'a [(&'static str, u64)],
    pub(super) call: ServiceCall,
    pub(super) note: &'static str,
}

/// The sandbox, the engine and the demo's application.
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
    /// Starts the sandbox and opens a session with it. The clock starts at a whole second, because
    /// tokens expire at whole seconds.
    pub(super) fn start() -> Result<Self> {
        let start = Instant::now();
        let clock = Clock::manual(coarse_unix_us().div_euclid(1_000_000) * 1_000_000);
        let shared = clock.clone();
        let clock_ms =
            keyferry_sandbox::Clock::from_fn(Arc::new(move || shared.now_us().div_euclid(1000)));
        let sandbox = Sandbox::start(keyferry_sandbox::Options {
            clock: clock_ms,
            ..keyferry_sandbox::Options::default()
        })
        .map_err(|error| {
            Error::new(
                ErrorKind::Config,
                format!(
                    "cannot start the sandbox: {}",
                    io_cause::explain(&error, Subject::Service)
                ),
            )
        })?;
        let options = Options {
            clock: clock.clone(),
            refreshes_in_background: false,
        };
        let session = Session::open_with(config(&sandbox)?, options)?;
        Ok(Self {
            sandbox,
            session,
            clock,
            client: Client::new()?,
            calls: 0,
            rows: Vec::new(),
            service: "",
            start,
        })
    }

    /// Starts the section of a service.
    pub(super) fn begin_service(&mut self, name: &'static str) {
        self.service = name;
    }

    /// Advances the clock that the sandbox and the engine share.
    pub(super) fn advance_clock(&self, seconds: i64) {
        self.clock.advance_us(seconds * 1_000_000);
    }

    /// Adds a row: gets a token from keyferry and makes the call with it.
    pub(super) fn add_row(&mut self, spec: RowSpec<'_>) -> Option<Token> {
        self.add_row_with(spec, |session, request| session.token_for(request))
    }

    /// Adds a row whose token comes from `obtain`.
    pub(super) fn add_row_with(
        &mut self,
        spec: RowSpec<'_>,
        obtain: impl FnOnce(&Session, &Request) -> Result<Token>,
    ) -> Option<Token> {
        let RowSpec {
            request,
            header,
            access,
            source,
            requests,
            call,
            note,
        } = spec;
        let before = self.sandbox.counts();
        let start = Instant::now();
        let outcome = obtain(&self.session, &request);
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(&request.resource, source, time, &call);
        row.requests = counter_increase(&before, &after, "requests");
        let token = match outcome {
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
        row.life_left_s = (meta.expires_us != NO_EXPIRY)
            .then(|| (meta.expires_us - self.clock.now_us()).div_euclid(1_000_000));
        row.note = (!note.is_empty()).then(|| note.to_owned());
        let headers: Vec<_> = token.headers().collect();
        row.record_call(
            self.call(&call, &headers).map(|reply| reply.status),
            call.status,
        );
        if names != [header] || meta.access != access {
            row.fail(&format!(
                "expected the header {header}, and a token with {} access",
                access.name()
            ));
        }
        row.check_requests(requests, &before, &after);
        self.rows.push(row);
        Some(token)
    }

    /// Adds a row for which keyferry has to return an error. Also sends `call` to the service, with
    /// the headers of `token` if there is one. The service refuses that call, which shows why
    /// keyferry has no token to return.
    pub(super) fn add_refused_row(
        &mut self,
        resource: &str,
        kind: ErrorKind,
        access: Access,
        token: Option<&Token>,
        call: ServiceCall,
    ) {
        let before = self.sandbox.counts();
        let start = Instant::now();
        let outcome = self.session.token_for(&Request::new(resource));
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(resource, "refused", time, &call);
        row.access = Some(access.name());
        let headers: Vec<_> = token.iter().flat_map(|token| token.headers()).collect();
        row.record_call(
            self.call(&call, &headers).map(|reply| reply.status),
            call.status,
        );
        match outcome {
            Err(error) if error.kind == kind => {
                row.note = Some(format!(
                    "keyferry has no token that the service accepts here, so it returns an error: \"{}\"",
                    error.message()
                ));
            }
            Err(error) => row.fail(error.message()),
            Ok(_) => row.fail("keyferry returned a token instead of an error"),
        }
        row.check_requests(&[], &before, &after);
        self.rows.push(row);
    }

    /// Adds a row for the MASV Agent. The agent keeps the user's login itself, so keyferry returns
    /// no header for it.
    pub(super) fn add_session_row(
        &mut self,
        (resource, source): (&str, &'static str),
        requests: &[(&'static str, u64)],
        call: ServiceCall,
        obtain: impl FnOnce(&Session) -> Result<String>,
    ) {
        let before = self.sandbox.counts();
        let start = Instant::now();
        let outcome = obtain(&self.session);
        let time = start.elapsed();
        let after = self.sandbox.counts();
        let mut row = self.new_row(resource, source, time, &call);
        row.requests = counter_increase(&before, &after, "requests");
        row.record_call(self.call(&call, &[]).map(|reply| reply.status), call.status);
        match outcome {
            Ok(note) => row.note = Some(note),
            Err(error) => row.fail(error.message()),
        }
        row.check_requests(requests, &before, &after);
        self.rows.push(row);
    }

    /// Makes a call as the demo's application.
    pub(super) fn call(&mut self, call: &ServiceCall, headers: &[(&str, &str)]) -> Result<Reply> {
        self.calls += 1;
        self.client.send(call.method, &call.url, headers, call.body)
    }

    /// Makes a call with this token, and returns whether the response has this status.
    pub(super) fn has_status(&mut self, token: &Token, call: &ServiceCall, status: u16) -> bool {
        let headers: Vec<_> = token.headers().collect();
        self.call(call, &headers)
            .is_ok_and(|reply| reply.status == status)
    }

    /// Marks the last row as failed.
    pub(super) fn fail_last_row(&mut self, why: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.fail(why);
        }
    }

    /// Ends the run and returns its report.
    pub(super) fn finish(self) -> Report {
        Report {
            rows: self.rows,
            calls: self.calls,
            counts: self.sandbox.counts(),
            stats: self.session.stats(),
            elapsed: self.start.elapsed(),
        }
    }

    fn new_row(
        &self,
        resource: &str,
        source: &'static str,
        time: Duration,
        call: &ServiceCall,
    ) -> Row {
        let without_query = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        let bases = [
            self.sandbox.masv_url(),
            self.sandbox.agent_url(),
            self.sandbox.fileverbs_url(),
        ];
        let path = bases
            .iter()
            .find_map(|base| call.url.strip_prefix(base))
            .unwrap_or(&call.url);
        Row {
            service: self.service,
            resource: without_query(resource),
            header: None,
            access: None,
            life_left_s: None,
            source,
            requests: 0,
            time,
            call: format!("{} {}", call.method, without_query(path)),
            status: None,
            ok: true,
            note: None,
        }
    }
}

/// Returns a configuration for the sandbox's account, as a user would write it into `config.toml`.
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
