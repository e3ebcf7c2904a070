//! `keyferry status`: lists the stored tokens and how long they remain valid.
//!
//! It doesn't use the network.

use clap::Args;
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::credentials::{SERVICE_SETTINGS, StoredToken, configured_settings, stored_tokens};
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use crate::time_format::format_duration;
use keyferry::config::Config;
use keyferry::error::Result;

/// The options of `keyferry status`.
#[derive(Args)]
pub struct StatusOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Prints the stored tokens.
pub fn run(options: &StatusOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let loaded = context.load_config().and_then(|config| {
        let session = context.open_session(config.clone(), None)?;
        Ok((
            stored_tokens(&session)?,
            service_rows(&config, context)?,
            session.inspect().store_name(),
            session.inspect().protection(),
        ))
    });
    let (tokens, services, store, protection) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return streams.fail_with(&error),
    };
    if options.json {
        let tokens: Value = tokens.iter().map(StoredToken::to_json).collect();
        let services: Value = services.iter().map(ServiceRow::to_json).collect();
        let all = json!({ "store": store, "protection": protection, "tokens": tokens, "services": services });
        let written = streams.write_json(&all);
        return streams.finish_write(written);
    }
    let mut table = Table::new(&[
        "service",
        "account",
        "resource",
        "life left",
        "generation",
        "store",
        "protection",
    ]);
    for token in &tokens {
        let style = if token.life_left_s.is_some_and(|left_s| left_s <= 0) {
            Style::Bad
        } else {
            Style::Good
        };
        let remaining = match token.life_left_s {
            None => "no expiry".to_owned(),
            Some(left_s) if left_s > 0 => format_duration(left_s),
            Some(_) => "expired".to_owned(),
        };
        table.add_row([
            plain_cell(&token.info.service),
            plain_cell(token.info.account.as_deref().unwrap_or("-")),
            plain_cell(&token.resource),
            (style, remaining),
            plain_cell(token.info.generation.to_string()),
            plain_cell(store),
            plain_cell(protection),
        ]);
    }
    let has_token = |service: &ServiceRow| {
        tokens.iter().any(|token| {
            token.info.service == service.service
                && token.info.account.as_ref() == Some(&service.account)
        })
    };
    for service in services.iter().filter(|service| !has_token(service)) {
        let state = if service.configured.is_empty() {
            "not configured"
        } else {
            "no token yet"
        };
        let none = || (Style::Faint, "-".to_owned());
        table.add_row([
            plain_cell(&service.service),
            plain_cell(&service.account),
            none(),
            (Style::Faint, state.into()),
            none(),
            none(),
            none(),
        ]);
    }
    let written = table.write(&mut streams.stdout);
    streams.finish_write(written)
}

/// A service of an account.
struct ServiceRow {
    service: String,
    account: String,
    base: String,
    /// The credential settings that are set.
    configured: Vec<&'static str>,
}

impl ServiceRow {
    fn to_json(&self) -> Value {
        let Self {
            service,
            account,
            base,
            configured,
        } = self;
        json!({ "service": service, "account": account, "base": base, "configured": configured })
    }
}

/// Lists every service of every account, and which of its settings are set.
fn service_rows(config: &Config, context: &CliContext) -> Result<Vec<ServiceRow>> {
    let mut all = Vec::new();
    for account in config.accounts() {
        let (profile, session) = (
            config.profile(&account)?,
            context.open_session(config.clone(), Some(&account))?,
        );
        let services = session.inspect().services();
        for service_info in services.filter(|service_info| {
            SERVICE_SETTINGS
                .iter()
                .any(|(name, _)| *name == service_info.service)
        }) {
            all.push(ServiceRow {
                service: service_info.service.to_owned(),
                account: account.clone(),
                base: service_info.base.to_string(),
                configured: configured_settings(&profile, service_info.service),
            });
        }
    }
    Ok(all)
}
