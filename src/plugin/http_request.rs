//! The slot `exchange`: sends an HTTP request for a plugin.
//!
//! The request can only go to a URL below one of the plugin's URL settings. The engine sends it. If
//! the call has read a secret, the engine treats the request as a login.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use super::abi::{self, keyferry_plugin_buffer, keyferry_plugin_request, keyferry_plugin_response};
use super::call::PluginCall;
use super::foreign_memory::{self, Fault, check_struct_size};
use super::slot::{MAX_NAME_BYTES, MAX_TEXT_BYTES, SlotError, bad_argument, not_set};
use crate::config::{DeclaredKind, DeclaredSetting};
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::ports::http::{MAX_BODY_BYTES, Method, Request, Response};
use crate::ports::service::Context;
use crate::secret::Secret;

const MAX_PATH_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 16;
const MAX_EXCHANGES: u32 = 16;

/// A copy of a plugin's request.
pub(super) struct PluginRequest {
    method: Method,
    base: String,
    path: String,
    headers: Vec<(String, Secret)>,
    body: Option<Secret>,
    bad_credentials_status: u16,
}

/// Copies and checks a plugin's request.
///
/// # Safety
/// `request` is NULL, or points to a request that meets the requirements of the header.
pub(super) unsafe fn read_request(
    request: *const keyferry_plugin_request,
) -> Result<PluginRequest, SlotError> {
    let fault = |what: &'static str| bad_argument("exchange", what);
    // SAFETY: by this function's contract.
    let request = unsafe { foreign_memory::read_table(request, 0) }.map_err(fault("request"))?;
    let method = match request.method {
        abi::KEYFERRY_PLUGIN_METHOD_GET => Method::Get,
        abi::KEYFERRY_PLUGIN_METHOD_POST => Method::Post,
        abi::KEYFERRY_PLUGIN_METHOD_PUT => Method::Put,
        abi::KEYFERRY_PLUGIN_METHOD_DELETE => Method::Delete,
        other => {
            return Err(SlotError::Fault(format!(
                "it called `exchange` with the method {other}, which does not exist"
            )));
        }
    };
    let base = match request.base_url_setting.is_null() {
        true => "url".to_owned(),
        // SAFETY: by this function's contract.
        false => unsafe { foreign_memory::read_text(request.base_url_setting, MAX_NAME_BYTES) }
            .map_err(fault("base_url_setting"))?,
    };
    // SAFETY: by this function's contract.
    let path = unsafe { foreign_memory::read_text(request.path, MAX_PATH_BYTES) }
        .map_err(fault("path"))?;
    if !path.starts_with('/') {
        return Err(SlotError::Fault(
            "it called `exchange` with a path that does not begin with `/`".into(),
        ));
    }
    // SAFETY: by this function's contract.
    let rows =
        unsafe { foreign_memory::read_array(request.headers, request.header_count, MAX_HEADERS) }
            .map_err(fault("list of headers"))?;
    let mut headers = Vec::new();
    for row in rows {
        // SAFETY: by this function's contract.
        let name = unsafe { foreign_memory::read_text(row.name, MAX_NAME_BYTES) }
            .map_err(fault("header name"))?;
        // SAFETY: by this function's contract.
        let value = unsafe { foreign_memory::read_text(row.value, MAX_TEXT_BYTES) }
            .map(Secret::new)
            .map_err(fault("header value"))?;
        headers.push((name, value));
    }
    let body = match request.body.is_null() {
        true => None,
        // SAFETY: by this function's contract.
        false => Some(
            unsafe { foreign_memory::read_bytes(request.body, request.body_size, MAX_BODY_BYTES) }
                .map(Secret::new)
                .map_err(fault("body"))?,
        ),
    };
    let bad_credentials_status = u16::try_from(request.bad_credentials_status)
        .ok()
        .filter(|status| *status < 600);
    let bad_credentials_status = bad_credentials_status.ok_or_else(|| {
        SlotError::Fault(format!(
            "it called `exchange` with the bad_credentials_status {}, which is not an HTTP status",
            request.bad_credentials_status
        ))
    })?;
    Ok(PluginRequest {
        method,
        base,
        path,
        headers,
        body,
        bad_credentials_status,
    })
}

/// Sends a plugin's request. If the call has read secrets, sends it as a login with those secrets.
pub(super) fn send(
    call: &PluginCall,
    plugin_request: PluginRequest,
) -> Result<Response, SlotError> {
    let plugin = call.plugin;
    let is_base = |declared: &&DeclaredSetting| {
        declared.key == plugin_request.base && declared.kind == DeclaredKind::Url
    };
    let Some(declared) = plugin.settings.iter().find(is_base) else {
        return Err(SlotError::Fault(format!(
            "it called `exchange` with the base_url_setting `{}`, which its entry does not declare as a URL",
            plugin_request.base
        )));
    };
    let secrets = {
        let mut state = call.state.lock();
        state.exchange_count += 1;
        if state.exchange_count > MAX_EXCHANGES {
            return Err(SlotError::Fault(format!(
                "it called `exchange` more than {MAX_EXCHANGES} times in one call"
            )));
        }
        state.secrets.clone()
    };
    let work = move |context: &dyn Context| -> Result<Response, SlotError> {
        let url = context
            .setting(&declared.full_key)?
            .or_else(|| declared.fallback.as_deref().map(Secret::from))
            .ok_or_else(|| not_set(declared))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the URL of the service is no secret"
        )]
        let base = BaseUrl::parse(&format!("`{}`", declared.full_key), url.expose(), &[])?;
        let PluginRequest {
            method,
            base: _,
            path,
            headers,
            body,
            bad_credentials_status,
        } = plugin_request;
        let url = base.join(&path).map_err(|_| {
            SlotError::Fault(
                "it called `exchange` with a path that leads outside its base URL".into(),
            )
        })?;
        let request = Request {
            method,
            url,
            headers,
            body,
        };
        if !secrets.is_empty() {
            let secrets: Vec<&Secret> = secrets.iter().map(|(_, secret)| secret).collect();
            let refused = |response: &Response| {
                (response.status == 401 || response.status == bad_credentials_status)
                    .then(|| bad_credentials(&plugin.name, response))
            };
            return Ok(context.login(&secrets, &request, &refused)?);
        }
        let response = if method == Method::Get {
            context.send(&request)?
        } else {
            context.send_no_retry(&request)?
        };
        if response.status == 401 {
            Err(bad_credentials(&plugin.name, &response).into())
        } else {
            Ok(response)
        }
    };
    match call.run_on_waiting_thread(work) {
        None => Err(SlotError::Cancelled),
        Some(Err(SlotError::Error(error))) if error.kind == ErrorKind::InvalidValue => {
            Err(SlotError::Fault(format!(
                "it called `exchange` with a header that cannot be sent ({})",
                error.message()
            )))
        }
        Some(outcome) => outcome,
    }
}

fn bad_credentials(name: &str, response: &Response) -> Error {
    let what = format!(
        "the plugin {name}: the service rejected the configured secrets (status {}); check them",
        response.status
    );
    Error::new(ErrorKind::BadCredentials, what).with_http_status(response.status)
}

/// Writes a response into the plugin's memory. Writes no byte after the size that the plugin's
/// `struct_size` states.
///
/// # Safety
/// `response` is aligned, and points to at least 4 bytes and to as many bytes as its `struct_size`
/// states.
pub(super) unsafe fn write_response(
    response: *mut keyferry_plugin_response,
    status: u32,
    body: keyferry_plugin_buffer,
) -> Result<(), Fault> {
    // SAFETY: by this function's contract.
    let size = unsafe { response.cast::<u32>().read() };
    check_struct_size::<keyferry_plugin_response>(size as usize, 0)?;
    let full = keyferry_plugin_response {
        struct_size: size,
        status,
        body,
    };
    // SAFETY: both have at least this many bytes, and `full` is a local value, so they don't
    // overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(
            (&raw const full).cast::<u8>(),
            response.cast::<u8>(),
            (size as usize).min(size_of_val(&full)),
        );
    }
    Ok(())
}
