//! Builds the TLS configuration, and converts TLS errors.
//!
//! Only [`crypto_provider`] chooses the cryptography provider. keyferry installs no process-wide
//! default, because the application may install its own.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
#[cfg(not(target_vendor = "apple"))]
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
#[cfg(target_vendor = "apple")]
use rustls_platform_verifier::Verifier;

use super::cert_variables;
use super::options::Options;
#[cfg(not(target_vendor = "apple"))]
use super::system_roots;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::private_file::{self, Privacy};
use crate::text;

/// The maximum number of TLS sessions that an account can resume. rustls keeps 8 for each host.
const MAX_SESSIONS: usize = 64;

const MAX_CA_FILE_BYTES: usize = 4 * 1024 * 1024;

fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| {
            Error::new(
                ErrorKind::Tls,
                "cannot set up TLS: the cryptography provider lacks TLS 1.2 and 1.3; report this bug",
            )
        })
}

/// Returns the configuration for connections without TLS. It loads no certificates. If TLS were
/// used with it, it would reject every peer.
pub(super) fn config_without_roots() -> Result<ClientConfig> {
    Ok(config_builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Returns a configuration that trusts the system's certificates and those in `http.ca_file`.
pub(super) fn config_with_roots(options: &Options) -> Result<ClientConfig> {
    let ca_file = options.ca_file.as_deref();
    let extra_roots = ca_file
        .map(read_certificates)
        .transpose()?
        .unwrap_or_default();
    let verifier = verifier(options, extra_roots)?;
    let mut config = config_builder()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Returns the same configuration with TLS sessions of its own. A connection resumes the session of
/// an earlier one, which saves the check of the certificate. It never sends data before the
/// handshake ends (0-RTT), because such data can be replayed.
pub(super) fn with_own_sessions(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
    config.enable_early_data = false;
    config
}

/// Returns a verifier that trusts the system's certificates and these.
#[cfg(not(target_vendor = "apple"))]
fn verifier(
    options: &Options,
    extra_roots: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = system_roots::load(options.ignores_environment);
    for root in extra_roots {
        Arc::make_mut(&mut roots)
            .add(root)
            .map_err(|_| invalid_certificate(options))?;
    }
    if roots.is_empty() {
        return Err(no_certificates());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto_provider());
    Ok(verifier.build().map_err(|_| no_certificates())?)
}

/// Returns a verifier that trusts the system's certificates and these. The system's verifier reads
/// no environment variable.
#[cfg(target_vendor = "apple")]
fn verifier(
    options: &Options,
    extra_roots: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let verifier = Verifier::new_with_extra_roots(extra_roots, crypto_provider());
    Ok(Arc::new(
        verifier.map_err(|_| invalid_certificate(options))?,
    ))
}

/// Returns the error for a `http.ca_file` with a certificate that TLS can't use.
fn invalid_certificate(options: &Options) -> Error {
    let path = options.ca_file.as_deref().unwrap_or(Path::new(""));
    Error::new(
        ErrorKind::Config,
        format!(
            "http.ca_file: {} contains an invalid certificate; replace it",
            path.display()
        ),
    )
}

/// Returns the error for a process that has no trusted certificates.
fn no_certificates() -> Error {
    let why = match (cert_variables::faults(), cert_variables::names()) {
        (Some(faults), _) => faults,
        (None, Some(names)) => {
            format!("{names} names no usable certificates; correct or unset it")
        }
        (None, None) => {
            "this system has no trusted certificates; install ca-certificates, or set `http.ca_file`"
                .to_owned()
        }
    };
    Error::new(ErrorKind::Tls, format!("cannot set up TLS: {why}"))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let config_error = |what: &str| Error::new(ErrorKind::Config, format!("http.ca_file: {what}"));
    let bytes = private_file::read(path, Privacy::Mounted, MAX_CA_FILE_BYTES)
        .map_err(|error| config_error(error.message()))?;
    // The text around the certificates may have any encoding that contains ASCII.
    let text = text::without_mark(&bytes).map_err(|fault| {
        let (file, reason) = (path.display(), fault.reason());
        config_error(&format!("{file} {reason}; save it as UTF-8"))
    })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(config_error(&format!(
            "{} contains no PEM certificates; use a PEM file with CA certificates",
            path.display()
        ))),
    }
}

/// Converts an error of rustls. `through_proxy` says whether a proxy may have replaced the
/// certificate.
pub(super) fn from_rustls(peer: &dyn Display, through_proxy: bool, error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    let why = match error {
        Tls::InvalidCertificate(certificate) => {
            return Error::new(
                ErrorKind::Tls,
                describe_certificate_error(peer, through_proxy, certificate),
            );
        }
        Tls::NoCertificatesPresented => "it sent no certificate; check its URL",
        Tls::PeerIncompatible(_) => {
            "it has no TLS version or cipher in common with keyferry; ask its operator to enable TLS 1.2 or 1.3"
        }
        Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } => {
            "it does not speak TLS; check the URL's scheme and port"
        }
        Tls::AlertReceived(_) => "it rejected the TLS connection; check its URL",
        _ if through_proxy => "a TLS error occurred; check its URL and the proxy",
        _ => "a TLS error occurred; check its URL",
    };
    Error::new(
        ErrorKind::Tls,
        format!("cannot connect to {peer} over TLS: {why}"),
    )
}

fn describe_certificate_error(
    peer: &dyn Display,
    through_proxy: bool,
    error: &CertificateError,
) -> String {
    use CertificateError as Bad;
    let unknown_issuer;
    let why = match error {
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "it has expired; check this machine's clock, or ask the operator to renew it"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet; check this machine's clock"
        }
        Bad::UnknownIssuer => {
            unknown_issuer = describe_unknown_issuer(through_proxy);
            &unknown_issuer
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it is for another host name; check the URL"
        }
        Bad::Revoked => "it is revoked; ask the operator for a new one",
        _ => "it is invalid; ask the operator to replace it",
    };
    format!("cannot verify the certificate of {peer}: {why}")
}

fn describe_unknown_issuer(through_proxy: bool) -> String {
    if let Some(faults) = cert_variables::faults() {
        return format!("its issuer is unknown, and {faults}");
    }
    let unknown_to = cert_variables::names()
        .map(|names| format!(" to the certificates of {names}"))
        .unwrap_or_default();
    let condition = if through_proxy {
        "if the proxy inspects TLS, or if you trust the issuer"
    } else {
        "if you trust the issuer"
    };
    format!(
        "its issuer is unknown{unknown_to}; {condition}, set `http.ca_file` to its CA certificate"
    )
}
