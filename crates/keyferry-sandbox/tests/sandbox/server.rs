//! Starting, TLS, many callers at once, keep-alive, and the variables.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyferry_sandbox::{Clock, Fault, Options, Sandbox, credentials as c};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::tokens::*;

#[test]
fn it_starts_at_once_on_ports_of_its_own_or_given_ones() {
    let start = Instant::now();
    let one = sandbox();
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "took {:?}",
        start.elapsed()
    );
    let taken = Options {
        masv_port: port(one.masv_url()),
        ..Options::default()
    };
    assert!(Sandbox::start(taken.clone()).is_err());
    drop(one);
    let again = Sandbox::start(taken.clone()).unwrap();
    assert_eq!(port(again.masv_url()), taken.masv_port);
}

#[test]
fn threads_of_a_test_share_it() {
    let sandbox = &sandbox();
    std::thread::scope(|scope| {
        for status in [401, 403, 429, 500] {
            scope.spawn(move || {
                let path = format!("/v1/{status}");
                sandbox.fault(Fault::status(status).path(&path));
                let answer = send(sandbox.masv_url(), "GET", &path, &[], "");
                assert_eq!(answer.status, status);
            });
        }
    });
    assert_eq!(sandbox.count("faults_hit"), 4);
}

#[test]
fn two_hundred_callers_at_once_are_served() {
    let sandbox = sandbox();
    let streams: Vec<TcpStream> = (0..200).map(|_| connect(sandbox.masv_url())).collect();
    for mut stream in &streams {
        stream
            .write_all(request("GET", "/v1/teams", &[("X-API-KEY", c::API_KEY)], "").as_bytes())
            .unwrap();
    }
    for mut stream in streams {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(parse(all).status, 200);
    }
    assert_eq!(
        (sandbox.count("teams"), sandbox.count("connections")),
        (200, 200)
    );
}

#[test]
fn a_connection_serves_several_requests() {
    let sandbox = sandbox();
    let mut stream = connect(sandbox.masv_url());
    let text = request("GET", "/v1/teams", &[("X-API-KEY", c::API_KEY)], "")
        .replace("Connection: close\r\n", "");
    for _ in 0..3 {
        stream.write_all(text.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_eq!(parse(buffer[..count].to_vec()).status, 200);
    }
    assert_eq!(
        (sandbox.count("teams"), sandbox.count("connections")),
        (3, 1)
    );
}

#[test]
fn tls_serves_loopback_names_and_only_those_who_trust_its_authority() {
    let sandbox = Sandbox::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    assert!(sandbox.masv_url().starts_with("https://127.0.0.1:"));
    let other = Sandbox::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(
            over_tls(&sandbox, sandbox.ca_pem().unwrap(), name).unwrap(),
            200
        );
    }
    assert!(over_tls(&sandbox, other.ca_pem().unwrap(), "localhost").is_err());
    assert!(over_tls(&sandbox, sandbox.ca_pem().unwrap(), "example.com").is_err());
    assert!(sandbox.wait_for("tls_refused", 2, Duration::from_secs(5)));
    for bad in [
        "expired",
        "not_yet_valid",
        "wrong_name",
        "self_signed",
        "unknown_ca",
    ] {
        sandbox.configure("certificate", serde_json::json!(bad));
        assert!(
            over_tls(&sandbox, sandbox.ca_pem().unwrap(), "localhost").is_err(),
            "{bad}"
        );
    }
    assert!(sandbox.wait_for("tls_refused", 7, Duration::from_secs(5)));
    assert_eq!(sandbox.count("teams"), 3);
    sandbox.configure("certificate", serde_json::json!("valid"));
    assert_eq!(
        over_tls(&sandbox, sandbox.ca_pem().unwrap(), "localhost").unwrap(),
        200
    );
}

fn over_tls(sandbox: &Sandbox, ca_pem: &str, name: &'static str) -> std::io::Result<u16> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let client =
        rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap())
            .unwrap();
    let mut stream = rustls::StreamOwned::new(client, connect(sandbox.masv_url()));
    stream.write_all(request("GET", "/v1/teams", &[("X-API-KEY", c::API_KEY)], "").as_bytes())?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    Ok(parse(all).status)
}

#[test]
fn a_tests_own_clock_drives_it() {
    let now = Arc::new(std::sync::atomic::AtomicI64::new(START_MS));
    let source = Arc::clone(&now);
    let clock = Clock::from_fn(Arc::new(move || {
        source.load(std::sync::atomic::Ordering::SeqCst)
    }));
    let sandbox = Sandbox::start(Options {
        clock,
        ..Options::default()
    })
    .unwrap();
    let token = user_token(&sandbox);
    let teams = || get(sandbox.masv_url(), "/v1/teams", &[("X-User-Token", &token)]).status;
    assert_eq!(teams(), 200);
    now.fetch_add(3 * 86_400_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(teams(), 401);
}

#[test]
fn waiting_for_a_counter_ends_in_time() {
    let sandbox = sandbox();
    assert!(sandbox.wait_for("login", 0, Duration::ZERO));
    assert!(!sandbox.wait_for("login", 1, Duration::from_millis(20)));
}

#[test]
fn the_variables_point_at_it() {
    let sandbox = sandbox();
    let variables = sandbox.variables();
    let value = |name: &str| {
        variables
            .iter()
            .find(|(variable, _)| variable == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("KEYFERRY_MASV_URL"), Some(sandbox.masv_url()));
    assert_eq!(value("# KEYFERRY_MASV_API_KEY"), Some(c::API_KEY));
    assert_eq!(value("KEYFERRY_MASV_API_KEY"), None);
}
