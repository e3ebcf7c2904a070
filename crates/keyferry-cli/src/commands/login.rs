//! `keyferry login`: logs in to a service and stores the token for all programs of the user.
//!
//! A secret that the service rejects is not saved.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::log_output::LogOptions;
use crate::progress::with_progress;
use crate::prompt::{PromptOrder, ask};
use crate::save_secret::{SaveTarget, check_save, config_path, save_secret, save_setting};
use crate::secret_input::SecretInput;
use crate::secrets;
use crate::streams::Streams;
use crate::terminal::Style;
use crate::time_format::{format_duration, now_s, rfc3339};
use keyferry::config::{Config, DEFAULT_ACCOUNT, Profile, full_key};
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::ports::service::AgentSession;
use keyferry::secret::Secret;
use keyferry::session::Session;

/// The options of `keyferry login`.
#[derive(Args)]
pub struct LoginOptions {
    /// Service to log in to
    #[arg(value_enum)]
    pub service: LoginService,
    /// E-mail address, for masv and agent [default: the setting `masv.email`, otherwise a prompt]
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Read a MASV API key instead of a password
    ///
    /// For MASV accounts with two-factor authentication or single sign-on, which cannot log in with
    /// a password. keyferry checks the key with one request. Requires --save.
    #[arg(long)]
    pub with_key: bool,
    /// The source of the secret. The default is a prompt, or standard input if standard input is
    /// not a terminal.
    #[command(flatten)]
    pub input: SecretInput,
    /// Save the secret, so that keyferry can log in again by itself
    ///
    /// The secret goes into the keyring or a file, and config.toml refers to it.
    #[arg(long, value_enum, value_name = "WHERE")]
    pub save: Option<SaveTarget>,
    /// Use this profile from config.toml, or add a new profile to it
    ///
    /// A profile keeps a second account apart from the first one. For example, `keyferry login masv
    /// --profile client --email ADDRESS` logs in with the second account, and `keyferry header
    /// --profile client URL` uses that login. Without --profile, the first account stays in use.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a message
    #[arg(long)]
    pub json: bool,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
}

/// A service to log in to.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginService {
    /// MASV cloud.
    Masv,
    /// FileVerbs; takes the SecretKey and then, optionally, the APIKey, each on its own line
    Fileverbs,
    /// The MASV Agent on this machine
    Agent,
}

/// The outcome of a login.
struct LoginOutcome {
    sentence: String,
    json: Value,
    saved: Saved,
}

/// The secrets and settings that a login saved.
#[derive(Default)]
struct Saved {
    /// The setting of each secret, and where the secret was saved.
    secrets: Vec<(&'static str, String)>,
    /// The lines that were written to config.toml, and its path.
    lines: Vec<String>,
    config: String,
}

/// Logs in.
pub fn run(options: &LoginOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = match login(options, context, streams) {
        Ok(outcome) => outcome,
        Err(error) => return streams.fail_with(&error),
    };
    let LoginOutcome {
        sentence,
        mut json,
        saved,
    } = outcome;
    if options.json {
        for field in ["base", "generation", "expires_at", "store", "user", "teams"] {
            // Adds the field if this login has none.
            let _ = &mut json[field];
        }
        json["saved"] = saved
            .secrets
            .iter()
            .map(|(key, location)| ((*key).to_owned(), json!(location)))
            .collect();
        json["written"] = json!(saved.lines);
        let written = streams.write_json(&json);
        return streams.finish_write(written);
    }
    let mut lines = vec![vec![(Style::Good, sentence)]];
    let secrets = saved.secrets.iter();
    lines.extend(
        secrets.map(|(key, location)| vec![(Style::Plain, format!("saved {key} in {location}"))]),
    );
    if !saved.lines.is_empty() {
        lines.push(vec![(Style::Plain, format!("wrote to {}:", saved.config))]);
        let written = saved.lines.iter();
        lines.extend(written.map(|line| vec![(Style::Plain, format!("  {line}"))]));
    }
    let written = streams.stdout.write_styled_lines(&lines);
    streams.finish_write(written)
}

fn login(
    options: &LoginOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> Result<LoginOutcome> {
    let mut config = context.load_config()?;
    let account = options
        .profile
        .as_deref()
        .unwrap_or(config.default_account())
        .to_owned();
    let named = options.profile.as_ref();
    let is_new = named.is_some_and(|name| !config.accounts().contains(name));
    if is_new {
        config.add_profile(&account)?;
    }
    let profile = config.profile(&account)?;
    let attempt = LoginAttempt {
        options,
        context,
        account,
        profile,
        is_new,
    };
    if is_new && options.save.is_none() && options.service == LoginService::Fileverbs {
        let what = "cannot add a profile for FileVerbs without its keys; add --save keyring or --save file";
        return Err(Error::new(ErrorKind::NotConfigured, what));
    }
    if is_new || options.save.is_some() {
        check_save(options.save, context)?;
    }
    match options.service {
        LoginService::Masv if options.with_key => attempt.save_api_key(config, streams),
        LoginService::Masv => attempt.log_in_to_masv(config, streams),
        LoginService::Agent => attempt.sign_in_to_agent(config, streams),
        LoginService::Fileverbs => attempt.log_in_to_fileverbs(config, streams),
    }
}

struct LoginAttempt<'a> {
    options: &'a LoginOptions,
    context: &'a CliContext,
    account: String,
    profile: Profile,
    /// Whether the profile is not in config.toml yet. The login adds it.
    is_new: bool,
}

impl LoginAttempt<'_> {
    /// Whether to use the configured secrets: all of them are set, and no option overrides them.
    fn is_configured(&self, keys: &[&str]) -> bool {
        let is_overridden = self.options.input.is_given()
            || self.options.email.is_some()
            || self.options.save.is_some()
            || self.is_new;
        !is_overridden && keys.iter().all(|key| self.profile.is_set(key))
    }

    fn open_session(&self, config: Config) -> Result<Session> {
        self.context.open_session(config, Some(&self.account))
    }

    /// Returns the key of a setting of this account, for [`Config::set`].
    fn own_key(&self, key: &str) -> String {
        let profile = Some(self.account.as_str()).filter(|name| *name != DEFAULT_ACCOUNT);
        full_key(profile, key)
    }

    /// Saves secrets that the service has just accepted, and the e-mail address. A new profile gets
    /// the e-mail address in any case.
    #[expect(
        clippy::disallowed_methods,
        reason = "the e-mail address goes to config.toml"
    )]
    fn save(&self, email: Option<&Secret>, secrets: &[(&'static str, &Secret)]) -> Result<Saved> {
        let mut saved = Saved::default();
        if self.options.save.is_none() && !self.is_new {
            return Ok(saved);
        }
        let mut lines = Vec::new();
        if let Some(target) = self.options.save {
            for (key, secret) in secrets.iter().filter(|(_, secret)| !secret.is_empty()) {
                let (location, reference) =
                    save_secret(target, &self.account, key, secret, self.context)?;
                saved.secrets.push((key, location));
                lines.push((*key, reference));
            }
        }
        if let Some(email) = email {
            let value = save_setting(&self.account, "masv.email", email.expose(), self.context)?;
            lines.insert(0, ("masv.email", value));
        }
        let lines = lines.into_iter();
        saved.lines = lines
            .map(|(key, value)| format!("{} = {value}", self.own_key(key)))
            .collect();
        saved.config = config_path(self.context)?.display().to_string();
        Ok(saved)
    }

    fn email(&self) -> Result<Secret> {
        if let Some(email) = &self.options.email {
            return Ok(Secret::from(email.as_str()));
        }
        let configured = secrets::resolve_setting(&self.profile, "masv.email")?;
        // A new profile inherits the address of the default account, which is another user's.
        match configured.filter(|_| !self.is_new) {
            Some(email) => Ok(email),
            None if self.context.stdin_is_terminal => ask(
                "E-mail address: ",
                false,
                PromptOrder::TerminalFirst,
                &self.context.environment,
            ),
            None => Err(Error::new(
                ErrorKind::NotConfigured,
                "no e-mail address; use --email or set `masv.email`",
            )),
        }
    }

    /// Reads e-mail address and password. None if the login uses the configured values.
    fn email_and_password(
        &self,
        base_url: &str,
        streams: &mut Streams<'_>,
    ) -> Result<Option<(Secret, Secret)>> {
        if self.is_configured(&["masv.email", "masv.password"]) {
            return Ok(None);
        }
        let email = self.email()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the prompt names the e-mail address"
        )]
        let question = format!("Password for {} at {base_url}: ", email.expose());
        let password = self
            .options
            .input
            .read(&[&question], 1, self.context, streams)?
            .remove(0);
        Ok(Some((email, password)))
    }

    fn log_in_to_masv(
        &self,
        mut config: Config,
        streams: &mut Streams<'_>,
    ) -> Result<LoginOutcome> {
        let base_url = self.profile.text("masv.url").unwrap_or_default().to_owned();
        let credentials = self.email_and_password(&base_url, streams)?;
        if let Some((email, _)) = credentials.as_ref().filter(|_| self.is_new) {
            config.set(&self.own_key("masv.email"), email.clone())?;
        }
        let session = self.open_session(config)?;
        let (email, password) = credentials.clone().unzip();
        let token = with_progress(streams, "keyferry: logging in to MASV", || {
            session.masv_login(email, password)
        })?;
        let saved = match &credentials {
            Some((email, password)) => self.save(Some(email), &[("masv.password", password)])?,
            None => Saved::default(),
        };
        let details: Value = serde_json::from_str(token.details()).unwrap_or_default();
        let mut outcome = self.outcome(
            &session,
            "masv",
            &base_url,
            &token,
            &details["user"]["email"],
            saved,
        );
        outcome.json["user"] = details["user"].clone();
        outcome.json["teams"] = details["teams"].clone();
        Ok(outcome)
    }

    /// Checks an API key with one request, and saves it. There is no login with an API key.
    fn save_api_key(&self, mut config: Config, streams: &mut Streams<'_>) -> Result<LoginOutcome> {
        if self.options.save.is_none() {
            let what = "cannot log in with an API key without saving it; add --save keyring or --save file, or set MASV_API_KEY";
            return Err(Error::new(ErrorKind::NotConfigured, what));
        }
        let base_url = self.profile.text("masv.url").unwrap_or_default().to_owned();
        let key = self
            .options
            .input
            .read(&["MASV API key: "], 1, self.context, streams)?
            .remove(0);
        key.check("the API key")?;
        config.set(&self.own_key("masv.api_key"), key.clone())?;
        let session = self.open_session(config)?;
        let token = session.token("user")?;
        let status = with_progress(streams, "keyferry: checking the API key", || {
            session.test(&token)
        })?;
        match status {
            Some(200..=299) => {}
            Some(401 | 403) => {
                let what = "MASV rejected the API key, so it is not saved; check that the key is complete and active";
                return Err(Error::new(ErrorKind::BadCredentials, what));
            }
            status => {
                let status = status.unwrap_or_default();
                let what = format!(
                    "cannot check the API key, so it is not saved: MASV responded with status {status}; check `masv.url`, or retry later"
                );
                return Err(Error::new(ErrorKind::BadResponse, what));
            }
        }
        let saved = self.save(None, &[("masv.api_key", &key)])?;
        Ok(LoginOutcome {
            sentence: format!("masv at {base_url} accepts the API key"),
            json: json!({ "service": "masv", "account": self.account, "base": base_url, "expires_at": null }),
            saved,
        })
    }

    fn sign_in_to_agent(&self, config: Config, streams: &mut Streams<'_>) -> Result<LoginOutcome> {
        let base_url = self
            .profile
            .text("agent.url")
            .unwrap_or_default()
            .to_owned();
        let credentials = self.email_and_password(&base_url, streams)?;
        let session = self.open_session(config)?;
        let (email, password) = credentials.clone().unzip();
        let signed_in = with_progress(streams, "keyferry: signing in to the MASV Agent", || {
            session.agent_sign_in(email, password)
        })?;
        let saved = match &credentials {
            Some((email, password)) => self.save(Some(email), &[("masv.password", password)])?,
            None => Saved::default(),
        };
        let AgentSession { user, teams, .. } = signed_in;
        let name = user["email"]
            .as_str()
            .or(user["name"].as_str())
            .unwrap_or("an unnamed user");
        let sentence = format!("signed in to the MASV Agent at {base_url} as {name}");
        let json =
            json!({ "service": "agent", "account": self.account, "user": user, "teams": teams });
        Ok(LoginOutcome {
            sentence,
            json,
            saved,
        })
    }

    fn log_in_to_fileverbs(
        &self,
        mut config: Config,
        streams: &mut Streams<'_>,
    ) -> Result<LoginOutcome> {
        let base_url = self
            .profile
            .text("fileverbs.url")
            .unwrap_or_default()
            .to_owned();
        let mut input = Vec::new();
        let mut has_both_keys = true;
        if !self.is_configured(&["fileverbs.secret_key", "fileverbs.api_key"]) {
            let questions = [
                format!("SecretKey for {base_url} (in FileVerbs: Integration, API Secret): "),
                "APIKey (in FileVerbs: Integration, Access Token; optional): ".into(),
            ];
            input = self.options.input.read(
                &[&questions[0], &questions[1]],
                1,
                self.context,
                streams,
            )?;
            has_both_keys = !input[1].is_empty();
            for (key, secret) in FILEVERBS_KEYS
                .iter()
                .zip(&input)
                .filter(|(_, secret)| !secret.is_empty())
            {
                config.set(&self.own_key(key), secret.clone())?;
            }
        }
        let session = self.open_session(config)?;
        let resource = if has_both_keys {
            "fileverbs:bearer"
        } else {
            "fileverbs:secret-key"
        };
        // A stored token may come from other keys. Forget it, so that these keys are checked.
        session.forget(Some(resource))?;
        let request = Request {
            account: Some(self.account.clone()),
            ..Request::new(resource)
        };
        let token = with_progress(streams, "keyferry: logging in to FileVerbs", || {
            session.token_for(&request)
        })?;
        let saved = self.save(
            None,
            &FILEVERBS_KEYS
                .iter()
                .copied()
                .zip(&input)
                .collect::<Vec<_>>(),
        )?;
        let details: Value = serde_json::from_str(token.details()).unwrap_or_default();
        Ok(self.outcome(
            &session,
            "fileverbs",
            &base_url,
            &token,
            &details["Email"],
            saved,
        ))
    }

    fn outcome(
        &self,
        session: &Session,
        service: &str,
        base_url: &str,
        token: &Token,
        user: &Value,
        saved: Saved,
    ) -> LoginOutcome {
        let expires_unix_s = session.inspect().ends_here_unix_s(token);
        let left_s = expires_unix_s.map(|expires_unix_s| expires_unix_s - now_s());
        let mut sentence = format!("logged in to {service} at {base_url}");
        if let Some(user) = user.as_str() {
            sentence += &format!(" as {user}");
        }
        if let Some(left_s) = left_s {
            sentence += &format!("; valid for {}", format_duration(left_s));
        }
        if session.inspect().store_name() == "memory" {
            sentence += "; not shared with other programs, because `store` is memory (set it to file to share)";
        }
        let json = json!({
            "service": service, "account": self.account, "base": base_url, "generation": token.meta().generation,
            "expires_at": expires_unix_s.and_then(rfc3339), "store": session.inspect().store_name(),
        });
        LoginOutcome {
            sentence,
            json,
            saved,
        }
    }
}

const FILEVERBS_KEYS: [&str; 2] = ["fileverbs.secret_key", "fileverbs.api_key"];
