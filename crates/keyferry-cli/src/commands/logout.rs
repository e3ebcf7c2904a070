//! `keyferry logout`: deletes stored tokens.
//!
//! It doesn't use the network.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::context::CliContext;
use crate::credentials::{SERVICE_SETTINGS, StoredToken, configured_settings, stored_tokens};
use crate::exit_code::{EXIT_FAILED, EXIT_OK};
use crate::streams::Streams;
use keyferry::error::Result;
use keyferry::session::Session;

/// The options of `keyferry logout`.
#[derive(Args)]
pub struct LogoutOptions {
    /// Service to log out of [default: all]
    #[arg(value_enum)]
    pub service: Option<LogoutService>,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a message
    #[arg(long)]
    pub json: bool,
}

/// A service to log out of.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogoutService {
    /// MASV cloud.
    Masv,
    /// FileVerbs.
    Fileverbs,
}

impl LogoutService {
    fn name(self) -> &'static str {
        match self {
            Self::Masv => "masv",
            Self::Fileverbs => "fileverbs",
        }
    }
}

/// The tokens that were deleted.
struct Deleted {
    tokens: usize,
    /// Whether the store was cleared although it could not be read, so that the number of its tokens
    /// is unknown.
    unreadable: bool,
}

impl Deleted {
    fn text(&self) -> String {
        match self.tokens {
            _ if self.unreadable => {
                "the store could not be read, and all its tokens were deleted".to_owned()
            }
            1 => "1 token deleted".to_owned(),
            count => format!("{count} tokens deleted"),
        }
    }
}

/// Deletes tokens. Keeps the configured secrets and lists their settings, because the next request
/// logs in with these secrets again.
pub fn run(options: &LogoutOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = context.load_config().and_then(|config| {
        let account = options
            .profile
            .as_deref()
            .unwrap_or(config.default_account())
            .to_owned();
        let profile = config.profile(&account)?;
        let session = context.open_session(config, Some(&account))?;
        let deleted = forget_tokens(&session, options, &account)?;
        let services = SERVICE_SETTINGS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| options.service.is_none_or(|only| only.name() == *name));
        Ok((
            deleted,
            services
                .flat_map(|service| configured_settings(&profile, service))
                .collect::<Vec<_>>(),
        ))
    });
    let (deleted, still_configured) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return streams.fail_with(&error),
    };
    let still_configured: Vec<_> = still_configured
        .into_iter()
        .filter(|key| *key != "masv.email")
        .collect();
    if options.json {
        let object = json!({
            "forgotten": deleted.tokens, "still_configured": still_configured, "unreadable": deleted.unreadable,
        });
        let written = streams.write_json(&object);
        return streams.finish_write(written);
    }
    let service = options.service.map_or("all services", LogoutService::name);
    let mut sentence = format!("logged out of {service}; {}", deleted.text());
    if !still_configured.is_empty() {
        sentence += &format!(
            "; still configured and used for the next login: {} (see `keyferry config`)",
            still_configured.join(", ")
        );
    }
    let written = streams.stdout.write_line(&sentence);
    if streams.finish_write(written) == EXIT_OK {
        EXIT_OK
    } else {
        EXIT_FAILED
    }
}

fn forget_tokens(session: &Session, options: &LogoutOptions, account: &str) -> Result<Deleted> {
    let all = stored_tokens(session);
    if options.service.is_none() && options.profile.is_none() {
        // Also deletes records that cannot be decrypted. This clears a store whose key is damaged.
        session.forget(None)?;
        return Ok(Deleted {
            unreadable: all.is_err(),
            tokens: all.map_or(0, |all| all.len()),
        });
    }
    Ok(Deleted {
        tokens: forget_each(session, &all?, account, options.service)?,
        unreadable: false,
    })
}

/// Deletes the tokens of one account or service. User tokens are deleted even if none is listed,
/// because that also clears their recorded failures and throttles.
fn forget_each(
    session: &Session,
    all: &[StoredToken],
    account: &str,
    only: Option<LogoutService>,
) -> Result<usize> {
    let is_meant = |token: &&StoredToken| {
        token.info.account.as_deref() == Some(account)
            && only.is_none_or(|only| token.info.service == only.name())
    };
    let tokens: Vec<_> = all.iter().filter(is_meant).collect();
    for token in &tokens {
        session.forget(Some(&token.resource))?;
    }
    for (name, resource) in [
        ("masv", "masv:/v1/users/self"),
        ("masv", "masv:user"),
        ("fileverbs", "fileverbs:bearer"),
    ] {
        if only.is_none_or(|only| only.name() == name) {
            session.forget(Some(resource))?;
        }
    }
    Ok(tokens.len())
}
