//! `keyferry status`: says who is logged in to each service, and for how long.
//!
//! It doesn't use the network.

use std::rc::Rc;

use clap::Args;
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::credentials::{
    LOGINS, SERVICE_SETTINGS, StoredToken, configured_settings, stored_logins,
};
use crate::list_document::ListDocument;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use crate::time_format::{format_duration, now_s};
use keyferry::config::{Config, DEFAULT_ACCOUNT};
use keyferry::error::{ErrorKind, Result};
use keyferry::session::Session;
use keyferry::session::inspect::Sources;

/// The options of `keyferry status`.
#[derive(Args)]
pub struct StatusOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Prints the logins. With `--json`, prints all stored tokens.
pub fn run(options: &StatusOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let loaded = context.load_config().and_then(|config| {
        let session = context.open_session(config.clone(), None)?;
        Ok((session, service_rows(&config, context)?))
    });
    let written = loaded.and_then(|(session, services)| {
        if options.json {
            write_json(&session, &services, streams)
        } else {
            let logins = stored_logins(&session)?;
            Ok(write_table(
                &login_rows(&logins, &services),
                context,
                streams,
            ))
        }
    });
    written.unwrap_or_else(|error| streams.fail_with(&error))
}

/// Writes the services and all stored tokens. Returns the exit code.
fn write_json(session: &Session, services: &[ServiceRow], streams: &mut Streams<'_>) -> Result<u8> {
    let (inspect, now_s) = (session.inspect(), now_s());
    let services: Value = services.iter().map(ServiceRow::to_json).collect();
    let fields = json!({
        "store": inspect.store_name(), "protection": inspect.protection(), "services": services,
        "tokens": [],
    });
    let mut document = ListDocument::new(streams, &fields);
    inspect.visit(&mut |info| document.push(&StoredToken::new(info, now_s).to_json()))?;
    Ok(document.finish())
}

/// Writes the table. Returns the exit code.
fn write_table(rows: &[LoginRow], context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let mut table = Table::new(&["service", "profile", "user", "state"]);
    for row in rows {
        let LoginRow {
            service,
            account,
            user,
            state,
            style,
        } = row;
        table.add_row([
            plain_cell(service),
            plain_cell(account),
            plain_cell(user.as_deref().unwrap_or_default()),
            (*style, context.shorten_home(state)),
        ]);
    }
    let written = table.write(&mut streams.stdout);
    streams.finish_write(written)
}

/// A row of the table: the user who is logged in to a service, and the state of the login.
struct LoginRow {
    service: String,
    account: String,
    user: Option<String>,
    state: String,
    style: Style,
}

/// Returns a row for each service of each account, then rows for the logins of other services.
fn login_rows(logins: &[StoredToken], services: &[ServiceRow]) -> Vec<LoginRow> {
    let is_of = |token: &StoredToken, row: &ServiceRow| {
        token.info.service == row.service && token.info.account.as_ref() == Some(&row.account)
    };
    let of_service = services.iter().map(|row| {
        let token = logins.iter().find(|token| is_of(token, row));
        row.login(token)
    });
    let others = logins
        .iter()
        .filter(|token| !services.iter().any(|row| is_of(token, row)))
        .map(|token| {
            let (state, style) = token_state(token, "");
            LoginRow {
                service: token.info.service.clone(),
                account: token.info.account.clone().unwrap_or_default(),
                user: token.info.user.clone(),
                state,
                style,
            }
        });
    of_service.chain(others).collect()
}

/// Says how long a login remains valid. `remedy` follows if it has expired.
fn token_state(token: &StoredToken, remedy: &str) -> (String, Style) {
    match token.life_left_s {
        None => ("logged in".to_owned(), Style::Good),
        Some(left_s) if left_s > 0 => {
            let left = format_duration(left_s);
            (format!("logged in, {left} left"), Style::Good)
        }
        Some(_) => (format!("the login has expired{remedy}"), Style::Bad),
    }
}

/// A service of an account.
struct ServiceRow {
    service: String,
    account: String,
    base: String,
    /// The credential settings that are set.
    configured: Vec<&'static str>,
    /// Their sources.
    sources: Vec<String>,
    /// The session of the account.
    session: Rc<Session>,
}

impl ServiceRow {
    fn to_json(&self) -> Value {
        let Self {
            service,
            account,
            base,
            configured,
            sources: _,
            session: _,
        } = self;
        json!({ "service": service, "account": account, "base": base, "configured": configured })
    }

    /// Says who is logged in, given the stored token of the login.
    fn login(&self, token: Option<&StoredToken>) -> LoginRow {
        let key = ["masv.api_key", "fileverbs.secret_key"]
            .into_iter()
            .find(|key| self.configured.contains(key) && !self.has_login());
        let profile = match self.account.as_str() {
            DEFAULT_ACCOUNT => String::new(),
            account => format!(" --profile {account}"),
        };
        let log_in = format!("run `keyferry login {}{profile}`", self.service);
        let (state, style) = match (key.and_then(|key| self.source(key)), token) {
            (Some(used), _) => (format!("uses {used}"), Style::Plain),
            (None, Some(token)) => token_state(token, &format!("; {log_in}")),
            (None, None) if self.has_login() => {
                let used = self.configured.iter().filter_map(|key| self.source(key));
                let used = used.collect::<Vec<_>>().join(" and ");
                match login_failure(&self.session, &self.service) {
                    Some(failure) => (format!("{failure}; run `keyferry doctor`"), Style::Bad),
                    None => (format!("logs in when needed, with {used}"), Style::Plain),
                }
            }
            (None, None) => (format!("not logged in; {log_in}"), Style::Faint),
        };
        LoginRow {
            service: self.service.clone(),
            account: self.account.clone(),
            user: token
                .filter(|_| key.is_none())
                .and_then(|token| token.info.user.clone()),
            state,
            style,
        }
    }

    /// Whether the settings are enough for a login.
    fn has_login(&self) -> bool {
        let has = |keys: [&str; 2]| keys.iter().all(|key| self.configured.contains(key));
        !self.configured.contains(&"masv.api_key")
            && (has(["masv.email", "masv.password"])
                || has(["fileverbs.secret_key", "fileverbs.api_key"]))
    }

    /// Returns a setting and its source.
    fn source(&self, key: &str) -> Option<String> {
        let position = self.configured.iter().position(|other| *other == key)?;
        Some(format!("{key} from {}", self.sources[position]))
    }
}

/// Lists every service of every account, and which of its settings are set.
fn service_rows(config: &Config, context: &CliContext) -> Result<Vec<ServiceRow>> {
    let mut all = Vec::new();
    for account in config.accounts() {
        let (profile, session) = (
            config.profile(&account)?,
            Rc::new(context.open_session(config.clone(), Some(&account))?),
        );
        let services = session.inspect().services();
        for service_info in services.filter(|service_info| {
            SERVICE_SETTINGS
                .iter()
                .any(|(name, _)| *name == service_info.service)
        }) {
            let configured = configured_settings(&profile, service_info.service);
            let sources = configured.iter().filter_map(|key| profile.source_of(key));
            all.push(ServiceRow {
                service: service_info.service.to_owned(),
                account: account.clone(),
                base: service_info.base.to_string(),
                sources: sources.collect(),
                configured,
                session: Rc::clone(&session),
            });
        }
    }
    Ok(all)
}

/// Says why the next login to a service would fail, as far as that is known without a request.
fn login_failure(session: &Session, service: &str) -> Option<&'static str> {
    let login = LOGINS.iter().find(|login| login.service == service)?;
    let error = login.failure(session, Sources::Quick)?;
    Some(match error.kind {
        ErrorKind::BadCredentials => "the last login was refused",
        ErrorKind::Throttled | ErrorKind::Unavailable => "the service asked for a pause",
        _ => "the next login would fail",
    })
}
