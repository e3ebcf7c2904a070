//! `keyferry config`: lists every setting, its value and where it is set. Values of secrets are not
//! shown.
//!
//! References to secrets are shown but not resolved. Only the configuration is read.

use clap::Args;
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use keyferry::config::{
    Config, PROFILE_KEY, Profile, SETTINGS, Setting, SettingDefinition, user_file,
};
use keyferry::error::Result;

/// The options of `keyferry config`.
#[derive(Args)]
pub struct ConfigOptions {
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// A setting with its displayed value and its origin.
struct Row {
    field: &'static SettingDefinition,
    value: Option<String>,
    origin: Option<String>,
}

/// Prints all settings.
pub fn run(options: &ConfigOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let rows_result = context
        .load_config()
        .and_then(|config| setting_rows(&config, options.profile.as_deref()));
    let rows = match rows_result {
        Ok(rows) => rows,
        Err(error) => return streams.fail_with(&error),
    };
    let file = user_file(&context.environment).map(|path| path.display().to_string());
    let written = if options.json {
        let setting = |row: &Row| {
            json!({
                "key": row.field.key, "set": row.origin.is_some(), "value": row.value, "from": row.origin,
                "secret": row.field.secret, "default": row.field.default, "environment": row.field.env, "about": row.field.about,
            })
        };
        let settings: Vec<Value> = rows.iter().map(setting).collect();
        streams.write_json(&json!({ "file": file, "settings": settings }))
    } else {
        let mut table = Table::new(&["key", "value", "from"]);
        for Row {
            field,
            value,
            origin,
        } in &rows
        {
            let style = if origin.is_some() {
                Style::Plain
            } else {
                Style::Faint
            };
            let origin = origin.clone().unwrap_or_else(|| {
                if field.default.is_some() {
                    "default".into()
                } else {
                    "not set".into()
                }
            });
            table.add_row([
                plain_cell(field.key),
                (style, value.clone().unwrap_or_default()),
                (style, origin),
            ]);
        }
        table.write(&mut streams.stdout)
    };
    streams.finish_write(written)
}

fn setting_rows(config: &Config, account: Option<&str>) -> Result<Vec<Row>> {
    let account = account.unwrap_or(config.default_account());
    let profile = config.profile(account)?;
    let row = |field: &'static SettingDefinition| match field.key {
        PROFILE_KEY => Row {
            field,
            value: Some(account.to_owned()),
            origin: config.default_account_layer().map(ToString::to_string),
        },
        key => Row {
            field,
            value: displayed_value(field, &profile),
            origin: profile.layer_of(key).map(ToString::to_string),
        },
    };
    Ok(SETTINGS.iter().map(row).collect())
}

/// Returns the displayed value of a setting: `(set)` for a secret, the source for a reference,
/// otherwise the value itself.
#[expect(
    clippy::disallowed_methods,
    reason = "shows the value only of a setting that is not a secret"
)]
fn displayed_value(field: &SettingDefinition, profile: &Profile) -> Option<String> {
    match profile.setting(field.key) {
        None => field.default.map(str::to_owned),
        Some(Setting::Literal(_)) if field.secret => Some("(set)".into()),
        Some(Setting::Literal(value)) => Some(value.expose().to_owned()),
        Some(Setting::NonUtf8(value)) => Some(value.to_string_lossy().into_owned()),
        Some(reference) => reference.source(),
    }
}
