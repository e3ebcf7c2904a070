//! The host of a later release, as plugins of today would meet it: one slot more behind the last. In debug builds only: it shows that
//! a plugin built against the present header still works then.

use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::keyferry_plugin_host;
use super::host::HOST;

/// A table with a slot that today's header does not have.
#[repr(C)]
struct Grown {
    host: keyferry_plugin_host,
    later: extern "C" fn() -> i32,
}

extern "C" fn later() -> i32 {
    // Nobody of today knows it.
    i32::MIN
}

static GROWN: Grown =
    Grown { host: keyferry_plugin_host { abi_minor: HOST.abi_minor + 1, struct_size: size_of::<Grown>() as u32, ..HOST }, later };
static IS_GROWN: AtomicBool = AtomicBool::new(false);

/// From now on plugins are initialised by the later host.
pub fn enable_test_host() {
    IS_GROWN.store(true, Ordering::Relaxed);
}

/// The later host's table, if that is wanted.
pub(super) fn table() -> Option<*const keyferry_plugin_host> {
    IS_GROWN.load(Ordering::Relaxed).then_some((&raw const GROWN).cast())
}
