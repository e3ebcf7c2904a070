//! The plugins of a session, as the setting `plugins` names them.

use std::path::Path;
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
    pub faults: Vec<Error>,
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
            if let Err(error) = plugins.add(Path::new(path)) {
                log::write(Level::Error, format_args!("{error}"));
                plugins.faults.push(error);
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

    fn add(&mut self, path: &Path) -> Result<()> {
        let plugin = load(path)?;
        if let Some(other) = self
            .instances
            .iter()
            .find(|instance| instance.plugin.name == plugin.name)
        {
            let (name, first, second) = (&plugin.name, other.plugin.path.display(), path.display());
            let what = format!(
                "the plugin {second} is named {name}, as {first} is already: take one of them out of `plugins`"
            );
            return Err(Error::new(ErrorKind::Plugin, what));
        }
        self.instances.push(plugin.initialize()?);
        Ok(())
    }
}
