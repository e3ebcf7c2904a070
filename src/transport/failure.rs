//! Converts a failed exchange to an [`Error`].
//!
//! The cause is found by the types of the library errors. Their messages quote URLs and headers, so
//! they are never used.

use std::error::Error as Cause;
use std::io;

use super::client::{CONNECT_TIMEOUT, LookupFailed};
use super::tls;
use crate::error::{Error, ErrorKind};
use crate::sys::private_file::is_out_of_descriptors;

/// Returns the error for a deadline that has passed.
pub(super) fn timed_out(peer: &str, connected: bool) -> Error {
    let message = if connected {
        format!("{peer} did not respond in time; retry, or raise `http.timeout_ms`")
    } else {
        format!("timed out connecting to {peer}; check the URL, the network and the proxy")
    };
    Error::new(ErrorKind::NoResponse, message)
}

/// Converts an error of reqwest.
pub(super) fn from_reqwest(peer: &str, error: &reqwest::Error) -> Error {
    if let Some(found) = find_cause::<rustls::Error>(error) {
        return tls::from_rustls(peer, found);
    }
    if let Some(LookupFailed(name)) = find_cause::<LookupFailed>(error) {
        return Error::new(
            ErrorKind::Unreachable,
            format!(
                "cannot resolve the host name {name}; check the URL, the network and the proxy"
            ),
        );
    }
    let found = find_cause::<io::Error>(error);
    if found.is_some_and(is_out_of_descriptors) {
        let message = format!(
            "cannot connect to {peer}: too many open files; raise the limit (`ulimit -n`), or close some files"
        );
        return Error::new(ErrorKind::Unreachable, message);
    }
    let io_kind = found.map(io::Error::kind);
    if error.is_connect() {
        connect_failed(peer, error.is_timeout(), io_kind)
    } else {
        exchange_failed(peer, error, io_kind)
    }
}

fn connect_failed(peer: &str, is_timeout: bool, io_kind: Option<io::ErrorKind>) -> Error {
    let message = match io_kind {
        _ if is_timeout => format!(
            "cannot connect to {peer} within {} s; check the URL and the network",
            CONNECT_TIMEOUT.as_secs()
        ),
        Some(io::ErrorKind::ConnectionRefused) => {
            format!(
                "cannot connect to {peer}: connection refused; check that it is running, and check its URL and port"
            )
        }
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            format!("cannot reach {peer}: network unreachable; check the network")
        }
        _ => format!("cannot connect to {peer}; check the URL, the network and the proxy"),
    };
    Error::new(ErrorKind::Unreachable, message)
}

fn exchange_failed(peer: &str, error: &reqwest::Error, io_kind: Option<io::ErrorKind>) -> Error {
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
        io_kind,
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

/// Returns the first error of type `E` in an error's chain of causes. Also looks into the errors
/// that I/O errors wrap.
fn find_cause<E: Cause + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn Cause + 'static)> = Some(error);
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
