//! Connections that stay open between reads, against raw sockets.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ports::http::{Http, Request};
use keyferry::transport::{Options, Transport};
use url::Url;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// An event at the server, with the number of the connection.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Opened(usize),
    /// A request arrived, with this path.
    Request(usize, String),
    /// The client closed the connection.
    Closed(usize),
}

struct Server {
    port: u16,
    events: Receiver<Event>,
}

impl Server {
    /// Starts a server. `answer` returns the bytes that answer the request with this number on the
    /// connection with this number, and whether the server closes the connection then.
    fn start(answer: fn(usize, usize) -> (&'static str, bool)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, events) = channel();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let sender = sender.clone();
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    drop(sender.send(Event::Opened(number)));
                    for count in 0.. {
                        let Some(path) = read_path(&mut stream) else {
                            break;
                        };
                        drop(sender.send(Event::Request(number, path)));
                        let (bytes, closes) = answer(number, count);
                        drop(stream.write_all(bytes.as_bytes()));
                        if closes {
                            return;
                        }
                    }
                    drop(sender.send(Event::Closed(number)));
                });
            }
        });
        Self { port, events }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    fn next(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Asserts that the server has seen these requests and no other connection since the last call.
    fn assert_requests(&self, expected: &[(usize, &str)]) {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            if let Event::Request(number, path) = self.next() {
                seen.push((number, path));
            }
        }
        let seen: Vec<_> = seen.iter().map(|(it, path)| (*it, path.as_str())).collect();
        assert_eq!(seen, expected);
    }
}

/// Reads the head of a request and returns its path. `None` if the client closed the connection.
fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    Some(head.split(' ').nth(1)?.to_owned())
}

fn transport() -> Transport {
    Transport::new(Options::default())
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Reads a path on a reader of its own, which then keeps its connection.
fn read_and_keep(transport: &Transport, account: usize, server: &Server, path: &str) {
    let mut reader = transport.reader(account);
    let response = reader
        .read(&Request::get(server.url(path)), deadline())
        .unwrap();
    assert_eq!(response.status, 200);
    reader.keep();
}

fn always_ok(_connection: usize, _request: usize) -> (&'static str, bool) {
    (OK, false)
}

#[test]
fn reads_share_a_connection_and_other_requests_have_their_own() {
    let (transport, server) = (transport(), Server::start(always_ok));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    transport
        .exchange(0, &Request::post(server.url("/login"), None), deadline())
        .unwrap();
    transport
        .exchange_to_end(0, &Request::post(server.url("/refresh"), None), deadline())
        .unwrap();
    read_and_keep(&transport, 0, &server, "/c");
    server.assert_requests(&[
        (0, "/a"),
        (0, "/b"),
        (1, "/login"),
        (2, "/refresh"),
        (0, "/c"),
    ]);
}

#[test]
fn accounts_and_readers_share_no_connection_that_is_in_use() {
    let (transport, server) = (transport(), Server::start(always_ok));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 1, &server, "/other-account");
    let mut first = transport.reader(0);
    first
        .read(&Request::get(server.url("/b")), deadline())
        .unwrap();
    // The first reader still has its connection.
    read_and_keep(&transport, 0, &server, "/c");
    first
        .read(&Request::get(server.url("/d")), deadline())
        .unwrap();
    server.assert_requests(&[
        (0, "/a"),
        (1, "/other-account"),
        (0, "/b"),
        (2, "/c"),
        (0, "/d"),
    ]);
}

#[test]
fn a_reader_that_keeps_nothing_closes_its_connection() {
    let (transport, server) = (transport(), Server::start(always_ok));
    let mut reader = transport.reader(0);
    reader
        .read(&Request::get(server.url("/a")), deadline())
        .unwrap();
    drop(reader);
    assert_eq!(server.next(), Event::Opened(0));
    assert_eq!(server.next(), Event::Request(0, "/a".into()));
    assert_eq!(server.next(), Event::Closed(0));
}

#[test]
fn a_response_that_is_an_error_ends_its_connection() {
    let answer = |_, _| {
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
            false,
        )
    };
    let (transport, server) = (transport(), Server::start(answer));
    for _ in 0..2 {
        let mut reader = transport.reader(0);
        reader
            .read(&Request::get(server.url("/a")), deadline())
            .unwrap();
        reader.keep();
    }
    server.assert_requests(&[(0, "/a"), (1, "/a")]);
}

#[test]
fn bytes_behind_a_response_end_its_connection() {
    let answer = |_, _| {
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
            false,
        )
    };
    let (transport, server) = (transport(), Server::start(answer));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    server.assert_requests(&[(0, "/a"), (1, "/b")]);
}

#[test]
fn a_read_on_a_connection_that_the_server_closes_is_sent_once_more() {
    // The server answers the first request of a connection, and closes it at the second.
    let answer = |_, count| if count == 0 { (OK, false) } else { ("", true) };
    let (transport, server) = (transport(), Server::start(answer));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    server.assert_requests(&[(0, "/a"), (0, "/b"), (1, "/b")]);
}

#[test]
fn a_read_on_a_new_connection_is_sent_once() {
    let (transport, server) = (transport(), Server::start(|_, _| ("", true)));
    let mut reader = transport.reader(0);
    let failure = reader
        .read(&Request::get(server.url("/a")), deadline())
        .err()
        .unwrap();
    assert_eq!(failure.error.kind, ErrorKind::NoResponse);
    assert!(failure.sent);
    read_and_keep_fails(&transport, &server);
    server.assert_requests(&[(0, "/a"), (1, "/b")]);
}

fn read_and_keep_fails(transport: &Transport, server: &Server) {
    let mut reader = transport.reader(0);
    reader
        .read(&Request::get(server.url("/b")), deadline())
        .err()
        .unwrap();
}

#[test]
fn a_connection_is_opened_ahead_of_the_read() {
    let (transport, server) = (transport(), Server::start(always_ok));
    let mut reader = transport.reader(0);
    reader.open(&server.url("/"));
    assert_eq!(server.next(), Event::Opened(0));
    transport
        .exchange(0, &Request::post(server.url("/login"), None), deadline())
        .unwrap();
    reader
        .read(&Request::get(server.url("/a")), deadline())
        .unwrap();
    server.assert_requests(&[(1, "/login"), (0, "/a")]);
}

#[test]
fn a_connection_that_cannot_be_opened_ahead_fails_at_the_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let transport = transport();
    let mut reader = transport.reader(0);
    reader.open(&url);
    let failure = reader.read(&Request::get(url), deadline()).err().unwrap();
    assert_eq!(failure.error.kind, ErrorKind::Unreachable);
    assert!(!failure.sent);
}

#[test]
fn at_most_eight_connections_are_idle() {
    let (transport, server) = (transport(), Server::start(always_ok));
    let mut readers: Vec<_> = (0..10).map(|_| transport.reader(0)).collect();
    for reader in &mut readers {
        reader
            .read(&Request::get(server.url("/a")), deadline())
            .unwrap();
    }
    readers.iter_mut().for_each(|reader| reader.keep());
    drop(readers);
    let mut closed = Vec::new();
    while closed.len() < 2 {
        if let Event::Closed(number) = server.next() {
            closed.push(number);
        }
    }
    closed.sort_unstable();
    assert_eq!(closed, [0, 1]);
    read_and_keep(&transport, 0, &server, "/b");
    server.assert_requests(&[(9, "/b")]);
}

#[test]
fn idle_connections_are_closed_after_some_seconds_and_on_demand() {
    let (transport, server) = (transport(), Server::start(always_ok));
    for (number, wait) in [Duration::from_secs(20), Duration::ZERO]
        .into_iter()
        .enumerate()
    {
        read_and_keep(&transport, 0, &server, "/a");
        assert_eq!(server.next(), Event::Opened(number));
        assert_eq!(server.next(), Event::Request(number, "/a".into()));
        if wait.is_zero() {
            transport.close_idle();
        }
        assert_eq!(server.next(), Event::Closed(number));
    }
}

#[test]
fn a_connection_in_use_is_not_kept_after_the_idle_ones_were_closed() {
    let (transport, server) = (transport(), Server::start(always_ok));
    let mut reader = transport.reader(0);
    reader
        .read(&Request::get(server.url("/a")), deadline())
        .unwrap();
    transport.close_idle();
    reader.keep();
    read_and_keep(&transport, 0, &server, "/b");
    server.assert_requests(&[(0, "/a"), (1, "/b")]);
}
