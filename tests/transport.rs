//! The transport against raw sockets: whatever a peer does, a call ends in time, in bounds and in
//! our words.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ports::http::{Failure, Http, MAX_BODY_BYTES, Method, Request, Response};
use keyferry::transport::{Options, Proxy, Transport};
use keyferry_testing::{child, skip};
use url::Url;

/// A peer for one connection. Gives what `act` gives.
fn peer<T: Send + 'static>(
    action: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (
        port,
        thread::spawn(move || action(listener.accept().unwrap().0)),
    )
}

/// A peer that reads a request and writes these bytes.
fn peer_that_sends(bytes: impl Into<Vec<u8>>) -> (u16, JoinHandle<String>) {
    let bytes = bytes.into();
    peer(move |mut stream| {
        let request = read_request(&mut stream);
        drop(stream.write_all(&bytes));
        request
    })
}

fn read_request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + str::from_utf8(&body).unwrap()
}

fn request(text: &str) -> Request {
    Request::get(Url::parse(text).unwrap()).header("X-User-Token", "canary".into())
}

fn send_within(
    transport: &Transport,
    request: &Request,
    time: Duration,
) -> Result<Response, Failure> {
    transport.exchange(0, request, Instant::now() + time)
}

fn send(request: &Request) -> Result<Response, Failure> {
    let result = send_within(
        &Transport::new(Options::default()),
        request,
        Duration::from_secs(20),
    );
    if let Err(failure) = &result {
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }
    result
}

fn send_to_port(port: u16) -> Result<Response, Failure> {
    send(&request(&format!("http://127.0.0.1:{port}/x?q=canary")))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn a_request_goes_out_as_it_was_made() {
    let (port, seen) = peer_that_sends(OK);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/v1/auth?a=b")).unwrap();
    let post = Request::post(url, Some("{\"password\":\"p\"}".into()))
        .header("X-User-Token", "t\u{e9}".into());
    assert_eq!(send(&post).unwrap().body.expose(), "{}");
    let text = seen.join().unwrap().to_lowercase();
    assert!(text.starts_with("post /v1/auth?a=b http/1.1\r\n"), "{text}");
    for line in [
        "content-type: application/json",
        "content-length: 16",
        &format!("host: 127.0.0.1:{port}"),
        "x-user-token: t\u{e9}",
        concat!("user-agent: keyferry/", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(
            text.matches(&format!("\r\n{line}\r\n")).count(),
            1,
            "{line} in {text}"
        );
    }
    for absent in ["cookie", "referer", "accept-encoding", "authorization"] {
        assert!(!text.contains(&format!("\r\n{absent}:")), "{text}");
    }
}

#[test]
fn post_and_put_without_a_body_are_json_and_others_are_not() {
    for (method, word, json) in [
        (Method::Post, "post", 1),
        (Method::Put, "put", 1),
        (Method::Get, "get", 0),
        (Method::Delete, "delete", 0),
    ] {
        let (port, seen) = peer_that_sends(OK);
        let mut request = request(&format!("http://127.0.0.1:{port}/"));
        request.method = method;
        send(&request).unwrap();
        let text = seen.join().unwrap().to_lowercase();
        assert!(text.starts_with(word));
        assert_eq!(
            text.matches("\r\ncontent-type: application/json\r\n")
                .count(),
            json,
            "{text}"
        );
        assert_eq!(
            text.matches("\r\ncontent-length: 0\r\n").count(),
            json,
            "{text}"
        );
    }
}

#[test]
fn an_answers_headers_are_read_and_odd_ones_left() {
    let (port, _) = peer_that_sends(
        "HTTP/1.1 429 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 120\r\nSet-Cookie: a=1; HttpOnly\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = send_to_port(port).unwrap();
    assert_eq!(
        (
            answer.status,
            answer.date_unix_s,
            answer.retry_after.as_deref()
        ),
        (429, Some(784_111_777), Some("120"))
    );
    assert_eq!(
        answer
            .cookies
            .iter()
            .map(|cookie| cookie.expose())
            .collect::<Vec<_>>(),
        ["a=1; HttpOnly", "b=2"]
    );
    let long = format!(
        "HTTP/1.1 204 No\r\nDate: yesterday\r\nRetry-After: {}\r\n\r\n",
        "1".repeat(65)
    );
    let (port, _) = peer_that_sends(long);
    let answer = send_to_port(port).unwrap();
    assert_eq!(
        (
            answer.date_unix_s,
            answer.retry_after,
            answer.body.is_empty()
        ),
        (None, None, true)
    );
}

#[test]
fn localhost_is_this_machine_by_either_protocol() {
    if skip::without_ipv6() {
        return;
    }
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            read_request(&mut stream);
            stream.write_all(OK.as_bytes()).unwrap();
        });
        assert_eq!(
            send(&request(&format!("http://localhost:{port}/")))
                .unwrap()
                .status,
            200
        );
        seen.join().unwrap();
    }
}

#[test]
fn no_redirect_is_followed() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let target = other.local_addr().unwrap();
    for code in [301, 302, 303, 307, 308] {
        for method in [Method::Get, Method::Post] {
            let (port, _) = peer_that_sends(format!(
                "HTTP/1.1 {code} Go\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
            ));
            let mut request = request(&format!("http://127.0.0.1:{port}/"));
            (request.method, request.body) =
                (method, (method == Method::Post).then(|| "{}".into()));
            assert_eq!(send(&request).unwrap().status, code);
        }
    }
    assert_eq!(
        other.accept().unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
}

#[test]
fn bad_answers_are_told_apart_in_our_words() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_000_000));
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(4 << 20));
    let chunked = |rest: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}").into_bytes()
    };
    let length = |length: u64, body: &[u8]| {
        [
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
            body,
        ]
        .concat()
    };
    for (name, bytes, kind) in [
        ("nothing", Vec::new(), ErrorKind::NoResponse),
        (
            "half a head",
            b"HTTP/1.1 200 OK\r\nCont".to_vec(),
            ErrorKind::NoResponse,
        ),
        ("half a body", length(10, b"canary"), ErrorKind::NoResponse),
        (
            "half a chunk",
            chunked("ff\r\ncanary"),
            ErrorKind::NoResponse,
        ),
        (
            "no last chunk",
            chunked("6\r\ncanary\r\n"),
            ErrorKind::NoResponse,
        ),
        ("no chunks", chunked("canary\r\n"), ErrorKind::BadResponse),
        (
            "no HTTP",
            b"220 canary.example ESMTP\r\n".to_vec(),
            ErrorKind::BadResponse,
        ),
        (
            "a bad status",
            b"HTTP/1.1 canary OK\r\n\r\n".to_vec(),
            ErrorKind::BadResponse,
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
            ErrorKind::BadResponse,
        ),
        ("many headers", many.into_bytes(), ErrorKind::BadResponse),
        ("a long header", long.into_bytes(), ErrorKind::BadResponse),
        ("no UTF-8", length(2, &[0xff, 0xfe]), ErrorKind::BadResponse),
        (
            "64 MiB",
            length(64 << 20, b"canary"),
            ErrorKind::BadResponse,
        ),
        (
            "all numbers",
            length(u64::MAX, b"canary"),
            ErrorKind::BadResponse,
        ),
    ] {
        let (port, _) = peer_that_sends(bytes);
        let failure = send_to_port(port)
            .err()
            .unwrap_or_else(|| panic!("accepted: {name}"));
        assert_eq!(failure.error.kind, kind, "{name}: {failure:?}");
        assert!(
            failure.sent
                && failure
                    .error
                    .message()
                    .starts_with(&format!("127.0.0.1:{port} ")),
            "{name}: {failure:?}"
        );
    }
}

#[test]
fn bodies_are_read_up_to_the_limit_and_no_further() {
    let (port, _) = peer_that_sends(format!(
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "a".repeat(MAX_BODY_BYTES)
    ));
    assert_eq!(send_to_port(port).unwrap().body.len(), MAX_BODY_BYTES);
    let (port, _) = peer_that_sends(format!(
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "a".repeat(MAX_BODY_BYTES + 1)
    ));
    let failure = send_to_port(port).err().unwrap();
    assert_eq!(failure.error.kind, ErrorKind::BadResponse);
    let (port, written) = peer(|mut stream| {
        read_request(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        let chunk = [b"4000\r\n".as_slice(), &[b'a'; 0x4000], b"\r\n"].concat();
        (0..10_000)
            .take_while(|_| stream.write_all(&chunk).is_ok())
            .count()
    });
    assert_eq!(
        send_to_port(port).err().unwrap().error.kind,
        ErrorKind::BadResponse
    );
    assert!(
        written.join().unwrap() < 2_000,
        "an endless body was read on"
    );
}

#[test]
fn a_dripping_peer_ends_at_the_deadline() {
    for head in ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (port, _) = peer(move |mut stream| {
            read_request(&mut stream);
            stream.write_all(head.as_bytes()).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(5)))
                .unwrap();
            // A read that gives nothing is the pace; the end of the connection is the end.
            while !matches!(stream.read(&mut [0]), Ok(0)) && stream.write_all(b"a").is_ok() {}
        });
        let start = Instant::now();
        let request = request(&format!("http://127.0.0.1:{port}/"));
        let failure = send_within(
            &Transport::new(Options::default()),
            &request,
            Duration::from_millis(200),
        )
        .err()
        .unwrap();
        assert_eq!(
            (failure.error.kind, failure.sent),
            (ErrorKind::NoResponse, true)
        );
        assert!(
            (Duration::from_millis(190)..Duration::from_millis(900)).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn what_was_not_sent_is_said_to_be_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = send_to_port(port).err().unwrap();
    assert_eq!(
        (refused.error.kind, refused.sent),
        (ErrorKind::Unreachable, false)
    );
    assert!(refused.error.message().starts_with(&format!(
        "cannot connect to 127.0.0.1:{port}: connection refused; "
    )));
    for (url, kind) in [
        ("http://api.example.com/", ErrorKind::InvalidResource),
        ("http://localhost.example.com/", ErrorKind::InvalidResource),
        (
            "https://user:canary@127.0.0.1:1/",
            ErrorKind::InvalidResource,
        ),
        ("ftp://127.0.0.1/", ErrorKind::InvalidResource),
    ] {
        let failure = send(&request(url)).err().unwrap();
        assert_eq!((failure.error.kind, failure.sent), (kind, false), "{url}");
    }
    let late = send_within(
        &Transport::new(Options::default()),
        &request("http://127.0.0.1:1/"),
        Duration::ZERO,
    )
    .err()
    .unwrap();
    assert_eq!((late.error.kind, late.sent), (ErrorKind::Timeout, false));
    for (name, value) in [
        ("X-A", "a\r\nX-B: canary"),
        ("Host", "canary"),
        ("X A", "canary"),
        ("X-A", ""),
    ] {
        let request =
            Request::get(Url::parse("http://127.0.0.1:1/").unwrap()).header(name, value.into());
        assert_eq!(
            send(&request).err().unwrap().error.kind,
            ErrorKind::InvalidValue,
            "{name}"
        );
    }
}

#[test]
fn a_silent_tls_peer_has_not_seen_the_request() {
    let (port, seen) = peer(|mut stream| {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes));
        bytes
    });
    let request = request(&format!("https://127.0.0.1:{port}/"));
    let transport = Transport::new(Options::default());
    let failure = send_within(&transport, &request, Duration::from_millis(800))
        .err()
        .unwrap();
    assert_eq!(
        (failure.error.kind, failure.sent),
        (ErrorKind::NoResponse, false),
        "{failure:?}"
    );
    assert!(!String::from_utf8_lossy(&seen.join().unwrap()).contains("canary"));
}

#[test]
fn closing_ends_what_is_under_way_and_refuses_what_comes() {
    let (arrived, arrival) = channel();
    let (port, _) = peer(move |mut stream| {
        read_request(&mut stream);
        arrived.send(()).unwrap();
        drop(stream.read(&mut [0]));
    });
    let transport = Transport::new(Options::default());
    let request = request(&format!("http://127.0.0.1:{port}/"));
    thread::scope(|scope| {
        let hung = scope.spawn(|| {
            (
                send_within(&transport, &request, Duration::from_secs(60))
                    .err()
                    .unwrap(),
                Instant::now(),
            )
        });
        arrival.recv().unwrap();
        let start = Instant::now();
        transport.close(Instant::now());
        let (failure, ended) = hung.join().unwrap();
        assert!(
            ended - start < Duration::from_millis(200),
            "{:?}",
            ended - start
        );
        assert_eq!(
            (failure.error.kind, failure.sent),
            (ErrorKind::Cancelled, true)
        );
    });
    let refused = send_within(&transport, &request, Duration::from_secs(60))
        .err()
        .unwrap();
    assert_eq!(
        (refused.error.kind, refused.sent),
        (ErrorKind::Cancelled, false)
    );
    transport.close(Instant::now());
}

/// Closes a transport during an exchange that may go on for this long. The peer responds after
/// `response`.
fn close_during_exchange(
    response: Duration,
    limit: Duration,
) -> (Result<Response, Failure>, Duration) {
    let (arrived, arrival) = channel();
    let (port, _) = peer(move |mut stream| {
        read_request(&mut stream);
        arrived.send(()).unwrap();
        thread::sleep(response);
        drop(stream.write_all(OK.as_bytes()));
    });
    let transport = Transport::new(Options::default());
    let request = request(&format!("http://127.0.0.1:{port}/"));
    let deadline = Instant::now() + Duration::from_secs(60);
    thread::scope(|scope| {
        let finishing = scope.spawn(|| transport.exchange_to_end(0, &request, deadline));
        arrival.recv().unwrap();
        let start = Instant::now();
        transport.close(start + limit);
        let outcome = finishing.join().unwrap();
        (outcome, start.elapsed())
    })
}

#[test]
fn closing_lets_an_exchange_that_uses_up_a_secret_finish() {
    let (outcome, took) =
        close_during_exchange(Duration::from_millis(300), Duration::from_secs(30));
    assert_eq!(outcome.ok().unwrap().status, 200);
    assert!(took >= Duration::from_millis(300), "{took:?}");
}

#[test]
fn an_exchange_that_finishes_ends_at_the_deadline_of_closing() {
    let (outcome, took) =
        close_during_exchange(Duration::from_secs(30), Duration::from_millis(300));
    let failure = outcome.err().unwrap();
    assert_eq!(
        (failure.error.kind, failure.sent),
        (ErrorKind::Cancelled, true)
    );
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

#[test]
fn closing_ends_an_exchange_that_uses_up_a_secret_before_it_is_sent() {
    let (arrived, arrival) = channel();
    // The peer never answers the TLS handshake, so nothing is sent.
    let (port, _) = peer(move |mut stream| {
        drop(stream.read(&mut [0]));
        arrived.send(()).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let transport = Transport::new(Options::default());
    let request = request(&format!("https://127.0.0.1:{port}/"));
    let start = Instant::now();
    let far = start + Duration::from_secs(60);
    thread::scope(|scope| {
        let connecting = scope.spawn(|| transport.exchange_to_end(0, &request, far));
        arrival.recv().unwrap();
        transport.close(far);
        let failure = connecting.join().unwrap().err().unwrap();
        assert_eq!(
            (failure.error.kind, failure.sent),
            (ErrorKind::Cancelled, false)
        );
        // Connecting times out after 10 seconds.
        assert!(start.elapsed() < Duration::from_secs(9));
    });
}

#[test]
fn many_threads_share_one_transport() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().take(32) {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            stream.write_all(OK.as_bytes()).unwrap();
        }
    });
    let transport = Transport::new(Options::default());
    let request = request(&format!("http://localhost:{port}/"));
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                assert_eq!(
                    send_within(&transport, &request, Duration::from_secs(20))
                        .unwrap()
                        .status,
                    200
                )
            });
        }
    });
}

/// Runs as a process of its own, where the variables can be set.
#[test]
fn environment_proxies_see_nothing_of_loopback() {
    if std::env::var_os("HTTP_PROXY").is_some() && std::env::var_os("KEYFERRY_TEST_SINK").is_some()
    {
        for host in ["localhost", "127.0.0.1", "127.8.9.10", "[::1]"] {
            let address = host.replace("localhost", "127.0.0.1");
            let listener = TcpListener::bind(format!("{address}:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            let seen = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                read_request(&mut stream);
                stream.write_all(OK.as_bytes()).unwrap();
            });
            assert_eq!(
                send(&request(&format!("http://{host}:{port}/")))
                    .unwrap()
                    .status,
                200
            );
            seen.join().unwrap();
        }
        return;
    }
    if skip::without_ipv6() {
        return;
    }
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    sink.set_nonblocking(true).unwrap();
    let url = format!("http://{}", sink.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "environment_proxies_see_nothing_of_loopback"])
        .env("KEYFERRY_TEST_SINK", "1");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(name, &url);
    }
    let ended = child::run(
        child.env_remove("NO_PROXY").env_remove("no_proxy"),
        Duration::from_secs(60),
    );
    assert!(
        ended.status.success() && ended.out.contains("1 passed"),
        "{}",
        ended.said()
    );
    assert_eq!(sink.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_proxy_to_the_cloud_gets_host_and_port_alone() {
    let (port, seen) = peer_that_sends("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    let transport = Transport::new(Options {
        proxy: Proxy::from_setting(Some(&format!("http://localhost:{port}"))),
        ..Options::default()
    });
    let failure = send_within(
        &transport,
        &request("https://cloud.invalid/x?q=canary"),
        Duration::from_secs(20),
    )
    .err()
    .unwrap();
    assert_eq!(
        (failure.error.kind, failure.sent),
        (ErrorKind::Unreachable, false),
        "{failure:?}"
    );
    let text = seen.join().unwrap();
    assert!(
        text.starts_with("CONNECT cloud.invalid:443 HTTP/1.1\r\n") && !text.contains("canary"),
        "{text}"
    );
}
