//! The host of a later release: its table has one more slot. In debug builds only, to test that
//! plugins built against the present header work with it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::abi::keyferry_plugin_host;
use super::host::HOST;

/// A table with a slot that the present header does not have.
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

/// Initialises plugins with the later host from now on.
pub fn enable_test_host() {
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// The later host's table, if it is enabled.
pub(super) fn table() -> Option<*const keyferry_plugin_host> {
    IS_ENABLED
        .load(Ordering::Relaxed)
        .then_some((&raw const LATER_HOST).cast())
}
