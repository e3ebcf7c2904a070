//! Proxies that fail, at each step: the message names the proxy, where its URL comes from, what was
//! seen, and the remedy for that.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ffi::status as k;
use keyferry::ports::http::{Http, Request};
use keyferry::transport::{Options as TransportOptions, Proxy, Transport};
use keyferry_sandbox::{Options, Sandbox};
use url::Url;

use crate::checks;
use keyferry_testing::own_process::{run_in_own_process, run_in_own_process_without};

const SERVICE: &str = "https://192.0.2.1";
const USER: &str = "ferry:canary@";

/// What a proxy does with a connection.
enum Behaviour {
    /// Nothing listens at its port.
    Dead,
    /// Reads the request, and writes these responses, each after some bytes of a request.
    Responds(Vec<&'static [u8]>),
    /// Reads the request, and neither responds nor closes the connection.
    Silent,
    /// Opens a connection to this port, whatever was requested.
    Tunnel(u16),
}

fn responds(responses: &[&'static [u8]]) -> Behaviour {
    Behaviour::Responds(responses.to_vec())
}

/// Starts a proxy and returns its port.
fn start(behaviour: Behaviour) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    if !matches!(behaviour, Behaviour::Dead) {
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                serve(stream, &behaviour);
            }
        });
    }
    port
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour) {
    let mut request = [0; 4096];
    match behaviour {
        Behaviour::Dead => {}
        Behaviour::Responds(responses) => {
            for response in responses {
                let _ = stream.read(&mut request);
                let _ = stream.write_all(response);
            }
            // The peer reads what was written before it sees the end.
            let _ = stream.shutdown(Shutdown::Write);
            while stream.read(&mut request).is_ok_and(|count| count > 0) {}
        }
        Behaviour::Silent => while stream.read(&mut request).is_ok_and(|count| count > 0) {},
        Behaviour::Tunnel(port) => {
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let mut target = TcpStream::connect(("127.0.0.1", *port)).unwrap();
            let (mut back_from, mut back_to) =
                (target.try_clone().unwrap(), stream.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
            let _ = std::io::copy(&mut stream, &mut target);
        }
    }
}

/// A login at [`SERVICE`], whose proxy fails.
struct Login {
    scheme: &'static str,
    behaviour: Behaviour,
    status: k::keyferry_status,
}

impl Login {
    fn new(scheme: &'static str, behaviour: Behaviour) -> Self {
        Self {
            scheme,
            behaviour,
            status: k::KEYFERRY_E_UNREACHABLE,
        }
    }

    /// Checks the error with the proxy in the setting, and with the proxy, a user name and a
    /// password in the environment. `expected` is the message: `<service>` is how it names
    /// the service and the proxy, `<proxy>` how it names the proxy, and `<source>` where the proxy
    /// comes from.
    fn assert_error(self, expected: &str) {
        self.assert_errors(expected, expected);
    }

    /// Checks the errors of both logins. The second one has a user name.
    fn assert_errors(self, expected: &str, with_user: &str) {
        let address = format!("127.0.0.1:{}", start(self.behaviour));
        let fill_in = |text: &str, source: &str| {
            text.replace("<service>", "192.0.2.1 (through <proxy>)")
                .replace("<proxy>", &format!("the proxy {address} of {source}"))
                .replace("<source>", source)
        };
        let scheme = self.scheme;
        assert_login_error(
            Some(&format!("{scheme}://{address}")),
            self.status,
            &fill_in(expected, "http.proxy"),
        );
        run_in_own_process_without(
            &["HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"],
            "proxy_faults::a_login_by_the_proxy_of_the_environment",
            &[
                ("https_proxy", &format!("{scheme}://{USER}{address}")),
                ("NO_PROXY", ""),
                ("no_proxy", ""),
                ("TEST_STATUS", &self.status.to_string()),
                ("TEST_EXPECTED", &fill_in(with_user, "https_proxy")),
            ],
        );
    }
}

fn assert_login_error(proxy: Option<&str>, status: k::keyferry_status, expected: &str) {
    let sandbox = checks::sandbox();
    let settings = proxy.map(|proxy| ("http.proxy", proxy));
    let session = checks::with_login(&sandbox)
        .set("masv.url", SERVICE)
        .set_all(settings)
        .open();
    let failure = session.token("user").err().unwrap();
    assert_eq!((failure.status, &*failure.message), (status, expected));
}

#[test]
#[ignore = "the tests below run it in a process of its own"]
fn a_login_by_the_proxy_of_the_environment() {
    let variable = |name: &str| std::env::var(name).unwrap();
    assert_login_error(
        None,
        variable("TEST_STATUS").parse().unwrap(),
        &variable("TEST_EXPECTED"),
    );
}

const DEAD: &str = "cannot connect to <service>: connection refused; check that the proxy is running, and correct its host and port";
const REFUSED: &str = "cannot connect to <service>: the proxy responded to CONNECT with an error; ask its operator to permit this host, or name the host in NO_PROXY";
const CLOSED: &str = "cannot connect to <service>: the proxy closed the connection; check the scheme, host and port in <source>, and ask the proxy's operator to permit this host";
const NOT_A_PROXY: &str = "cannot connect to <service>: its response is not that of a proxy; correct the scheme, host and port in <source>";

#[test]
fn an_http_proxy_that_fails_is_named_with_the_cause_and_its_remedy() {
    Login::new("http", Behaviour::Dead).assert_error(DEAD);
    for response in [
        &b"HTTP/1.1 403 Forbidden\r\n\r\n"[..],
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: https://canary.example/\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
    ] {
        Login::new("http", responds(&[response])).assert_error(REFUSED);
    }
    Login::new("http", responds(&[])).assert_error(CLOSED);
    Login::new("http", responds(&[b"HTTP/1.1 200"])).assert_error(CLOSED);
    let endless = [b"HTTP/1.1 200 OK\r\nX: "[..].to_vec(), vec![b'x'; 9_000]].concat();
    Login::new("http", responds(&[endless.leak()])).assert_error(NOT_A_PROXY);
}

#[test]
fn a_proxy_that_wants_a_password_says_whether_one_was_sent() {
    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    Login::new("http", responds(&[refusal])).assert_errors(
        "cannot connect to <service>: the proxy requires a user name and password (407); remove http.proxy, and write HTTPS_PROXY like http://USER:PASSWORD@HOST:PORT",
        "cannot connect to <service>: the proxy rejected the user name and password (407); correct them in <source>",
    );
}

#[test]
fn a_socks_proxy_that_fails_is_named_with_the_cause_and_its_remedy() {
    Login::new("socks5", Behaviour::Dead).assert_error(DEAD);
    Login::new("socks5", responds(&[])).assert_error(CLOSED);
    Login::new("socks5", responds(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"]))
        .assert_error(NOT_A_PROXY);
    let refused = |reason: &str| {
        format!(
            "cannot connect to <service>: the proxy refused ({reason}); check the proxy's user name and password, and ask its operator to permit this host"
        )
    };
    Login::new("socks5", responds(&[&[5, 0xff]]))
        .assert_error(&refused("server does not support user/pass authentication"));
    let port = start(responds(&[&[5, 0], &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]]));
    let named = format!("192.0.2.1 (through the proxy 127.0.0.1:{port} of http.proxy)");
    assert_login_error(
        Some(&format!("socks5://127.0.0.1:{port}")),
        k::KEYFERRY_E_UNREACHABLE,
        &refused("connection not allowed").replace("<service>", &named),
    );
}

#[test]
fn a_proxy_that_does_not_respond_is_named_at_the_deadline() {
    for scheme in ["http", "socks5"] {
        let port = start(Behaviour::Silent);
        let transport = Transport::new(TransportOptions {
            proxy: Proxy::Url(format!("{scheme}://{USER}127.0.0.1:{port}")),
            ..TransportOptions::default()
        });
        let request = Request::get(Url::parse(SERVICE).unwrap());
        let deadline = Instant::now() + Duration::from_millis(600);
        let failure = transport.exchange(0, &request, deadline).err().unwrap();
        assert_eq!(
            (failure.error.kind, failure.error.message(), failure.sent),
            (
                ErrorKind::NoResponse,
                &*format!(
                    "timed out connecting to 192.0.2.1 (through the proxy 127.0.0.1:{port} of http.proxy); check the proxy and the network"
                ),
                false
            )
        );
    }
}

#[test]
fn a_tls_fault_is_that_of_the_proxy_or_of_what_is_behind_it() {
    let fault = |scheme, behaviour, expected: &str| {
        Login {
            status: k::KEYFERRY_E_TLS,
            ..Login::new(scheme, behaviour)
        }
        .assert_error(expected);
    };
    let no_tls = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    fault(
        "https",
        responds(&[no_tls]),
        "cannot connect to <proxy> over TLS: it does not speak TLS; check the URL's scheme and port",
    );
    fault(
        "http",
        responds(&[b"HTTP/1.1 200 OK\r\n\r\n", no_tls]),
        "cannot connect to <service> over TLS: it does not speak TLS; check the URL's scheme and port",
    );
}

#[test]
fn a_proxy_that_inspects_tls_is_told_from_a_stranger() {
    let sandbox = Sandbox::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    let behind = sandbox.masv_url().rsplit(':').next().unwrap();
    let port = start(Behaviour::Tunnel(behind.parse().unwrap()));
    let proxy = format!("127.0.0.1:{port}");
    run_in_own_process_without(
        &["HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"],
        "proxy_faults::a_login_by_the_proxy_of_the_environment",
        &[
            ("https_proxy", &proxy),
            ("NO_PROXY", ""),
            ("no_proxy", ""),
            ("TEST_STATUS", &k::KEYFERRY_E_TLS.to_string()),
            (
                "TEST_EXPECTED",
                &format!(
                    "cannot verify the certificate of 192.0.2.1 (through the proxy {proxy} of https_proxy): its issuer is unknown; if the proxy inspects TLS, or if you trust the issuer, set `http.ca_file` to its CA certificate"
                ),
            ),
        ],
    );
}

#[test]
fn a_proxy_of_the_environment_is_named_with_its_variable() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let port = start(Behaviour::Dead);
        let proxy = format!("http://{USER}127.0.0.1:{port}");
        let named = format!("192.0.2.1 (through the proxy 127.0.0.1:{port} of {name})");
        run_in_own_process_without(
            &["HTTPS_PROXY", "https_proxy", "ALL_PROXY"],
            "proxy_faults::a_login_by_the_proxy_of_the_environment",
            &[
                (name, &*proxy),
                ("NO_PROXY", ""),
                ("no_proxy", ""),
                ("TEST_STATUS", &k::KEYFERRY_E_UNREACHABLE.to_string()),
                ("TEST_EXPECTED", &DEAD.replace("<service>", &named)),
            ],
        );
    }
}

/// A host that is an exception is reached without the proxy, so the error doesn't name it.
#[test]
fn a_proxy_that_is_passed_by_is_not_named() {
    run_in_own_process(
        "proxy_faults::a_service_that_is_an_exception",
        &[
            ("HTTPS_PROXY", "http://127.0.0.1:1"),
            ("NO_PROXY", "255.255.255.255"),
        ],
    );
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn a_service_that_is_an_exception() {
    let sandbox = checks::sandbox();
    let session = checks::with_login(&sandbox)
        .set("masv.url", "https://255.255.255.255:1")
        .open();
    let failure = session.token("user").err().unwrap();
    assert_eq!(
        failure.message,
        "cannot connect to 255.255.255.255:1: network unreachable; check the network"
    );
}
