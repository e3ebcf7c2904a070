//! The table of a later host, with one more slot, to test that plugins built against the current
//! header work with it. Exists only with the feature `test-hooks`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::keyferry_plugin_host;
use super::host::HOST;

/// A table with a slot that the current header doesn't have.
#[repr(C)]
struct LaterHost {
    host: keyferry_plugin_host,
    added_slot: extern "C" fn() -> i32,
}

extern "C" fn added_slot() -> i32 {
    i32::MIN
}

static LATER_HOST: LaterHost = LaterHost {
    host: keyferry_plugin_host {
        abi_minor: HOST.abi_minor + 1,
        struct_size: size_of::<LaterHost>() as u32,
        ..HOST
    },
    added_slot,
};
static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Makes the host pass the later table to `init` from now on.
pub fn enable_test_host() {
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// Returns the later host's table if [`enable_test_host`] was called.
pub(super) fn table() -> Option<*const keyferry_plugin_host> {
    IS_ENABLED
        .load(Ordering::Relaxed)
        .then_some((&raw const LATER_HOST).cast())
}
