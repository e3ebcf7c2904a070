//! `keyferry status`, `keyferry explain` and `keyferry logout`: what is kept, why, and the end of it.
//!
//! They never go to the network.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::args::{EXIT_FAILED, EXIT_OK, Streams};
use crate::commands::print::resource_of;
use crate::context::CliContext;
use crate::table::{Table, life, plain};
use crate::terminal::Style;
use keyferry::clock::Clock;
use keyferry::config::{Config, Profile};
use keyferry::error::Result;
use keyferry::session::Session;

/// How `keyferry status` runs.
#[derive(Args)]
pub struct StatusOptions {
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// How `keyferry explain` runs.
#[derive(Args)]
pub struct ExplainOptions {
    /// As for `keyferry token`; `-` reads it from standard input.
    pub resource: String,
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// How `keyferry logout` runs.
#[derive(Args)]
pub struct LogoutOptions {
    /// Where to log out; without it everywhere.
    #[arg(value_enum)]
    pub service: Option<LogoutFrom>,
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// One JSON object instead of a sentence.
    #[arg(long)]
    pub json: bool,
}

/// Where there is something to forget.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogoutFrom {
    /// MASV cloud.
    Masv,
    /// FileVerbs.
    Fileverbs,
}

impl LogoutFrom {
    fn name(self) -> &'static str {
        match self {
            Self::Masv => "masv",
            Self::Fileverbs => "fileverbs",
        }
    }
}

/// What a service can be asked with.
const CREDENTIALS: [(&str, &[&str]); 2] =
    [("masv", &["masv.api_key", "masv.email", "masv.password"]), ("fileverbs", &["fileverbs.secret_key", "fileverbs.api_key"])];

fn configured(profile: &Profile, service: &str) -> Vec<&'static str> {
    let keys = CREDENTIALS.iter().filter(|(name, _)| *name == service).flat_map(|(_, keys)| *keys);
    keys.copied().filter(|key| profile.is_set(key)).collect()
}

/// Shows what is kept.
pub fn status(options: &StatusOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let found = context.config().and_then(|config| {
        let session = context.open(config.clone(), None)?;
        Ok((rows(&session)?, services(&config, context)?, session.inspect().store_name(), session.inspect().protection()))
    });
    let (tokens, services, store, protection) = match found {
        Ok(found) => found,
        Err(error) => return streams.fail_with(&error),
    };
    if options.json {
        let all = json!({ "store": store, "protection": protection, "tokens": tokens, "services": services });
        let written = streams.stdout.line(&all.to_string());
        return streams.wrote(written);
    }
    let mut table = Table::new(&["service", "account", "resource", "life left", "generation", "store", "protection"]);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for token in &tokens {
        let left = token["life_left_s"].as_i64();
        let style = if left.is_some_and(|left| left <= 0) { Style::Bad } else { Style::Good };
        let left = left.map_or_else(|| "no end".to_owned(), |left| if left > 0 { life(left) } else { "ended".to_owned() });
        table.row([
            plain(text(&token["service"])),
            plain(text(&token["account"])),
            plain(text(&token["resource"])),
            (style, left),
            plain(token["generation"].to_string()),
            plain(store),
            plain(protection),
        ]);
    }
    let has_token =
        |service: &Value| tokens.iter().any(|token| token["service"] == service["service"] && token["account"] == service["account"]);
    for service in services.iter().filter(|service| !has_token(service)) {
        let keys = service["configured"].as_array().map_or(0, Vec::len);
        let state = if keys > 0 { "no token yet" } else { "not configured" };
        let none = || (Style::Faint, "-".to_owned());
        table.row([
            plain(text(&service["service"])),
            plain(text(&service["account"])),
            none(),
            (Style::Faint, state.into()),
            none(),
            none(),
            none(),
        ]);
    }
    let written = table.write(&mut streams.stdout);
    streams.wrote(written)
}

/// The tokens that are kept, each with the resource that it is asked for by.
fn rows(session: &Session) -> Result<Vec<Value>> {
    let now_s = Clock::system().now_us().div_euclid(1_000_000);
    let all: Vec<Value> = serde_json::from_str(&session.list()?).unwrap_or_default();
    let row = |mut row: Value| {
        let id = row["id"].as_str().unwrap_or_default();
        let resource = match (row["service"].as_str().unwrap_or_default(), row["kind"].as_str().unwrap_or_default()) {
            ("fileverbs", "key") => "fileverbs:secret-key".to_owned(),
            ("masv", "key" | "user") => "user".to_owned(),
            ("masv", kind) => format!("{kind}s/{id}"),
            (service, kind) => format!("{service}:{kind}"),
        };
        row["resource"] = json!(resource);
        row["life_left_s"] = row["expires_here_unix_s"].as_i64().map_or(Value::Null, |ends| json!(ends - now_s));
        row
    };
    Ok(all.into_iter().map(row).collect())
}

/// Every service of every account, and which of its settings are there.
fn services(config: &Config, context: &CliContext) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for account in config.accounts() {
        let (profile, session) = (config.profile(&account)?, context.open(config.clone(), Some(&account))?);
        for place in session.inspect().services().filter(|place| CREDENTIALS.iter().any(|(name, _)| *name == place.service)) {
            let keys = configured(&profile, place.service);
            all.push(json!({ "service": place.service, "account": account, "base": place.base.as_str(), "configured": keys }));
        }
    }
    Ok(all)
}

/// Says what would happen for a resource, and why.
pub fn explain(options: &ExplainOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let resource = resource_of(&options.resource, streams.stdin);
    let explained = resource.and_then(|resource| context.session(options.profile.as_deref())?.explain(&resource));
    let text = match explained {
        Ok(text) => text,
        Err(error) => return streams.fail_with(&error),
    };
    if options.json {
        let written = streams.stdout.line(&text);
        return streams.wrote(written);
    }
    let explained: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut table = Table::new(&["what", "value"]);
    for (name, value) in explained.as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(|| if value.is_null() { "-".into() } else { value.to_string() }, str::to_owned);
        table.row([(Style::Faint, name.replace('_', " ")), plain(shown)]);
    }
    let written = table.write(&mut streams.stdout);
    streams.wrote(written)
}

/// Forgets tokens. What is configured stays, and is named: with it the next call would log in again.
pub fn logout(options: &LogoutOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = context.config().and_then(|config| {
        let account = options.profile.as_deref().unwrap_or(config.default_account()).to_owned();
        let profile = config.profile(&account)?;
        let session = context.open(config, Some(&account))?;
        let forgotten = forget(&session, options, &account)?;
        let services = CREDENTIALS.iter().map(|(name, _)| *name).filter(|name| options.service.is_none_or(|only| only.name() == *name));
        Ok((forgotten, services.flat_map(|service| configured(&profile, service)).collect::<Vec<_>>()))
    });
    let (forgotten, still) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return streams.fail_with(&error),
    };
    let still: Vec<_> = still.into_iter().filter(|key| *key != "masv.email").collect();
    if options.json {
        let written = streams.stdout.line(&json!({ "forgotten": forgotten, "still_configured": still }).to_string());
        return streams.wrote(written);
    }
    let what = options.service.map_or("everything", LogoutFrom::name);
    let mut sentence = format!("{what} is forgotten: {forgotten} tokens");
    if !still.is_empty() {
        sentence += &format!("; still configured, and used at the next call: {} (keyferry config says where)", still.join(", "));
    }
    let written = streams.stdout.line(&sentence);
    if streams.wrote(written) == EXIT_OK { EXIT_OK } else { EXIT_FAILED }
}

fn forget(session: &Session, options: &LogoutOptions, account: &str) -> Result<usize> {
    let all = rows(session);
    if options.service.is_none() && options.profile.is_none() {
        // Also what can't be read: this is the way out of a store whose key is damaged.
        session.forget(None)?;
        return Ok(all.map_or(0, |all| all.len()));
    }
    forget_rows(session, &all?, account, options.service)
}

/// One by one, the user's own too where none is listed: its refusals and pauses end with it.
fn forget_rows(session: &Session, all: &[Value], account: &str, only: Option<LogoutFrom>) -> Result<usize> {
    let is_meant = |row: &&Value| row["account"] == account && only.is_none_or(|only| row["service"] == only.name());
    let rows: Vec<_> = all.iter().filter(is_meant).collect();
    for row in &rows {
        session.forget(row["resource"].as_str())?;
    }
    for (name, resource) in [("masv", "masv:users/self"), ("masv", "masv:user"), ("fileverbs", "fileverbs:bearer")] {
        if only.is_none_or(|only| only.name() == name) {
            session.forget(Some(resource))?;
        }
    }
    Ok(rows.len())
}
