//! The host's table: the functions that plugins call, each with the id of its call.
//!
//! No panic crosses the boundary, a wrong argument is recorded as a fault of the plugin, and
//! nothing is written to a plugin's memory before the pointer is checked.

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use super::abi::{
    self, keyferry_plugin_buffer, keyferry_plugin_call, keyferry_plugin_host,
    keyferry_plugin_status,
};
use super::call::{self, PluginCall};
use super::foreign_memory;
use super::http_request;
use super::slot::{MAX_NAME_BYTES, MAX_TEXT_BYTES, SlotError, bad_argument};
use super::status;
use crate::clock::LATEST_UNIX_S;
use crate::config::DeclaredKind;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};
use crate::secret::Secret;

/// The table that `init` gets.
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

/// The longest sentence: of an error, of the log, and the longest JSON pointer.
const MAX_SENTENCE_BYTES: usize = 500;
const MAX_HEADERS: usize = 8;

/// Runs the body of a slot for the call with an id.
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

/// Copies bytes into a buffer of the call.
fn copy_to_buffer(
    call: &PluginCall,
    slot: &str,
    bytes: &[u8],
) -> Result<keyferry_plugin_buffer, SlotError> {
    call.state.lock().buffers.copy_of(bytes).ok_or_else(|| {
        SlotError::Fault(format!(
            "it wants more memory of `{slot}` than a call may have"
        ))
    })
}

/// Checks an out-pointer, before anything else happens.
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
        // SAFETY: the header asks plugins for texts that end in NUL.
        let key = unsafe { foreign_memory::read_text(key, MAX_NAME_BYTES) }
            .map_err(bad_argument("get_setting", "key"))?;
        let plugin = call.plugin;
        let Some(declared) = plugin.settings.iter().find(|declared| declared.key == key) else {
            return Err(SlotError::Fault(format!(
                "it asked for the setting `{key}`, which its descriptor does not name"
            )));
        };
        let value = call
            .run_on_waiting_thread(move |context| context.setting(&declared.full_key))
            .ok_or(SlotError::Cancelled)??;
        let value = value
            .or_else(|| declared.fallback.as_deref().map(Secret::from))
            .ok_or_else(|| {
                let what = format!(
                    "`{}` is not set: {}",
                    declared.full_key,
                    declared.about.trim_end_matches('.')
                );
                Error::new(ErrorKind::NotConfigured, what)
            })?;
        let buffer = copy_to_buffer(call, "get_setting", value.expose().as_bytes())?;
        if declared.kind == DeclaredKind::Secret {
            call.state.lock().secrets.push(value);
        }
        // SAFETY: checked above; the header asks plugins that it points to a buffer.
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
        // SAFETY: the header asks plugins for a request with its size.
        let request = unsafe { http_request::read_request(request) }?;
        let received = http_request::send(call, request)?;
        let body = copy_to_buffer(call, "exchange", received.body.expose().as_bytes())?;
        // SAFETY: the header asks plugins for a response with its size.
        unsafe { http_request::write_response(response, u32::from(received.status), body) }
            .map_err(bad_argument("exchange", "answer"))
    })
}

unsafe extern "C" fn new_buffer(
    id: keyferry_plugin_call,
    size: usize,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "new_buffer")?;
        let too_much =
            || SlotError::Fault("it wants more memory of `new_buffer` than a call may have".into());
        let buffer = call
            .state
            .lock()
            .buffers
            .zeroed(size)
            .ok_or_else(too_much)?;
        // SAFETY: checked above; the header asks plugins that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

unsafe extern "C" fn json_get_text(
    id: keyferry_plugin_call,
    document: *const c_char,
    document_size: usize,
    pointer: *const c_char,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "json_get_text")?;
        // SAFETY: the header asks plugins for as many bytes as they say.
        let text = unsafe {
            foreign_memory::read_bytes(document, document_size, crate::ports::http::MAX_BODY_BYTES)
        }
        .map_err(bad_argument("json_get_text", "document"))?;
        // SAFETY: the header asks plugins for texts that end in NUL.
        let pointer = unsafe { foreign_memory::read_text(pointer, MAX_SENTENCE_BYTES) }
            .map_err(bad_argument("json_get_text", "pointer"))?;
        let text = Secret::new(text);
        // The message of the parser quotes the document.
        let document: Value = serde_json::from_str(text.expose()).map_err(|_| {
            Error::new(
                ErrorKind::BadResponse,
                format!(
                    "the plugin {}: the service's answer is no JSON: check its URL",
                    call.plugin.name
                ),
            )
        })?;
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "the plugin {}: the service's answer has no {pointer}",
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
        if value.expose().chars().any(char::is_control) {
            // A NUL would end the text for the plugin.
            let what = format!(
                "the plugin {}: the service's answer has a control character in {pointer}",
                call.plugin.name
            );
            return Err(Error::new(ErrorKind::BadResponse, what).into());
        }
        let buffer = copy_to_buffer(call, "json_get_text", value.expose().as_bytes())?;
        // SAFETY: checked above; the header asks plugins that it points to a buffer.
        unsafe { out.write(buffer) };
        Ok(())
    })
}

unsafe extern "C" fn json_quote(
    id: keyferry_plugin_call,
    text: *const c_char,
    out: *mut keyferry_plugin_buffer,
) -> keyferry_plugin_status {
    run_slot(id, |call| {
        check_out_pointer(out, "json_quote")?;
        // SAFETY: the header asks plugins for texts that end in NUL.
        let text = unsafe { foreign_memory::read_text(text, MAX_TEXT_BYTES) }
            .map(Secret::new)
            .map_err(bad_argument("json_quote", "text"))?;
        let quoted = Secret::new(Value::from(text.expose()).to_string());
        let buffer = copy_to_buffer(call, "json_quote", quoted.expose().as_bytes())?;
        // SAFETY: checked above; the header asks plugins that it points to a buffer.
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
        // SAFETY: the header asks plugins for texts that end in NUL.
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
        if !is_name || value.is_empty() {
            return Err(SlotError::Fault(
                "it gave a header whose name can't be sent, or whose value is empty".into(),
            ));
        }
        let mut state = call.state.lock();
        if state.headers.len() >= MAX_HEADERS {
            return Err(SlotError::Fault(format!(
                "it gave more than {MAX_HEADERS} headers"
            )));
        }
        state.headers.push((name, value));
        Ok(())
    })
}

unsafe extern "C" fn set_expiry(id: keyferry_plugin_call, unix_s: i64) -> keyferry_plugin_status {
    run_slot(id, |call| {
        if !(1..=LATEST_UNIX_S).contains(&unix_s) {
            return Err(SlotError::Fault(
                "it gave an expiry that is no time in seconds since 1970".into(),
            ));
        }
        call.state.lock().expires_unix_s = Some(unix_s);
        Ok(())
    })
}

/// Copies a secret that a plugin passes.
///
/// # Safety
/// `text` is NULL, or ends in NUL.
unsafe fn read_secret(slot: &str, text: *const c_char) -> Result<Secret, SlotError> {
    // SAFETY: by this function's contract.
    let secret = unsafe { foreign_memory::read_text(text, MAX_TEXT_BYTES) }
        .map(Secret::new)
        .map_err(bad_argument(slot, "text"))?;
    if secret.is_empty() {
        Err(SlotError::Fault(format!(
            "it called `{slot}` with a text that is empty"
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
        // SAFETY: the header asks plugins for texts that end in NUL.
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
        // SAFETY: the header asks plugins for texts that end in NUL.
        let secret = unsafe { read_secret("set_secret", secret) }?;
        call.state.lock().secret = Some(secret);
        Ok(())
    })
}

/// Copies a sentence for users. None if it is empty or contains a secret of the call.
///
/// # Safety
/// `text` is NULL, or ends in NUL.
unsafe fn read_sentence(
    call: &PluginCall,
    slot: &str,
    text: *const c_char,
) -> Result<Option<String>, SlotError> {
    // SAFETY: the header asks plugins for texts that end in NUL.
    let text = unsafe { foreign_memory::read_text(text, MAX_SENTENCE_BYTES) }
        .map_err(bad_argument(slot, "sentence"))?;
    let state = call.state.lock();
    let headers = state.headers.iter().map(|(_, value)| value);
    let mut secrets = state
        .secrets
        .iter()
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
        // SAFETY: the header asks plugins for texts that end in NUL.
        let message = unsafe { read_sentence(call, "set_error_message", message) }?;
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
        let (level, word) = match level {
            abi::KEYFERRY_PLUGIN_LOG_ERROR => (Level::Error, ""),
            abi::KEYFERRY_PLUGIN_LOG_WARN => (Level::Warn, ""),
            abi::KEYFERRY_PLUGIN_LOG_INFO => (Level::Info, ""),
            abi::KEYFERRY_PLUGIN_LOG_DEBUG => (Level::Debug, ""),
            abi::KEYFERRY_PLUGIN_LOG_HOST_MISBEHAVES => {
                (Level::Warn, "says that keyferry misbehaves: ")
            }
            other => {
                return Err(SlotError::Fault(format!(
                    "it logged at the level {other}, which does not exist"
                )));
            }
        };
        // SAFETY: the header asks plugins for texts that end in NUL.
        if let Some(message) = unsafe { read_sentence(call, "log", message) }? {
            log::write(
                level,
                format_args!("the plugin {}: {word}{message}", call.plugin.name),
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
