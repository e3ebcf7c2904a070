//! The codes that functions of the ABI return.

/// The result of a function: `KEYFERRY_PLUGIN_OK`, or one of `KEYFERRY_PLUGIN_E_`.
pub type keyferry_plugin_status = i32;

/// Success.
pub const KEYFERRY_PLUGIN_OK: keyferry_plugin_status = 0;
/// A setting that is needed is not set.
pub const KEYFERRY_PLUGIN_E_NOT_CONFIGURED: keyferry_plugin_status = 1;
/// A setting is set, but its source does not give the value.
pub const KEYFERRY_PLUGIN_E_SECRET_SOURCE: keyferry_plugin_status = 2;
/// No connection, or no complete response.
pub const KEYFERRY_PLUGIN_E_UNREACHABLE: keyferry_plugin_status = 3;
/// The service rejected the secrets that this call has read. The host does not send them again for
/// a while.
pub const KEYFERRY_PLUGIN_E_BAD_CREDENTIALS: keyferry_plugin_status = 4;
/// The user has to log in.
pub const KEYFERRY_PLUGIN_E_LOGIN_REQUIRED: keyferry_plugin_status = 5;
/// The service has no such item.
pub const KEYFERRY_PLUGIN_E_NOT_FOUND: keyferry_plugin_status = 6;
/// The configured secrets don't give this access.
pub const KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS: keyferry_plugin_status = 7;
/// The service is rate limiting requests.
pub const KEYFERRY_PLUGIN_E_THROTTLED: keyferry_plugin_status = 8;
/// The service is unavailable.
pub const KEYFERRY_PLUGIN_E_UNAVAILABLE: keyferry_plugin_status = 9;
/// The response of the service is not what it documents.
pub const KEYFERRY_PLUGIN_E_BAD_RESPONSE: keyferry_plugin_status = 10;
/// Not supported. From `renew`: the host calls `acquire` instead.
pub const KEYFERRY_PLUGIN_E_UNSUPPORTED: keyferry_plugin_status = 11;
/// The call has timed out, or the session is closing. From the host only.
pub const KEYFERRY_PLUGIN_E_CANCELLED: keyferry_plugin_status = 12;
/// An argument is invalid: NULL, too long, not UTF-8, with a control character, or the key of a
/// setting that the plugin does not declare. From the host only; the call then fails as a fault of
/// the plugin, whatever the plugin returns.
pub const KEYFERRY_PLUGIN_E_INVALID_ARGUMENT: keyferry_plugin_status = 13;
/// There is no call with this id, or it has ended. From the host only.
pub const KEYFERRY_PLUGIN_E_INVALID_CALL: keyferry_plugin_status = 14;
/// Any other failure; `set_error_message` tells why.
pub const KEYFERRY_PLUGIN_E_FAILED: keyferry_plugin_status = 15;
