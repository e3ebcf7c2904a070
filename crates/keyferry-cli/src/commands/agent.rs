//! `keyferry agent`: shows whether the MASV Agent is running and which user is signed in.
//!
//! `keyferry agent sign-in` is an alias of `keyferry login agent`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::commands::login::{self, LoginOptions, LoginService};
use crate::context::CliContext;
use crate::exit_code::{EXIT_FAILED, EXIT_OK};
use crate::log_output::LogOptions;
use crate::progress::with_progress;
use crate::secret_input::SecretInput;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use keyferry::error::ErrorKind;
use keyferry::ports::service::AgentSession;

/// The options of `keyferry agent`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AgentOptions {
    /// Subcommand; without one, the agent's state is shown.
    #[command(subcommand)]
    pub action: Option<AgentAction>,
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

/// The subcommands of `keyferry agent`.
#[derive(Subcommand)]
pub enum AgentAction {
    /// Sign in to the MASV Agent with e-mail address and password
    ///
    /// Uses the configured e-mail address and password. Options override them. This is the same as
    /// `keyferry login agent`.
    #[command(after_help = crate::exit_code::EXIT_CODES_HELP)]
    SignIn(SignInOptions),
}

/// The options of `keyferry agent sign-in`.
#[derive(Args)]
pub struct SignInOptions {
    /// E-mail address [default: the setting `masv.email`, otherwise a prompt]
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// The source of the password. The default is a prompt, or standard input if standard input is
    /// not a terminal.
    #[command(flatten)]
    pub input: SecretInput,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a message
    #[arg(long)]
    pub json: bool,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
}

impl AgentOptions {
    /// Returns the options of the log, of the subcommand if there is one.
    pub fn log_options(&self) -> LogOptions {
        match &self.action {
            Some(AgentAction::SignIn(options)) => options.log,
            None => self.log,
        }
    }
}

/// Shows who is signed in to the agent, or signs in.
pub fn run(options: AgentOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    if let Some(AgentAction::SignIn(SignInOptions {
        email,
        input,
        profile,
        json,
        log,
    })) = options.action
    {
        let options = LoginOptions {
            service: LoginService::Agent,
            email,
            with_key: false,
            input,
            save: None,
            profile,
            json,
            log,
        };
        return login::run(&options, context, streams);
    }
    let session = match context.open_configured_session(options.profile.as_deref()) {
        Ok(session) => session,
        Err(error) => return streams.fail_with(&error),
    };
    let base_url = session
        .inspect()
        .services()
        .find(|service| service.service == "agent")
        .map(|service| service.base.to_string())
        .unwrap_or_default();
    match with_progress(streams, "keyferry: contacting the MASV Agent", || {
        session.agent_session()
    }) {
        Ok(session) => print_session(&session, &base_url, options.json, streams),
        Err(error) => {
            let runs = !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::NoResponse);
            let fields = json!({ "url": base_url, "runs": runs, "signed_in": false, "user": null, "teams": null, "why": error.message() });
            streams.fail_with_fields(&error, fields)
        }
    }
}

fn print_session(
    session: &AgentSession,
    base_url: &str,
    as_json: bool,
    streams: &mut Streams<'_>,
) -> u8 {
    let written = if as_json {
        let fields = json!({ "url": base_url, "runs": true, "signed_in": true, "user": session.user, "teams": session.teams, "why": null });
        streams.write_json(&fields)
    } else {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let mut table = Table::new(&["property", "value"]);
        table.add_row([(Style::Faint, "agent".into()), plain_cell(base_url)]);
        table.add_row([
            (Style::Faint, "signed in".into()),
            (Style::Good, text(&session.user["email"])),
        ]);
        for team in &session.teams {
            table.add_row([
                (Style::Faint, "team".into()),
                plain_cell(format!("{} ({})", text(&team["name"]), text(&team["id"]))),
            ]);
        }
        table.write(&mut streams.stdout)
    };
    if streams.finish_write(written) == EXIT_OK {
        EXIT_OK
    } else {
        EXIT_FAILED
    }
}
