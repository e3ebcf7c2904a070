//! The codes of the ABI and our kinds of error, each in terms of the other.

use super::abi::{self, keyferry_plugin_status};
use crate::error::Kind;

/// The code that tells a plugin of an error.
pub(super) fn code(kind: Kind) -> keyferry_plugin_status {
    match kind {
        Kind::NotConfigured => abi::KEYFERRY_PLUGIN_E_NOT_CONFIGURED,
        Kind::SecretSource | Kind::UnsafeFile => abi::KEYFERRY_PLUGIN_E_SECRET_SOURCE,
        Kind::Unreachable | Kind::Tls | Kind::Silent => abi::KEYFERRY_PLUGIN_E_UNREACHABLE,
        Kind::Refused => abi::KEYFERRY_PLUGIN_E_REFUSED,
        Kind::LoginRequired => abi::KEYFERRY_PLUGIN_E_LOGIN_REQUIRED,
        Kind::NotFound => abi::KEYFERRY_PLUGIN_E_NOT_FOUND,
        Kind::WrongAccess => abi::KEYFERRY_PLUGIN_E_ACCESS,
        Kind::Throttled => abi::KEYFERRY_PLUGIN_E_THROTTLED,
        Kind::Unavailable => abi::KEYFERRY_PLUGIN_E_UNAVAILABLE,
        Kind::BadAnswer | Kind::Redirected => abi::KEYFERRY_PLUGIN_E_BAD_ANSWER,
        Kind::Unsupported => abi::KEYFERRY_PLUGIN_E_UNSUPPORTED,
        Kind::InvalidValue | Kind::InvalidResource | Kind::Plugin => abi::KEYFERRY_PLUGIN_E_ARGUMENT,
        Kind::Cancelled | Kind::Timeout => abi::KEYFERRY_PLUGIN_E_OVER,
        _ => abi::KEYFERRY_PLUGIN_E_FAILED,
    }
}

/// What a plugin means by a code, and says where it says nothing itself. None for a code that it may not return.
pub(super) fn meaning(code: keyferry_plugin_status) -> Option<(Kind, &'static str)> {
    let meaning = match code {
        abi::KEYFERRY_PLUGIN_E_NOT_CONFIGURED => (Kind::NotConfigured, "a setting that is needed is not there"),
        abi::KEYFERRY_PLUGIN_E_SECRET_SOURCE => (Kind::SecretSource, "a setting can't be had from its source"),
        abi::KEYFERRY_PLUGIN_E_UNREACHABLE => (Kind::Unreachable, "the service can't be reached"),
        abi::KEYFERRY_PLUGIN_E_REFUSED => (Kind::Refused, "the service refuses the configured secrets: check them"),
        abi::KEYFERRY_PLUGIN_E_LOGIN_REQUIRED => (Kind::LoginRequired, "a person has to log in"),
        abi::KEYFERRY_PLUGIN_E_NOT_FOUND => (Kind::NotFound, "the service does not know the thing: check its id"),
        abi::KEYFERRY_PLUGIN_E_ACCESS => (Kind::WrongAccess, "the secrets at hand can't do this"),
        abi::KEYFERRY_PLUGIN_E_THROTTLED => (Kind::Throttled, "the service wants fewer requests: ask again later"),
        abi::KEYFERRY_PLUGIN_E_UNAVAILABLE => (Kind::Unavailable, "the service is out of order: ask again later"),
        abi::KEYFERRY_PLUGIN_E_BAD_ANSWER => (Kind::BadAnswer, "the service's answer is not what it documents: check its URL"),
        abi::KEYFERRY_PLUGIN_E_UNSUPPORTED => (Kind::Unsupported, "there is no such way"),
        abi::KEYFERRY_PLUGIN_E_FAILED => (Kind::Plugin, "failed and does not say why"),
        _ => return None,
    };
    Some(meaning)
}
