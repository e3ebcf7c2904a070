//! Which certificates are taken, and that a peer with another never sees a token.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyferry::error::ErrorKind;
use keyferry::ports::http::{Failure, Http, Request, Response};
use keyferry::transport::{Options, Transport};
use keyferry_testing::own_process::run_in_own_process_without;
use keyferry_testing::raw_service::utf_16;
use keyferry_testing::{child, skip};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{
    HandshakeKind, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;
use url::Url;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificate_params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// Returns the configuration of a server with a certificate of an authority.
fn server_config(
    authority: &Authority,
    params: &CertificateParams,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap()
}

/// A peer with a certificate. Gives what it could decrypt.
fn peer(
    authority: &Authority,
    params: &CertificateParams,
    versions: &[&'static SupportedProtocolVersion],
) -> (u16, JoinHandle<String>) {
    let config = server_config(authority, params, versions);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            text.push(byte[0]);
        }
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        String::from_utf8(text).unwrap()
    });
    (port, seen)
}

fn send(port: u16, ca_file: Option<PathBuf>) -> Result<Response, Failure> {
    let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
    let transport = Transport::new(Options {
        ca_file,
        ..Options::default()
    });
    transport.exchange(
        0,
        &Request::get(url).header("X-User-Token", "canary".into()),
        Instant::now() + Duration::from_secs(20),
    )
}

fn ca_file(dir: &TempDir, authority: &Authority) -> Option<PathBuf> {
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    Some(path)
}

#[test]
fn a_configured_authority_is_trusted_with_tls_1_2_and_1_3() {
    let (dir, authority) = (TempDir::new().unwrap(), authority("ours"));
    for version in [&TLS12, &TLS13] {
        let (port, seen) = peer(&authority, &certificate_params("localhost"), &[version]);
        assert_eq!(send(port, ca_file(&dir, &authority)).unwrap().status, 200);
        assert!(seen.join().unwrap().contains("canary"));
    }
}

/// How a handshake was made, and whether data came before its end.
type Handshake = (Option<HandshakeKind>, bool);

/// Serves this many connections, one after the other. Gives their handshakes.
fn serve_handshakes(config: ServerConfig, count: usize) -> (u16, JoinHandle<Vec<Handshake>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    let serve_one = move |_| {
        let mut stream = listener.accept().unwrap().0;
        let mut server = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut has_early_data = false;
        while server.is_handshaking() {
            server.complete_io(&mut stream).unwrap();
            has_early_data |= server.early_data().is_some();
        }
        let kind = server.handshake_kind();
        let mut stream = StreamOwned::new(server, stream);
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            text.push(byte[0]);
        }
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        (kind, has_early_data)
    };
    let seen = thread::spawn(move || (0..count).map(serve_one).collect());
    (port, seen)
}

#[test]
fn an_account_resumes_its_own_tls_sessions_and_sends_nothing_before_the_handshake_ends() {
    let (dir, authority) = (TempDir::new().unwrap(), authority("ours"));
    let rows = [
        (0, HandshakeKind::Full),
        (0, HandshakeKind::Resumed),
        (1, HandshakeKind::Full),
        (1, HandshakeKind::Resumed),
        (0, HandshakeKind::Resumed),
    ];
    for version in [&TLS12, &TLS13] {
        let mut config = server_config(&authority, &certificate_params("localhost"), &[version]);
        // The server would take early data.
        config.max_early_data_size = 16 * 1024;
        let (port, seen) = serve_handshakes(config, rows.len());
        let transport = Transport::new(Options {
            ca_file: ca_file(&dir, &authority),
            ..Options::default()
        });
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        let request = Request::get(url).header("X-User-Token", "canary".into());
        for (account, _) in rows {
            let deadline = Instant::now() + Duration::from_secs(20);
            assert_eq!(
                transport
                    .exchange(account, &request, deadline)
                    .unwrap()
                    .status,
                200
            );
        }
        let expected = rows.map(|(_, kind)| (Some(kind), false));
        assert_eq!(seen.join().unwrap(), expected, "{version:?}");
    }
}

#[test]
fn every_other_certificate_is_refused_before_the_token_is_sent() {
    let dir = TempDir::new().unwrap();
    let (authority, other, namesake) = (
        authority("ours"),
        self::authority("another"),
        self::authority("ours"),
    );
    let mut expired = certificate_params("localhost");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = certificate_params("localhost");
    (early.not_before, early.not_after) = (date_time_ymd(2999, 1, 1), date_time_ymd(3000, 1, 1));
    let mut is_authority = certificate_params("localhost");
    is_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (params, trusted, why) in [
        (certificate_params("localhost"), &other, "issuer is unknown"),
        (certificate_params("localhost"), &namesake, "it is invalid"),
        (expired, &authority, "has expired"),
        (early, &authority, "not valid yet"),
        (
            certificate_params("localhost.example.com"),
            &authority,
            "for another host name",
        ),
        (
            certificate_params("127.0.0.1"),
            &authority,
            "for another host name",
        ),
        (is_authority, &authority, "it is invalid"),
    ] {
        let (port, seen) = peer(&authority, &params, &[&TLS12, &TLS13]);
        let failure = send(port, ca_file(&dir, trusted)).err().unwrap();
        assert_eq!(
            (failure.error.kind, failure.sent),
            (ErrorKind::Tls, false),
            "{why}"
        );
        let what = failure.error.message();
        assert!(
            what.contains(why) && what.contains(&format!("localhost:{port}")),
            "{what}"
        );
        assert_eq!(seen.join().unwrap(), "", "{why}");
    }
}

#[test]
fn a_peer_without_tls_is_named_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        drop(stream.read(&mut [0; 4096]));
    });
    let dir = TempDir::new().unwrap();
    let failure = send(port, ca_file(&dir, &authority("ours"))).err().unwrap();
    assert_eq!((failure.error.kind, failure.sent), (ErrorKind::Tls, false));
    assert!(
        failure.error.message().contains("does not speak TLS"),
        "{failure:?}"
    );
}

#[test]
fn a_peer_that_is_left_at_tls_1_1_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        stream.read_exact(&mut rest).unwrap();
        // A ServerHello of TLS 1.1: no session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
        let mut answer = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        answer.extend([7; 32]);
        answer.extend([0, 0xc0, 0x13, 0]);
        stream.write_all(&answer).unwrap();
        let mut last = Vec::new();
        drop(stream.read_to_end(&mut last));
        last
    });
    let dir = TempDir::new().unwrap();
    let failure = send(port, ca_file(&dir, &authority("ours"))).err().unwrap();
    assert_eq!((failure.error.kind, failure.sent), (ErrorKind::Tls, false));
    assert!(failure.error.message().contains("TLS 1.2"), "{failure:?}");
    // An alert and nothing else: fatal, and the number of one about the hello.
    let last = seen.join().unwrap();
    assert!(last.len() == 7 && last[0] == 21 && last[5] == 2, "{last:?}");
}

#[test]
fn a_ca_file_is_read_in_every_encoding_that_contains_ascii() {
    let (dir, authority) = (TempDir::new().unwrap(), authority("ours"));
    let (path, pem) = (dir.path().join("ca.pem"), authority.pem());
    let cr_lf = pem.replace('\n', "\r\n");
    for (name, bytes) in [
        ("LF", pem.clone().into_bytes()),
        ("CR LF", cr_lf.clone().into_bytes()),
        ("mark", format!("\u{feff}{pem}").into_bytes()),
        ("mark and CR LF", format!("\u{feff}{cr_lf}").into_bytes()),
        ("blanks", pem.replace('\n', "  \n").into_bytes()),
        ("Latin-1", [b"# J\xfcrgen's\n", pem.as_bytes()].concat()),
        ("NUL", [b"# \0\n", pem.as_bytes()].concat()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let (port, seen) = peer(&authority, &certificate_params("localhost"), &[&TLS13]);
        let status = send(port, Some(path.clone())).map(|response| response.status);
        assert_eq!(
            status.unwrap_or_else(|failure| panic!("{name}: {failure:?}")),
            200
        );
        seen.join().unwrap();
    }
    for (name, is_little_endian) in [("UTF-16 LE", true), ("UTF-16 BE", false)] {
        std::fs::write(&path, utf_16(&pem, is_little_endian)).unwrap();
        let failure = send(1, Some(path.clone())).err().unwrap();
        let what = failure.error.message();
        assert_eq!(failure.error.kind, ErrorKind::Config, "{name}");
        let expected = "ca.pem is UTF-16, not UTF-8; save it as UTF-8";
        assert!(
            what.starts_with("http.ca_file: ") && what.ends_with(expected),
            "{what}"
        );
    }
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, "canary").unwrap();
    let bad_certificate = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
    for (text, why) in [
        (Some("canary"), "contains no PEM certificates"),
        (Some(bad_certificate), "contains an invalid certificate"),
        (None, "does not exist"),
    ] {
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let failure = send(1, Some(path.clone())).err().unwrap();
        assert_eq!(
            (failure.error.kind, failure.sent),
            (ErrorKind::Config, false)
        );
        let what = failure.error.message();
        assert!(
            what.starts_with("http.ca_file: ") && what.contains(why) && !what.contains("canary"),
            "{what}"
        );
    }
}

/// Runs the next test with these variables, and with what its message must be.
fn assert_message(ca_file: &str, expected: &str, variables: &[(&str, &str)]) {
    let own = [("CA_FILE", ca_file), ("EXPECTED", expected)];
    let variables = [variables, &own].concat();
    run_in_own_process_without(
        &["SSL_CERT_FILE", "SSL_CERT_DIR"],
        "a_peer_of_an_unknown_authority",
        &variables,
    );
}

#[test]
#[ignore = "the test below runs it in a process of its own"]
fn a_peer_of_an_unknown_authority() {
    let stranger = authority("nobody knows it");
    let (port, seen) = peer(&stranger, &certificate_params("localhost"), &[&TLS13]);
    let ca_file = std::env::var("CA_FILE").unwrap();
    let outcome = send(port, (!ca_file.is_empty()).then(|| ca_file.into()));
    let failure = outcome.err().unwrap();
    assert_eq!(failure.error.kind, ErrorKind::Tls);
    let expected = std::env::var("EXPECTED").unwrap();
    assert_eq!(
        failure.error.message(),
        expected.replace("PORT", &port.to_string())
    );
    // The peer waits for a connection.
    drop(std::net::TcpStream::connect(("127.0.0.1", port)));
    assert_eq!(seen.join().unwrap(), "");
}

#[test]
fn a_variable_that_names_no_certificates_is_named_and_not_the_system() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (missing, empty, text) = (path("missing"), path("empty"), path("text"));
    let (empty_folder, texts) = (path("folder"), path("texts"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "no certificate\n").unwrap();
    std::fs::create_dir(&empty_folder).unwrap();
    std::fs::create_dir(&texts).unwrap();
    std::fs::write(format!("{texts}/a.pem"), "no certificate\n").unwrap();
    let known = path("known.pem");
    std::fs::write(&known, authority("known").pem()).unwrap();

    let file = "SSL_CERT_FILE";
    let dir = "SSL_CERT_DIR";
    let no_pem = "which contains no PEM certificates";
    let absent = "which cannot be read (it does not exist)";
    for (name, value, why) in [
        (file, &missing, absent),
        (file, &empty, no_pem),
        (file, &text, no_pem),
        (
            file,
            &empty_folder,
            "which cannot be read (Is a directory (os error 21))",
        ),
        (dir, &missing, absent),
        (dir, &empty_folder, no_pem),
        (dir, &texts, no_pem),
        (
            dir,
            &text,
            "which cannot be read (there is a link or a file at this path)",
        ),
    ] {
        let fault = format!("{name} names {value}, {why}");
        assert_message(
            "",
            &format!("cannot set up TLS: {fault}; correct or unset {name}"),
            &[(name, value)],
        );
        // With an authority of the setting, the variable is named where it may be the cause.
        assert_message(
            &known,
            &format!(
                "cannot verify the certificate of localhost:PORT: its issuer is unknown, and {fault}; correct or unset {name}"
            ),
            &[(name, value)],
        );
    }
    assert_message(
        "",
        &format!(
            "cannot set up TLS: SSL_CERT_FILE names {missing}, {absent}, and SSL_CERT_DIR names {empty_folder}, {no_pem}; correct or unset SSL_CERT_FILE and SSL_CERT_DIR"
        ),
        &[(file, &missing), (dir, &empty_folder)],
    );
    assert_message(
        "",
        "cannot set up TLS: SSL_CERT_FILE is empty; correct or unset SSL_CERT_FILE",
        &[(file, "")],
    );
    assert_message(
        "",
        "cannot verify the certificate of localhost:PORT: its issuer is unknown to the certificates of SSL_CERT_FILE; if you trust the issuer, set `http.ca_file` to its CA certificate",
        &[(file, &known)],
    );
    assert_message(
        "",
        "cannot verify the certificate of localhost:PORT: its issuer is unknown; if you trust the issuer, set `http.ca_file` to its CA certificate",
        &[],
    );
}

/// The directories of the system's certificates.
const SYSTEM_DIRS: [&str; 4] = ["/etc/ssl/", "/etc/pki/", "/opt/etc/ssl/", "/usr/local/"];

#[test]
#[ignore = "the test below runs it in a process of its own"]
fn two_sessions_with_tls_after_one_without() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let plain = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
    });
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let transport = Transport::new(Options::default());
    let response = transport.exchange(0, &Request::get(url), deadline);
    assert_eq!(response.unwrap().status, 204);
    plain.join().unwrap();
    // This shows in the trace.
    std::fs::File::open("/before TLS").unwrap_err();
    for _ in 0..2 {
        let (port, seen) = peer(
            &authority("ours"),
            &certificate_params("localhost"),
            &[&TLS13],
        );
        let failure = send(port, None).err().unwrap();
        assert_eq!(failure.error.kind, ErrorKind::Tls);
        assert_eq!(seen.join().unwrap(), "");
    }
}

#[test]
fn a_process_reads_the_system_s_bundle_once_and_not_before_the_first_tls() {
    if skip::without_strace() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("strace.log");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "trace=open,openat", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "two_sessions_with_tls_after_one_without"])
        .args(["--ignored", "--test-threads=1"])
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR");
    let ended = child::run(&mut command, Duration::from_secs(600));
    assert!(ended.status.success(), "{}", ended.said());
    let log = std::fs::read_to_string(log).unwrap();
    let (before, after) = log.split_once("\"/before TLS\"").unwrap();
    let opened = |log: &str| {
        let lines = log.lines().filter(|line| !line.contains(" = -1 "));
        let paths = lines.filter_map(|line| line.split('"').nth(1).map(str::to_owned));
        paths
            .filter(|path| SYSTEM_DIRS.iter().any(|dir| path.starts_with(dir)))
            .filter(|path| !path.ends_with(".so"))
            .collect::<Vec<_>>()
    };
    assert_eq!(opened(before), [""; 0]);
    let opened = opened(after);
    if !opened
        .iter()
        .any(|path| std::path::Path::new(path).is_file())
    {
        skip::report("this system has no bundle of certificates; install ca-certificates");
        return;
    }
    assert_eq!(opened.len(), 1, "{opened:?}");
}
