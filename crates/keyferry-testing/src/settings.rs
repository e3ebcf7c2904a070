//! Settings, configurations and environments that lead to a sandbox.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

use keyferry::clock::Clock;
use keyferry::config::{Config, Environment};
use keyferry::error::Error;
use keyferry::secret::Secret;
use keyferry_sandbox::{Sandbox, Service, credentials as c};

/// The base URLs of the three services.
pub trait ServiceUrls {
    fn url_of(&self, service: Service) -> &str;

    /// Returns the settings with the base URLs.
    fn urls(&self) -> [(&'static str, &str); 3] {
        [
            ("masv.url", self.url_of(Service::Masv)),
            ("agent.url", self.url_of(Service::Agent)),
            ("fileverbs.url", self.url_of(Service::FileVerbs)),
        ]
    }
}

impl ServiceUrls for Sandbox {
    fn url_of(&self, service: Service) -> &str {
        match service {
            Service::Masv => self.masv_url(),
            Service::Agent => self.agent_url(),
            Service::FileVerbs => self.fileverbs_url(),
            Service::Storage => self.storage_url(),
        }
    }
}

/// E-mail address and password for MASV and its agent, and both keys for FileVerbs.
pub const LOGIN: [(&str, &str); 4] = [
    ("masv.email", c::EMAIL),
    ("masv.password", c::PASSWORD),
    ("fileverbs.secret_key", c::SECRET_KEY),
    ("fileverbs.api_key", c::FV_API_KEY),
];

/// The setting with the account's team.
pub const TEAM: (&str, &str) = ("masv.team", c::TEAM_ID);

/// Returns the URLs of a sandbox, [`LOGIN`] and [`TEAM`], with `others` in place of the settings of
/// the same name. A setting with an empty value is left out.
pub fn settings<'a>(
    urls: &'a impl ServiceUrls,
    others: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all = [&urls.urls()[..], &LOGIN, &[TEAM]].concat();
    all.retain(|(key, _)| others.iter().all(|(other, _)| key != other));
    all.extend(others.iter().filter(|(_, value)| !value.is_empty()));
    all
}

/// Returns a configuration of the Rust API with these settings.
pub fn config<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Config {
    try_config(settings).unwrap()
}

/// Returns a configuration of the Rust API with these settings, or the error of the first one that
/// is refused.
pub fn try_config<'a>(
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Config, Error> {
    let mut config = Config::new();
    for (key, value) in settings {
        config.set(key, Secret::from(value))?;
    }
    Ok(config)
}

/// Returns an environment with these variables only.
pub fn environment(pairs: &[(&str, &str)]) -> Environment {
    let map: HashMap<String, OsString> = pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    Arc::new(move |name| map.get(name).cloned())
}

/// Returns a clock for the sandbox that shows the time of `clock` and this many milliseconds more.
pub fn sandbox_clock(clock: &Clock, ahead_ms: i64) -> keyferry_sandbox::Clock {
    let clock = clock.clone();
    keyferry_sandbox::Clock::from_fn(Arc::new(move || clock.now_us() / 1000 + ahead_ms))
}
