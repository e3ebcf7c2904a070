//! `keyferry doctor`: checks the configuration, secrets, store, network and clock. Its output is
//! safe to paste into an issue.
//!
//! It doesn't log in to any service and shows no private values: it replaces the home directory
//! with `~` and the e-mail address with `(e-mail)`, and removes user names from proxy URLs.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::commands::config::describe_reference;
use crate::context::CliContext;
use crate::exit_code::{EXIT_FAILED, EXIT_OK};
use crate::log_output::LogOptions;
use crate::progress::with_progress;
use crate::secrets;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use keyferry::clock::Clock;
use keyferry::config::{Config, Profile, SETTINGS, Setting, user_file};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::TokenKind;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::session::inspect::TokenInfo;
use keyferry::sys::private_file::{self, Privacy};

/// The options of `keyferry doctor`.
#[derive(Args)]
pub struct DoctorOptions {
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckState {
    Good,
    Note,
    Bad,
}

impl CheckState {
    fn label(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }
}

/// The results of all checks: name, state and explanation.
#[derive(Default)]
struct Report(Vec<(String, CheckState, String)>);

impl Report {
    fn add(&mut self, name: &str, state: CheckState, what: impl Into<String>) {
        self.0.push((name.to_owned(), state, what.into()));
    }
}

/// How long to wait for a service's response.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest acceptable clock skew. With a larger skew, keyferry may use an expired token or
/// discard a valid one.
const MAX_CLOCK_SKEW_S: i64 = 120;

/// Runs all checks.
pub fn run(options: &DoctorOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let mut report = Report::default();
    with_progress(streams, "keyferry: checking", || {
        run_checks(options.profile.as_deref(), context, &mut report)
    });
    let redaction = Redaction::new(context, options.profile.as_deref());
    let rows: Vec<_> = report
        .0
        .into_iter()
        .map(|(name, state, what)| (name, state, redaction.redact(&what)))
        .collect();
    let is_well = rows.iter().all(|(_, state, _)| *state != CheckState::Bad);
    let written = if options.json {
        let check = |(name, state, what): &(String, CheckState, String)| json!({ "check": name, "state": state.label(), "what": what });
        let checks: Vec<_> = rows.iter().map(check).collect();
        let json = json!({ "version": env!("CARGO_PKG_VERSION"), "system": std::env::consts::OS, "ok": is_well, "checks": checks });
        streams.write_json(&json)
    } else {
        let mut table = Table::new(&["check", "state", "details"]);
        for (name, state, what) in rows {
            let style = match state {
                CheckState::Good => Style::Good,
                CheckState::Note => Style::Plain,
                CheckState::Bad => Style::Bad,
            };
            table.add_row([
                plain_cell(name),
                (style, state.label().to_owned()),
                plain_cell(what),
            ]);
        }
        table.write(&mut streams.stdout)
    };
    match streams.finish_write(written) {
        EXIT_OK if is_well => EXIT_OK,
        _ => EXIT_FAILED,
    }
}

fn run_checks(account: Option<&str>, context: &CliContext, report: &mut Report) {
    report.add(
        "version",
        CheckState::Good,
        format!(
            "keyferry {} on {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS
        ),
    );
    let config = match context.load_config() {
        Ok(config) => config,
        Err(error) => return report.add("configuration", CheckState::Bad, error.message()),
    };
    check_config_file(context, report);
    let account = account.unwrap_or(config.default_account()).to_owned();
    let profile = match config.profile(&account) {
        Ok(profile) => profile,
        Err(error) => return report.add("account", CheckState::Bad, error.message()),
    };
    check_secrets(&profile, context, report);
    check_proxy(&profile, context, report);
    match context.open_session(config.clone(), Some(&account)) {
        Ok(session) => {
            session
                .inspect()
                .plugin_faults()
                .iter()
                .for_each(|fault| report.add("plugin", CheckState::Bad, fault.error.message()));
            check_store(&session, &config, &account, context, report);
            check_services(&session, &profile, report);
        }
        Err(error) => report.add("session", CheckState::Bad, error.message()),
    }
}

fn check_config_file(context: &CliContext, report: &mut Report) {
    let Some(path) = user_file(&context.environment) else {
        return report.add(
            "configuration",
            CheckState::Note,
            "no configuration directory; set HOME, or use environment variables for all settings",
        );
    };
    let shown = path.display();
    match private_file::open(&path, Privacy::Public) {
        Ok(file) if private_file::is_public(&file) => {
            report.add(
                "configuration",
                CheckState::Note,
                format!("{shown} is valid; other users can read it, which is safe as long as it contains no secrets"),
            );
        }
        Ok(_) => report.add(
            "configuration",
            CheckState::Good,
            format!("{shown} is valid, and other users cannot read it"),
        ),
        Err(error) if error.kind == ErrorKind::NotFound => report.add(
            "configuration",
            CheckState::Note,
            format!("{shown} does not exist; environment variables and defaults apply"),
        ),
        Err(error) => report.add("configuration", CheckState::Bad, error.message()),
    }
}

/// Checks that each configured secret can be resolved. The values are not shown.
fn check_secrets(profile: &Profile, context: &CliContext, report: &mut Report) {
    let set_fields = SETTINGS
        .iter()
        .filter(|field| field.takes_reference())
        .filter_map(|field| Some((field, profile.setting(field.key)?)));
    let mut count = 0;
    for (field, setting) in set_fields {
        count += 1;
        match secrets::resolve_setting_or_plugin(profile, field.key, || {
            context.open_configured_session(Some(profile.account()))
        }) {
            Ok(_) => {
                let from = match setting {
                    Setting::Literal(_) => profile
                        .layer_of(field.key)
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    reference => describe_reference(reference),
                };
                report.add(field.key, CheckState::Good, format!("set, from {from}"));
            }
            Err(error) => report.add(field.key, CheckState::Bad, error.message()),
        }
    }
    if count == 0 {
        report.add(
            "secrets",
            CheckState::Note,
            no_secret_message(profile, context),
        );
    }
}

/// Returns the message for a profile without secrets. A stored login may make them unnecessary.
fn no_secret_message(profile: &Profile, context: &CliContext) -> String {
    let tokens = context
        .open_configured_session(Some(profile.account()))
        .and_then(|session| session.list())
        .unwrap_or_default();
    let now_s = Clock::system().now_us().div_euclid(1_000_000);
    let is_own = |token: &&TokenInfo| {
        token.account.as_deref() == Some(profile.account())
            && matches!(token.kind, TokenKind::User | TokenKind::Bearer)
    };
    let is_valid = |token: &&TokenInfo| {
        token
            .expires_here_unix_s
            .is_none_or(|expires_unix_s| expires_unix_s > now_s)
    };
    let services: BTreeSet<_> = tokens
        .iter()
        .filter(is_own)
        .filter(is_valid)
        .map(|token| token.service.as_str())
        .collect();
    if services.is_empty() {
        return "none configured; run `keyferry login masv` or `keyferry login fileverbs`".into();
    }
    let services = services.into_iter().collect::<Vec<_>>().join(" and ");
    format!("none configured, but logged in to {services}; see `keyferry status`")
}

fn check_proxy(profile: &Profile, context: &CliContext, report: &mut Report) {
    let without_user = |text: &str| {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let host = rest.rsplit('@').next().unwrap_or_default();
        if scheme.is_empty() {
            host.to_owned()
        } else {
            format!("{scheme}://{host}")
        }
    };
    if let Some(setting) = profile.text("http.proxy") {
        return report.add(
            "proxy",
            CheckState::Good,
            format!(
                "{} (from http.proxy), not used for this machine",
                without_user(setting)
            ),
        );
    }
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let found = names.iter().find_map(|name| {
        (context.environment)(name)
            .filter(|value| !value.is_empty())
            .map(|value| (name, value))
    });
    match found {
        Some((name, value)) => report.add(
            "proxy",
            CheckState::Good,
            format!(
                "{} (from {name}), not used for this machine",
                without_user(&value.to_string_lossy())
            ),
        ),
        None => report.add("proxy", CheckState::Good, "none"),
    }
}

/// Checks the store: stores a test token, reads it in another session and deletes it.
fn check_store(
    session: &Session,
    config: &Config,
    account: &str,
    context: &CliContext,
    report: &mut Report,
) {
    let name = session.inspect().store_name();
    match round_trip(session, config, account, context) {
        Ok(()) if name == "memory" => {
            report.add(
                "store",
                CheckState::Note,
                "memory: tokens are not shared between programs; set `store` to file to share them",
            );
        }
        Ok(()) => report.add(
            "store",
            CheckState::Good,
            format!(
                "{name}, {}: a test token was stored, read by another session and deleted",
                session.inspect().protection()
            ),
        ),
        Err(error) => {
            report.add("store", CheckState::Bad, error.message());
            check_failure_fallback(session, report);
        }
    }
}

/// Checks the place where failures are recorded while the store can't be used.
fn check_failure_fallback(session: &Session, report: &mut Report) {
    match session.inspect().failure_fallback() {
        Some(Ok(place)) => report.add(
            "failures",
            CheckState::Note,
            format!("rejected secrets are recorded in {place} while the store cannot be used"),
        ),
        Some(Err(error)) => report.add("failures", CheckState::Bad, error.message()),
        None => {}
    }
}

fn round_trip(
    session: &Session,
    config: &Config,
    account: &str,
    context: &CliContext,
) -> Result<()> {
    const RESOURCE: &str = "masv:packages/keyferry-doctor";
    let value = Secret::from("keyferry-doctor-made-up-value");
    let expires_unix_s = Clock::system().now_us().div_euclid(1_000_000) + 3600;
    session.adopt(RESOURCE, value.clone(), Some(expires_unix_s))?;
    let request = Request {
        access: Some(Access::Write),
        account: Some(account.to_owned()),
        ..Request::new(RESOURCE)
    };
    let is_shared = session.inspect().store_name() != "memory";
    let read = if is_shared {
        context
            .open_session(config.clone(), Some(account))?
            .token_for(&request)
    } else {
        session.token_for(&request)
    };
    #[expect(clippy::disallowed_methods, reason = "compares a made-up token")]
    let is_same = read.is_ok_and(|token| token.value() == value.expose());
    session.forget(Some(RESOURCE))?;
    let what = "cannot read back a test token; check that you own the store's directory and that its disk has free space";
    if is_same {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Store, what))
    }
}

fn check_services(session: &Session, profile: &Profile, report: &mut Report) {
    let mut skew_s = None;
    for service in session.inspect().services() {
        let keys = ["masv.api_key", "masv.email", "fileverbs.secret_key"];
        let is_used = keys
            .iter()
            .any(|key| key.starts_with(service.service) && profile.is_set(key));
        match session.inspect().probe(service.service, PROBE_TIMEOUT) {
            Ok(probe) => {
                skew_s = skew_s.or(probe.ahead_s);
                report.add(
                    service.service,
                    CheckState::Good,
                    format!(
                        "{} responded in {} ms",
                        service.base,
                        probe.time.as_millis()
                    ),
                );
            }
            Err(error) => {
                let state = if is_used {
                    CheckState::Bad
                } else {
                    CheckState::Note
                };
                let hint = if service.service == "agent" {
                    "; start the agent (`masv server start`) if you use it"
                } else {
                    ""
                };
                report.add(
                    service.service,
                    state,
                    format!("cannot check {}: {}{hint}", service.base, error.message()),
                );
            }
        }
    }
    match skew_s {
        Some(skew_s) if skew_s.abs() > MAX_CLOCK_SKEW_S => {
            report.add(
                "clock",
                CheckState::Bad,
                format!(
                    "this machine's clock is off by {} s; set it (`timedatectl set-ntp true`)",
                    -skew_s
                ),
            );
        }
        Some(_) => report.add(
            "clock",
            CheckState::Good,
            "agrees with the clocks of the services",
        ),
        None => report.add(
            "clock",
            CheckState::Note,
            "not checked, because no service sent its time",
        ),
    }
}

/// Private values and their replacements in the output.
struct Redaction(Vec<(String, &'static str)>);

impl Redaction {
    #[expect(
        clippy::disallowed_methods,
        reason = "looks for the e-mail address, to remove it from the report"
    )]
    fn new(context: &CliContext, account: Option<&str>) -> Self {
        let mut replacements = Vec::new();
        if let Ok(config) = context.load_config()
            && let Ok(profile) = config.profile(account.unwrap_or(config.default_account()))
            && let Some(Setting::Literal(email)) = profile.setting("masv.email")
        {
            replacements.push((email.expose().to_owned(), "(e-mail)"));
        }
        // Messages show paths in the same form.
        let home = (context.environment)("HOME")
            .map(|home| home.to_string_lossy().trim_end_matches('/').to_owned());
        replacements.extend(home.filter(|home| home.len() > 1).map(|home| (home, "~")));
        Self(replacements)
    }

    fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (private, replacement)| {
                text.replace(private, replacement)
            })
    }
}
