//! The HTTP client of the demo's application: it sends the headers that keyferry returned to a
//! service on this machine.
//!
//! It shares no code with the engine. A header that works here works with any HTTP library.

use std::io::Read;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::base_url::is_loopback;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use rustls::{ClientConfig, RootCertStore};
use url::Url;
use zeroize::Zeroizing;

/// The services run on this machine and normally respond within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Larger than any response of the sandbox.
const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// A client that follows no redirects and uses no proxy.
pub(super) struct Client(reqwest::blocking::Client);

/// A response.
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The body. It is wiped after use, because it may contain a token.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Client {
    /// Creates the client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the HTTP client cannot be set up.
    pub(super) fn new() -> Result<Self> {
        reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(no_tls()?)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .resolve("localhost", (Ipv4Addr::LOCALHOST, 0).into())
            .timeout(TIMEOUT)
            .user_agent("keyferry-demo")
            .build()
            .map(Self)
            .map_err(|_| setup_error())
    }

    /// Sends one request. A body is sent as JSON. `headers` are sent unchanged. An error status is
    /// not an error here.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if the URL is not an http URL of this machine;
    /// [`ErrorKind::InvalidValue`] if the method or a header is invalid; [`ErrorKind::NoResponse`]
    /// if no complete response arrives.
    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Reply> {
        let local = Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "http" && is_loopback(url));
        let url = local.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidResource,
                "cannot send the request: its URL is not an http URL of this machine",
            )
        })?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Error::new(ErrorKind::InvalidValue, "the method is not an HTTP method"))?;
        let no_response = |_| {
            Error::new(
                ErrorKind::NoResponse,
                format!("no response from {}", url.authority()),
            )
        };
        let mut request = self.0.request(method, url.clone());
        for (name, value) in headers {
            let (name, value) = sensitive_header(name, value)?;
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_owned());
        }
        let response = request.send().map_err(no_response)?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::new());
        let cut_off = |_| {
            Error::new(
                ErrorKind::NoResponse,
                format!("incomplete response from {}", url.authority()),
            )
            .with_http_status(status)
        };
        response
            .take(MAX_BODY_BYTES)
            .read_to_end(&mut body)
            .map_err(cut_off)?;
        Ok(Reply { status, body })
    }
}

/// Returns a TLS configuration without trusted certificates. The client only uses http, so it
/// doesn't load the system's certificates.
fn no_tls() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| setup_error())?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn setup_error() -> Error {
    Error::new(
        ErrorKind::Config,
        "cannot set up the HTTP client; check the limits on threads and descriptors (`ulimit -a`)",
    )
}

/// Returns a header marked as sensitive, so that libraries leave its value out of logs.
fn sensitive_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .zip(HeaderValue::from_bytes(value.as_bytes()).ok());
    let (name, mut value) = header.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidValue,
            "a header contains a character that cannot be sent",
        )
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}
