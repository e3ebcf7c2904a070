//! Runs parts of the library in every order that the memory model allows: the cache's blocks, single
//! flight, the worker threads, and the table of locks that the threads of a process share.
//!
//! Each model has controls: the same model with a planted fault, which it must find. A model that
//! finds nothing proves nothing.

#![cfg(test)]

mod cache;
mod file_lock;
mod single_flight;
mod workers;

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

loom::lazy_static! {
    static ref SYSTEM_CALLS: loom::sync::atomic::AtomicUsize = loom::sync::atomic::AtomicUsize::new(0);
}

/// Loom switches threads only where a thread uses one of loom's locks or atomics. The copies of the
/// sources call this before each system call that two threads can race for.
fn before_system_call() {
    SYSTEM_CALLS.fetch_add(1, loom::sync::atomic::Ordering::SeqCst);
}

/// How often a thread is interrupted between two of its own operations. A thread that waits is not
/// counted. The longest model takes 3 s with 5.
const MAX_PREEMPTIONS: usize = 5;

/// Runs a model.
fn run(model: fn()) {
    run_with(model, MAX_PREEMPTIONS);
}

/// Runs a model in which a thread is interrupted at most this many times.
fn run_with(model: fn(), max_preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(max_preemptions);
    builder.check(model);
}

/// Panics unless the model finds a fault.
fn assert_found(model: fn()) {
    let outcome = std::panic::catch_unwind(|| run(model));
    assert!(outcome.is_err(), "the planted fault was not found");
}
