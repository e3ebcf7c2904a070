//! The options that choose a token, and the request for it. `keyferry header`, `keyferry token` and
//! `keyferry curl` share them.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::context::CliContext;
use crate::fast_path::stored_token;
use crate::log_output::LogOptions;
use crate::progress::with_progress;
use crate::prompt::{PromptOrder, ask};
use crate::secret_input::LinkPasswordInput;
use crate::streams::Streams;
use keyferry::error::{ErrorKind, Result};
use keyferry::model::key::{Access, ResourceKind};
use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry::secret::Secret;
use keyferry::session::Session;

/// The maximum age of a token that `--fresh` returns. It limits the requests of a loop that calls
/// keyferry with `--fresh`.
const MAX_FRESH_AGE: Duration = Duration::from_secs(10);

/// The options that choose a token.
#[derive(Args)]
#[cfg_attr(test, derive(Debug))]
pub struct TokenOptions {
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Access that the package token must allow [default: derived from the URL]
    #[arg(long, value_enum)]
    pub access: Option<PackageAccess>,
    /// Return a token that is valid for at least this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub min_valid_s: u32,
    /// Fetch a new token, even if the stored one is still valid
    ///
    /// A token that is less than 10 seconds old counts as new. If the service cannot be reached or
    /// has asked for a pause, keyferry fails, and does not return the old token. A configured API
    /// key or SecretKey is never fetched, so this option has no effect on it.
    #[arg(long)]
    pub fresh: bool,
    /// The password of a protected link.
    #[command(flatten)]
    pub link_password: LinkPasswordInput,
    /// The options of the log.
    #[command(flatten)]
    pub log: LogOptions,
}

/// The access that a package token allows.
#[derive(Clone, Copy, ValueEnum)]
#[cfg_attr(test, derive(Debug))]
pub enum PackageAccess {
    /// List and download files
    Read,
    /// Add files and finalize the package
    Write,
    /// Everything except downloads
    Manage,
}

impl TokenOptions {
    /// Opens a session and fetches the token for a resource. If the service rejects a link and a
    /// terminal is there, prompts for the password of the link and tries again.
    ///
    /// # Errors
    /// Returns the errors of [`CliContext::open_configured_session`], [`LinkPasswordInput::read`],
    /// [`ask`] and [`Session::token_for`].
    pub fn fetch(
        &self,
        resource: &str,
        context: &CliContext,
        streams: &Streams<'_>,
    ) -> Result<(Session, Token)> {
        let link_password = self.link_password.read()?;
        let session = context.open_configured_session(self.profile.as_deref())?;
        let mut request = self.request(resource, link_password);
        let fetch = |request: &Request| {
            with_progress(streams, "keyferry: fetching a token", || {
                session.token_for(request)
            })
        };
        let error = match fetch(&request) {
            Ok(token) => return Ok((session, token)),
            Err(error) => error,
        };
        let may_need_password = error.kind == ErrorKind::BadCredentials
            && request.link_password.is_none()
            && is_link(&session, resource);
        if !may_need_password || !(context.stdin_is_terminal || streams.stderr.caps().is_terminal) {
            return Err(error);
        }
        request.link_password = match ask_link_password(context) {
            // There is no terminal, so the error of the service is the one to report.
            Err(no_prompt) if no_prompt.kind == ErrorKind::SecretSource => return Err(error),
            password => Some(password?),
        };
        let token = fetch(&request)?;
        Ok((session, token))
    }

    /// Returns the stored token for a resource, as [`stored_token`] does.
    pub fn stored(&self, resource: &str, context: &CliContext) -> Option<(Session, Token)> {
        // Reading the password may consume it.
        if self.link_password.is_given() {
            return None;
        }
        let request = self.request(resource, None);
        let (session, outcome) = stored_token(&request, self.profile.as_deref(), context)?;
        Some((session, outcome.ok()?))
    }

    fn request(&self, resource: &str, link_password: Option<Secret>) -> Request {
        Request {
            access: self.access.map(PackageAccess::access),
            min_valid: Duration::from_secs(self.min_valid_s.into()),
            max_age: self.fresh.then_some(MAX_FRESH_AGE),
            link_password,
            ..Request::new(resource)
        }
    }
}

impl PackageAccess {
    fn access(self) -> Access {
        match self {
            Self::Read => Access::Read,
            Self::Write => Access::Write,
            Self::Manage => Access::Manage,
        }
    }
}

/// Prompts for the password of a link.
///
/// # Errors
/// Returns the errors of [`ask`].
fn ask_link_password(context: &CliContext) -> Result<Secret> {
    ask(
        "The service rejected the link. If the link has a password, type it: ",
        true,
        PromptOrder::TerminalFirst,
        &context.environment,
    )
}

/// Returns whether a resource is a link. The resource was resolved before.
fn is_link(session: &Session, resource: &str) -> bool {
    session
        .explain(resource)
        .is_ok_and(|explanation| explanation.resource_kind == ResourceKind::Link)
}
