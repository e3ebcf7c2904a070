//! `keyferry logout`: deletes stored tokens, and the secrets that `keyferry login --save` saved.
//!
//! It doesn't use the network.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use crate::context::CliContext;
use crate::credentials::{SERVICE_SETTINGS, configured_settings};
use crate::save_secret::remove_saved;
use crate::streams::Streams;
use keyferry::config::Profile;
use keyferry::error::Result;
use keyferry::session::Session;

/// The options of `keyferry logout`.
#[derive(Args)]
pub struct LogoutOptions {
    /// Service to log out of: masv, fileverbs, or the name of a plugin's service [default: all]
    pub service: Option<String>,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Keep the secrets that `keyferry login --save` saved
    #[arg(long)]
    pub keep_saved: bool,
    /// Print JSON instead of a message
    #[arg(long)]
    pub json: bool,
}

/// The outcome of a logout.
struct Outcome {
    tokens: usize,
    /// Whether the store was cleared although it could not be read, so that the number of its tokens
    /// is unknown.
    unreadable: bool,
    /// The settings whose saved secrets were removed, and where the secrets were.
    removed: Vec<(&'static str, String)>,
    /// The credentials that the next request uses to log in again.
    still_configured: Vec<&'static str>,
}

impl Outcome {
    fn deleted(&self) -> String {
        match self.tokens {
            _ if self.unreadable => {
                "the store could not be read, and all its tokens were deleted".to_owned()
            }
            1 => "1 token deleted".to_owned(),
            count => format!("{count} tokens deleted"),
        }
    }

    fn text(&self, service: Option<&str>) -> String {
        let service = service.unwrap_or("all services");
        let mut text = format!("logged out of {service}; {}", self.deleted());
        if !self.still_configured.is_empty() {
            text += &format!(
                "; still configured and used for the next login: {} (see `keyferry config`)",
                self.still_configured.join(", ")
            );
        }
        for (key, location) in &self.removed {
            text += &format!("\nremoved {key} from {location} and from config.toml");
        }
        text
    }

    fn to_json(&self) -> serde_json::Value {
        let removed: Vec<_> = self.removed.iter().map(|(key, _)| key).collect();
        json!({
            "forgotten": self.tokens,
            "removed": removed,
            "still_configured": self.still_configured,
            "unreadable": self.unreadable,
        })
    }
}

/// The reason why a command line cannot be carried out, or the outcome.
enum Logout {
    /// There is no such service. The names of the services follow.
    NoService(Vec<String>),
    Done(Outcome),
}

/// Logs out. Lists the credentials that remain configured, because the next request logs in with
/// them again.
pub fn run(options: &LogoutOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = match logout(options, context) {
        Ok(Logout::Done(outcome)) => outcome,
        Ok(Logout::NoService(names)) => {
            return streams.fail_usage(&format!(
                "there is no such service to log out of; use one of: {}",
                names.join(", ")
            ));
        }
        Err(error) => return streams.fail_with(&error),
    };
    let written = if options.json {
        streams.write_json(&outcome.to_json())
    } else {
        let text = outcome.text(options.service.as_deref());
        streams.stdout.write_line(&text)
    };
    streams.finish_write(written)
}

fn logout(options: &LogoutOptions, context: &CliContext) -> Result<Logout> {
    let config = context.load_config()?;
    let account = options
        .profile
        .as_deref()
        .unwrap_or(config.default_account())
        .to_owned();
    let profile = config.profile(&account)?;
    let session = context.open_session(config, Some(&account))?;
    let service = options.service.as_deref();
    if let Some(name) = service {
        let known = service_names(&session);
        if !known.iter().any(|known| known == name) {
            return Ok(Logout::NoService(known));
        }
    }
    let (tokens, unreadable) = forget_tokens(&session, options)?;
    let keys = || {
        SERVICE_SETTINGS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| service.is_none_or(|only| only == *name))
            .flat_map(|name| configured_settings(&profile, name))
    };
    let removed = if options.keep_saved {
        Vec::new()
    } else {
        remove_all_saved(&profile, keys(), &account, context)?
    };
    let remains = |key: &&'static str| {
        *key != "masv.email" && removed.iter().all(|(removed, _)| removed != key)
    };
    Ok(Logout::Done(Outcome {
        tokens,
        unreadable,
        still_configured: keys().filter(remains).collect(),
        removed,
    }))
}

/// Returns the services that a user can log out of: those of the configuration, and those of stored
/// tokens. The MASV Agent keeps its session itself.
fn service_names(session: &Session) -> Vec<String> {
    let inspect = session.inspect();
    let configured = inspect.services().map(|info| info.service.to_owned());
    let mut names: BTreeSet<_> = configured.filter(|name| name != "agent").collect();
    // A store that can't be read has no tokens to log out of.
    let _ = inspect.list(|token, _| {
        if !names.contains(token.service()) {
            names.insert(token.service().to_owned());
        }
        false
    });
    names.into_iter().collect()
}

/// Removes the saved secrets of these settings. Returns the settings, and where the secrets were.
fn remove_all_saved(
    profile: &Profile,
    keys: impl Iterator<Item = &'static str>,
    account: &str,
    context: &CliContext,
) -> Result<Vec<(&'static str, String)>> {
    let mut removed = Vec::new();
    for key in keys {
        let Some(setting) = profile.setting(key) else {
            continue;
        };
        if let Some(location) = remove_saved(account, key, setting, context)? {
            removed.push((key, location));
        }
    }
    Ok(removed)
}

/// Deletes tokens. Returns their number, and whether the store could not be read.
fn forget_tokens(session: &Session, options: &LogoutOptions) -> Result<(usize, bool)> {
    let service = options.service.as_deref();
    if service.is_none() && options.profile.is_none() {
        let mut count = 0;
        let counted = session.inspect().list(|_, _| {
            count += 1;
            false
        });
        // Also deletes records that cannot be decrypted. This clears a store whose key is damaged.
        session.forget(None)?;
        return Ok((count, counted.is_err()));
    }
    let count = session.forget_service(service)?;
    // This also clears the recorded failures and throttles, even if no token is stored.
    for (name, resource) in [
        ("masv", "masv:/v1/users/self"),
        ("masv", "masv:user"),
        ("fileverbs", "fileverbs:bearer"),
    ] {
        if service.is_none_or(|only| only == name) {
            session.forget(Some(resource))?;
        }
    }
    Ok((count, false))
}
