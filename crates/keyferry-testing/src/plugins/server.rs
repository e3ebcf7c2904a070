//! A small HTTP server. A function creates the replies, and the server records the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request that the server received.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The method, path and query: `GET /path?query`.
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl ReceivedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The response to a request.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub fn reply(status: u16, body: impl ToString) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

type Handler = dyn Fn(&ReceivedRequest) -> Reply + Send + Sync;

/// A server that runs until it is dropped.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    is_done: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Server {
    pub fn start(handler: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, is_done): (Arc<Mutex<Vec<ReceivedRequest>>>, Arc<AtomicBool>) =
            Default::default();
        let (received, stops, handler): (_, _, Arc<Handler>) = (
            Arc::clone(&requests),
            Arc::clone(&is_done),
            Arc::new(handler),
        );
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stops.load(Ordering::Acquire) {
                    return;
                }
                let (received, handler) = (Arc::clone(&received), Arc::clone(&handler));
                thread::spawn(move || {
                    drop(stream.map(|stream| serve(stream, &received, &*handler)))
                });
            }
        });
        Self {
            url: format!("http://{address}"),
            requests,
            is_done,
            address,
        }
    }

    /// Returns all requests received so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the number of requests whose [`ReceivedRequest::line`] begins with `line`.
    pub fn count(&self, line: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.line.starts_with(line))
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: TcpStream,
    received: &Mutex<Vec<ReceivedRequest>>,
    handler: &Handler,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).ok()?;
        let Some((name, value)) = text.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut requests = ReceivedRequest {
        line,
        headers,
        body: String::new(),
    };
    let length = requests
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    requests.body = String::from_utf8(body).ok()?;
    received.lock().unwrap().push(requests.clone());
    let Reply {
        status,
        headers,
        body,
    } = handler(&requests);
    let mut text = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    headers
        .iter()
        .for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    (&stream)
        .write_all(format!("{text}\r\n{body}").as_bytes())
        .ok()
}
