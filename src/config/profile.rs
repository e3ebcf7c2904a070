//! The settings of one account, put together from its own and the general ones.
//!
//! - The later layer wins: file, environment, program. In one layer the profile's own value wins
//!   over the general one.
//! - The environment is about the default account (the one that `profile` or `KEYFERRY_PROFILE`
//!   picks): there it wins over the file as always. To a profile that a call names while it is not
//!   the default, a profile's own value wins over every general one, whichever layer that is from:
//!   `MASV_API_KEY` in the shell doesn't turn "work" into somebody else.
//! - Credentials don't mix. A profile that has a URL or a credential of a service of its own takes
//!   no general credential of that service from the same or an earlier layer.
//!
//! Rationale for the last: an API key is used before e-mail and password, so a general key would
//! silently act in place of the profile's own login; and a profile that is there for another host
//! must not carry the usual host's key to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::DEFAULT_ACCOUNT;
use super::entry::{Entry, Setting};
use super::environment::Environment;
use super::layer::Layer;
use super::settings::SettingDefinition;
use super::value::ValueFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;

/// The credentials of a service, which count as one. An own setting of the first list suppresses
/// general ones of the second.
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

/// The precedence of an entry: the larger wins.
type Precedence = (u8, u8);

/// Puts the settings of an account together.
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
        // A plugin's secrets count as one too, with its URL.
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
    /// The account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether a key is set (a default doesn't count).
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.contains_key(key)
    }

    /// The setting of a key, for [`crate::secret_sources`].
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key).map(|(setting, _)| setting)
    }

    /// Whether a plugin is the source of any of its secrets.
    pub fn uses_plugin_secrets(&self) -> bool {
        self.settings
            .values()
            .any(|(setting, _)| matches!(setting, Setting::Plugin(..)))
    }

    /// A value that is no secret: what is set literally, or the default.
    pub fn text(&self, key: &str) -> Option<&str> {
        let field = SettingDefinition::find(key).filter(|field| !field.secret)?;
        match self.setting(key) {
            Some(Setting::Literal(value)) => Some(value.expose()),
            Some(_) => None,
            None => field.default,
        }
    }

    /// The base URL that a setting names. `suffixes` are as for [`BaseUrl::parse`].
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the setting can't be used as one.
    pub fn base_url(&self, key: &str, suffixes: &[&str]) -> Result<BaseUrl> {
        let no_text = || {
            Error::new(
                ErrorKind::Config,
                format!("`{key}` has no plain text: write the URL itself, not a reference to it"),
            )
        };
        BaseUrl::parse(
            &format!("`{key}`"),
            self.text(key).ok_or_else(no_text)?,
            suffixes,
        )
    }

    /// A number of milliseconds, checked when it was set; 0 for a key that is no such number.
    pub fn milliseconds(&self, key: &str) -> u64 {
        let is_time = SettingDefinition::find(key)
            .is_some_and(|field| field.format == ValueFormat::Milliseconds);
        self.text(key)
            .filter(|_| is_time)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// The layer that gives the setting of a key. None for a default.
    pub fn layer_of(&self, key: &str) -> Option<&Layer> {
        self.settings.get(key).map(|(_, layer)| layer)
    }

    /// Looks up variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}
