//! Why an exchange failed, in our words.
//!
//! Errors are told apart by their types; their texts quote URLs and headers, and are never looked
//! at.

use std::error::Error as Cause;
use std::io;

use super::client::{LONGEST_CONNECT, NoAddress};
use super::tls;
use crate::error::{Error, ErrorKind};
use crate::sys::private_file::is_out_of_descriptors;

/// The deadline passed.
pub(super) fn late(peer: &str, connected: bool) -> Error {
    let what = if connected {
        format!("{peer} did not answer in time: try again, or raise http.timeout_ms")
    } else {
        format!("no connection to {peer} in time: check the URL, the network and the proxy")
    };
    Error::new(ErrorKind::NoResponse, what)
}

/// Tells what an error of reqwest means.
pub(super) fn explain(peer: &str, error: &reqwest::Error) -> Error {
    if let Some(found) = find::<rustls::Error>(error) {
        return tls::explain(peer, found);
    }
    if let Some(NoAddress(name)) = find::<NoAddress>(error) {
        return Error::new(ErrorKind::Unreachable, format!("the name {name} has no address: check the URL, the network and the proxy"));
    }
    let found = find::<io::Error>(error);
    if found.is_some_and(is_out_of_descriptors) {
        let what = format!("no connection to {peer}, for too many files are open: raise the limit (ulimit -n), or close some");
        return Error::new(ErrorKind::Unreachable, what);
    }
    let io = found.map(io::Error::kind);
    if error.is_connect() { unconnected(peer, error.is_timeout(), io) } else { broken_off(peer, error, io) }
}

fn unconnected(peer: &str, is_late: bool, io: Option<io::ErrorKind>) -> Error {
    let what = match io {
        _ if is_late => format!("{peer} took no connection within {} s: check the URL and the network", LONGEST_CONNECT.as_secs()),
        Some(io::ErrorKind::ConnectionRefused) => format!("{peer} takes no connections: check that it runs, and the URL and its port"),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => format!("no way leads to {peer}: check the network"),
        _ => format!("no connection to {peer}: check the URL, the network and the proxy"),
    };
    Error::new(ErrorKind::Unreachable, what)
}

fn broken_off(peer: &str, error: &reqwest::Error, io: Option<io::ErrorKind>) -> Error {
    let http = find::<hyper::Error>(error);
    if http.is_some_and(|http| http.is_parse() || http.is_parse_too_large() || http.is_parse_status()) {
        return Error::new(ErrorKind::BadResponse, format!("{peer} sent something that is not HTTP: check its URL and port"));
    }
    if matches!(io, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)) {
        return Error::new(ErrorKind::BadResponse, format!("{peer} sent a body that is not HTTP: check its URL"));
    }
    Error::new(ErrorKind::NoResponse, format!("{peer} broke off before its answer was complete: try again"))
}

/// The first error of a type among an error and its causes, the contents of I/O errors included.
fn find<E: Cause + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn Cause + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error's `source` is that of its content, not the content.
        let content = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match content {
            Some(content) => Some(content),
            None => cause.source(),
        };
    }
    None
}
