//! `keyferry status`: lists the stored tokens and how long they remain valid.
//!
//! It doesn't use the network.

use clap::Args;
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::credentials::{SERVICE_SETTINGS, configured_settings, stored_tokens};
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
        let all = json!({ "store": store, "protection": protection, "tokens": tokens, "services": services });
        let written = streams.stdout.write_line(&all.to_string());
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
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for token in &tokens {
        let left_s = token["life_left_s"].as_i64();
        let style = if left_s.is_some_and(|left_s| left_s <= 0) {
            Style::Bad
        } else {
            Style::Good
        };
        let remaining = left_s.map_or_else(
            || "no expiry".to_owned(),
            |left_s| {
                if left_s > 0 {
                    format_duration(left_s)
                } else {
                    "expired".to_owned()
                }
            },
        );
        table.add_row([
            plain_cell(text(&token["service"])),
            plain_cell(text(&token["account"])),
            plain_cell(text(&token["resource"])),
            (style, remaining),
            plain_cell(token["generation"].to_string()),
            plain_cell(store),
            plain_cell(protection),
        ]);
    }
    let has_token = |service: &Value| {
        tokens.iter().any(|token| {
            token["service"] == service["service"] && token["account"] == service["account"]
        })
    };
    for service in services.iter().filter(|service| !has_token(service)) {
        let keys = service["configured"].as_array().map_or(0, Vec::len);
        let state = if keys > 0 {
            "no token yet"
        } else {
            "not configured"
        };
        let none = || (Style::Faint, "-".to_owned());
        table.add_row([
            plain_cell(text(&service["service"])),
            plain_cell(text(&service["account"])),
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

/// Lists every service of every account, and which of its settings are set.
fn service_rows(config: &Config, context: &CliContext) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for account in config.accounts() {
        let (profile, session) = (
            config.profile(&account)?,
            context.open_session(config.clone(), Some(&account))?,
        );
        for service_info in session.inspect().services().filter(|service_info| {
            SERVICE_SETTINGS
                .iter()
                .any(|(name, _)| *name == service_info.service)
        }) {
            let keys = configured_settings(&profile, service_info.service);
            all.push(
                json!({ "service": service_info.service, "account": account, "base": service_info.base.as_str(), "configured": keys }),
            );
        }
    }
    Ok(all)
}
