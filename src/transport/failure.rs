//! Turns a failed exchange into an error of ours.
//!
//! Errors are told apart by their types. Their texts quote URLs and headers, so they are never
//! read.

use std::error::Error as Cause;
use std::io;

use super::client::{CONNECT_TIMEOUT, LookupFailed};
use super::tls;
use crate::error::{Error, ErrorKind};
use crate::sys::private_file::is_out_of_descriptors;

/// The error for a deadline that has passed.
pub(super) fn timed_out(peer: &str, connected: bool) -> Error {
    let message = if connected {
        format!("{peer} did not answer in time: try again, or raise http.timeout_ms")
    } else {
        format!("no connection to {peer} in time: check the URL, the network and the proxy")
    };
    Error::new(ErrorKind::NoResponse, message)
}

/// The error that an error of reqwest stands for.
pub(super) fn from_reqwest(peer: &str, error: &reqwest::Error) -> Error {
    if let Some(found) = find_cause::<rustls::Error>(error) {
        return tls::from_rustls(peer, found);
    }
    if let Some(LookupFailed(name)) = find_cause::<LookupFailed>(error) {
        return Error::new(
            ErrorKind::Unreachable,
            format!("the name {name} has no address: check the URL, the network and the proxy"),
        );
    }
    let found = find_cause::<io::Error>(error);
    if found.is_some_and(is_out_of_descriptors) {
        let message = format!(
            "no connection to {peer}, for too many files are open: raise the limit (ulimit -n), or close some"
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
            "{peer} took no connection within {} s: check the URL and the network",
            CONNECT_TIMEOUT.as_secs()
        ),
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("{peer} takes no connections: check that it runs, and the URL and its port")
        }
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            format!("no way leads to {peer}: check the network")
        }
        _ => format!("no connection to {peer}: check the URL, the network and the proxy"),
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
            format!("{peer} sent something that is not HTTP: check its URL and port"),
        );
    }
    if matches!(
        io_kind,
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    ) {
        return Error::new(
            ErrorKind::BadResponse,
            format!("{peer} sent a body that is not HTTP: check its URL"),
        );
    }
    Error::new(
        ErrorKind::NoResponse,
        format!("{peer} broke off before its answer was complete: try again"),
    )
}

/// The first error of a type among an error and its causes, the contents of I/O errors included.
fn find_cause<E: Cause + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn Cause + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error's `source` is that of its content, not the content.
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
