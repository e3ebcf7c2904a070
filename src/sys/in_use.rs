//! Records which object each thread is using, so that the function that frees an object can wait
//! until no thread uses it.
//!
//! A thread writes the address of the object to a word of its own, and clears the word afterwards.
//! Such a use takes no lock and writes no memory that other threads write, so a cache hit stays
//! fast. The function that frees the object reads the words of all threads.

#![expect(
    unsafe_code,
    reason = "a list whose parts are never freed, and a system call"
)]

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence};
use std::time::{Duration, Instant};

/// The words of one thread. A call may contain one other call: a log function may look up a cached
/// token. The alignment keeps the words of two threads out of one cache line.
#[repr(align(128))]
struct ThreadWords {
    addresses: [AtomicUsize; 2],
    is_taken: AtomicBool,
    next: AtomicPtr<ThreadWords>,
}

/// The words of all threads. Nothing is removed, because other threads may be reading the list. A
/// new thread takes the words of a thread that has ended.
///
/// Rationale: a list without a lock works in a forked child. The words of the parent's other threads
/// stay taken there.
static FIRST: AtomicPtr<ThreadWords> = AtomicPtr::new(std::ptr::null_mut());

/// The words that a thread has taken.
struct Taken(&'static ThreadWords);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::Release);
    }
}

thread_local! {
    static MINE: Taken = take_words();
}

#[cold]
fn take_words() -> Taken {
    let free = all().find(|words| !words.is_taken.swap(true, Ordering::Acquire));
    Taken(free.unwrap_or_else(add_words))
}

fn add_words() -> &'static ThreadWords {
    let words = Box::leak(Box::new(ThreadWords {
        addresses: [const { AtomicUsize::new(0) }; 2],
        is_taken: AtomicBool::new(true),
        next: AtomicPtr::default(),
    }));
    let at: *mut ThreadWords = words;
    let mut first = FIRST.load(Ordering::Acquire);
    loop {
        words.next.store(first, Ordering::Relaxed);
        match FIRST.compare_exchange(first, at, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return words,
            Err(other) => first = other,
        }
    }
}

fn all() -> impl Iterator<Item = &'static ThreadWords> {
    // SAFETY: each pointer of the list is NULL, or came from `Box::leak`.
    let at = |pointer: &AtomicPtr<ThreadWords>| unsafe { pointer.load(Ordering::Acquire).as_ref() };
    std::iter::successors(at(&FIRST), move |words| at(&words.next))
}

/// The use of an object by this thread. It ends when this value is dropped.
pub struct Use {
    address: &'static AtomicUsize,
    /// Words that were taken for this use alone, because the thread is ending.
    _taken: Option<Taken>,
}

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        self.address.store(0, Ordering::Release);
    }
}

/// Begins to use an object. The caller then checks whether the object was freed.
#[inline]
pub fn begin<T>(object: &T) -> Use {
    let (words, taken) = match MINE.try_with(|mine| mine.0) {
        Ok(words) => (words, None),
        Err(_) => {
            let taken = take_words();
            (taken.0, Some(taken))
        }
    };
    let [first, second] = &words.addresses;
    let address = if first.load(Ordering::Relaxed) == 0 {
        first
    } else {
        second
    };
    address.store(std::ptr::from_ref(object).addr(), Ordering::Relaxed);
    // The processor may still delay the store: see `make_visible`.
    compiler_fence(Ordering::SeqCst);
    Use {
        address,
        _taken: taken,
    }
}

/// Waits until no thread uses an object, at most until the deadline. Returns whether none uses it.
/// The caller has marked the object as freed before, so that new uses end at once.
pub fn wait_unused<T>(object: &T, deadline: Instant) -> bool {
    make_visible();
    let address = std::ptr::from_ref(object).addr();
    let is_used = || {
        let mut words = all().flat_map(|words| &words.addresses);
        words.any(|used| used.load(Ordering::Acquire) == address)
    };
    while is_used() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Prepares the process for `make_visible`. Without this, `make_visible` takes longer.
pub fn prepare() {
    #[cfg(target_os = "linux")]
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

/// Makes the stores of all other threads that precede this call in time visible to this thread, and
/// makes them see the stores of this thread.
fn make_visible() {
    #[cfg(target_os = "linux")]
    if membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        return;
    }
    // A processor does not delay a store for longer than some nanoseconds.
    std::thread::sleep(Duration::from_millis(1));
}

#[cfg(target_os = "linux")]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call only takes numbers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn an_object_is_unused_when_each_use_has_ended() {
        let (one, other) = (1_u8, 2_u8);
        let outer = begin(&one);
        let inner = begin(&other);
        assert!(!wait_unused(&one, soon()) && !wait_unused(&other, soon()));
        drop(inner);
        assert!(!wait_unused(&one, soon()) && wait_unused(&other, soon()));
        drop(outer);
        assert!(wait_unused(&one, soon()));
    }

    #[test]
    fn a_use_on_another_thread_counts_until_it_ends() {
        let one = 1_u8;
        std::thread::scope(|scope| {
            let (begun, wait) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let one = &one;
            scope.spawn(move || {
                let _use = begin(one);
                drop(begun);
                let _ = ended.recv();
            });
            let _ = wait.recv() as Result<(), _>;
            assert!(!wait_unused(one, soon()));
            drop(end);
            assert!(wait_unused(one, Instant::now() + Duration::from_secs(60)));
        });
    }
}
