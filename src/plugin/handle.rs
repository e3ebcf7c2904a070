//! A loaded plugin: what its entry says, and the state of its initialisation.
//!
//! Calls no function of it: see `instance.rs`.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use super::abi;
use super::descriptor::{Descriptor, GetSecretFunction, ServiceTable};
use crate::config::DeclaredSetting;
use crate::error::{Error, ErrorKind, PluginFault};
use crate::sys::sync::Mutex;

/// A loaded plugin. It lives as long as the process.
pub struct Plugin {
    /// Its file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The settings that it declares.
    pub settings: Vec<DeclaredSetting>,
    /// The minor number of the ABI that it was built for.
    pub abi_minor: u32,
    pub(super) entry: abi::keyferry_plugin,
    pub(super) lifecycle: Mutex<Lifecycle>,
    /// How many of its calls have timed out and not returned since.
    pub(super) hung_calls: AtomicUsize,
}

// SAFETY: the entry is a copy of constants: functions that the ABI says may be called from any
// thread, and pointers that only `descriptor` follows, while it is made.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// The state of a plugin between `init` and `deinit`.
#[derive(Default)]
pub(super) struct Lifecycle {
    /// How many instances there are.
    pub(super) users: usize,
    /// Read after the first `init`, and valid as long as the process.
    pub(super) extensions: Option<Extensions>,
    /// Why the plugin is not initialised again.
    pub(super) fault: Option<Error>,
}

/// The extensions that a plugin has.
#[derive(Clone, Copy)]
pub(super) struct Extensions {
    pub(super) service: Option<&'static ServiceTable>,
    pub(super) secret_source: Option<GetSecretFunction>,
}

impl Plugin {
    pub(super) fn new(path: PathBuf, descriptor: Descriptor) -> Self {
        let Descriptor {
            name,
            version,
            settings,
            entry,
        } = descriptor;
        let (lifecycle, hung_calls) = (Mutex::default(), AtomicUsize::new(0));
        Self {
            path,
            name,
            version,
            settings,
            abi_minor: entry.abi_minor,
            entry,
            lifecycle,
            hung_calls,
        }
    }

    /// The error for a plugin that breaks its contract.
    pub(super) fn misbehaved(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Plugin,
            format!("the plugin {} misbehaves: {what}", self.name),
        )
        .with_plugin_fault(PluginFault::Misbehaved)
    }
}
