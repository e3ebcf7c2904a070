//! All services on one port, with faults at each point of an exchange. Unlike the sandbox, it keeps
//! connections open, records every byte, and gives tokens that name what they are for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keyferry_testing::scripted_server::{
    Ending, Peer, ScriptedServer, SeenConnection, SeenRequest,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::faults::{Fault, Odd, Point, Times};

/// A value of a header that each response has, and that the library uses for nothing.
pub(super) const FILLER: &str = "made-up-filler-of-a-response";
pub(super) const TEAM: &str = "01J0SCR1PTEDTEAM0000000001";
/// A package that no test asks for. Its token must never be returned.
const FOREIGN: &str = "FOREIGN";

/// A property of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trait {
    None,
    /// MASV has no look-up of a single package.
    ListsOnly,
    /// The agent leaves the teams out of its session.
    TeamsApart,
    /// A login takes long, and the service gives up on a connection that has no request by then: it
    /// sends status 408, and closes the connection.
    GivesUp,
}

struct Armed {
    /// What the request line begins with.
    line: String,
    fault: Fault,
    times: Times,
}

struct State {
    /// How the tokens begin, so that a test can tell the services apart.
    mark: String,
    has: Trait,
    tokens: AtomicU64,
    armed: Mutex<Option<Armed>>,
    /// How many faults the services have shown.
    shown: AtomicU64,
    /// Whether a login runs that waits until the service has given up on a connection.
    has_slow_login: AtomicBool,
}

/// The services.
pub(super) struct Services {
    pub(super) server: ScriptedServer,
    state: Arc<State>,
}

impl Services {
    /// Starts the services. Their tokens begin with `mark`.
    pub(super) fn start(mark: &str, has: Trait) -> Self {
        let state = Arc::new(State {
            mark: mark.to_owned(),
            has,
            tokens: AtomicU64::new(0),
            armed: Mutex::new(None),
            shown: AtomicU64::new(0),
            has_slow_login: AtomicBool::new(false),
        });
        let served = Arc::clone(&state);
        Self {
            server: ScriptedServer::start(move |peer| {
                let _ = serve(peer, &served);
            }),
            state,
        }
    }

    pub(super) fn url(&self) -> &str {
        self.server.url()
    }

    /// Shows this fault to requests whose line begins so.
    pub(super) fn arm(&self, line: &str, fault: Fault, times: Times) {
        *self.state.armed.lock() = Some(Armed {
            line: line.to_owned(),
            fault,
            times,
        });
    }

    pub(super) fn disarm(&self) {
        *self.state.armed.lock() = None;
    }

    /// Returns how often the services have shown a fault.
    pub(super) fn shown(&self) -> u64 {
        self.state.shown.load(Ordering::SeqCst)
    }

    /// Waits until the services have shown a fault this often and are done with it.
    pub(super) fn wait_until_shown(&self, times: u64) {
        self.server
            .wait_until("the fault is over", |_| self.shown() >= times);
    }

    /// Checks what holds for all connections: requests that spend something come alone, and nothing
    /// follows where a connection must end. Waits until the client has closed the connections of
    /// the requests that spend something.
    pub(super) fn check_connections(&self, what: &str, spending: &[&str]) {
        let spends = |seen: &SeenConnection| spending.iter().any(|line| seen.count(line) > 0);
        self.server
            .wait_until("the connections of spending requests end", |all| {
                all.iter().all(|seen| !spends(seen) || seen.is_over)
            });
        for seen in self.server.connections() {
            assert!(seen.violations.is_empty(), "{what}: {:?}", seen.violations);
            let heads = String::from_utf8_lossy(&seen.received)
                .matches(" HTTP/1.1\r\n")
                .count();
            assert!(
                !spends(&seen) || heads <= 1,
                "{what}: {heads} requests on the connection of one that spends: {:?}",
                seen.requests
                    .iter()
                    .map(|request| &request.line)
                    .collect::<Vec<_>>()
            );
        }
    }
}

impl State {
    /// Returns the fault to show now, if `matches` its line.
    fn take(&self, matches: impl Fn(&Armed) -> bool) -> Option<Fault> {
        let mut armed = self.armed.lock();
        let found = armed.as_ref().filter(|armed| matches(armed))?;
        let fault = found.fault;
        if found.times == Times::Once {
            *armed = None;
        }
        Some(fault)
    }

    /// Returns a new token, which names what it is for.
    fn token(&self, what: &str) -> String {
        let number = self.tokens.fetch_add(1, Ordering::SeqCst);
        format!("{}.{what}.{number}", self.mark)
    }
}

/// Ends the connection if the fault is at this point.
fn end_at(peer: &mut Peer, state: &State, fault: Option<Fault>, point: Point) -> Option<()> {
    let Some(ending) = fault.and_then(|fault| fault.ends_at(point)) else {
        return Some(());
    };
    if ending == Ending::HalfClose {
        // The count comes first, because this ending waits for the client.
        state.shown.fetch_add(1, Ordering::SeqCst);
        peer.end(ending);
    } else {
        peer.end(ending);
        peer.close();
        state.shown.fetch_add(1, Ordering::SeqCst);
    }
    None
}

/// Serves a connection until it ends.
fn serve(peer: &mut Peer, state: &State) -> Option<()> {
    let fault = state.take(|armed| armed.fault.ends_at(Point::Accept).is_some());
    end_at(peer, state, fault, Point::Accept)?;
    if state.has == Trait::GivesUp {
        give_up_during_login(peer, state)?;
    }
    loop {
        let line = peer.read_line()?;
        let fault = state.take(|armed| {
            line.starts_with(&armed.line) && armed.fault.ends_at(Point::Accept).is_none()
        });
        end_at(peer, state, fault, Point::InRequestHead)?;
        let mut request = peer.read_head(&line)?;
        end_at(peer, state, fault, Point::AfterRequestHead)?;
        if fault.is_some_and(|fault| fault.ends_at(Point::InRequestBody).is_some()) {
            peer.read_body(&mut request, Some(5))?;
            end_at(peer, state, fault, Point::InRequestBody)?;
        }
        peer.read_body(&mut request, None)?;
        peer.finish_request(&request);
        if state.has == Trait::GivesUp && request.line == "POST /v1/auth" {
            wait_for_a_connection_without_request(state);
        }
        end_at(peer, state, fault, Point::AfterRequest)?;
        match fault {
            Some(Fault::Respond(odd)) => respond_oddly(peer, state, &request, odd)?,
            _ => respond(peer, state, &request, fault)?,
        }
    }
}

/// Waits for the first byte of a request. Sends status 408 and ends the connection if there is none
/// while a slow login runs.
fn give_up_during_login(peer: &mut Peer, state: &State) -> Option<()> {
    while !peer.has_bytes()? {
        if state.has_slow_login.swap(false, Ordering::SeqCst) {
            let (head, body) = response(408, &json!({}));
            peer.send(&[head, body].concat());
            peer.close();
            state.shown.fetch_add(1, Ordering::SeqCst);
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(())
}

/// Makes a login take until the service has given up on a connection. A client that opens none needs
/// no longer than 5 s.
fn wait_for_a_connection_without_request(state: &State) {
    state.has_slow_login.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(5);
    while state.shown.load(Ordering::SeqCst) == 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    state.has_slow_login.store(false, Ordering::SeqCst);
}

/// Sends the sound response, or the part of it that comes before the fault.
fn respond(
    peer: &mut Peer,
    state: &State,
    request: &SeenRequest,
    fault: Option<Fault>,
) -> Option<()> {
    let (status, document) = document(state, request);
    let (head, body) = response(status, &document);
    if status >= 400 {
        peer.forbid_more(&format!("status {status}"));
    }
    let parts = [
        (Point::InStatusLine, &head[..11]),
        (Point::InResponseHeaders, &head[11..head.len() / 2]),
        (Point::AfterResponseHeaders, &head[head.len() / 2..]),
        (Point::InResponseBody, &body[..body.len() / 2]),
        (Point::AfterResponse, &body[body.len() / 2..]),
    ];
    let cut = fault.and_then(|fault| {
        parts
            .iter()
            .position(|(point, _)| fault.ends_at(*point).is_some())
    });
    let last = cut.unwrap_or(parts.len() - 1);
    // In one segment, as servers send it.
    let all: Vec<u8> = parts[..=last]
        .iter()
        .flat_map(|(_, part)| part.iter().copied())
        .collect();
    peer.send(&all);
    end_at(peer, state, fault, parts[last].0)
}

fn respond_oddly(peer: &mut Peer, state: &State, request: &SeenRequest, odd: Odd) -> Option<()> {
    let (status, document) = document(state, request);
    let (head, body) = response(status, &document);
    let foreign = || {
        let (head, body) = response(200, &package(state, FOREIGN));
        [head, body].concat()
    };
    let replaced = |from: &str, to: &str| {
        let head = String::from_utf8_lossy(&head).replacen(from, to, 1);
        [head.as_bytes(), &body].concat()
    };
    let mut later = None;
    let bytes = match odd {
        Odd::ConnectionClose => replaced("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
        Odd::Http10 => replaced("HTTP/1.1", "HTTP/1.0"),
        Odd::UntilClose => {
            let head = b"HTTP/1.1 200 Status\r\n\r\n".to_vec();
            [head, body].concat()
        }
        Odd::Chunked => {
            let (first, second) = body.split_at(body.len() / 2);
            let mut all = b"HTTP/1.1 200 Status\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for part in [first, second, b"".as_slice()] {
                all.extend(format!("{:x}\r\n", part.len()).bytes());
                all.extend(part);
                all.extend(b"\r\n");
            }
            all
        }
        Odd::EarlyHints => [b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), head, body].concat(),
        Odd::GarbageBehind => [head, body, b"\r\nSSH-2.0-x\r\n".to_vec()].concat(),
        Odd::ResponseBehind => [head, body, foreign()].concat(),
        Odd::GarbageLater | Odd::ResponseLater => {
            later = Some(if odd == Odd::GarbageLater {
                b"SSH-2.0-x\r\n".to_vec()
            } else {
                foreign()
            });
            [head, body].concat()
        }
        Odd::OtherId => foreign(),
        Odd::Status(status) => {
            let (head, body) = response(status, &json!({"message": "not now"}));
            [head, body].concat()
        }
    };
    match odd {
        Odd::Chunked | Odd::EarlyHints | Odd::GarbageLater | Odd::ResponseLater => {}
        Odd::Status(status) if status < 400 => {}
        _ => peer.forbid_more(&format!("the response {odd:?}")),
    }
    peer.send(&bytes);
    if odd == Odd::UntilClose {
        peer.close();
    }
    if let Some(bytes) = later {
        thread::sleep(Duration::from_millis(20));
        peer.send(&bytes);
    }
    state.shown.fetch_add(1, Ordering::SeqCst);
    (odd != Odd::UntilClose).then_some(())
}

/// Returns the head and the body of a response that keeps the connection open.
fn response(status: u16, document: &Value) -> (Vec<u8>, Vec<u8>) {
    let body = document.to_string().into_bytes();
    let cookie = document["cookie"].as_str();
    let cookie = cookie.map_or(String::new(), |value| {
        format!("Set-Cookie: refreshToken={value}; HttpOnly; Path=/\r\n")
    });
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nX-Filler: {FILLER}\r\n{cookie}Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head.into_bytes(), body)
}

fn package(state: &State, id: &str) -> Value {
    json!({"id": id, "name": id, "state": "finalized", "access_token": state.token(&format!("package-{id}"))})
}

/// Returns the sound response to a request: its status and its document.
fn document(state: &State, request: &SeenRequest) -> (u16, Value) {
    let (path, _) = request.line.split_once('?').unwrap_or((&request.line, ""));
    let teams = json!([{"id": TEAM, "name": "Team", "subdomain": "team"}]);
    let user = json!({"id": "U1", "email": "ann@example.com"});
    let parts: Vec<&str> = path.split(['/', ' ']).collect();
    let document = match parts.as_slice() {
        ["POST", "", "v1", "auth"] => {
            let login: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let email = login["email"].as_str().unwrap_or_default();
            let name = email.split('@').next().unwrap_or_default();
            json!({"token": state.token(&format!("user-{name}")), "user": user, "teams": []})
        }
        ["GET", "", "v1", "teams"] => teams,
        ["GET", "", "v1.1", "teams", TEAM, "packages", _] if state.has == Trait::ListsOnly => {
            return (405, json!({}));
        }
        ["GET", "", "v1.1", "teams", TEAM, "packages", id] => package(state, id),
        ["GET", "", "v1.1", "teams", TEAM, "packages"] => {
            let ids: Vec<_> = (0..40)
                .map(|number| package(state, &format!("P{number}")))
                .collect();
            json!({"records": ids, "total": 40})
        }
        ["GET", "", "v1", "links", id] => json!({
            "package_id": format!("PL{id}"), "package_token": state.token(&format!("link-{id}")), "name": "n"
        }),
        ["GET", "", "v1", "packages", id, "transfer"] => {
            let number = id.trim_start_matches('P');
            json!([{"id": format!("T{number}"), "access_token": state.token(&format!("transfer-T{number}"))}])
        }
        [
            "POST",
            "",
            "api",
            "v1",
            "accounts",
            "access-token" | "refresh-token",
        ] => {
            json!({"JwtToken": state.token("bearer"), "Email": "ann@example.com", "cookie": state.token("renewal")})
        }
        ["GET" | "POST", "", "api", "v1", "login" | "signup"] if state.has == Trait::TeamsApart => {
            json!({"user": user})
        }
        ["GET" | "POST", "", "api", "v1", "login" | "signup"] => {
            json!({"user": user, "teams": teams})
        }
        ["GET", "", "api", "v1", "teams"] => teams,
        ["POST", "", "v1", "sessions"] => {
            json!({"token": state.token("plugin"), "expires_at": 4_000_000_000_i64})
        }
        ["GET", "", "v1", "assets", id, "ticket"] => {
            json!({"ticket": state.token(&format!("ticket-{id}"))})
        }
        _ => return (404, json!({"message": "no such route"})),
    };
    (200, document)
}
