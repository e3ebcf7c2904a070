//! The configuration object: what a session is opened with.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;

use crate::config::{self, Config};
use crate::error::{Error, ErrorKind};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::keyferry_status;
use crate::ffi::text;

/// A longer path is refused before it is copied: no system has one.
const MAX_PATH_BYTES: usize = 4096;

/// Settings for a session. Not shared between threads without a lock of the caller's.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_config {
    pub(crate) config: Config,
}

/// Makes a configuration with nothing in it: no file and no variable is read. Tokens are kept in
/// memory unless `store` is set.
///
/// @param config_out  gets the configuration
/// @param error_out   gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL
/// Owner:   the caller frees it with `keyferry_config_free`
/// Threads: [any]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_config_new(
    config_out: Option<&mut MaybeUninit<*mut keyferry_config>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_config_new", config_out, error_out, |out| {
        let out = boundary::required(out, "config_out")?;
        boundary::write_out(
            out,
            keyferry_config {
                config: Config::new(),
            },
        );
        Ok(())
    })
}

/// Makes a configuration from a file and, over it, from the environment.
///
/// @param path        the file, UTF-8; NULL for `keyferry/config.toml` in the user's configuration folder, which may be absent. Borrowed.
/// @param config_out  gets the configuration
/// @param error_out   gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_CONFIG if it can't be read or
///          understood: the message names file, key and line; KEYFERRY_E_UNSAFE_FILE if it holds
///          secrets and is open to others: the message has the chmod
/// Owner:   the caller frees it with `keyferry_config_free`
/// Threads: [any]; the environment must not be changed meanwhile
/// Source:  the configuration table in README.md
/// Since:   0.1
///
/// # Safety
/// `path` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_config_load(
    path: *const c_char,
    config_out: Option<&mut MaybeUninit<*mut keyferry_config>>,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call_with_out("keyferry_config_load", config_out, error_out, |out| {
        let out = boundary::required(out, "config_out")?;
        // SAFETY: by this function's contract.
        let path = unsafe { text::optional(path, "path") }?;
        if path.is_some_and(|path| path.len() > MAX_PATH_BYTES) {
            return Err(Error::new(
                ErrorKind::Config,
                "the path is longer than any file's: check what made it",
            ));
        }
        let config = Config::load(path.map(Path::new), config::process_environment())?;
        boundary::write_out(out, keyferry_config { config });
        Ok(())
    })
}

/// Sets one value, over file and environment. The value is always literal: `env:X` is a password
/// that begins so.
///
/// @param config     the configuration
/// @param key        as in the configuration table: `masv.api_key`, `http.timeout_ms`, `profile.NAME.masv.team`. Borrowed.
/// @param value      UTF-8. Borrowed and copied; our copy is wiped when the configuration is freed.
/// @param error_out  gets the detail of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT, KEYFERRY_E_NOT_UTF8; KEYFERRY_E_CONFIG if there is no such key: the message names the nearest;
///          KEYFERRY_E_INVALID_VALUE if the value is out of range or holds a control character
/// Owner:   nothing changes hands
/// Threads: [one]: no other call with `config` at the same time
/// Source:  the configuration table in README.md
/// Since:   0.1
///
/// # Safety
/// `key` and `value` are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_config_set(
    config: Option<&mut keyferry_config>,
    key: *const c_char,
    value: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_config_set", error_out, || {
        let config = boundary::required(config, "config")?;
        // SAFETY: by this function's contract.
        let key = unsafe { text::required(key, "key") }?;
        // SAFETY: by this function's contract.
        let value = boundary::required(unsafe { text::optional_secret(value, "value") }?, "value")?;
        config.config.set(key, value)
    })
}

/// Frees a configuration. Sessions opened with it keep what they need.
///
/// @param config  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   the configuration is gone afterwards, its secrets wiped
/// Threads: [one]
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_config_free(config: Option<Box<keyferry_config>>) {
    panic::infallible("keyferry_config_free", (), || drop(config));
}
