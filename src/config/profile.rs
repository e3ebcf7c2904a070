//! The settings of one account, put together from its own and the general ones.
//!
//! - The later layer wins: file, environment, program. In one layer the profile's own value wins over the general one.
//! - The environment is about the default account (the one that `profile` or `KEYFERRY_PROFILE` picks): there it wins over
//!   the file as always. To a profile that a call names while it is not the default, a profile's own value wins over
//!   every general one, whichever layer that is from: `MASV_API_KEY` in the shell doesn't turn "work" into somebody else.
//! - Credentials don't mix. A profile that has a URL or a credential of a service of its own takes no general credential
//!   of that service from the same or an earlier layer.
//!
//! Rationale for the last: an API key is used before e-mail and password, so a general key would silently act in place of
//! the profile's own login; and a profile that is there for another host must not carry the usual host's key to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Config, DEFAULT_ACCOUNT, Entry, Environment, Field, Layer, Setting, Shape};

/// The credentials of a service, which count as one. The first list starts the rule, the second is what it keeps away.
const GROUPS: &[(&[&str], &[&str])] = &[
    (&["masv.url", "masv.api_key", "masv.email", "masv.password"], &["masv.api_key", "masv.email", "masv.password", "masv.team"]),
    (&["fileverbs.url", "fileverbs.secret_key", "fileverbs.api_key"], &["fileverbs.secret_key", "fileverbs.api_key"]),
];

/// The settings of one account.
#[derive(Clone)]
pub struct Profile {
    account: Arc<str>,
    settings: Arc<BTreeMap<String, (Setting, Layer)>>,
    environment: Environment,
}

/// How much an entry counts: the larger wins.
type Rank = (u8, u8);

/// Puts the settings of an account together.
pub(super) fn assemble(config: &Config, account: &str) -> Profile {
    let named = account != DEFAULT_ACCOUNT && account != config.default_account();
    let is_own = |entry: &Entry| entry.account.is_some();
    let rank = |entry: &Entry| -> Rank {
        let own = u8::from(is_own(entry));
        if named { (own, entry.layer.rank()) } else { (entry.layer.rank(), own) }
    };
    let ours = || config.entries.iter().filter(|entry| entry.account.as_deref().is_none_or(|name| name == account));
    let kept_away = |entry: &Entry| {
        let own_rank = |starts: &dyn Fn(&Entry) -> bool| ours().filter(|own| is_own(own) && starts(own)).map(&rank).max();
        let mut groups = GROUPS.iter().filter(|(_, keeps)| keeps.contains(&&*entry.key));
        let by_group = groups.any(|(starts, _)| own_rank(&|own| starts.contains(&&*own.key)) > Some(rank(entry)));
        // A plugin's secrets count as one too, with its URL.
        let starts = |own: &Entry| own.section() == entry.section() && (own.secret || own.key.ends_with(".url"));
        let by_section = entry.secret && entry.is_foreign() && own_rank(&starts) > Some(rank(entry));
        !is_own(entry) && (by_group || by_section)
    };
    let mut best: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in ours().filter(|entry| !kept_away(entry)) {
        let before = best.entry(&entry.key).or_insert(entry);
        if rank(entry) > rank(before) {
            *before = entry;
        }
    }
    let settings = best.into_iter().map(|(key, entry)| (key.to_owned(), (entry.setting.clone(), entry.layer.clone()))).collect();
    Profile { account: account.into(), settings: Arc::new(settings), environment: Arc::clone(&config.environment) }
}

impl Entry {
    fn section(&self) -> &str {
        self.key.split_once('.').map_or(&*self.key, |(section, _)| section)
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

    /// Whether any of its secrets comes from a plugin.
    pub fn asks_plugins(&self) -> bool {
        self.settings.values().any(|(setting, _)| matches!(setting, Setting::Plugin(..)))
    }

    /// A value that is no secret: what is set literally, or the default.
    pub fn text(&self, key: &str) -> Option<&str> {
        let field = Field::find(key).filter(|field| !field.secret)?;
        match self.setting(key) {
            Some(Setting::Literal(value)) => Some(value.expose()),
            Some(_) => None,
            None => field.default,
        }
    }

    /// A number of milliseconds, checked when it was set; 0 for a key that is no such number.
    pub fn milliseconds(&self, key: &str) -> u64 {
        let is_time = Field::find(key).is_some_and(|field| field.shape == Shape::Milliseconds);
        self.text(key).filter(|_| is_time).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Who gave the setting of a key. None for a default.
    pub fn origin_of(&self, key: &str) -> Option<&Layer> {
        self.settings.get(key).map(|(_, layer)| layer)
    }

    /// Looks up variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}
