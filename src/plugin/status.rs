//! Translates the status codes of the ABI to kinds of error, and back.

use super::abi::{self, keyferry_plugin_status};
use crate::error::ErrorKind;

/// The code that a slot returns for an error.
pub(super) fn from_kind(kind: ErrorKind) -> keyferry_plugin_status {
    match kind {
        ErrorKind::NotConfigured => abi::KEYFERRY_PLUGIN_E_NOT_CONFIGURED,
        ErrorKind::SecretSource | ErrorKind::UnsafeFile => abi::KEYFERRY_PLUGIN_E_SECRET_SOURCE,
        ErrorKind::Unreachable | ErrorKind::Tls | ErrorKind::NoResponse => {
            abi::KEYFERRY_PLUGIN_E_UNREACHABLE
        }
        ErrorKind::BadCredentials => abi::KEYFERRY_PLUGIN_E_BAD_CREDENTIALS,
        ErrorKind::LoginRequired => abi::KEYFERRY_PLUGIN_E_LOGIN_REQUIRED,
        ErrorKind::NotFound => abi::KEYFERRY_PLUGIN_E_NOT_FOUND,
        ErrorKind::InsufficientAccess => abi::KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS,
        ErrorKind::Throttled => abi::KEYFERRY_PLUGIN_E_THROTTLED,
        ErrorKind::Unavailable => abi::KEYFERRY_PLUGIN_E_UNAVAILABLE,
        ErrorKind::BadResponse | ErrorKind::Redirected => abi::KEYFERRY_PLUGIN_E_BAD_RESPONSE,
        ErrorKind::Unsupported => abi::KEYFERRY_PLUGIN_E_UNSUPPORTED,
        ErrorKind::InvalidValue | ErrorKind::InvalidResource | ErrorKind::Plugin => {
            abi::KEYFERRY_PLUGIN_E_INVALID_ARGUMENT
        }
        ErrorKind::Cancelled | ErrorKind::Timeout => abi::KEYFERRY_PLUGIN_E_CANCELLED,
        _ => abi::KEYFERRY_PLUGIN_E_FAILED,
    }
}

/// The kind of error that a plugin means by a code, and a message where the plugin has none. None
/// for a code that it may not return.
pub(super) fn kind_and_message(code: keyferry_plugin_status) -> Option<(ErrorKind, &'static str)> {
    let known = match code {
        abi::KEYFERRY_PLUGIN_E_NOT_CONFIGURED => (
            ErrorKind::NotConfigured,
            "a setting that is needed is not there",
        ),
        abi::KEYFERRY_PLUGIN_E_SECRET_SOURCE => (
            ErrorKind::SecretSource,
            "a setting can't be had from its source",
        ),
        abi::KEYFERRY_PLUGIN_E_UNREACHABLE => {
            (ErrorKind::Unreachable, "the service can't be reached")
        }
        abi::KEYFERRY_PLUGIN_E_BAD_CREDENTIALS => (
            ErrorKind::BadCredentials,
            "the service refuses the configured secrets: check them",
        ),
        abi::KEYFERRY_PLUGIN_E_LOGIN_REQUIRED => {
            (ErrorKind::LoginRequired, "a person has to log in")
        }
        abi::KEYFERRY_PLUGIN_E_NOT_FOUND => (
            ErrorKind::NotFound,
            "the service does not know the thing: check its id",
        ),
        abi::KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS => (
            ErrorKind::InsufficientAccess,
            "the secrets at hand can't do this",
        ),
        abi::KEYFERRY_PLUGIN_E_THROTTLED => (
            ErrorKind::Throttled,
            "the service wants fewer requests: ask again later",
        ),
        abi::KEYFERRY_PLUGIN_E_UNAVAILABLE => (
            ErrorKind::Unavailable,
            "the service is out of order: ask again later",
        ),
        abi::KEYFERRY_PLUGIN_E_BAD_RESPONSE => (
            ErrorKind::BadResponse,
            "the service's answer is not what it documents: check its URL",
        ),
        abi::KEYFERRY_PLUGIN_E_UNSUPPORTED => (ErrorKind::Unsupported, "there is no such way"),
        abi::KEYFERRY_PLUGIN_E_FAILED => (ErrorKind::Plugin, "failed and does not say why"),
        _ => return None,
    };
    Some(known)
}
