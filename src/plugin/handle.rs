//! A loaded plugin: the data of its entry, and the state of its initialisation. `instance.rs` calls
//! its functions.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use super::abi;
use super::descriptor::{Descriptor, GetSecretFunction, ServiceTable};
use crate::config::DeclaredSetting;
use crate::error::{Error, ErrorKind, PluginFault};
use crate::sys::sync::Mutex;

/// A loaded plugin. The host never unloads it.
pub struct Plugin {
    /// The plugin's file.
    pub path: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// The settings that the plugin declares.
    pub settings: Vec<DeclaredSetting>,
    /// The minor version of the ABI that the plugin was built for.
    pub abi_minor: u32,
    pub(super) entry: abi::keyferry_plugin,
    pub(super) lifecycle: Mutex<Lifecycle>,
    /// The number of calls that have timed out and not returned yet.
    pub(super) hung_calls: AtomicUsize,
}

// SAFETY: the entry is a copy of constant data. The ABI allows its functions to be called from any
// thread. Only `descriptor` follows its other pointers, before this value exists.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

/// The initialisation state of a plugin.
#[derive(Default)]
pub(super) struct Lifecycle {
    /// The number of instances. The plugin is initialised while this is not 0.
    pub(super) users: usize,
    /// The plugin's extensions, which are read after the first `init` and stay valid.
    pub(super) extensions: Option<Extensions>,
    /// The error after which the host does not call `init` again.
    pub(super) fault: Option<Error>,
}

/// The extensions of a plugin.
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

    /// Returns the error for a plugin that broke its contract.
    pub(super) fn misbehaved(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Plugin,
            format!("the plugin {} misbehaved: {what}", self.name),
        )
        .with_plugin_fault(PluginFault::Misbehaved)
    }
}
