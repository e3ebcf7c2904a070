//! `keyferry doctor`: checks the configuration, secrets, store, network and clock. Its output is
//! safe to paste into an issue.
//!
//! It shows no private values: it replaces the home directory with `~` and the e-mail address with
//! `(e-mail)`, and removes user names from proxy URLs. It logs in to services only with `--login`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::context::CliContext;
use crate::credentials::{LOGINS, Login, StoredToken, configured_settings, stored_logins};
use crate::exit_code::{self, EXIT_FAILED, EXIT_OK};
use crate::log_output::{LogOptions, collect_warnings};
use crate::progress::with_progress;
use crate::recorded_failure::with_times;
use crate::secrets;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use crate::time_format::now_s;
use keyferry::config::{Config, Profile, SETTINGS, Setting, user_file};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::session::inspect::Sources;
use keyferry::sys::private_file::{self, Privacy};

/// The options of `keyferry doctor`.
#[derive(Args)]
pub struct DoctorOptions {
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Also log in to each service that has a configured login, and keep no token
    #[arg(long)]
    pub login: bool,
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

/// The results of all checks.
#[derive(Default)]
struct Report {
    /// Name, state and explanation of each check.
    rows: Vec<(String, CheckState, String)>,
    /// The exit code for the first failed check. [`EXIT_OK`] if all succeeded.
    code: u8,
}

impl Report {
    fn add(&mut self, name: &str, state: CheckState, what: impl Into<String>) {
        if state == CheckState::Bad {
            self.set_code(EXIT_FAILED);
        }
        self.rows.push((name.to_owned(), state, what.into()));
    }

    /// Adds a failed check.
    fn fail(&mut self, name: &str, error: &Error) {
        self.fail_with(name, error, error.message());
    }

    /// Adds a failed check with this explanation.
    fn fail_with(&mut self, name: &str, error: &Error, what: impl Into<String>) {
        self.set_code(exit_code::of_error(error));
        self.add(name, CheckState::Bad, what);
    }

    fn set_code(&mut self, code: u8) {
        if self.code == EXIT_OK {
            self.code = code;
        }
    }
}

/// The start of the warning that the store can't be used.
const STORE_WARNING: &str = "cannot use the store, so tokens stay in memory only: ";
/// How long to wait for a service's response.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest acceptable clock skew. With a larger skew, keyferry may use an expired token or
/// discard a valid one.
const MAX_CLOCK_SKEW_S: i64 = 120;

/// Runs all checks.
pub fn run(options: &DoctorOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let mut report = Report::default();
    let ((), warnings) = collect_warnings(|| {
        with_progress(streams, "keyferry: checking", || {
            run_checks(options, context, &mut report)
        })
    });
    explain_store(&mut report, warnings);
    let redaction = Redaction::new(context, options.profile.as_deref());
    let code = report.code;
    let rows: Vec<_> = report
        .rows
        .into_iter()
        .map(|(name, state, what)| (name, state, redaction.redact(&what)))
        .collect();
    let is_well = code == EXIT_OK;
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
        EXIT_OK => code,
        failed => failed,
    }
}

/// Adds the warnings that were logged: the reason why the store can't be used to its row, and each
/// other warning as a row.
fn explain_store(report: &mut Report, warnings: Vec<String>) {
    for warning in warnings {
        let is_store = |(name, state, _): &&mut (String, CheckState, String)| {
            name == "store" && *state == CheckState::Bad
        };
        if report.rows.iter().any(|(_, _, what)| *what == warning) {
            continue;
        }
        let reason = warning.strip_prefix(STORE_WARNING);
        match (report.rows.iter_mut().find(is_store), reason) {
            (Some((_, _, what)), Some(reason)) => reason.clone_into(what),
            _ => report.add("warning", CheckState::Note, warning),
        }
    }
}

fn run_checks(options: &DoctorOptions, context: &CliContext, report: &mut Report) {
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
        Err(error) => return report.fail("configuration", &error),
    };
    check_config_file(context, report);
    let account = options.profile.as_deref();
    let account = account.unwrap_or(config.default_account()).to_owned();
    let profile = match config.profile(&account) {
        Ok(profile) => profile,
        Err(error) => return report.fail("account", &error),
    };
    check_secrets(&profile, context, report);
    check_plugin_settings(&config, &account, context, report);
    check_proxy(&profile, context, report);
    match context.open_session(config.clone(), Some(&account)) {
        Ok(session) => {
            session
                .inspect()
                .plugin_faults()
                .iter()
                .for_each(|fault| report.fail("plugin", &fault.error));
            check_store(&session, &config, &account, context, report);
            check_services(&session, &profile, report);
            for login in LOGINS {
                let is_accepted = options
                    .login
                    .then(|| try_login(&login, &config, &profile, context, report))
                    .flatten();
                if is_accepted != Some(false) {
                    check_login(&login, &session, &profile, is_accepted.is_some(), report);
                }
            }
            check_plugin_logins(&session, &profile, report);
        }
        Err(error) => report.fail("session", &error),
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
        Err(error) => report.fail("configuration", &error),
    }
}

/// Checks that each configured secret can be resolved. The values are not shown.
fn check_secrets(profile: &Profile, context: &CliContext, report: &mut Report) {
    let set_fields = SETTINGS
        .iter()
        .filter(|field| field.takes_reference())
        .filter(|field| profile.is_set(field.key));
    let mut count = 0;
    for field in set_fields {
        count += 1;
        match secrets::resolve_setting_or_plugin(profile, field.key, || {
            context.open_configured_session(Some(profile.account()))
        }) {
            Ok(_) => report.add(field.key, CheckState::Good, set_from(profile, field.key)),
            Err(error) => report.fail(field.key, &error),
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

/// Says where the value of a setting comes from.
fn set_from(profile: &Profile, key: &str) -> String {
    format!("set, from {}", profile.source_of(key).unwrap_or_default())
}

/// Checks the settings that the plugins declare: whether each is set, and whether the secrets can be
/// read.
fn check_plugin_settings(
    config: &Config,
    account: &str,
    context: &CliContext,
    report: &mut Report,
) {
    let loaded = context.load_plugins(config.clone(), Some(account));
    // If the plugins can't be loaded, the session can't be opened either, and says why.
    let Ok((plugins, profile)) = loaded else {
        return;
    };
    for declared in plugins
        .instances
        .iter()
        .flat_map(|it| &it.plugin().settings)
    {
        let key = declared.full_key.as_str();
        match (profile.setting(key), &declared.fallback) {
            (Some(Setting::Plugin(..)), _) => {
                report.add(key, CheckState::Note, set_from(&profile, key));
            }
            (Some(_), _) => match secrets::resolve_setting(&profile, key) {
                Ok(_) => report.add(key, CheckState::Good, set_from(&profile, key)),
                Err(error) => report.fail(key, &error),
            },
            (None, Some(_)) => report.add(key, CheckState::Good, "not set; the default is used"),
            (None, None) => {
                let what = format!(
                    "not set ({}); set {} if the plugin needs it",
                    declared.about, declared.variable
                );
                report.add(key, CheckState::Note, what);
            }
        }
    }
}

/// Returns the message for a profile without secrets. A stored login may make them unnecessary.
fn no_secret_message(profile: &Profile, context: &CliContext) -> String {
    let logins = context
        .open_configured_session(Some(profile.account()))
        .and_then(|session| stored_logins(&session))
        .unwrap_or_default();
    let is_own = |login: &&StoredToken| login.info.account.as_deref() == Some(profile.account());
    let is_valid = |login: &&StoredToken| login.life_left_s.is_none_or(|left_s| left_s > 0);
    let services: BTreeSet<_> = logins
        .iter()
        .filter(is_own)
        .filter(is_valid)
        .map(|login| login.info.service.as_str())
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
            report.fail("store", &error);
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
        Some(Err(error)) => report.fail("failures", &error),
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
    let expires_unix_s = now_s() + 3600;
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
                let hint = if service.service == "agent" {
                    "; start the agent (`masv server start`) if you use it"
                } else {
                    ""
                };
                let what = format!("cannot check {}: {}{hint}", service.base, error.message());
                if is_used {
                    report.fail_with(service.service, &error, what);
                } else {
                    report.add(service.service, CheckState::Note, what);
                }
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

/// Reports the last refusal or pause of a service, if it still applies. If the service has just
/// accepted the login, that is only a note.
fn check_login(
    login: &Login<'_>,
    session: &Session,
    profile: &Profile,
    is_accepted: bool,
    report: &mut Report,
) {
    let Some(error) = login.failure(session, Sources::All) else {
        return;
    };
    let is_missing = matches!(
        error.kind,
        ErrorKind::NotConfigured | ErrorKind::LoginRequired
    );
    // The other checks report a secret that cannot be read, and a profile without secrets.
    let is_reported = matches!(error.kind, ErrorKind::SecretSource | ErrorKind::UnsafeFile)
        || is_missing && configured_settings(profile, login.service).is_empty();
    if is_reported {
        return;
    }
    let now_s = now_s();
    let what = with_times(&error, now_s);
    // The service may have asked for the pause after a request that was no login.
    let kind = if error.is_transient() {
        "pause"
    } else {
        "login"
    };
    let name = format!("{} {kind}", login.service);
    if is_accepted {
        let remedy = format!("`keyferry login {}` ends that", login.service);
        let what = format!("requests still get the earlier error, and {remedy}: {what}");
        report.add(&name, CheckState::Note, what);
    } else {
        report.fail_with(&name, &error, what);
    }
}

/// Reports the last refusal or pause of each plugin's service. The plugins are not called.
fn check_plugin_logins(session: &Session, profile: &Profile, report: &mut Report) {
    for service_info in session.inspect().services() {
        let service = service_info.service;
        if let Some(resource) = session.inspect().sample_resource(service) {
            let login = Login {
                service,
                resource: &resource,
            };
            check_login(&login, session, profile, false, report);
        }
    }
}

/// Logs in to a service. Returns whether the service accepted the login, or `None` if none is
/// configured. The token and the outcome are kept in memory only, so that the check sends
/// the secrets even if they were refused before.
fn try_login(
    login: &Login<'_>,
    config: &Config,
    profile: &Profile,
    context: &CliContext,
    report: &mut Report,
) -> Option<bool> {
    let mut keys = configured_settings(profile, login.service);
    // An API key takes precedence over e-mail address and password.
    if keys.contains(&"masv.api_key") {
        keys = vec!["masv.api_key"];
    }
    if keys.is_empty() {
        return None;
    }
    let mut config = config.clone();
    let outcome = config
        .set("store", "memory".into())
        .and_then(|()| context.open_session(config, Some(profile.account())))
        .and_then(|session| session.token_for(&Request::new(login.resource)));
    let name = format!("{} login", login.service);
    match outcome {
        Err(error) if error.kind != ErrorKind::NotFound => {
            report.fail(&name, &error);
            Some(false)
        }
        _ => {
            let what = format!("{} accepted {}", login.service, keys.join(" and "));
            report.add(&name, CheckState::Good, what);
            Some(true)
        }
    }
}

/// Private values and their replacements in the output.
struct Redaction<'a> {
    context: &'a CliContext,
    replacements: Vec<(String, &'static str)>,
}

impl<'a> Redaction<'a> {
    #[expect(
        clippy::disallowed_methods,
        reason = "looks for the e-mail address, to remove it from the report"
    )]
    fn new(context: &'a CliContext, account: Option<&str>) -> Self {
        let mut replacements = Vec::new();
        if let Ok(config) = context.load_config()
            && let Ok(profile) = config.profile(account.unwrap_or(config.default_account()))
            && let Some(Setting::Literal(email)) = profile.setting("masv.email")
        {
            replacements.push((email.expose().to_owned(), "(e-mail)"));
        }
        Self {
            context,
            replacements,
        }
    }

    fn redact(&self, text: &str) -> String {
        let text = self.context.shorten_home(text);
        self.replacements
            .iter()
            .fold(text, |text, (private, replacement)| {
                text.replace(private, replacement)
            })
    }
}
