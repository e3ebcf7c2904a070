//! Converts the status codes of the ABI to kinds of error, and back.

use super::abi::{self, keyferry_plugin_status};
use crate::error::ErrorKind;

/// Returns the status code that a function of the host returns to the plugin for this kind of
/// error.
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

/// Returns the kind of error for a code that a plugin returned, and the message to use if the
/// plugin has set none. Returns `None` for a code that a plugin must not return.
pub(super) fn kind_and_message(code: keyferry_plugin_status) -> Option<(ErrorKind, &'static str)> {
    let known = match code {
        abi::KEYFERRY_PLUGIN_E_NOT_CONFIGURED => (
            ErrorKind::NotConfigured,
            "a required setting is not set; run `keyferry plugin list` to see the plugin's settings",
        ),
        abi::KEYFERRY_PLUGIN_E_SECRET_SOURCE => (
            ErrorKind::SecretSource,
            "cannot read a setting from its source; check the source",
        ),
        abi::KEYFERRY_PLUGIN_E_UNREACHABLE => (
            ErrorKind::Unreachable,
            "cannot reach the service; check the network",
        ),
        abi::KEYFERRY_PLUGIN_E_BAD_CREDENTIALS => (
            ErrorKind::BadCredentials,
            "the service rejected the configured secrets; check them",
        ),
        abi::KEYFERRY_PLUGIN_E_LOGIN_REQUIRED => (
            ErrorKind::LoginRequired,
            "the service requires a login; log in to the service",
        ),
        abi::KEYFERRY_PLUGIN_E_NOT_FOUND => (
            ErrorKind::NotFound,
            "the service has no such item; check its id",
        ),
        abi::KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS => (
            ErrorKind::InsufficientAccess,
            "the configured secrets do not give this access; configure secrets that do",
        ),
        abi::KEYFERRY_PLUGIN_E_THROTTLED => (
            ErrorKind::Throttled,
            "the service is rate limiting requests; retry later",
        ),
        abi::KEYFERRY_PLUGIN_E_UNAVAILABLE => (
            ErrorKind::Unavailable,
            "the service is unavailable; retry later",
        ),
        abi::KEYFERRY_PLUGIN_E_BAD_RESPONSE => (
            ErrorKind::BadResponse,
            "unexpected response from the service; check its URL",
        ),
        abi::KEYFERRY_PLUGIN_E_UNSUPPORTED => (
            ErrorKind::Unsupported,
            "the plugin does not support this request; check the plugin's documentation",
        ),
        abi::KEYFERRY_PLUGIN_E_FAILED => (
            ErrorKind::Plugin,
            "the plugin failed without an error message; report this to the plugin's author",
        ),
        _ => return None,
    };
    Some(known)
}
