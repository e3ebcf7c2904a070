//! Combines the settings of one account from its profile and the general settings.
//!
//! - The program overrides the environment, and the environment overrides the file. Within one of
//!   these layers, the profile's own value overrides the general value.
//! - Environment variables belong to the default account, which `profile` or `KEYFERRY_PROFILE`
//!   selects. If a call names another account, that profile's own values override all general
//!   values, from any layer. So `MASV_API_KEY` in the shell does not change the user of the profile
//!   "work".
//! - Credentials are not mixed. If a profile sets a URL or a credential of a service, it does not
//!   use general credentials of that service from the same or a lower layer.
//!
//! Rationale for the last rule: an API key takes precedence over e-mail address and password. A
//! general API key would silently replace the profile's own login. Also, a profile for another host
//! must not send the default host's key there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use super::account::DEFAULT_ACCOUNT;
use super::entry::{Entry, Setting};
use super::environment::Environment;
use super::layer::Layer;
use super::settings::SettingDefinition;
use super::value::ValueFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;

/// Groups of credentials, one per service. If a profile sets one of the settings in the first list,
/// the general settings in the second list do not apply to it.
const CREDENTIAL_GROUPS: &[(&[&str], &[&str])] = &[
    (
        &["masv.url", "masv.api_key", "masv.email", "masv.password"],
        &["masv.api_key", "masv.email", "masv.password", "masv.team"],
    ),
    (
        &["fileverbs.url", "fileverbs.secret_key", "fileverbs.api_key"],
        &["fileverbs.secret_key", "fileverbs.api_key"],
    ),
];

/// The settings of one account.
#[derive(Clone)]
pub struct Profile {
    account: Arc<str>,
    settings: Arc<BTreeMap<String, (Setting, Layer)>>,
    environment: Environment,
}

/// The precedence of an entry. The larger value wins.
type Precedence = (u8, u8);

/// Combines the settings of an account.
pub(super) fn assemble(
    entries: &[Entry],
    account: &str,
    default_account: &str,
    environment: &Environment,
) -> Profile {
    let is_named = account != DEFAULT_ACCOUNT && account != default_account;
    let is_own = |entry: &Entry| entry.account.is_some();
    let precedence = |entry: &Entry| -> Precedence {
        let own = u8::from(is_own(entry));
        if is_named {
            (own, entry.layer.precedence())
        } else {
            (entry.layer.precedence(), own)
        }
    };
    let relevant = || {
        entries
            .iter()
            .filter(|entry| entry.account.as_deref().is_none_or(|name| name == account))
    };
    let is_suppressed = |entry: &Entry| {
        let own_precedence = |triggers: &dyn Fn(&Entry) -> bool| {
            relevant()
                .filter(|own| is_own(own) && triggers(own))
                .map(&precedence)
                .max()
        };
        let mut groups = CREDENTIAL_GROUPS
            .iter()
            .filter(|(_, suppressed)| suppressed.contains(&&*entry.key));
        let by_group = groups.any(|(triggers, _)| {
            own_precedence(&|own| triggers.contains(&&*own.key)) > Some(precedence(entry))
        });
        // The secrets and the URL of a plugin form a group, too.
        let triggers = |own: &Entry| {
            own.section() == entry.section() && (own.secret || own.key.ends_with(".url"))
        };
        let by_section = entry.secret
            && entry.is_plugin_setting()
            && own_precedence(&triggers) > Some(precedence(entry));
        !is_own(entry) && (by_group || by_section)
    };
    let mut best: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in relevant().filter(|entry| !is_suppressed(entry)) {
        let best_so_far = best.entry(&entry.key).or_insert(entry);
        if precedence(entry) > precedence(best_so_far) {
            *best_so_far = entry;
        }
    }
    let settings = best
        .into_iter()
        .map(|(key, entry)| (key.to_owned(), (entry.setting.clone(), entry.layer.clone())))
        .collect();
    Profile {
        account: account.into(),
        settings: Arc::new(settings),
        environment: Arc::clone(environment),
    }
}

impl Profile {
    /// Returns the account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns whether a key is set. A default does not count.
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// Returns the setting of a key, for [`crate::secret_sources`].
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key).map(|(setting, _)| setting)
    }

    /// Returns whether any setting of this account comes from a plugin.
    pub fn uses_plugin_secrets(&self) -> bool {
        self.settings
            .values()
            .any(|(setting, _)| matches!(setting, Setting::Plugin(..)))
    }

    /// Returns the literal value or the default of a setting. Returns `None` for a secret, a
    /// reference or a missing value.
    #[expect(
        clippy::disallowed_methods,
        reason = "secret settings are filtered out before"
    )]
    pub fn text(&self, key: &str) -> Option<&str> {
        let field = SettingDefinition::find(key).filter(|field| !field.secret)?;
        match self.setting(key) {
            Some(Setting::Literal(value)) => Some(value.expose()),
            Some(_) => None,
            None => field.default,
        }
    }

    /// Returns the value of a setting that contains paths, which need not be UTF-8. Otherwise the
    /// same as [`Profile::text`].
    pub fn paths(&self, key: &str) -> Option<&OsStr> {
        match self.setting(key) {
            Some(Setting::NonUtf8(value)) => Some(value),
            _ => self.text(key).map(OsStr::new),
        }
    }

    /// Parses the base URL in a setting. `suffixes` is passed to [`BaseUrl::parse`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the setting is not a valid base URL.
    pub fn base_url(&self, key: &str, suffixes: &[&str]) -> Result<BaseUrl> {
        let no_text = || {
            Error::new(
                ErrorKind::Config,
                format!("`{key}` has no literal value; write the URL itself, not a reference"),
            )
        };
        BaseUrl::parse(
            &format!("`{key}`"),
            self.text(key).ok_or_else(no_text)?,
            suffixes,
        )
    }

    /// Returns a setting in milliseconds, which was checked when it was set. Returns 0 if the
    /// setting is not a number of milliseconds.
    pub fn milliseconds(&self, key: &str) -> u64 {
        let is_time = SettingDefinition::find(key)
            .is_some_and(|field| field.format == ValueFormat::Milliseconds);
        self.text(key)
            .filter(|_| is_time)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// Returns the layer that a setting comes from. Returns `None` if it is a default or not set.
    pub fn layer_of(&self, key: &str) -> Option<&Layer> {
        self.settings.get(key).map(|(_, layer)| layer)
    }

    /// Returns where the value of a setting comes from, such as `file /home/me/pw` or `variable
    /// MASV_API_KEY`. Returns `None` if the setting is not set.
    pub fn source_of(&self, key: &str) -> Option<String> {
        let (setting, layer) = self.settings.get(key)?;
        Some(setting.source().unwrap_or_else(|| match layer {
            Layer::Environment(name) => format!("variable {name}"),
            Layer::File(path) => format!("file {}", path.display()),
            Layer::Program => layer.to_string(),
        }))
    }

    /// Returns the function that looks up environment variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}
