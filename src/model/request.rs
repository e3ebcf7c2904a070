//! A request for a token of a resource.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sys::sync::Mutex;

use crate::model::key::Access;
use crate::secret::Secret;

/// A request for a token. Only the resource is required.
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
    pub resource: String,
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
            resource: resource.into(),
            ..Self::default()
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
