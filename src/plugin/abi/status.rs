//! The status codes that the functions of the plugin ABI return.

/// The result of a function: `KEYFERRY_PLUGIN_OK`, or one of `KEYFERRY_PLUGIN_E_`.
pub type keyferry_plugin_status = i32;

/// Success.
pub const KEYFERRY_PLUGIN_OK: keyferry_plugin_status = 0;
/// A required setting is not set.
pub const KEYFERRY_PLUGIN_E_NOT_CONFIGURED: keyferry_plugin_status = 1;
/// A setting is set, but its source does not return the value.
pub const KEYFERRY_PLUGIN_E_SECRET_SOURCE: keyferry_plugin_status = 2;
/// There was no connection, or no complete response.
pub const KEYFERRY_PLUGIN_E_UNREACHABLE: keyferry_plugin_status = 3;
/// The service rejected the secrets that this call has read. The host does not send the same
/// secrets again for a while.
pub const KEYFERRY_PLUGIN_E_BAD_CREDENTIALS: keyferry_plugin_status = 4;
/// The user must log in.
pub const KEYFERRY_PLUGIN_E_LOGIN_REQUIRED: keyferry_plugin_status = 5;
/// The service has no such item.
pub const KEYFERRY_PLUGIN_E_NOT_FOUND: keyferry_plugin_status = 6;
/// The configured secrets do not allow this access.
pub const KEYFERRY_PLUGIN_E_INSUFFICIENT_ACCESS: keyferry_plugin_status = 7;
/// The service is rate limiting requests.
pub const KEYFERRY_PLUGIN_E_THROTTLED: keyferry_plugin_status = 8;
/// The service is unavailable.
pub const KEYFERRY_PLUGIN_E_UNAVAILABLE: keyferry_plugin_status = 9;
/// The response of the service does not follow the documentation of the service.
pub const KEYFERRY_PLUGIN_E_BAD_RESPONSE: keyferry_plugin_status = 10;
/// The operation is not supported. If `renew` returns it, the host calls `acquire` instead.
pub const KEYFERRY_PLUGIN_E_UNSUPPORTED: keyferry_plugin_status = 11;
/// The call has timed out, or the session is closing. Only the host returns this code.
pub const KEYFERRY_PLUGIN_E_CANCELLED: keyferry_plugin_status = 12;
/// An argument is invalid: it is NULL, too long or not UTF-8, contains a control character, or is
/// the key of a setting that the plugin does not declare. Only the host returns this code. The call
/// then fails, whatever the plugin returns, and the host reports a fault of the plugin.
pub const KEYFERRY_PLUGIN_E_INVALID_ARGUMENT: keyferry_plugin_status = 13;
/// There is no call with this id, or the call has ended. Only the host returns this code.
pub const KEYFERRY_PLUGIN_E_INVALID_CALL: keyferry_plugin_status = 14;
/// Any other failure. The plugin describes it with `set_error_message`.
pub const KEYFERRY_PLUGIN_E_FAILED: keyferry_plugin_status = 15;
