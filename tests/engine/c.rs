//! The C ABI as a C program uses it, with destructors for comfort.

#![expect(unsafe_code, reason = "calls the C functions as C does")]

use std::ffi::{CStr, CString, c_char};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use keyferry::ffi::config::{
    keyferry_config, keyferry_config_free, keyferry_config_new, keyferry_config_set,
};
use keyferry::ffi::diagnostics;
use keyferry::ffi::error::{
    keyferry_error, keyferry_error_free, keyferry_error_http_status, keyferry_error_message,
    keyferry_error_retry_after_ms,
};
use keyferry::ffi::fileverbs::fileverbs_bearer;
use keyferry::ffi::masv::{masv_login, masv_token_for};
use keyferry::ffi::request::{
    self as ask, keyferry_request, keyferry_request_free, keyferry_request_new,
};
use keyferry::ffi::session::{
    self as door, keyferry_session, keyferry_session_free, keyferry_session_open,
};
use keyferry::ffi::status::{KEYFERRY_OK, keyferry_status};
use keyferry::ffi::text::keyferry_text_free;
use keyferry::ffi::token::{self as own, keyferry_token, keyferry_token_free};

/// An object that the library gave, freed by its own function.
pub(crate) struct Object<T>(NonNull<T>, extern "C" fn(Option<Box<T>>));

impl<T> std::fmt::Debug for Object<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<T>())
    }
}

// SAFETY: the header says of each object that any thread may use it at once.
unsafe impl<T> Send for Object<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Object<T> {}

impl<T> Object<T> {
    fn get(&self) -> Option<&T> {
        // SAFETY: it came from the library and is freed in `drop` alone.
        Some(unsafe { self.0.as_ref() })
    }

    fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: as above, and nobody else has it.
        Some(unsafe { self.0.as_mut() })
    }
}

impl<T> Drop for Object<T> {
    fn drop(&mut self) {
        // SAFETY: the library made it with `Box::into_raw`, and it is freed once.
        (self.1)(Some(unsafe { Box::from_raw(self.0.as_ptr()) }));
    }
}

pub(crate) type Session = Object<keyferry_session>;
pub(crate) type Request = Object<keyferry_request>;
pub(crate) type Token = Object<keyferry_token>;

/// A failure as C sees it.
pub(crate) struct Failure {
    pub(crate) status: keyferry_status,
    error: Option<Object<keyferry_error>>,
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.message())
    }
}

impl Failure {
    pub(crate) fn message(&self) -> &str {
        borrowed(keyferry_error_message(
            self.error.as_ref().and_then(Object::get),
        ))
    }

    pub(crate) fn http_status(&self) -> i32 {
        keyferry_error_http_status(self.error.as_ref().and_then(Object::get))
    }

    pub(crate) fn retry_after_ms(&self) -> u64 {
        keyferry_error_retry_after_ms(self.error.as_ref().and_then(Object::get))
    }
}

type Out<'a, T> = Option<&'a mut MaybeUninit<*mut T>>;

/// Makes a call that gives an object; checks that there is an object or an error, never both.
fn give<T>(
    free: extern "C" fn(Option<Box<T>>),
    call: impl FnOnce(Out<'_, T>, Out<'_, keyferry_error>) -> keyferry_status,
) -> Result<Object<T>, Failure> {
    let mut out = MaybeUninit::new(NonNull::dangling().as_ptr());
    let done = check(|error| call(Some(&mut out), error));
    // SAFETY: it was set above, and again by the library.
    let made = NonNull::new(unsafe { out.assume_init() });
    match done {
        Ok(()) => Ok(Object(made.unwrap(), free)),
        Err(failure) => {
            assert!(made.is_none(), "an out-pointer is NULL until success");
            Err(failure)
        }
    }
}

fn check(call: impl FnOnce(Out<'_, keyferry_error>) -> keyferry_status) -> Result<(), Failure> {
    let mut out = MaybeUninit::new(NonNull::dangling().as_ptr());
    let status = call(Some(&mut out));
    // SAFETY: it was set above, and again by the library.
    let error = NonNull::new(unsafe { out.assume_init() })
        .map(|error| Object(error, keyferry_error_free as extern "C" fn(_)));
    assert_eq!(status == KEYFERRY_OK, error.is_none());
    if status == KEYFERRY_OK {
        Ok(())
    } else {
        Err(Failure { status, error })
    }
}

fn borrowed<'a>(text: *const c_char) -> &'a str {
    // SAFETY: the library's texts end in NUL and live as long as their object, whose borrower this
    // is.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

/// A session with these settings.
pub(crate) fn open(settings: &[(&str, &str)]) -> Session {
    let mut config: Object<keyferry_config> = give(keyferry_config_free, |out, error| {
        keyferry_config_new(out, error)
    })
    .unwrap();
    for (key, value) in settings {
        let (key, value) = (CString::new(*key).unwrap(), CString::new(*value).unwrap());
        // SAFETY: both texts end in NUL.
        check(|error| unsafe {
            keyferry_config_set(config.get_mut(), key.as_ptr(), value.as_ptr(), error)
        })
        .unwrap();
    }
    give(keyferry_session_free, |out, error| {
        keyferry_session_open(config.get(), out, error)
    })
    .unwrap()
}

pub(crate) fn request(resource: &str) -> Request {
    let resource = CString::new(resource).unwrap();
    // SAFETY: the text ends in NUL.
    give(keyferry_request_free, |out, error| unsafe {
        keyferry_request_new(resource.as_ptr(), out, error)
    })
    .unwrap()
}

impl Request {
    pub(crate) fn timeout_ms(mut self, ms: u32) -> Self {
        check(|error| ask::keyferry_request_set_timeout_ms(self.get_mut(), ms, error)).unwrap();
        self
    }

    pub(crate) fn cancel(&self) {
        ask::keyferry_request_cancel(self.get());
    }
}

impl Session {
    pub(crate) fn token_for(&self, resource: &str) -> Result<Token, Failure> {
        let resource = CString::new(resource).unwrap();
        // SAFETY: the text ends in NUL.
        give(keyferry_token_free, |out, error| unsafe {
            masv_token_for(self.get(), resource.as_ptr(), out, error)
        })
    }

    pub(crate) fn bearer(&self) -> Result<Token, Failure> {
        give(keyferry_token_free, |out, error| {
            fileverbs_bearer(self.get(), out, error)
        })
    }

    pub(crate) fn ask(&self, request: &Request) -> Result<Token, Failure> {
        give(keyferry_token_free, |out, error| {
            door::keyferry_session_token_for(self.get(), request.get(), out, error)
        })
    }

    pub(crate) fn cached(&self, request: &Request) -> Result<Token, Failure> {
        give(keyferry_token_free, |out, error| {
            door::keyferry_session_cached(self.get(), request.get(), out, error)
        })
    }

    pub(crate) fn login(&self, given: Option<(&str, &str)>) -> Result<Token, Failure> {
        let given = given.map(|(email, password)| {
            (
                CString::new(email).unwrap(),
                CString::new(password).unwrap(),
            )
        });
        let null = std::ptr::null();
        let (email, password) = given.as_ref().map_or((null, null), |(email, password)| {
            (email.as_ptr(), password.as_ptr())
        });
        // SAFETY: both are NULL or end in NUL.
        give(keyferry_token_free, |out, error| unsafe {
            masv_login(self.get(), email, password, out, error)
        })
    }

    pub(crate) fn reject(&self, token: &Token) -> Result<(), Failure> {
        check(|error| door::keyferry_session_reject(self.get(), token.get(), error))
    }

    pub(crate) fn reject_value(&self, resource: &str, value: &str) -> Result<(), Failure> {
        let (resource, value) = (
            CString::new(resource).unwrap(),
            CString::new(value).unwrap(),
        );
        // SAFETY: both texts end in NUL.
        check(|error| unsafe {
            door::keyferry_session_reject_value(
                self.get(),
                resource.as_ptr(),
                value.as_ptr(),
                error,
            )
        })
    }

    pub(crate) fn adopt(
        &self,
        resource: &str,
        value: &str,
        expires_unix_s: i64,
    ) -> Result<(), Failure> {
        let (resource, value) = (
            CString::new(resource).unwrap(),
            CString::new(value).unwrap(),
        );
        // SAFETY: both texts end in NUL.
        check(|error| unsafe {
            door::keyferry_session_adopt(
                self.get(),
                resource.as_ptr(),
                value.as_ptr(),
                expires_unix_s,
                error,
            )
        })
    }

    pub(crate) fn forget(&self, resource: Option<&str>) -> Result<(), Failure> {
        let resource = resource.map(|resource| CString::new(resource).unwrap());
        let resource = resource
            .as_ref()
            .map_or(std::ptr::null(), |resource| resource.as_ptr());
        // SAFETY: NULL, or it ends in NUL.
        check(|error| unsafe { door::keyferry_session_forget(self.get(), resource, error) })
    }

    /// Status, `length_out`, and what stands in the buffer before NUL.
    pub(crate) fn peek(&self, resource: &str, capacity: usize) -> (keyferry_status, usize, String) {
        let resource = CString::new(resource).unwrap();
        let (mut buffer, mut len) = (vec![0_u8; capacity], MaybeUninit::new(usize::MAX));
        let at = if capacity == 0 {
            std::ptr::null_mut()
        } else {
            buffer.as_mut_ptr().cast()
        };
        // SAFETY: the text ends in NUL, and the buffer has this capacity.
        let status = unsafe {
            door::keyferry_session_peek(self.get(), resource.as_ptr(), at, capacity, Some(&mut len))
        };
        let line: Vec<u8> = buffer.into_iter().take_while(|byte| *byte != 0).collect();
        // SAFETY: it was set above.
        (
            status,
            unsafe { len.assume_init() },
            String::from_utf8(line).unwrap(),
        )
    }

    pub(crate) fn explain(&self, resource: &str) -> String {
        let resource = CString::new(resource).unwrap();
        // SAFETY: the text ends in NUL.
        text(|out, error| unsafe {
            diagnostics::keyferry_session_explain(self.get(), resource.as_ptr(), out, error)
        })
    }

    pub(crate) fn list(&self) -> String {
        text(|out, error| diagnostics::keyferry_session_list(self.get(), out, error))
    }

    pub(crate) fn stats(&self) -> String {
        text(|out, error| diagnostics::keyferry_session_stats(self.get(), out, error))
    }
}

fn text(call: impl FnOnce(Out<'_, c_char>, Out<'_, keyferry_error>) -> keyferry_status) -> String {
    let mut out = MaybeUninit::new(std::ptr::null_mut());
    check(|error| call(Some(&mut out), error)).unwrap();
    // SAFETY: it was set above.
    let given = unsafe { out.assume_init() };
    let copy = borrowed(given).to_owned();
    // SAFETY: the library gave it, and it is freed once.
    unsafe { keyferry_text_free(given) };
    copy
}

impl Token {
    pub(crate) fn value(&self) -> &str {
        borrowed(own::keyferry_token_value(self.get()))
    }

    pub(crate) fn header(&self) -> (&str, &str) {
        assert_eq!(own::keyferry_token_header_count(self.get()), 1);
        (
            borrowed(own::keyferry_token_header_name(self.get(), 0)),
            borrowed(own::keyferry_token_header_value(self.get(), 0)),
        )
    }

    pub(crate) fn generation(&self) -> u64 {
        own::keyferry_token_generation(self.get())
    }

    pub(crate) fn access(&self) -> i32 {
        own::keyferry_token_access(self.get())
    }

    pub(crate) fn expires_unix_s(&self) -> i64 {
        own::keyferry_token_expires_unix_s(self.get())
    }
}
