//! Connections that stay open between reads, against raw sockets.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ports::http::{Failure, Http, Reader, Request, Response};
use keyferry::transport::{Options, Transport};
use keyferry_testing::scripted_server::{ScriptedServer, SeenRequest};
use url::Url;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Starts a server. `answer` returns the bytes that answer the request with this number on its
/// connection, and whether the server closes the connection then.
fn server(answer: fn(usize) -> (&'static str, bool)) -> ScriptedServer {
    ScriptedServer::start(move |peer| {
        for number in 0.. {
            let request = peer.read_line().and_then(|line| peer.read_head(&line));
            let Some(request) = request else { return };
            peer.finish_request(&request);
            let (bytes, closes) = answer(number);
            peer.send(bytes.as_bytes());
            if closes {
                return;
            }
        }
    })
}

fn url(server: &ScriptedServer, path: &str) -> Url {
    Url::parse(&format!("{}{path}", server.url())).unwrap()
}

/// Asserts that the server got these requests, which are listed by connection, and no others.
#[track_caller]
fn assert_requests(server: &ScriptedServer, expected: &[&[&str]]) {
    let connections = server.connections();
    let lines = |requests: &[_]| -> Vec<String> {
        let line = |request: &SeenRequest| request.line.clone();
        requests.iter().map(line).collect()
    };
    let seen: Vec<_> = connections.iter().map(|it| lines(&it.requests)).collect();
    assert_eq!(seen, expected);
}

/// Waits until the client has closed the connection with this number.
#[track_caller]
fn wait_until_closed(server: &ScriptedServer, number: usize) {
    server.wait_until("the client closes its connection", |all| {
        all[number].is_over
    });
}

fn transport() -> Transport {
    Transport::new(Options::default())
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Sends a read of this path.
fn read(reader: &mut dyn Reader, server: &ScriptedServer, path: &str) -> Result<Response, Failure> {
    reader.read(&Request::get(url(server, path)), deadline())
}

/// Reads a path on a reader of its own, which then keeps its connection.
fn read_and_keep(transport: &Transport, account: usize, server: &ScriptedServer, path: &str) {
    let mut reader = transport.reader(account);
    let response = read(&mut *reader, server, path).unwrap();
    assert_eq!(response.status, 200);
    reader.keep();
}

fn always_ok(_number: usize) -> (&'static str, bool) {
    (OK, false)
}

#[test]
fn reads_share_a_connection_and_other_requests_have_their_own() {
    let (transport, server) = (transport(), server(always_ok));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    transport
        .exchange(0, &Request::post(url(&server, "/login"), None), deadline())
        .unwrap();
    transport
        .exchange_to_end(
            0,
            &Request::post(url(&server, "/refresh"), None),
            deadline(),
        )
        .unwrap();
    read_and_keep(&transport, 0, &server, "/c");
    let reads: &[&str] = &["GET /a", "GET /b", "GET /c"];
    assert_requests(&server, &[reads, &["POST /login"], &["POST /refresh"]]);
}

#[test]
fn accounts_and_readers_share_no_connection_that_is_in_use() {
    let (transport, server) = (transport(), server(always_ok));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 1, &server, "/other-account");
    let mut first = transport.reader(0);
    read(&mut *first, &server, "/b").unwrap();
    // The first reader still has its connection.
    read_and_keep(&transport, 0, &server, "/c");
    read(&mut *first, &server, "/d").unwrap();
    let first: &[&str] = &["GET /a", "GET /b", "GET /d"];
    assert_requests(&server, &[first, &["GET /other-account"], &["GET /c"]]);
}

#[test]
fn a_reader_that_keeps_nothing_closes_its_connection() {
    let (transport, server) = (transport(), server(always_ok));
    let mut reader = transport.reader(0);
    read(&mut *reader, &server, "/a").unwrap();
    drop(reader);
    assert_requests(&server, &[&["GET /a"]]);
    wait_until_closed(&server, 0);
}

#[test]
fn a_response_that_is_an_error_ends_its_connection() {
    let answer = |_| {
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
            false,
        )
    };
    let (transport, server) = (transport(), server(answer));
    for _ in 0..2 {
        let mut reader = transport.reader(0);
        read(&mut *reader, &server, "/a").unwrap();
        reader.keep();
    }
    assert_requests(&server, &[&["GET /a"], &["GET /a"]]);
}

#[test]
fn bytes_behind_a_response_end_its_connection() {
    let answer = |_| {
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
            false,
        )
    };
    let (transport, server) = (transport(), server(answer));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    assert_requests(&server, &[&["GET /a"], &["GET /b"]]);
}

#[test]
fn a_read_on_a_connection_that_the_server_closes_is_sent_once_more() {
    // The server answers the first request of a connection, and closes it at the second.
    let answer = |number| if number == 0 { (OK, false) } else { ("", true) };
    let (transport, server) = (transport(), server(answer));
    read_and_keep(&transport, 0, &server, "/a");
    read_and_keep(&transport, 0, &server, "/b");
    assert_requests(&server, &[&["GET /a", "GET /b"], &["GET /b"]]);
}

#[test]
fn a_read_on_a_new_connection_is_sent_once() {
    let (transport, server) = (transport(), server(|_| ("", true)));
    let mut reader = transport.reader(0);
    let failure = read(&mut *reader, &server, "/a").err().unwrap();
    assert_eq!(failure.error.kind, ErrorKind::NoResponse);
    assert!(failure.sent);
    read(&mut *transport.reader(0), &server, "/b")
        .err()
        .unwrap();
    assert_requests(&server, &[&["GET /a"], &["GET /b"]]);
}

#[test]
fn a_connection_is_opened_ahead_of_the_read() {
    let (transport, server) = (transport(), server(always_ok));
    let mut reader = transport.reader(0);
    reader.open(&url(&server, "/"));
    server.wait_until("the client connects", |all| all.len() == 1);
    transport
        .exchange(0, &Request::post(url(&server, "/login"), None), deadline())
        .unwrap();
    read(&mut *reader, &server, "/a").unwrap();
    assert_requests(&server, &[&["GET /a"], &["POST /login"]]);
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
    let (transport, server) = (transport(), server(always_ok));
    let mut readers: Vec<_> = (0..10).map(|_| transport.reader(0)).collect();
    for reader in &mut readers {
        read(&mut **reader, &server, "/a").unwrap();
    }
    readers.iter_mut().for_each(|reader| reader.keep());
    drop(readers);
    wait_until_closed(&server, 0);
    wait_until_closed(&server, 1);
    read_and_keep(&transport, 0, &server, "/b");
    let all = server.connections();
    assert!(all[2..].iter().all(|seen| !seen.is_over));
    let counts: Vec<_> = all.iter().map(|seen| seen.requests.len()).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
}

#[test]
fn idle_connections_are_closed_after_some_seconds_and_on_demand() {
    let (transport, server) = (transport(), server(always_ok));
    read_and_keep(&transport, 0, &server, "/a");
    wait_until_closed(&server, 0);
    read_and_keep(&transport, 0, &server, "/b");
    transport.close_idle();
    wait_until_closed(&server, 1);
    assert_requests(&server, &[&["GET /a"], &["GET /b"]]);
}

#[test]
fn a_connection_in_use_is_not_kept_after_the_idle_ones_were_closed() {
    let (transport, server) = (transport(), server(always_ok));
    let mut reader = transport.reader(0);
    read(&mut *reader, &server, "/a").unwrap();
    transport.close_idle();
    reader.keep();
    read_and_keep(&transport, 0, &server, "/b");
    assert_requests(&server, &[&["GET /a"], &["GET /b"]]);
}
