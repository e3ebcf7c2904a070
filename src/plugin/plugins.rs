//! The plugins of a session, as the setting `plugins` names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::instance::Instance;
use super::loader::load;
use crate::config::{Config, DeclaredSetting};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{self, Level};

/// The plugins of a session.
#[derive(Default)]
pub struct Plugins {
    /// The plugins that are initialised.
    pub instances: Vec<Arc<Instance>>,
    /// Why each of the others can't be used.
    pub faults: Vec<UnusablePlugin>,
}

/// A configured plugin that can't be used.
#[derive(Clone)]
pub struct UnusablePlugin {
    /// Its file, as the setting `plugins` names it.
    pub path: PathBuf,
    /// Its name, if it was read.
    pub name: Option<String>,
    /// Why it can't be used.
    pub error: Error,
}

impl UnusablePlugin {
    /// Whether it is, or is likely to be, the plugin of this name: a plugin whose name was not read
    /// counts by the name of its file.
    pub fn may_be(&self, name: &str) -> bool {
        let file = self.path.file_name().and_then(|file| file.to_str());
        let is_of_file = || file.is_some_and(|file| file.split('.').next() == Some(name));
        self.name
            .as_deref()
            .map_or_else(is_of_file, |own| own == name)
    }
}

impl Plugins {
    /// Loads the plugins that a configuration names, and adds the settings that they declare to it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], [`ErrorKind::UnsafeFile`] if a setting of a plugin can't be used. A
    /// plugin that can't be loaded is no error: see [`Plugins::faults`].
    pub fn load(config: &mut Config) -> Result<Self> {
        let profile = config.profile(config.selected_account())?;
        let mut plugins = Self::default();
        for path in profile
            .text("plugins")
            .unwrap_or_default()
            .split(':')
            .filter(|path| !path.is_empty())
        {
            if let Err(fault) = plugins.add(Path::new(path)) {
                log::write(Level::Error, format_args!("{}", fault.error));
                plugins.faults.push(fault);
            }
        }
        let declared: Vec<DeclaredSetting> = plugins
            .instances
            .iter()
            .flat_map(|instance| instance.plugin.settings.clone())
            .collect();
        config.apply_declared(&declared, plugins.faults.is_empty())?;
        Ok(plugins)
    }

    fn add(&mut self, path: &Path) -> Result<(), UnusablePlugin> {
        let unusable = |name: Option<&str>, error| UnusablePlugin {
            path: path.to_owned(),
            name: name.map(str::to_owned),
            error,
        };
        let plugin = load(path).map_err(|error| unusable(None, error))?;
        let unusable = |error| unusable(Some(&plugin.name), error);
        if let Some(other) = self
            .instances
            .iter()
            .find(|instance| instance.plugin.name == plugin.name)
        {
            let (name, first, second) = (&plugin.name, other.plugin.path.display(), path.display());
            let what = format!(
                "the plugin {second} is named {name}, as {first} is already: take one of them out of `plugins`"
            );
            return Err(unusable(Error::new(ErrorKind::Plugin, what)));
        }
        self.instances.push(plugin.initialize().map_err(unusable)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_counts_by_its_name_and_without_one_by_its_files_name() {
        let plugin = |name: Option<&str>| UnusablePlugin {
            path: PathBuf::from("/opt/vault.so.1"),
            name: name.map(str::to_owned),
            error: Error::new(ErrorKind::Plugin, "it can't be loaded"),
        };
        assert!(plugin(None).may_be("vault") && !plugin(None).may_be("vaul"));
        assert!(plugin(Some("safe")).may_be("safe") && !plugin(Some("safe")).may_be("vault"));
    }
}
