//! Loads the plugins that the setting `plugins` lists.

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
    /// The initialised plugins.
    pub instances: Vec<Arc<Instance>>,
    /// The configured plugins that can't be used, with their errors.
    pub faults: Vec<UnusablePlugin>,
}

/// A configured plugin that can't be used.
#[derive(Clone)]
pub struct UnusablePlugin {
    /// The file's path, as written in the setting `plugins`.
    pub path: PathBuf,
    /// The plugin's name, if the host could read it.
    pub name: Option<String>,
    /// The reason why it can't be used.
    pub error: Error,
}

impl UnusablePlugin {
    /// Returns whether this may be the plugin called `name`. If the plugin's name is unknown,
    /// compares `name` with the file name up to the first dot.
    pub fn may_be(&self, name: &str) -> bool {
        let file = self.path.file_name().and_then(|file| file.to_str());
        let is_of_file = || file.is_some_and(|file| file.split('.').next() == Some(name));
        self.name
            .as_deref()
            .map_or_else(is_of_file, |own| own == name)
    }
}

impl Plugins {
    /// Loads the plugins that `config` lists, and adds the settings that they declare to `config`.
    ///
    /// A plugin that can't be loaded is not an error: see [`Plugins::faults`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a plugin's setting is unknown or has an invalid value;
    /// [`ErrorKind::UnsafeFile`] if other users can read the file that holds a plugin's secret.
    pub fn load(config: &mut Config) -> Result<Self> {
        let profile = config.profile(config.selected_account())?;
        let mut plugins = Self::default();
        for path in profile
            .paths("plugins")
            .into_iter()
            .flat_map(std::env::split_paths)
            .filter(|path| !path.as_os_str().is_empty())
        {
            if let Err(fault) = plugins.add(&path) {
                log::write(Level::Error, format_args!("{}", fault.error));
                plugins.faults.push(*fault);
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

    fn add(&mut self, path: &Path) -> Result<(), Box<UnusablePlugin>> {
        let unusable = |name: Option<&str>, error| {
            Box::new(UnusablePlugin {
                path: path.to_owned(),
                name: name.map(str::to_owned),
                error,
            })
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
                "cannot load the plugin {second}: the name {name} is already used by {first}; remove one of them from `plugins`"
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
            error: Error::new(ErrorKind::Plugin, "cannot load the plugin"),
        };
        assert!(plugin(None).may_be("vault") && !plugin(None).may_be("vaul"));
        assert!(plugin(Some("safe")).may_be("safe") && !plugin(Some("safe")).may_be("vault"));
    }
}
