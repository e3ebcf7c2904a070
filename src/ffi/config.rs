//! The configuration object, from which a session is opened.

#![expect(unsafe_code, reason = "C callers")]

use std::ffi::c_char;
use std::mem::MaybeUninit;

use crate::config::{self, Config};
use crate::error::{Error, ErrorKind};
use crate::ffi::boundary;
use crate::ffi::error::keyferry_error;
use crate::ffi::panic;
use crate::ffi::status::keyferry_status;
use crate::ffi::text;

/// The longest path of a configuration file. It is Linux's `PATH_MAX`, so a longer path cannot name
/// a file and is rejected before it is copied.
const MAX_PATH_BYTES: usize = 4096;

/// Settings for a session. Only one thread at a time may use a configuration.
#[expect(non_camel_case_types, reason = "the name that C programs see")]
pub struct keyferry_config {
    pub(crate) config: Config,
}

/// Creates an empty configuration.
///
/// Reads no file and no environment variable. Tokens are cached in memory and not stored, unless
/// `store` is set.
///
/// @param config_out  receives the configuration
/// @param error_out   receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL
/// Owner:   the caller frees the configuration with `keyferry_config_free`
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

/// Loads a configuration from a file and from the environment. An environment variable overrides
/// the file.
///
/// In a process with raised privilege (setuid, setgid, file capabilities), this function loads only
/// a file that `path` names, and reads no environment variable.
///
/// @param path        the file, in any encoding; NULL for `keyferry/config.toml` in the user's configuration
///                    directory; that file need not exist. Borrowed.
/// @param config_out  receives the configuration
/// @param error_out   receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `config_out` is NULL;
///          KEYFERRY_E_CONFIG if the configuration cannot be read or is invalid: the error message
///            names the file, the key and the line; or if `path` is NULL and the process has raised
///            privilege: the error message names AT_SECURE;
///          KEYFERRY_E_UNSAFE_FILE if the file contains secrets and other users can read or change
///            it: the error message gives the `chmod` command
/// Owner:   the caller frees the configuration with `keyferry_config_free`
/// Threads: [any]; no thread may change the environment during the call
/// Source:  docs/configuration.md
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
        // SAFETY: the caller promises that `path` is NULL or ends in NUL.
        let path = unsafe { text::optional_path(path) };
        if path.is_some_and(|path| path.as_os_str().len() > MAX_PATH_BYTES) {
            return Err(Error::new(
                ErrorKind::Config,
                "cannot load the configuration: the path is longer than 4096 bytes; check the path",
            ));
        }
        let config = Config::load(path, config::process_environment())?;
        boundary::write_out(out, keyferry_config { config });
        Ok(())
    })
}

/// Sets one value, which overrides the file and the environment.
///
/// The value is always literal. For example, `env:X` is the password `env:X`, and not a reference
/// to the environment variable `X`.
///
/// @param config     the configuration
/// @param key        the key of a setting, such as `masv.api_key`, `http.timeout_ms` or
///                   `profile.NAME.masv.team`; UTF-8. docs/configuration.md lists all
///                   keys. Borrowed.
/// @param value      UTF-8. Borrowed and copied; `keyferry_config_free` wipes the copy.
/// @param error_out  receives the details of a failure; may be NULL
///
/// Errors:  KEYFERRY_E_NULL_ARGUMENT if `config`, `key` or `value` is NULL;
///          KEYFERRY_E_NOT_UTF8 if `key` or `value` is not UTF-8;
///          KEYFERRY_E_CONFIG if there is no such key: the error message names the most similar
///            one;
///          KEYFERRY_E_INVALID_VALUE if the value is out of range or contains a control character
/// Owner:   ownership does not change
/// Threads: [one]: no other call may use `config` at the same time
/// Source:  docs/configuration.md
/// Since:   0.1
///
/// # Safety
/// `key` and `value` are each NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyferry_config_set(
    config: Option<&mut keyferry_config>,
    key: *const c_char,
    value: *const c_char,
    error_out: Option<&mut MaybeUninit<*mut keyferry_error>>,
) -> keyferry_status {
    boundary::call("keyferry_config_set", error_out, || {
        let config = boundary::required(config, "config")?;
        // SAFETY: the caller promises that `key` is NULL or ends in NUL.
        let key = unsafe { text::required(key, "key") }?;
        // SAFETY: the caller promises that `value` is NULL or ends in NUL.
        let value = boundary::required(unsafe { text::optional_secret(value, "value") }?, "value")?;
        config.config.set(key, value)
    })
}

/// Frees a configuration. A session that was opened with it keeps working: it has a copy
/// of the settings.
///
/// @param config  NULL does nothing. Taken.
///
/// Errors:  none
/// Owner:   takes `config` and wipes its secrets
/// Threads: [one]: no other call may be using `config`
/// Source:  keyferry
/// Since:   0.1
#[unsafe(no_mangle)]
pub extern "C" fn keyferry_config_free(config: Option<Box<keyferry_config>>) {
    panic::infallible("keyferry_config_free", (), || drop(config));
}
