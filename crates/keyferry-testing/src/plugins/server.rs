//! A small HTTP server: it answers what a function says and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET /path?query`
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub fn reply(status: u16, body: impl ToString) -> Reply {
    Reply { status, headers: Vec::new(), body: body.to_string() }
}

type Answer = dyn Fn(&Seen) -> Reply + Send + Sync;

/// Serves until it is dropped.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    done: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Server {
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, done): (Arc<Mutex<Vec<Seen>>>, Arc<AtomicBool>) = Default::default();
        let (kept, ends, answer): (_, _, Arc<Answer>) = (Arc::clone(&seen), Arc::clone(&done), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || drop(stream.map(|stream| serve(stream, &kept, &*answer))));
            }
        });
        Self { url: format!("http://{address}"), seen, done, address }
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests began so.
    pub fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| seen.line.starts_with(line)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Seen>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).ok()?;
        let Some((name, value)) = text.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut seen = Seen { line, headers, body: String::new() };
    let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8(body).ok()?;
    kept.lock().unwrap().push(seen.clone());
    let Reply { status, headers, body } = answer(&seen);
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    (&stream).write_all(format!("{text}\r\n{body}").as_bytes()).ok()
}
