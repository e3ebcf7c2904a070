//! A request for a token of a resource.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::sys::sync::Mutex;

use crate::model::key::{Access, KeyPrefix, RequiredAccess, ResourceKind};
use crate::secret::Secret;

/// A request for a token. Only the resource is required.
///
/// A program that often needs a token for the same resource should keep the request: the first
/// session that uses it keeps the parsed resource in it. Several threads and sessions may use the
/// same request.
///
/// ```
/// use keyferry::{Access, Request};
/// use std::time::Duration;
///
/// let mut request = Request::new("packages/01EXAMPLE");
/// request.access = Some(Access::Read);
/// request.min_valid = Duration::from_secs(600);
/// let cancel = request.cancel.clone(); // another thread may call `cancel.cancel()` to end the wait
/// # assert!(!cancel.is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct Request {
    /// A URL, or a short form such as `packages/ID` or `fileverbs:bearer`.
    pub resource: PreparedResource,
    /// The minimum time for which the token must still be valid. keyferry refreshes a token that
    /// expires sooner. With 0, it refreshes the token only shortly before the expiry, in the refresh
    /// windows that docs/behaviour.md describes.
    pub min_valid: Duration,
    /// The maximum time since the token was acquired. keyferry fetches another token in place of an
    /// older one, and returns the error if that fails. `None` means any time.
    #[doc(hidden)]
    pub max_age: Option<Duration>,
    /// The access that the token must allow. `None` means the access that the resource implies.
    pub access: Option<Access>,
    /// The account whose token is requested. `None` means the session's selected account.
    pub account: Option<String>,
    /// The password of the link, if the resource is a link with a password.
    pub link_password: Option<Secret>,
    /// How long to wait. `None` means the setting `http.timeout_ms`.
    pub timeout: Option<Duration>,
    /// Logs in to MASV, even if a token is cached or stored. Only for the resource `user`.
    pub login: Option<Login>,
    /// Lets another thread end the wait.
    pub cancel: Cancel,
}

/// The credentials of an explicit login. `None` means the configured value.
#[derive(Clone, Default)]
pub struct Login {
    /// The e-mail address.
    pub email: Option<Secret>,
    /// The password.
    pub password: Option<Secret>,
}

impl Request {
    /// Creates a request for this resource.
    pub fn new(resource: impl Into<String>) -> Self {
        Self {
            resource: PreparedResource::from(resource.into()),
            ..Self::default()
        }
    }
}

/// The resource of a [`Request`]: a string that does not change, and how the first session that used
/// it resolved it.
#[derive(Clone, Default)]
pub struct PreparedResource {
    text: String,
    /// Rationale: a `OnceLock` that another thread was setting during a fork would stay locked in the
    /// forked child.
    resolution: OnceBox<Resolution>,
}

impl PreparedResource {
    /// Returns how the first session resolved the resource. If no session has resolved it yet,
    /// `resolve` does. An error of `resolve` is not kept.
    #[inline]
    pub(crate) fn resolution<E>(
        &self,
        resolve: impl FnOnce() -> Result<Resolution, E>,
    ) -> Result<&Resolution, E> {
        self.resolution.get_or_try_init(|| resolve().map(Box::new))
    }
}

impl Deref for PreparedResource {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.text
    }
}

impl From<String> for PreparedResource {
    fn from(text: String) -> Self {
        Self {
            text,
            resolution: OnceBox::new(),
        }
    }
}

impl From<&str> for PreparedResource {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The key of a resource, without the access, in one account of one session.
#[derive(Clone)]
pub(crate) struct Resolution {
    /// The number of the session. In another session, the same URL may belong to another service.
    pub(crate) session: u64,
    /// The number of the account.
    pub(crate) account: usize,
    /// The number of the service in that account.
    pub(crate) service: usize,
    /// The fingerprint of the service's scope.
    pub(crate) scope: u64,
    /// The kind of the resource.
    pub(crate) resource_kind: ResourceKind,
    /// The id of the resource.
    pub(crate) id: Box<str>,
    /// The access that the resource implies.
    pub(crate) required: RequiredAccess,
    /// The hash of the key in the session's cache.
    pub(crate) hash: u64,
}

impl Resolution {
    /// Returns the prefix of the resource's keys.
    #[inline]
    pub(crate) fn prefix(&self) -> KeyPrefix<'_> {
        KeyPrefix {
            scope: self.scope,
            resource_kind: self.resource_kind,
            id: &self.id,
        }
    }
}

/// Cancels a request from another thread. All clones share one state.
#[derive(Clone, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Default)]
struct CancelState {
    cancelled: AtomicBool,
    wakers: Mutex<Vec<Arc<dyn Wake>>>,
}

/// A waiting thread that can be woken.
pub trait Wake: Send + Sync {
    /// Wakes the thread, which then checks its condition again.
    fn wake(&self);
}

impl Cancel {
    /// Cancels permanently and wakes the waiting threads.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
        let wakers = self.0.wakers.lock().clone();
        wakers.iter().for_each(|waker| waker.wake());
    }

    /// Returns whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Runs `wait`. A cancellation during that time wakes `waker`.
    pub fn while_waiting<T>(&self, waker: Arc<dyn Wake>, wait: impl FnOnce() -> T) -> T {
        self.0.wakers.lock().push(Arc::clone(&waker));
        let result = wait();
        let mut wakers = self.0.wakers.lock();
        if let Some(at) = wakers.iter().position(|other| Arc::ptr_eq(other, &waker)) {
            wakers.swap_remove(at);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(std::sync::atomic::AtomicU32);
    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn cancel_wakes_those_who_wait_and_no_others() {
        let cancel = Cancel::default();
        let count = Arc::new(Count(0.into()));
        cancel.while_waiting(Arc::clone(&count) as Arc<dyn Wake>, || {
            cancel.clone().cancel()
        });
        cancel.cancel();
        assert!(cancel.is_cancelled());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
