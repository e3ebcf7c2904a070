//! Converts a failed exchange to an [`Error`].
//!
//! The cause is found by the types of the library errors. Their messages quote URLs and headers, so
//! they are never used. The texts of the resolver and of a SOCKS proxy's refusal are fixed, and
//! quote nothing.

use std::error::Error as Cause;
use std::io;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use tower_service::Service;

use super::client::{CONNECT_TIMEOUT, LookupFailed};
use super::peer::Peer;
use super::proxy::{NamedProxy, SETTING};
use super::tls;
use crate::error::{Error, ErrorKind};
use crate::sys::io_cause::{self, Subject};

/// The error of a CONNECT request to an HTTP proxy.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;
/// The error of a SOCKS proxy of any version.
type SocksError = <SocksV5<HttpConnector> as Service<Uri>>::Error;

/// Returns the error for a deadline that has passed.
pub(super) fn timed_out(peer: &Peer, connected: bool) -> Error {
    let message = if connected {
        format!("{peer} did not respond in time; retry, or raise `http.timeout_ms`")
    } else {
        format!("timed out connecting to {peer}; {}", check_route(peer))
    };
    Error::new(ErrorKind::NoResponse, message)
}

/// Returns the remedy if nothing is known about the cause.
fn check_route(peer: &Peer) -> &'static str {
    match peer.proxy() {
        Some(_) => "check the proxy and the network",
        None => "check the URL and the network",
    }
}

/// Converts an error of reqwest.
pub(super) fn from_reqwest(peer: &Peer, error: &reqwest::Error) -> Error {
    if let Some(proxy) = peer.proxy()
        && let Some(fault) = find_proxy_fault(error)
    {
        return proxy_failed(peer, proxy, &fault);
    }
    if let Some(found) = find_cause::<rustls::Error>(error) {
        return tls::from_rustls(peer, peer.proxy().is_some(), found);
    }
    if let Some(failed) = find_cause::<LookupFailed>(error) {
        return lookup_failed(peer, failed);
    }
    if error.is_connect() {
        connect_failed(peer, error)
    } else {
        exchange_failed(peer, error)
    }
}

fn connect_failed(peer: &Peer, error: &reqwest::Error) -> Error {
    let message = if error.is_timeout() {
        format!(
            "cannot connect to {peer} within {} s; {}",
            CONNECT_TIMEOUT.as_secs(),
            check_route(peer)
        )
    } else if let Some(found) = find_cause::<io::Error>(error) {
        let subject = peer.proxy().map_or(Subject::Service, |_| Subject::Proxy);
        format!(
            "cannot connect to {peer}: {}",
            io_cause::explain(found, subject)
        )
    } else {
        format!("cannot connect to {peer}; {}", check_route(peer))
    };
    Error::new(ErrorKind::Unreachable, message)
}

fn lookup_failed(peer: &Peer, failed: &LookupFailed) -> Error {
    let LookupFailed { name, error } = failed;
    let of_proxy = peer.proxy().filter(|proxy| proxy.has_host(name));
    let (owner, remedy) = match of_proxy {
        Some(proxy) => (" of the proxy", format!("correct {}", proxy.source)),
        None => ("", "check the URL".to_owned()),
    };
    let why = match error {
        Some(error) if error.raw_os_error().is_some() => {
            format!(": {}", io_cause::explain(error, Subject::Service))
        }
        Some(error) => format!(
            " ({}); {remedy}, or check the network",
            lookup_reason(error)
        ),
        None => format!("; {remedy}"),
    };
    let message =
        format!("cannot connect to {peer}: cannot resolve the host name {name}{owner}{why}");
    Error::new(ErrorKind::Unreachable, message)
}

/// Returns the resolver's own text, such as `Name or service not known`.
fn lookup_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit(": ").next();
    reason.unwrap_or_default().to_owned()
}

/// The step at which the way through a proxy failed.
enum ProxyFault<'a> {
    /// The proxy can't be reached, for this cause.
    NotReached(&'a (dyn Cause + 'static)),
    /// The proxy responded with status 407.
    CredentialsRequired,
    /// The proxy opens no connection to the service. A SOCKS proxy gives a reason.
    Refused(Option<String>),
    /// The proxy closed the connection.
    Closed,
    /// The response is not that of a proxy.
    NotAProxy,
}

fn find_proxy_fault(error: &reqwest::Error) -> Option<ProxyFault<'_>> {
    if let Some(tunnel) = find_cause::<TunnelError>(error) {
        return Some(match tunnel {
            TunnelError::ConnectFailed(cause) => ProxyFault::NotReached(&**cause),
            TunnelError::ProxyAuthRequired => ProxyFault::CredentialsRequired,
            TunnelError::TunnelUnsuccessful => ProxyFault::Refused(None),
            TunnelError::Io(_) | TunnelError::TunnelUnexpectedEof => ProxyFault::Closed,
            TunnelError::ProxyHeadersTooLong | TunnelError::MissingHost => ProxyFault::NotAProxy,
        });
    }
    Some(match find_cause::<SocksError>(error)? {
        SocksError::Inner(cause) => ProxyFault::NotReached(cause),
        SocksError::V4(refusal) => ProxyFault::Refused(Some(refusal.to_string())),
        SocksError::V5(refusal) => ProxyFault::Refused(Some(refusal.to_string())),
        SocksError::Io(_) => ProxyFault::Closed,
        _ => ProxyFault::NotAProxy,
    })
}

fn proxy_failed(peer: &Peer, proxy: &NamedProxy, fault: &ProxyFault<'_>) -> Error {
    let source = proxy.source;
    let why = match fault {
        ProxyFault::NotReached(cause) => return proxy_not_reached(peer, proxy, *cause),
        ProxyFault::CredentialsRequired if proxy.has_credentials() => format!(
            "the proxy rejected the user name and password (407); correct them in {source}"
        ),
        ProxyFault::CredentialsRequired => format!(
            "the proxy requires a user name and password (407); {} HTTPS_PROXY like http://USER:PASSWORD@HOST:PORT",
            // The setting takes no password.
            if source == SETTING { "remove http.proxy, and write" } else { "write" }
        ),
        ProxyFault::Refused(None) => {
            "the proxy responded to CONNECT with an error; ask its operator to permit this host, or name the host in NO_PROXY"
                .to_owned()
        }
        ProxyFault::Refused(Some(reason)) => format!(
            "the proxy refused ({reason}); check the proxy's user name and password, and ask its operator to permit this host"
        ),
        ProxyFault::Closed => format!(
            "the proxy closed the connection; check the scheme, host and port in {source}, and ask the proxy's operator to permit this host"
        ),
        ProxyFault::NotAProxy => {
            format!("its response is not that of a proxy; correct the scheme, host and port in {source}")
        }
    };
    Error::new(
        ErrorKind::Unreachable,
        format!("cannot connect to {peer}: {why}"),
    )
}

fn proxy_not_reached(peer: &Peer, proxy: &NamedProxy, cause: &(dyn Cause + 'static)) -> Error {
    if let Some(found) = find_in::<rustls::Error>(cause) {
        return tls::from_rustls(&format_args!("the proxy {proxy}"), false, found);
    }
    if let Some(failed) = find_in::<LookupFailed>(cause) {
        return lookup_failed(peer, failed);
    }
    let why = match find_in::<io::Error>(cause) {
        Some(found) => io_cause::explain(found, Subject::Proxy),
        None => format!(
            "the proxy cannot be reached; correct the scheme, host and port in {}",
            proxy.source
        ),
    };
    Error::new(
        ErrorKind::Unreachable,
        format!("cannot connect to {peer}: {why}"),
    )
}

fn exchange_failed(peer: &Peer, error: &reqwest::Error) -> Error {
    let http_error = find_cause::<hyper::Error>(error);
    if http_error.is_some_and(|http_error| {
        http_error.is_parse() || http_error.is_parse_too_large() || http_error.is_parse_status()
    }) {
        return Error::new(
            ErrorKind::BadResponse,
            format!("{peer} sent a response that is not HTTP; check its URL and port"),
        );
    }
    if matches!(
        find_cause::<io::Error>(error).map(io::Error::kind),
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    ) {
        return Error::new(
            ErrorKind::BadResponse,
            format!("{peer} sent a response body that is not valid HTTP; check its URL"),
        );
    }
    Error::new(
        ErrorKind::NoResponse,
        format!("{peer} closed the connection before its response was complete; retry"),
    )
}

/// Returns the first error of type `E` in the chain of causes of reqwest's error.
fn find_cause<E: Cause + 'static>(error: &reqwest::Error) -> Option<&E> {
    find_in(error)
}

/// Returns the first error of type `E` in an error's chain of causes. Also looks into the errors
/// that I/O errors wrap.
fn find_in<'a, E: Cause + 'static>(error: &'a (dyn Cause + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        // `io::Error::source` skips the wrapped error and returns the source of that error.
        let content = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match content {
            Some(content) => Some(content),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::*;
    use crate::transport::no_proxy::NoProxy;
    use crate::transport::proxy;

    /// `EMFILE`.
    const TOO_MANY_FILES: i32 = 24;

    fn lookup(peer: &Peer, name: &str, error: Option<io::Error>) -> String {
        let failed = LookupFailed {
            name: name.to_owned(),
            error,
        };
        lookup_failed(peer, &failed).message().to_owned()
    }

    fn resolver_error() -> io::Error {
        io::Error::other("failed to lookup address information: Name or service not known")
    }

    #[test]
    fn a_host_name_that_can_not_be_resolved_is_the_services_or_the_proxys() {
        let peer = Peer::new(&Url::parse("https://api.example/").unwrap());
        assert_eq!(
            lookup(&peer, "api.example", Some(resolver_error())),
            "cannot connect to api.example: cannot resolve the host name api.example (Name or service not known); check the URL, or check the network"
        );
        assert_eq!(
            lookup(
                &peer,
                "api.example",
                Some(io::Error::from_raw_os_error(TOO_MANY_FILES))
            ),
            "cannot connect to api.example: cannot resolve the host name api.example: too many open files; raise the limit (`ulimit -n`), or close some files"
        );
        assert_eq!(
            lookup(&peer, "api.example", None),
            "cannot connect to api.example: cannot resolve the host name api.example; check the URL"
        );
        let url = "http://ferry:canary@proxy.example";
        let proxy = proxy::parse("HTTPS_PROXY", url, NoProxy::default()).unwrap();
        peer.set_proxy(Arc::new(proxy));
        assert_eq!(
            lookup(&peer, "proxy.example", Some(resolver_error())),
            "cannot connect to api.example (through the proxy proxy.example:80 of HTTPS_PROXY): cannot resolve the host name proxy.example of the proxy (Name or service not known); correct HTTPS_PROXY, or check the network"
        );
        // A SOCKS proxy may take an address only, so that this machine resolves the service's name.
        assert_eq!(
            lookup(&peer, "api.example", Some(resolver_error())),
            "cannot connect to api.example (through the proxy proxy.example:80 of HTTPS_PROXY): cannot resolve the host name api.example (Name or service not known); check the URL, or check the network"
        );
    }
}
