//! The codes that functions of the ABI return.

/// What a function returns: `KEYFERRY_PLUGIN_OK`, or one of the `KEYFERRY_PLUGIN_E_` numbers.
pub type keyferry_plugin_status = i32;

/// Done.
pub const KEYFERRY_PLUGIN_OK: keyferry_plugin_status = 0;
/// A setting that is needed is not there.
pub const KEYFERRY_PLUGIN_E_NOT_CONFIGURED: keyferry_plugin_status = 1;
/// A setting is there and can't be had.
pub const KEYFERRY_PLUGIN_E_SECRET_SOURCE: keyferry_plugin_status = 2;
/// No connection, or no whole answer.
pub const KEYFERRY_PLUGIN_E_UNREACHABLE: keyferry_plugin_status = 3;
/// The service refused the secrets that this call asked for. They are not sent again for a while.
pub const KEYFERRY_PLUGIN_E_REFUSED: keyferry_plugin_status = 4;
/// A person has to log in.
pub const KEYFERRY_PLUGIN_E_LOGIN_REQUIRED: keyferry_plugin_status = 5;
/// The service does not know the thing.
pub const KEYFERRY_PLUGIN_E_NOT_FOUND: keyferry_plugin_status = 6;
/// The secrets at hand can't do this.
pub const KEYFERRY_PLUGIN_E_ACCESS: keyferry_plugin_status = 7;
/// The service wants fewer requests.
pub const KEYFERRY_PLUGIN_E_THROTTLED: keyferry_plugin_status = 8;
/// The service is out of order.
pub const KEYFERRY_PLUGIN_E_UNAVAILABLE: keyferry_plugin_status = 9;
/// The service's answer is not what it documents.
pub const KEYFERRY_PLUGIN_E_BAD_ANSWER: keyferry_plugin_status = 10;
/// There is no such way. From `renew`: get a new token instead.
pub const KEYFERRY_PLUGIN_E_UNSUPPORTED: keyferry_plugin_status = 11;
/// The call's time is over, or the session closes.
pub const KEYFERRY_PLUGIN_E_OVER: keyferry_plugin_status = 12;
/// What was passed can't be: NULL, too long, not UTF-8, a control character in it, a name that the descriptor does not have. From
/// the host alone, and the call fails as the plugin's fault whatever it returns.
pub const KEYFERRY_PLUGIN_E_ARGUMENT: keyferry_plugin_status = 13;
/// There is no such call, or no more. From the host alone.
pub const KEYFERRY_PLUGIN_E_CALL: keyferry_plugin_status = 14;
/// Anything else; say why with `fail`.
pub const KEYFERRY_PLUGIN_E_FAILED: keyferry_plugin_status = 15;
