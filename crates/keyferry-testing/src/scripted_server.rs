//! A server on this machine whose connections a test scripts: the script reads parts of a request,
//! sends any bytes, and ends the connection where it wants. The server records every byte of each
//! connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The address of the servers. Not 127.0.0.1: a test that needs a port on which nothing listens frees
/// one there, and the servers of another test must not take it.
const ADDRESS: &str = if cfg!(target_os = "linux") {
    "127.0.0.2:0"
} else {
    "127.0.0.1:0"
};
/// The longest time that a test waits for the client to close a connection.
const WAIT: Duration = Duration::from_secs(20);
/// The longest time that a script waits for bytes. Ends the threads of a failed test.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A request that a server received completely.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// The method, path and query: `GET /path?query`.
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

/// A connection, as the server saw it.
#[derive(Clone, Debug, Default)]
pub struct SeenConnection {
    /// Every byte that the script read.
    pub received: Vec<u8>,
    /// The complete requests.
    pub requests: Vec<SeenRequest>,
    /// Why the client must not send another request on this connection.
    pub must_end: Option<String>,
    /// The faults that the script noticed.
    pub violations: Vec<String>,
    /// Whether the client has closed or reset the connection, or the script has ended it.
    pub is_over: bool,
}

impl SeenConnection {
    /// Returns how many requests, complete or not, begin with this method and path.
    pub fn count(&self, line: &str) -> usize {
        let text = String::from_utf8_lossy(&self.received);
        text.matches(line).count()
    }
}

/// How a script ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server closes the connection. If bytes are unread, the kernel resets it.
    Close,
    /// The server sends nothing more, and reads on until the client closes the connection.
    HalfClose,
    /// The server resets the connection.
    Reset,
}

type Script = dyn Fn(&mut Peer) + Send + Sync;

/// A server. It accepts no more connections once it is dropped.
pub struct ScriptedServer {
    url: String,
    connections: Arc<Mutex<Vec<SeenConnection>>>,
    is_done: Arc<AtomicBool>,
}

impl ScriptedServer {
    /// Starts a server that runs this script for each connection, each on a thread of its own.
    pub fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(ADDRESS).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::<Mutex<Vec<SeenConnection>>>::default();
        let is_done = Arc::<AtomicBool>::default();
        let (seen, stops, script) = (
            Arc::clone(&connections),
            Arc::clone(&is_done),
            Arc::<Script>::from(Box::new(script) as Box<Script>),
        );
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stops.load(Ordering::Acquire) {
                    return;
                }
                let mut peer = Peer::new(stream, &seen);
                let script = Arc::clone(&script);
                thread::spawn(move || script(&mut peer));
            }
        });
        Self {
            url,
            connections,
            is_done,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns all connections so far, in the order in which they were accepted.
    pub fn connections(&self) -> Vec<SeenConnection> {
        self.connections.lock().unwrap().clone()
    }

    /// Returns how many requests, complete or not, begin with this method and path.
    pub fn count(&self, line: &str) -> usize {
        let connections = self.connections.lock().unwrap();
        connections.iter().map(|seen| seen.count(line)).sum()
    }

    /// Waits until the connections satisfy a condition. Panics after 20 s.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&[SeenConnection]) -> bool) {
        let deadline = Instant::now() + WAIT;
        while !condition(&self.connections.lock().unwrap()) {
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}: {:#?}",
                self.connections()
            );
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

/// The server's end of a connection.
pub struct Peer {
    /// `None` once the connection is closed.
    stream: Option<TcpStream>,
    number: usize,
    connections: Arc<Mutex<Vec<SeenConnection>>>,
}

impl Peer {
    fn new(stream: TcpStream, connections: &Arc<Mutex<Vec<SeenConnection>>>) -> Self {
        let _ = stream.set_read_timeout(Some(READ_TIMEOUT));
        let _ = stream.set_nodelay(true);
        let mut all = connections.lock().unwrap();
        all.push(SeenConnection::default());
        Self {
            stream: Some(stream),
            number: all.len() - 1,
            connections: Arc::clone(connections),
        }
    }

    /// Returns the number of the connection. The first has number 0.
    pub fn number(&self) -> usize {
        self.number
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().unwrap()
    }

    /// Changes what the server recorded of this connection.
    fn record(&self, change: impl FnOnce(&mut SeenConnection)) {
        change(&mut self.connections.lock().unwrap()[self.number]);
    }

    /// Forbids the client to send another request on this connection.
    pub fn forbid_more(&self, why: &str) {
        self.record(|seen| seen.must_end = Some(why.to_owned()));
    }

    /// Reads at most this many bytes. Returns how many. 0 means that the client ended the connection.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let length = self.stream().read(buffer).unwrap_or(0);
        self.record(|seen| {
            seen.received.extend_from_slice(&buffer[..length]);
            match &seen.must_end {
                Some(why) if length > 0 => seen.violations.push(format!("bytes after {why}")),
                _ => {}
            }
        });
        length
    }

    /// Reads exactly up to the end of `end`. `None` if the client ended the connection.
    fn read_through(&mut self, end: &[u8], text: &mut Vec<u8>) -> Option<()> {
        let mut buffer = [0; 4096];
        while !text.ends_with(end) {
            let length = self.stream().peek(&mut buffer).unwrap_or(0);
            // The end may begin in the bytes that were read before.
            let all = [text.as_slice(), &buffer[..length]].concat();
            let at = all.windows(end.len()).position(|part| part == end);
            let wanted = at.map_or(length, |at| at + end.len() - text.len());
            let length = self.read(&mut buffer[..wanted]);
            if length == 0 {
                return None;
            }
            text.extend_from_slice(&buffer[..length]);
        }
        Some(())
    }

    /// Reads a request line and leaves everything behind it unread.
    pub fn read_line(&mut self) -> Option<String> {
        let mut text = Vec::new();
        self.read_through(b"\r\n", &mut text)?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Reads the rest of the head that begins with this line, and leaves the body unread.
    pub fn read_head(&mut self, line: &str) -> Option<SeenRequest> {
        let mut text = line.as_bytes().to_vec();
        self.read_through(b"\r\n\r\n", &mut text)?;
        let line = line.trim_end().trim_end_matches(" HTTP/1.1");
        Some(SeenRequest {
            line: line.to_owned(),
            head: String::from_utf8_lossy(&text).into_owned(),
            body: Vec::new(),
        })
    }

    /// Reads this many more bytes of the body of a request, or all of it.
    pub fn read_body(&mut self, request: &mut SeenRequest, at_most: Option<usize>) -> Option<()> {
        let lower = request.head.to_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0_usize);
        let missing = length - request.body.len();
        let mut buffer = vec![0; at_most.unwrap_or(missing).min(missing)];
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                0 => return None,
                length => filled += length,
            }
        }
        request.body.extend_from_slice(&buffer);
        Some(())
    }

    /// Returns whether bytes have arrived that are not read yet. `None` if the client ended the
    /// connection. Doesn't wait.
    pub fn has_bytes(&mut self) -> Option<bool> {
        let stream = self.stream();
        let _ = stream.set_nonblocking(true);
        let arrived = stream.peek(&mut [0]);
        let _ = stream.set_nonblocking(false);
        match arrived {
            Ok(0) => None,
            Ok(_) => Some(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(false),
            Err(_) => None,
        }
    }

    /// Records a request that was read completely. Bytes behind it are a fault of the client: it
    /// has no response yet.
    pub fn finish_request(&mut self, request: &SeenRequest) {
        let has_more = self.has_bytes() == Some(true);
        self.record(|seen| {
            seen.requests.push(request.clone());
            if has_more {
                let fault = format!("bytes behind {}, before its response", request.line);
                seen.violations.push(fault);
            }
        });
    }

    /// Sends these bytes. A client may close the connection before it has read all of them.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream().write_all(bytes);
    }

    /// Reads until the client ends the connection.
    pub fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while self.read(&mut buffer) > 0 {}
    }

    /// Closes the connection, as the end of the script does.
    pub fn close(&mut self) {
        // Close the connection first: the record must not say too early that it is over.
        self.stream.take();
        self.record(|seen| seen.is_over = true);
    }

    /// Ends the connection. The end of the script closes it.
    pub fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Close => {}
            Ending::HalfClose => {
                let _ = self.stream().shutdown(Shutdown::Write);
                self.drain();
            }
            Ending::Reset => self.reset_on_close(),
        }
    }

    #[expect(unsafe_code, reason = "a system call")]
    fn reset_on_close(&self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the descriptor is open, and the value has the type and the size of this option.
        let outcome = unsafe {
            libc::setsockopt(
                self.stream().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            )
        };
        assert_eq!(outcome, 0);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
    }
}
