//! `keyferry explain`: explains which credential keyferry would use for a resource, and why.
//!
//! It sends no request to a service.

use clap::Args;
use serde_json::Value;

use crate::context::CliContext;
use crate::progress::with_progress;
use crate::recorded_failure::with_times;
use crate::resource_input::read_resource;
use crate::secret_input::LinkPasswordInput;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use crate::time_format::{format_duration, now_s, rfc3339};
use keyferry::ffi::json;
use keyferry::model::key::ResourceKind;
use keyferry::session::Session;
use keyferry::session::inspect::{
    Explanation, NextStep, Origin, SettingSource, Sources, TokenInfo,
};

/// The options of `keyferry explain`.
#[derive(Args)]
pub struct ExplainOptions {
    /// URL or short form, as for `keyferry header`; `-` reads it from standard input
    pub resource: String,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The password of a protected link.
    #[command(flatten)]
    pub link_password: LinkPasswordInput,
    /// Also show internals: the key in the store, generation, refresh times and clock skew
    #[arg(short, long, conflicts_with = "json")]
    pub verbose: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Prints which credential would be used, and why.
pub fn run(options: &ExplainOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let resource = read_resource(&options.resource, streams.stdin);
    let explained = resource.and_then(|resource| {
        let link_password = options.link_password.read()?;
        let session = context.open_configured_session(options.profile.as_deref())?;
        let explanation = with_progress(streams, "keyferry: reading the secrets", || {
            session
                .inspect()
                .explain(&resource, link_password, Sources::All)
        })?;
        Ok((session, explanation))
    });
    let (session, explanation) = match explained {
        Ok(explained) => explained,
        Err(error) => return streams.fail_with(&error),
    };
    let document = json::explanation(&explanation);
    if options.json {
        let written = streams.write_json(&document);
        return streams.finish_write(written);
    }
    let mut table = Table::new(&["property", "value"]);
    for (name, value) in rows(&session, &explanation) {
        table.add_row([
            (Style::Faint, name.into()),
            plain_cell(context.shorten_home(&value)),
        ]);
    }
    if options.verbose {
        let is_internal = |name: &&String| !SHOWN_FIELDS.contains(&name.as_str());
        for (name, value) in document.as_object().into_iter().flatten() {
            if is_internal(&name) {
                add_internal(&mut table, name, value);
            }
        }
    }
    let written = table.write(&mut streams.stdout);
    streams.finish_write(written)
}

/// Returns the rows for people.
fn rows(session: &Session, explanation: &Explanation) -> Vec<(&'static str, String)> {
    let now_s = now_s();
    let token = explanation.token.as_ref();
    let rows = [
        (
            "service",
            Some(format!("{} at {}", explanation.service, explanation.base)),
        ),
        ("profile", Some(explanation.account.clone())),
        ("header", header_names(session, explanation)),
        ("from", Some(origin(explanation))),
        ("user", token.and_then(|token| token.user.clone())),
        ("lasts", lifetime(explanation, now_s)),
        ("next", Some(next(explanation, now_s))),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Returns the names of the headers, if they are known before the token is.
fn header_names(session: &Session, explanation: &Explanation) -> Option<String> {
    if let Some(token) = &explanation.token {
        return Some(token.header_names.join(", "));
    }
    if let Some(NextStep::UseSecret(header)) = &explanation.fetch {
        return Some(header.clone());
    }
    let kind = explanation.resource_kind;
    let name = session.inspect().header_name(&explanation.service, kind)?;
    Some(name.to_owned())
}

/// Says where the header comes from.
fn origin(explanation: &Explanation) -> String {
    let used = settings(&explanation.settings);
    match explanation.origin {
        Origin::Memory => "memory".to_owned(),
        Origin::Store => format!("the store ({})", explanation.store),
        Origin::Setting => used,
        Origin::Service if used.is_empty() => explanation.service.clone(),
        Origin::Service => format!("{}, in return for {used}", explanation.service),
    }
}

/// Lists settings and their sources.
fn settings(used: &[SettingSource]) -> String {
    let describe = |used: &SettingSource| format!("{} from {}", used.key, used.source);
    used.iter().map(describe).collect::<Vec<_>>().join(" and ")
}

fn lifetime(explanation: &Explanation, now_s: i64) -> Option<String> {
    let of_token = |token: &TokenInfo| match token.expires_here_unix_s {
        Some(expires) => format!(
            "{}, until {}",
            format_duration(expires - now_s),
            rfc3339(expires).unwrap_or_default()
        ),
        None => "until it is revoked".to_owned(),
    };
    match (&explanation.token, explanation.origin) {
        (Some(token), _) => Some(of_token(token)),
        (None, Origin::Setting) => Some("until it is revoked".to_owned()),
        _ => None,
    }
}

/// Says what the next request does.
fn next(explanation: &Explanation, now_s: i64) -> String {
    let service = &explanation.service;
    let Some(step) = &explanation.fetch else {
        return "returns this token, without a request".to_owned();
    };
    let step = match step {
        NextStep::UseSecret(_) => "returns this secret as it is, without a request".to_owned(),
        NextStep::LogIn if explanation.resource_kind == ResourceKind::Link => {
            format!("sends the link's secret to {service} for a token")
        }
        NextStep::LogIn => format!("sends these secrets to {service} for a token"),
        NextStep::ReadSecret(key) => {
            format!("reads {key}, which explain does not do, because it may send a request")
        }
        NextStep::CallPlugin { unset } if unset.is_empty() => {
            format!("calls `acquire` of the plugin {service}, which may send requests")
        }
        NextStep::CallPlugin { unset } => format!(
            "calls `acquire` of the plugin {service}, which may fail without {}, because no value is set",
            unset.join(" and ")
        ),
        NextStep::Fail { error, .. } => format!("would fail: {}", with_times(error, now_s)),
        _ => format!("asks {service} for a token"),
    };
    if explanation.token.is_some() {
        return format!("{step}; if that fails, this token is returned");
    }
    step
}

/// The fields of the JSON document that the rows for people show.
const SHOWN_FIELDS: [&str; 7] = [
    "service", "base", "account", "origin", "next", "fetch", "settings",
];

/// Adds a row for a field of the JSON document, or a row for each field in it.
fn add_internal(table: &mut Table, name: &str, value: &Value) {
    let shown = match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                add_internal(table, &format!("{name}.{field}"), value);
            }
            return;
        }
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    table.add_row([(Style::Faint, name.to_owned()), plain_cell(shown)]);
}
