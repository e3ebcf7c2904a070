//! `keyferry doctor`: checks configuration, secrets, store, network and clock. Its output is safe
//! to paste into an issue.
//!
//! It logs in nowhere and shows no value: a home folder becomes `~`, an e-mail address `(e-mail)`,
//! and user names in a proxy's URL are left out.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::config::describe_reference;
use crate::context::CliContext;
use crate::exit_code::{EXIT_FAILED, EXIT_OK};
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
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::sys::private_file::{self, Privacy};

/// How `keyferry doctor` runs.
#[derive(Args)]
pub struct DoctorOptions {
    /// The account, a profile of config.toml.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
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

/// Timeout for a response of a service.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// With more clock skew than this, expired tokens seem valid or valid ones expired.
const MAX_CLOCK_SKEW_S: i64 = 120;

/// Runs all checks.
pub fn run(options: &DoctorOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let mut report = Report::default();
    with_progress(streams, "keyferry: examining", || {
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
        streams.stdout.write_line(&json.to_string())
    } else {
        let mut table = Table::new(&["check", "state", "what"]);
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
            "no place for config.toml: set HOME, or give everything in variables",
        );
    };
    let shown = path.display();
    match private_file::open(&path, Privacy::Public) {
        Ok(file) if private_file::is_public(&file) => {
            report.add(
                "configuration",
                CheckState::Note,
                format!("{shown} is understood; others can read it, which is fine while it holds no secret"),
            );
        }
        Ok(_) => report.add(
            "configuration",
            CheckState::Good,
            format!("{shown} is understood, and nobody else can read it"),
        ),
        Err(error) if error.kind == ErrorKind::NotFound => report.add(
            "configuration",
            CheckState::Note,
            format!("{shown} is not there: variables and defaults count"),
        ),
        Err(error) => report.add("configuration", CheckState::Bad, error.message()),
    }
}

/// Checks that each secret can be resolved. Its value is not shown.
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

/// The message where no secret is configured: a stored login may do without one.
fn no_secret_message(profile: &Profile, context: &CliContext) -> String {
    let stored = context
        .open_configured_session(Some(profile.account()))
        .and_then(|session| session.list())
        .unwrap_or_default();
    let tokens: Vec<Value> = serde_json::from_str(&stored).unwrap_or_default();
    let now_s = Clock::system().now_us().div_euclid(1_000_000);
    let is_own = |token: &&Value| {
        token["account"] == profile.account()
            && matches!(token["kind"].as_str(), Some("user" | "bearer"))
    };
    let is_valid = |token: &&Value| {
        token["expires_here_unix_s"]
            .as_i64()
            .is_none_or(|expires_unix_s| expires_unix_s > now_s)
    };
    let services: BTreeSet<_> = tokens
        .iter()
        .filter(is_own)
        .filter(is_valid)
        .filter_map(|token| token["service"].as_str())
        .collect();
    if services.is_empty() {
        return "none is configured: keyferry login masv, or keyferry login fileverbs".into();
    }
    let services = services.into_iter().collect::<Vec<_>>().join(" and ");
    format!("none is configured; logged in to {services}, keyferry status tells for how long")
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
                "{} (http.proxy), never for this machine",
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
            format!("{} ({name}), never for this machine", without_user(&value)),
        ),
        None => report.add("proxy", CheckState::Good, "none"),
    }
}

/// Checks the store: a made-up token is stored, read in another session and forgotten.
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
                "memory: every program logs in by itself; set `store` to file to share tokens",
            );
        }
        Ok(()) => report.add(
            "store",
            CheckState::Good,
            format!(
                "{name}, {}: kept, read by another session, forgotten",
                session.inspect().protection()
            ),
        ),
        Err(error) => report.add("store", CheckState::Bad, error.message()),
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
    let is_same = read.is_ok_and(|token| token.value() == value.expose());
    session.forget(Some(RESOURCE))?;
    let what = "what was kept does not come back: see that the store's folder is yours, and that its disk has room";
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
                    format!("{} answers in {} ms", service.base, probe.time.as_millis()),
                );
            }
            Err(error) => {
                let state = if is_used {
                    CheckState::Bad
                } else {
                    CheckState::Note
                };
                let hint = if service.service == "agent" {
                    "start it (masv server start) if you use it"
                } else {
                    "see network, proxy and its URL"
                };
                report.add(
                    service.service,
                    state,
                    format!(
                        "{} can't be reached: {}; {hint}",
                        service.base,
                        error.message()
                    ),
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
                    "this machine's clock is off by {} s: set it (timedatectl set-ntp true)",
                    -skew_s
                ),
            );
        }
        Some(_) => report.add("clock", CheckState::Good, "agrees with the services'"),
        None => report.add("clock", CheckState::Note, "no service said what time it is"),
    }
}

/// Replacements for private values in the output.
struct Redaction(Vec<(String, &'static str)>);

impl Redaction {
    fn new(context: &CliContext, account: Option<&str>) -> Self {
        let mut replacements = Vec::new();
        if let Ok(config) = context.load_config()
            && let Ok(profile) = config.profile(account.unwrap_or(config.default_account()))
            && let Some(Setting::Literal(email)) = profile.setting("masv.email")
        {
            replacements.push((email.expose().to_owned(), "(e-mail)"));
        }
        let home = (context.environment)("HOME").map(|home| home.trim_end_matches('/').to_owned());
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
