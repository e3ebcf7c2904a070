//! TLS: which certificates are trusted, and the errors of a handshake.
//!
//! The cryptography is chosen in [`crypto_provider`] alone; there is no global one, so that a host
//! program's own choice and ours don't meet.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, ErrorKind, Result};
use crate::sys::private_file::{self, Privacy};

const MAX_CA_FILE_BYTES: usize = 4 * 1024 * 1024;

fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| Error::new(ErrorKind::Tls, "TLS can't be set up"))
}

/// The configuration for connections without TLS. It reads no certificates, and would refuse every
/// peer.
pub(super) fn config_without_roots() -> Result<ClientConfig> {
    Ok(config_builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// The configuration that trusts the system's certificates and those of `ca_file`.
pub(super) fn config_with_roots(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let extra_roots = ca_file
        .map(read_certificates)
        .transpose()?
        .unwrap_or_default();
    let refuse = |_| match ca_file {
        None => Error::new(
            ErrorKind::Tls,
            "this system has no certificates to trust: install ca-certificates, or set http.ca_file",
        ),
        Some(path) => Error::new(
            ErrorKind::Config,
            format!(
                "http.ca_file: {} holds a certificate that can't be trusted",
                path.display()
            ),
        ),
    };
    let verifier =
        Verifier::new_with_extra_roots(extra_roots, crypto_provider()).map_err(refuse)?;
    let mut config = config_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let refuse = |what: &str| Error::new(ErrorKind::Config, format!("http.ca_file: {what}"));
    let bytes = private_file::read(path, Privacy::Mounted, MAX_CA_FILE_BYTES)
        .map_err(|error| refuse(error.message()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(refuse(&format!(
            "{} holds no certificates in PEM",
            path.display()
        ))),
    }
}

/// The error that an error of rustls stands for.
pub(super) fn from_rustls(peer: &str, error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let why = match error {
        Tls::InvalidCertificate(certificate) => {
            return Error::new(
                ErrorKind::Tls,
                describe_certificate_error(peer, certificate),
            );
        }
        Tls::NoCertificatesPresented => "shows no certificate",
        Tls::PeerIncompatible(_) => "speaks neither TLS 1.2 nor 1.3 as this program does",
        Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } => {
            "does not speak TLS: check the URL's scheme and port"
        }
        Tls::AlertReceived(_) => "refuses the TLS connection",
        _ => "can't be spoken to over TLS",
    };
    Error::new(ErrorKind::Tls, format!("{peer} {why}"))
}

fn describe_certificate_error(peer: &str, error: &CertificateError) -> String {
    use CertificateError as Bad;
    let why = match error {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "has expired: check this machine's clock, or tell its operator"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "is not valid yet: check this machine's clock"
        }
        Bad::UnknownIssuer => {
            "is from an unknown issuer: if you trust it, name its CA in http.ca_file"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "is for another name: check the URL"
        }
        Bad::Revoked => "is revoked",
        _ => "does not verify",
    };
    format!("the certificate of {peer} {why}")
}
