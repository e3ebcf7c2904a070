//! Rust wrappers around the C ABI, for tests that use the library only through its C functions.
//!
//! Each wrapper calls the exported function with out-pointers, as a C program does. It also checks
//! what the header promises for every call: outputs are NULL unless the call succeeds, and the
//! error object has the status that the function returned.

#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;

use keyferry::ffi::agent::{masv_agent_session, masv_agent_sign_in, masv_agent_sign_up};
use keyferry::ffi::config::{
    keyferry_config, keyferry_config_free, keyferry_config_new, keyferry_config_set,
};
use keyferry::ffi::diagnostics;
use keyferry::ffi::error;
use keyferry::ffi::fileverbs::{fileverbs_bearer, fileverbs_secret_key};
use keyferry::ffi::masv::{masv_login, masv_token_for};
use keyferry::ffi::request;
use keyferry::ffi::session;
use keyferry::ffi::text::keyferry_text_free;
use keyferry::ffi::token;

/// The details of a failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub status: i32,
    pub message: String,
    pub http_status: i32,
    pub service_code: i64,
    pub retry_after_ms: u64,
}

pub type Result<T> = std::result::Result<T, Error>;

type Out<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;

/// Reads a string of the library. The caller names the lifetime: that of the object which owns the
/// string.
fn text_at<'a>(at: *const c_char) -> &'a str {
    assert!(!at.is_null());
    // SAFETY: `at` is not NULL, and all strings of the library end in NUL.
    unsafe { CStr::from_ptr(at) }.to_str().unwrap()
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn pointer_or_null(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}

/// Makes a call that returns only a status.
fn call_status(call: impl FnOnce(Out<'_, error::keyferry_error>) -> i32) -> Result<()> {
    let mut error = MaybeUninit::new(ptr::dangling_mut());
    let status = call(Some(&mut error));
    // SAFETY: `MaybeUninit::new` initialised it.
    let error: *mut error::keyferry_error = unsafe { error.assume_init() };
    if status == 0 {
        assert!(error.is_null(), "an error object with success");
        return Ok(());
    }
    assert!(!error.is_null(), "status {status} without an error object");
    // SAFETY: the library created it with a `Box` and passed ownership to the caller.
    let error = unsafe { Box::from_raw(error) };
    let details = Error {
        status,
        message: text_at(error::keyferry_error_message(Some(&error))).to_owned(),
        http_status: error::keyferry_error_http_status(Some(&error)),
        service_code: error::keyferry_error_service_code(Some(&error)),
        retry_after_ms: error::keyferry_error_retry_after_ms(Some(&error)),
    };
    assert_eq!(error::keyferry_error_status(Some(&error)), status);
    error::keyferry_error_free(Some(error));
    Err(details)
}

/// Makes a call that writes a pointer.
fn call_ptr<T>(
    call: impl FnOnce(Out<'_, T>, Out<'_, error::keyferry_error>) -> i32,
) -> Result<*mut T> {
    let mut out = MaybeUninit::new(ptr::dangling_mut());
    let outcome = call_status(|error| call(Some(&mut out), error));
    // SAFETY: `MaybeUninit::new` initialised it.
    let out = unsafe { out.assume_init() };
    assert_eq!(
        out.is_null(),
        outcome.is_err(),
        "an output without success, or success without an output"
    );
    outcome.map(|()| out)
}

/// Makes a call that creates an object.
fn call_boxed<T>(
    call: impl FnOnce(Out<'_, T>, Out<'_, error::keyferry_error>) -> i32,
) -> Result<Option<Box<T>>> {
    // SAFETY: the library created it with a `Box` and passed ownership to the caller.
    call_ptr(call).map(|object_ptr| Some(unsafe { Box::from_raw(object_ptr) }))
}

/// Makes a call that creates a string.
fn call_text(
    call: impl FnOnce(Out<'_, c_char>, Out<'_, error::keyferry_error>) -> i32,
) -> Result<String> {
    let object_ptr = call_ptr(call)?;
    let copy = text_at(object_ptr).to_owned();
    // SAFETY: the library created it as a string for the caller to free, and it isn't used again.
    unsafe { keyferry_text_free(object_ptr) };
    Ok(copy)
}

/// `keyferry_config`.
pub struct Config(Option<Box<keyferry_config>>);

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    pub fn new() -> Self {
        Self(call_boxed(|out, error| keyferry_config_new(out, error)).unwrap())
    }

    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.try_set(key, value).unwrap();
        self
    }

    pub fn set_all<'a>(self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        settings
            .into_iter()
            .fold(self, |config, (key, value)| config.set(key, value))
    }

    pub fn try_set(&mut self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (c_string(key), c_string(value));
        // SAFETY: both strings end in NUL.
        call_status(|error| unsafe {
            keyferry_config_set(self.0.as_deref_mut(), key.as_ptr(), value.as_ptr(), error)
        })
    }

    pub fn open(&self) -> Session {
        Session(
            call_boxed(|out, error| session::keyferry_session_open(self.0.as_deref(), out, error))
                .unwrap(),
        )
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        keyferry_config_free(self.0.take());
    }
}

/// `keyferry_token`.
pub struct Token(Option<Box<token::keyferry_token>>);

impl Token {
    fn get(&self) -> Option<&token::keyferry_token> {
        self.0.as_deref()
    }

    /// Returns the name and the value of the token's only header.
    pub fn header(&self) -> (&str, &str) {
        assert_eq!(token::keyferry_token_header_count(self.get()), 1);
        (
            text_at(token::keyferry_token_header_name(self.get(), 0)),
            text_at(token::keyferry_token_header_value(self.get(), 0)),
        )
    }

    pub fn value(&self) -> &str {
        text_at(token::keyferry_token_value(self.get()))
    }

    pub fn kind(&self) -> i32 {
        token::keyferry_token_kind(self.get())
    }

    pub fn access(&self) -> i32 {
        token::keyferry_token_access(self.get())
    }

    pub fn expires_unix_s(&self) -> i64 {
        token::keyferry_token_expires_unix_s(self.get())
    }

    pub fn generation(&self) -> u64 {
        token::keyferry_token_generation(self.get())
    }

    pub fn details(&self) -> serde_json::Value {
        serde_json::from_str(text_at(token::keyferry_token_details_json(self.get()))).unwrap()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        token::keyferry_token_free(self.0.take());
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(kind {}, access {})", self.kind(), self.access())
    }
}

/// `keyferry_request`.
pub struct Request(Option<Box<request::keyferry_request>>);

impl Request {
    pub fn new(resource: &str) -> Self {
        Self::read(resource).unwrap()
    }

    pub fn read(resource: &str) -> Result<Self> {
        let resource = c_string(resource);
        // SAFETY: the string ends in NUL.
        call_boxed(|out, error| unsafe {
            request::keyferry_request_new(resource.as_ptr(), out, error)
        })
        .map(Self)
    }

    pub fn timeout_ms(mut self, ms: u32) -> Self {
        call_status(|error| {
            request::keyferry_request_set_timeout_ms(self.0.as_deref_mut(), ms, error)
        })
        .unwrap();
        self
    }

    pub fn access(mut self, access: i32) -> Self {
        call_status(|error| {
            request::keyferry_request_set_access(self.0.as_deref_mut(), access, error)
        })
        .unwrap();
        self
    }

    pub fn account(mut self, account: &str) -> Self {
        let account = c_string(account);
        // SAFETY: the string ends in NUL.
        call_status(|error| unsafe {
            request::keyferry_request_set_account(self.0.as_deref_mut(), account.as_ptr(), error)
        })
        .unwrap();
        self
    }

    pub fn link_password(mut self, password: &str) -> Self {
        let password = c_string(password);
        // SAFETY: the string ends in NUL.
        call_status(|error| unsafe {
            request::keyferry_request_set_link_password(
                self.0.as_deref_mut(),
                password.as_ptr(),
                error,
            )
        })
        .unwrap();
        self
    }

    pub fn cancel(&self) {
        request::keyferry_request_cancel(self.0.as_deref());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        request::keyferry_request_free(self.0.take());
    }
}

/// `keyferry_session`.
pub struct Session(Option<Box<session::keyferry_session>>);

impl Session {
    fn get(&self) -> Option<&session::keyferry_session> {
        self.0.as_deref()
    }

    /// `masv_token_for`.
    pub fn token(&self, resource: &str) -> Result<Token> {
        let resource = c_string(resource);
        // SAFETY: the string ends in NUL.
        call_boxed(|out, error| unsafe {
            masv_token_for(self.get(), resource.as_ptr(), out, error)
        })
        .map(Token)
    }

    pub fn token_for(&self, request: &Request) -> Result<Token> {
        call_boxed(|out, error| {
            session::keyferry_session_token_for(self.get(), request.0.as_deref(), out, error)
        })
        .map(Token)
    }

    pub fn cached(&self, request: &Request) -> Result<Token> {
        call_boxed(|out, error| {
            session::keyferry_session_cached(self.get(), request.0.as_deref(), out, error)
        })
        .map(Token)
    }

    /// `keyferry_session_peek`: returns the header line, or the status.
    pub fn peek(&self, resource: &str) -> std::result::Result<String, i32> {
        match self.peek_into(resource, 17_000) {
            (0, _, line) => Ok(line),
            (status, _, _) => Err(status),
        }
    }

    /// `keyferry_session_peek` with a buffer of this size: returns the status, the length, and the
    /// text in the buffer. The length is `usize::MAX` if the function did not write it.
    pub fn peek_into(&self, resource: &str, capacity: usize) -> (i32, usize, String) {
        let (resource, mut buffer) = (c_string(resource), vec![0_u8; capacity]);
        let mut length = MaybeUninit::new(usize::MAX);
        let at = match capacity {
            0 => ptr::null_mut(),
            _ => buffer.as_mut_ptr().cast(),
        };
        // SAFETY: the string ends in NUL, and the buffer has `capacity` bytes.
        let status = unsafe {
            session::keyferry_session_peek(
                self.get(),
                resource.as_ptr(),
                at,
                capacity,
                Some(&mut length),
            )
        };
        let text = buffer.into_iter().take_while(|byte| *byte != 0).collect();
        // SAFETY: `MaybeUninit::new` initialised it.
        let length = unsafe { length.assume_init() };
        (status, length, String::from_utf8(text).unwrap())
    }

    pub fn login(&self, email: Option<&str>, password: Option<&str>) -> Result<Token> {
        let (email, password) = (email.map(c_string), password.map(c_string));
        let (email, password) = (
            pointer_or_null(email.as_ref()),
            pointer_or_null(password.as_ref()),
        );
        // SAFETY: both are NULL or strings that end in NUL.
        call_boxed(|out, error| unsafe { masv_login(self.get(), email, password, out, error) })
            .map(Token)
    }

    pub fn bearer(&self) -> Result<Token> {
        call_boxed(|out, error| fileverbs_bearer(self.get(), out, error)).map(Token)
    }

    pub fn secret_key(&self) -> Result<Token> {
        call_boxed(|out, error| fileverbs_secret_key(self.get(), out, error)).map(Token)
    }

    pub fn agent(&self) -> Result<String> {
        call_text(|out, error| masv_agent_session(self.get(), out, error))
    }

    pub fn agent_sign_in(&self, email: Option<&str>, password: Option<&str>) -> Result<String> {
        let (email, password) = (email.map(c_string), password.map(c_string));
        let (email, password) = (
            pointer_or_null(email.as_ref()),
            pointer_or_null(password.as_ref()),
        );
        // SAFETY: both are NULL or strings that end in NUL.
        call_text(|out, error| unsafe {
            masv_agent_sign_in(self.get(), email, password, out, error)
        })
    }

    pub fn agent_sign_up(&self, email: &str, password: &str, name: &str) -> Result<String> {
        let (email, password, name) = (c_string(email), c_string(password), c_string(name));
        // SAFETY: all strings end in NUL.
        call_text(|out, error| unsafe {
            masv_agent_sign_up(
                self.get(),
                email.as_ptr(),
                password.as_ptr(),
                name.as_ptr(),
                out,
                error,
            )
        })
    }

    pub fn reject(&self, token: &Token) -> Result<()> {
        call_status(|error| session::keyferry_session_reject(self.get(), token.get(), error))
    }

    pub fn reject_value(&self, resource: &str, value: &str) -> Result<()> {
        let (resource, value) = (c_string(resource), c_string(value));
        // SAFETY: both strings end in NUL.
        call_status(|error| unsafe {
            session::keyferry_session_reject_value(
                self.get(),
                resource.as_ptr(),
                value.as_ptr(),
                error,
            )
        })
    }

    /// `keyferry_session_adopt` without an expiry.
    pub fn adopt(&self, resource: &str, value: &str) -> Result<()> {
        self.adopt_until(resource, value, token::KEYFERRY_NO_EXPIRY)
    }

    pub fn adopt_until(&self, resource: &str, value: &str, expires_unix_s: i64) -> Result<()> {
        let (resource, value) = (c_string(resource), c_string(value));
        // SAFETY: both strings end in NUL.
        call_status(|error| unsafe {
            session::keyferry_session_adopt(
                self.get(),
                resource.as_ptr(),
                value.as_ptr(),
                expires_unix_s,
                error,
            )
        })
    }

    pub fn forget(&self, resource: Option<&str>) -> Result<()> {
        let resource = resource.map(c_string);
        // SAFETY: it is NULL or a string that ends in NUL.
        call_status(|error| unsafe {
            session::keyferry_session_forget(self.get(), pointer_or_null(resource.as_ref()), error)
        })
    }

    pub fn explain(&self, resource: &str) -> Result<String> {
        let resource = c_string(resource);
        // SAFETY: the string ends in NUL.
        call_text(|out, error| unsafe {
            diagnostics::keyferry_session_explain(self.get(), resource.as_ptr(), out, error)
        })
    }

    pub fn list(&self) -> String {
        call_text(|out, error| diagnostics::keyferry_session_list(self.get(), out, error)).unwrap()
    }

    pub fn stats(&self) -> String {
        call_text(|out, error| diagnostics::keyferry_session_stats(self.get(), out, error)).unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let session = self.0.take().map_or(ptr::null_mut(), Box::into_raw);
        // SAFETY: it came from `keyferry_session_open`.
        unsafe { session::keyferry_session_free(session) };
    }
}
