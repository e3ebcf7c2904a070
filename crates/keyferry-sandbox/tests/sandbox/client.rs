//! A bare HTTP/1.1 client: one request on one connection, then every byte until the server closes
//! it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use keyferry_sandbox::{Clock, Options, Sandbox, credentials as c};
use serde_json::{Value, json};

/// 2026-07-01T00:00:00Z, where the virtual clock of these tests stands.
pub(crate) const START_MS: i64 = 1_782_864_000_000;

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::start(Options {
        clock: Clock::manual(START_MS),
        ..Options::default()
    })
    .unwrap()
}

/// A response.
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .next()
    }
}

pub(crate) fn port(base: &str) -> u16 {
    base.rsplit(':').next().unwrap().parse().unwrap()
}

pub(crate) fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port(base))).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// The text of a request; a body makes it `application/json`.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text.push_str("Host: localhost\r\n");
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
        text.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends a request and reads until the connection ends, however it ends. Status 0 means that no
/// response came.
pub(crate) fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    let mut stream = connect(base);
    stream
        .write_all(request(method, path, headers, body).as_bytes())
        .unwrap();
    let mut all = Vec::new();
    // A reset after the first half of a response is one of the faults under test.
    let _ = stream.read_to_end(&mut all);
    parse(all)
}

pub(crate) fn parse(all: Vec<u8>) -> HttpResponse {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return HttpResponse {
            status: 0,
            head: String::new(),
            body: all,
        };
    };
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    HttpResponse {
        status,
        head,
        body: all[end + 4..].to_vec(),
    }
}

pub(crate) fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
    send(base, "GET", path, headers, "")
}

pub(crate) fn post(base: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> HttpResponse {
    send(base, "POST", path, headers, &body.to_string())
}

pub(crate) fn log_in(sandbox: &Sandbox) -> HttpResponse {
    post(
        sandbox.masv_url(),
        "/v1/auth",
        &[],
        &json!({"email": c::EMAIL, "password": c::PASSWORD}),
    )
}

/// A user token of the first account.
pub(crate) fn user_token(sandbox: &Sandbox) -> String {
    log_in(sandbox).text("token")
}

/// A management token of a package.
pub(crate) fn management_token(sandbox: &Sandbox, package: &str) -> String {
    let path = format!("/v1.1/teams/{}/packages/{package}", c::TEAM_ID);
    get(sandbox.masv_url(), &path, &[("X-API-KEY", c::API_KEY)]).text("access_token")
}

/// A read token of the first package.
pub(crate) fn read_token(sandbox: &Sandbox) -> String {
    let path = format!("/v1/links/{}?secret={}", c::LINK_ID, c::LINK_SECRET);
    get(sandbox.masv_url(), &path, &[]).text("package_token")
}

/// The payload of a JWT.
pub(crate) fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}
