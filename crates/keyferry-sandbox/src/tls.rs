//! A throw-away certificate authority, a certificate for the loopback names, and bad ones to be refused.
//!
//! Nothing is written to disk: whoever wants the CA in a file writes it. The dates of certificates
//! are real, for a client checks them by its own clock.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// The certificate that is shown, and what makes others.
pub(crate) struct Certificates {
    issuer: Issuer<'static, KeyPair>,
    shown: Mutex<Arc<CertifiedKey>>,
}

pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
    pub(crate) certificates: Arc<Certificates>,
}

pub(crate) fn make() -> io::Result<Tls> {
    let (issuer, ca_pem) = authority().map_err(io::Error::other)?;
    let shown = Mutex::new(certificate(&issuer, "valid").map_err(io::Error::other)?);
    let certificates = Arc::new(Certificates { issuer, shown });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(io::Error::other)?.with_no_client_auth().with_cert_resolver(Arc::clone(&certificates) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session shows no certificate: a change to a bad one would go unseen.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem, certificates })
}

impl Certificates {
    /// Shows `valid`, or `expired`, `not_yet_valid`, `wrong_name`, `self_signed`, `unknown_ca`, from the next handshake on.
    pub(crate) fn show(&self, kind: &str) -> Result<(), String> {
        let made = certificate(&self.issuer, kind)?;
        *self.shown.lock() = made;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.lock()))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Certificates")
    }
}

fn words(error: impl fmt::Display) -> String {
    error.to_string()
}

fn authority() -> Result<(Issuer<'static, KeyPair>, String), String> {
    let key = KeyPair::generate().map_err(words)?;
    let mut ca = CertificateParams::new(Vec::new()).map_err(words)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "keyferry sandbox throw-away CA");
    let pem = ca.self_signed(&key).map_err(words)?.pem();
    Ok((Issuer::new(ca, key), pem))
}

fn certificate(issuer: &Issuer<'static, KeyPair>, kind: &str) -> Result<Arc<CertifiedKey>, String> {
    let key = KeyPair::generate().map_err(words)?;
    let names = if kind == "wrong_name" { vec!["other.example"] } else { vec!["localhost", "127.0.0.1", "::1"] };
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut leaf = CertificateParams::new(names).map_err(words)?;
    match kind {
        "valid" | "wrong_name" | "self_signed" | "unknown_ca" => {}
        "expired" => (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        "not_yet_valid" => (leaf.not_before, leaf.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1)),
        other => return Err(format!("no certificate is called '{other}'")),
    }
    let leaf = match kind {
        "self_signed" => leaf.self_signed(&key),
        "unknown_ca" => leaf.signed_by(&key, &authority()?.0),
        _ => leaf.signed_by(&key, issuer),
    };
    let chain = vec![leaf.map_err(words)?.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(words)
}
