//! TLS for the sandbox: a throw-away certificate authority (CA), a valid certificate for the
//! loopback names, and bad certificates that clients must refuse.
//!
//! Nothing is written to disk. If a caller needs the CA's certificate in a file, it has to write
//! that file. Certificates have real dates, because clients check them by their own clock.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The certificate for new connections, and the CA that issues others.
pub(crate) struct Certificates {
    issuer: Issuer<'static, KeyPair>,
    current: Mutex<Arc<CertifiedKey>>,
}

/// The server's TLS acceptor, and the CA certificate that clients need to trust it.
pub(crate) struct TlsSetup {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
    pub(crate) certificates: Arc<Certificates>,
}

/// Creates a CA and a valid certificate.
pub(crate) fn set_up() -> io::Result<TlsSetup> {
    let (issuer, ca_pem) = new_authority().map_err(io::Error::other)?;
    let current = Mutex::new(issue_certificate(&issuer, "valid").map_err(io::Error::other)?);
    let certificates = Arc::new(Certificates { issuer, current });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&certificates) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed TLS session sends no certificate, so the client wouldn't notice a change to a bad
    // one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsSetup {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        ca_pem,
        certificates,
    })
}

impl Certificates {
    /// Selects the certificate for new connections: `valid`, `expired`, `not_yet_valid`,
    /// `wrong_name`, `self_signed` or `unknown_ca`.
    pub(crate) fn select(&self, kind: &str) -> Result<(), String> {
        let issued = issue_certificate(&self.issuer, kind)?;
        *self.current.lock() = issued;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.lock()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Certificates")
    }
}

fn error_text(error: impl fmt::Display) -> String {
    error.to_string()
}

fn new_authority() -> Result<(Issuer<'static, KeyPair>, String), String> {
    let key = KeyPair::generate().map_err(error_text)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(error_text)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "keyferry sandbox throw-away CA");
    let pem = ca.self_signed(&key).map_err(error_text)?.pem();
    Ok((Issuer::new(ca, key), pem))
}

fn issue_certificate(
    issuer: &Issuer<'static, KeyPair>,
    kind: &str,
) -> Result<Arc<CertifiedKey>, String> {
    let key = KeyPair::generate().map_err(error_text)?;
    let names = if kind == "wrong_name" {
        vec!["other.example"]
    } else {
        vec!["localhost", "127.0.0.1", "::1"]
    };
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut leaf = CertificateParams::new(names).map_err(error_text)?;
    match kind {
        "valid" | "wrong_name" | "self_signed" | "unknown_ca" => {}
        "expired" => {
            (leaf.not_before, leaf.not_after) =
                (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1))
        }
        "not_yet_valid" => {
            (leaf.not_before, leaf.not_after) =
                (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1))
        }
        other => {
            return Err(format!(
                "no certificate is called '{other}'; use valid, expired, not_yet_valid, wrong_name, self_signed or unknown_ca"
            ));
        }
    }
    let leaf = match kind {
        "self_signed" => leaf.self_signed(&key),
        "unknown_ca" => leaf.signed_by(&key, &new_authority()?.0),
        _ => leaf.signed_by(&key, issuer),
    };
    let chain = vec![leaf.map_err(error_text)?.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map(Arc::new)
        .map_err(error_text)
}
