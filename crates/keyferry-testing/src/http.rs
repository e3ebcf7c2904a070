//! An HTTP/1.1 client over a bare socket, for all tests: one request on one connection.
//!
//! It sends exactly the headers that a test names and returns every byte that the server sends. An
//! HTTP library would reject malformed requests and responses, which are part of what is tested.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A response.
pub struct HttpResponse {
    /// The HTTP status, or 0 if the connection ended before the end of the head.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpResponse {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }

    /// Returns a string field of the JSON body.
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    }
}

/// Returns the port of a base URL that ends with it.
pub fn port(base: &str) -> u16 {
    base.rsplit(':').next().unwrap().parse().unwrap()
}

/// Connects to the port of a base URL on this machine.
pub fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port(base))).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Returns the text of a request. A body is sent as `application/json` unless a header says
/// otherwise.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
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

/// Sends a request and reads until the connection ends, for whatever reason.
pub fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpResponse {
    parse(send_bytes(
        base,
        request(method, path, headers, body).as_bytes(),
    ))
}

/// Sends these bytes and returns all bytes that the server sends until the connection ends.
pub fn send_bytes(base: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(base);
    stream.write_all(bytes).unwrap();
    let mut all = Vec::new();
    // A reset after the first half of a response is one of the faults under test.
    let _ = stream.read_to_end(&mut all);
    all
}

/// Splits a response into status, head and body.
pub fn parse(all: Vec<u8>) -> HttpResponse {
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

pub fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
    send(base, "GET", path, headers, "")
}

pub fn post(base: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> HttpResponse {
    send(base, "POST", path, headers, &body.to_string())
}

/// Returns the payload of a JWT, with or without `Bearer ` before it.
pub fn claims(token: &str) -> Value {
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
