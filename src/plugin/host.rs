//! The host's table. Its slots are the functions that plugins call.
//!
//! The host gives each call of the plugin an id. During the call, the plugin passes that id to each
//! slot that it uses. A slot catches panics, records an invalid argument as a fault of the plugin,
//! and checks an out-pointer before it writes to it.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::abi::{
    self, keyferry_plugin_buffer, keyferry_plugin_call, keyferry_plugin_host,
    keyferry_plugin_status,
};
use super::buffers::MAX_TOTAL_BYTES;
use super::call::{self, PluginCall};
use super::foreign_memory;
use super::http_request;
use super::slot::{MAX_NAME_BYTES, MAX_TEXT_BYTES, SlotError, bad_argument, not_set};
use super::status;
use crate::clock::LATEST_UNIX_S;
use crate::config::DeclaredKind;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::model::json;
use crate::secret::Secret;
use crate::text::has_control;

/// The host's table, which the host passes to `init`.
pub(super) static HOST: keyferry_plugin_host = keyferry_plugin_host {
    abi_major: abi::KEYFERRY_PLUGIN_ABI_MAJOR,
    abi_minor: abi::KEYFERRY_PLUGIN_ABI_MINOR,
    struct_size: size_of::<keyferry_plugin_host>() as u32,
    reserved: 0,
    get_setting: Some(get_setting),
    exchange: Some(exchange_slot),
    new_buffer: Some(new_buffer),
    json_get_text: Some(json_get_text),
    json_quote: Some(json_quote),
    add_header: Some(add_header),
    set_expiry: Some(set_expiry),
    set_renewal_secret: Some(set_renewal_secret),
    set_secret: Some(set_secret),
    set_error_message: Some(set_error_message),
    log: Some(log_slot),
    now_unix_s: Some(now_unix_s),
    time_left_ms: Some(time_left_ms),
    is_cancelled: Some(is_cancelled),
};

/// The maximum length of an error message, a log message or a JSON pointer.
const MAX_MESSAGE_BYTES: usize = 500;
const MAX_HEADERS: usize = 8;

/// Finds the call `id`, runs the body of a slot for it, and returns the slot's status.
fn run_slot(
    id: keyferry_plugin_call,
    work: impl FnOnce(&Arc<PluginCall>) -> Result<(), SlotError>,
) -> keyferry_plugin_status {
    let body = || {
        let Some(call) = call::find(id) else {
            return abi::KEYFERRY_PLUGIN_E_INVALID_CALL;
        };
        match work(&call) {
            Ok(()) => abi::KEYFERRY_PLUGIN_OK,
            Err(SlotError::Cancelled) => abi::KEYFERRY_PLUGIN_E_CANCELLED,
            Err(SlotError::Fault(what)) => {
                call.record_fault(what);
                abi::KEYFERRY_PLUGIN_E_INVALID_ARGUMENT
            }
            Err(SlotError::Error(error)) => {
                let code = status::from_kind(error.kind);
                call.state.lock().last_error = Some(error);
                code
            }
        }
    };
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(abi::KEYFERRY_PLUGIN_E_FAILED)
}

/// Copies `bytes` into a new buffer of the call.
fn copy_to_buffer(
    call: &PluginCall,
    slot: &str,
    bytes: &[u8],
) -> Result<keyferry_plugin_buffer, SlotError> {
    let buffer = call.state.lock().buffers.copy_of(bytes);
    buffer.ok_or_else(|| too_much_memory(slot))
}

/// Returns the error for a call whose buffers would exceed [`MAX_TOTAL_BYTES`].
fn too_much_memory(slot: &str) -> SlotError {
    SlotError::Fault(format!(
        "it exceeded the {} MiB limit for its buffers when it called `{slot}`",
        MAX_TOTAL_BYTES >> 20
    ))
}

/// Checks that an out-pointer is aligned and not NULL. Slots call this first.
fn check_out_pointer<T>(out: *mut T, slot: &str) -> Result<(), SlotError> {
    let fits = !out.is_null() && out.is_aligned();
    if fits {
        Ok(())
    } else {
        Err(SlotError::Fault(format!(
            "it called `{slot}` with an out-pointer that is NULL or not aligned"
        )))
    }
}

unsafe extern "C" fn get_setting(
    id: keyferry_plugin_call,
    key: *const c_char,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "get_setting")?;
        // SAFETY: the header requires that strings end in NUL.
        let key = unsafe { foreign_memory::read_text(key, MAX_NAME_BYTES) }
            .map_err(bad_argument("get_setting", "key"))?;
        let plugin = call.plugin;
        let mut settings = plugin.settings.iter().enumerate();
        let Some((position, declared)) = settings.find(|(_, declared)| declared.key == key) else {
            return Err(SlotError::Fault(format!(
                "it called `get_setting` for `{key}`, which its entry does not declare"
            )));
        };
        let value = call
            .run_on_waiting_thread(move |context| context.setting(&declared.full_key))
            .ok_or(SlotError::Cancelled)??;
        let value = value
            .or_else(|| declared.fallback.as_deref().map(Secret::from))
            .ok_or_else(|| not_set(declared))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the plugin asked for a setting that it declares"
        )]
        let buffer = copy_to_buffer(call, "get_setting", value.expose().as_bytes())?;
        if declared.kind == DeclaredKind::Secret {
            call.state.lock().add_secret(position, value);
        }
        // SAFETY: `out` is aligned and not NULL. The header requires that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

unsafe extern "C" fn exchange_slot(
    id: keyferry_plugin_call,
    request: *const abi::keyferry_plugin_request,
    response: *mut abi::keyferry_plugin_response,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(response, "exchange")?;
        // SAFETY: the header requires that `request` points to a request that states its size.
        let request = unsafe { http_request::read_request(request) }?;
        let received = http_request::send(call, request)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the plugin reads the response to its request"
        )]
        let body = copy_to_buffer(call, "exchange", received.body.expose().as_bytes())?;
        // SAFETY: the header requires that `response` points to a response that states its size.
        unsafe { http_request::write_response(response, u32::from(received.status), body) }
            .map_err(bad_argument("exchange", "response"))
    })
}

unsafe extern "C" fn new_buffer(
    id: keyferry_plugin_call,
    size: usize,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "new_buffer")?;
        let buffer = call.state.lock().buffers.zeroed(size);
        let buffer = buffer.ok_or_else(|| too_much_memory("new_buffer"))?;
        // SAFETY: `out` is aligned and not NULL. The header requires that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the plugin reads a field of a document"
)]
unsafe extern "C" fn json_get_text(
    id: keyferry_plugin_call,
    document: *const c_char,
    document_size: usize,
    pointer: *const c_char,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "json_get_text")?;
        // SAFETY: the header requires that `document` points to `document_size` bytes.
        let text = unsafe {
            foreign_memory::read_bytes(document, document_size, crate::ports::http::MAX_BODY_BYTES)
        }
        .map_err(bad_argument("json_get_text", "document"))?;
        // SAFETY: the header requires that strings end in NUL.
        let pointer = unsafe { foreign_memory::read_text(pointer, MAX_MESSAGE_BYTES) }
            .map_err(bad_argument("json_get_text", "JSON pointer"))?;
        let text = Secret::new(text);
        let document = json::parse(text.expose()).map_err(|_| {
            Error::new(
                ErrorKind::BadResponse,
                format!(
                    "the plugin {}: the service's response is not JSON; check the service's URL",
                    call.plugin.name
                ),
            )
        })?;
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "the plugin {}: the service's response has no `{pointer}`; check the service's URL",
                    call.plugin.name
                ),
            )
        };
        let value = match document.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => other.to_string(),
            _ => return Err(missing().into()),
        };
        let value = Secret::new(value);
        if has_control(value.expose()) {
            // A NUL would end the string early for the plugin.
            let what = format!(
                "the plugin {}: the service's response has a control character in `{pointer}`; check the service's URL",
                call.plugin.name
            );
            return Err(Error::new(ErrorKind::BadResponse, what).into());
        }
        let buffer = copy_to_buffer(call, "json_get_text", value.expose().as_bytes())?;
        // SAFETY: `out` is aligned and not NULL. The header requires that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the plugin gets its string back, quoted"
)]
unsafe extern "C" fn json_quote(
    id: keyferry_plugin_call,
    text: *const c_char,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "json_quote")?;
        // SAFETY: the header requires that strings end in NUL.
        let text = unsafe { foreign_memory::read_text(text, MAX_TEXT_BYTES) }
            .map(Secret::new)
            .map_err(bad_argument("json_quote", "string"))?;
        let quoted = Secret::new(Value::from(text.expose()).to_string());
        let buffer = copy_to_buffer(call, "json_quote", quoted.expose().as_bytes())?;
        // SAFETY: `out` is aligned and not NULL. The header requires that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

unsafe extern "C" fn add_header(
    id: keyferry_plugin_call,
    name: *const c_char,
    value: *const c_char,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        // SAFETY: the header requires that strings end in NUL.
        let name = unsafe { foreign_memory::read_text(name, MAX_NAME_BYTES) }
            .map_err(bad_argument("add_header", "name"))?;
        // SAFETY: as above.
        let value = unsafe { foreign_memory::read_text(value, MAX_TEXT_BYTES) }
            .map(Secret::new)
            .map_err(bad_argument("add_header", "value"))?;
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name {
            return Err(SlotError::Fault(
                "it called `add_header` with a name that is empty, or that contains characters other than letters, digits, `-` and `_`"
                    .into(),
            ));
        }
        if value.is_empty() {
            return Err(SlotError::Fault(
                "it called `add_header` with a value that is empty".into(),
            ));
        }
        let mut state = call.state.lock();
        if state.headers.len() >= MAX_HEADERS {
            return Err(SlotError::Fault(format!(
                "it called `add_header` more than {MAX_HEADERS} times"
            )));
        }
        state.headers.push((name, value));
        Ok(())
    })
}

unsafe extern "C" fn set_expiry(id: keyferry_plugin_call, unix_s: i64) -> keyferry_plugin_status {
    run_slot(id, |call| {
        if !(1..=LATEST_UNIX_S).contains(&unix_s) {
            return Err(SlotError::Fault(format!(
                "it called `set_expiry` with {unix_s}, which is not a time in seconds since 1970"
            )));
        }
        call.state.lock().expires_unix_s = Some(unix_s);
        Ok(())
    })
}

/// Copies a secret that the plugin passes to `slot`.
///
/// # Safety
/// `text` is NULL, or points to a string that ends in NUL.
unsafe fn read_secret(slot: &str, text: *const c_char) -> Result<Secret, SlotError> {
    // SAFETY: by this function's contract.
    let secret = unsafe { foreign_memory::read_text(text, MAX_TEXT_BYTES) }
        .map(Secret::new)
        .map_err(bad_argument(slot, "string"))?;
    if secret.is_empty() {
        Err(SlotError::Fault(format!(
            "it called `{slot}` with a string that is empty"
        )))
    } else {
        Ok(secret)
    }
}

unsafe extern "C" fn set_renewal_secret(
    id: keyferry_plugin_call,
    renewal_secret: *const c_char,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        // SAFETY: the header requires that strings end in NUL.
        let renewal_secret = unsafe { read_secret("set_renewal_secret", renewal_secret) }?;
        call.state.lock().renewal = Some(renewal_secret);
        Ok(())
    })
}

unsafe extern "C" fn set_secret(
    id: keyferry_plugin_call,
    secret: *const c_char,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        // SAFETY: the header requires that strings end in NUL.
        let secret = unsafe { read_secret("set_secret", secret) }?;
        call.state.lock().secret = Some(secret);
        Ok(())
    })
}

/// Copies a message for users. Returns `None` if the message is empty or contains a secret of the
/// call.
///
/// # Safety
/// `text` is NULL, or points to a string that ends in NUL.
#[expect(
    clippy::disallowed_methods,
    reason = "a message of the plugin that contains a secret is dropped"
)]
unsafe fn read_message(
    call: &PluginCall,
    slot: &str,
    text: *const c_char,
) -> Result<Option<String>, SlotError> {
    // SAFETY: by this function's contract.
    let text = unsafe { foreign_memory::read_text(text, MAX_MESSAGE_BYTES) }
        .map_err(bad_argument(slot, "message"))?;
    let state = call.state.lock();
    let headers = state.headers.iter().map(|(_, value)| value);
    let mut secrets = state
        .secrets
        .iter()
        .map(|(_, secret)| secret)
        .chain(headers)
        .chain(&state.renewal)
        .chain(&state.secret);
    let has_secret = secrets.any(|secret| secret.len() >= 4 && text.contains(secret.expose()));
    Ok((!has_secret && !text.is_empty()).then_some(text))
}

unsafe extern "C" fn set_error_message(
    id: keyferry_plugin_call,
    message: *const c_char,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        // SAFETY: the header requires that strings end in NUL.
        let message = unsafe { read_message(call, "set_error_message", message) }?;
        call.state.lock().error_message = message;
        Ok(())
    })
}

unsafe extern "C" fn log_slot(
    id: keyferry_plugin_call,
    level: u32,
    message: *const c_char,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        let (level, separator) = match level {
            abi::KEYFERRY_PLUGIN_LOG_ERROR => (Level::Error, ": "),
            abi::KEYFERRY_PLUGIN_LOG_WARN => (Level::Warn, ": "),
            abi::KEYFERRY_PLUGIN_LOG_INFO => (Level::Info, ": "),
            abi::KEYFERRY_PLUGIN_LOG_DEBUG => (Level::Debug, ": "),
            abi::KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES => {
                (Level::Warn, " reports a fault of keyferry: ")
            }
            other => {
                return Err(SlotError::Fault(format!(
                    "it called `log` with the level {other}, which does not exist"
                )));
            }
        };
        // SAFETY: the header requires that strings end in NUL.
        if let Some(message) = unsafe { read_message(call, "log", message) }? {
            log::write(
                level,
                format_args!("the plugin {}{separator}{message}", call.plugin.name),
            );
        }
        Ok(())
    })
}

unsafe extern "C" fn now_unix_s(id: keyferry_plugin_call) -> i64 {
    let now = || call::find(id)?.run_on_waiting_thread(|context| context.now_unix_s());
    catch_unwind(now).ok().flatten().unwrap_or(0)
}

unsafe extern "C" fn time_left_ms(id: keyferry_plugin_call) -> u64 {
    let time_left = || Some(call::find(id)?.time_left().as_millis());
    catch_unwind(time_left)
        .ok()
        .flatten()
        .and_then(|ms| u64::try_from(ms).ok())
        .unwrap_or(0)
}

unsafe extern "C" fn is_cancelled(id: keyferry_plugin_call) -> i32 {
    let is_cancelled = || call::find(id).is_none_or(|call| call.time_left().is_zero());
    i32::from(catch_unwind(is_cancelled).unwrap_or(true))
}
