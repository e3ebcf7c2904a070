//! A service on this machine that sends exactly the bytes that a test names, and returns the
//! requests that it got. The sandbox sends only well-formed responses, and never shows a password.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

/// A service that sends one response to every request. It ends with the test's process.
pub struct RawService {
    url: String,
    requests: Receiver<RawRequest>,
}

/// A request that a [`RawService`] got.
pub struct RawRequest {
    pub head: String,
    pub body: Vec<u8>,
}

impl RawRequest {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl RawService {
    /// Starts a service that sends these bytes, which are a whole response with status line and
    /// headers.
    pub fn start(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Ok(request) = read_request(&stream) else {
                    continue;
                };
                // The test may look for the request as soon as its client has the response.
                let _ = sender.send(request);
                // A client may close the connection before it reads the whole response.
                let _ = stream.write_all(&response);
            }
        });
        Self { url, requests }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the requests since the last call.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.requests.try_iter().collect()
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<RawRequest> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut body_bytes) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(length) = lower.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body)?;
    Ok(RawRequest { head, body })
}

/// Returns a response with these headers, each ending in CR LF, and this body.
pub fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Returns text in UTF-16 with its byte order mark.
pub fn utf_16(text: &str, is_little_endian: bool) -> Vec<u8> {
    format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(|unit| {
            if is_little_endian {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        })
        .collect()
}
