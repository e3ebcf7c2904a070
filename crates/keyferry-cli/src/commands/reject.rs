//! `keyferry reject`: reports that the service refused the token that keyferry gave for a resource.
//!
//! For a token of the store, it doesn't use the network. The next request for the resource decides
//! whether to replace the token.

use clap::Args;
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::resource_input::read_resource;
use crate::secret_input::LinkPasswordInput;
use crate::streams::Streams;
use keyferry::config::Profile;
use keyferry::error::Result;
use keyferry::model::request::Request;
use keyferry::model::token::{Token, TokenKind};
use keyferry::session::Session;

/// The options of `keyferry reject`.
#[derive(Args)]
pub struct RejectOptions {
    /// URL whose response was 401, or a short form, as for `keyferry header`
    ///
    /// With `-`, keyferry reads it from standard input.
    pub resource: String,
    /// Reject the token only if it has this generation
    ///
    /// `keyferry header --json` prints the generation. Use this option if another program may have
    /// replaced the token in the meantime.
    #[arg(long, value_name = "NUMBER")]
    pub generation: Option<u64>,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The password of a protected link.
    #[command(flatten)]
    pub link_password: LinkPasswordInput,
    /// Print JSON instead of a message
    #[arg(long)]
    pub json: bool,
}

/// The outcome of the report.
struct Outcome {
    /// The token that keyferry no longer returns for the resource.
    rejected: Option<Token>,
    /// The effect of the next request for the resource.
    next: String,
}

/// Reports that the service refused a token.
pub fn run(options: &RejectOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let outcome = match reject(options, context, streams) {
        Ok(outcome) => outcome,
        Err(error) => return streams.fail_with(&error),
    };
    let written = if options.json {
        streams.write_json(&outcome.to_json())
    } else {
        streams.stdout.write_line(&outcome.text())
    };
    streams.finish_write(written)
}

impl Outcome {
    fn text(&self) -> String {
        let first = match &self.rejected {
            Some(token) => format!(
                "rejected {} for this URL; other URLs still get it",
                name(token)
            ),
            None => "rejected no token".to_owned(),
        };
        // One line for each part, because the whole is too long for a line.
        format!("{first}\nnext: {}", self.next.replace("; ", ";\n      "))
    }

    fn to_json(&self) -> Value {
        let token = self.rejected.as_ref();
        json!({
            "rejected": token.is_some(),
            "service": token.map(Token::service),
            "kind": token.map(|token| token.meta().kind.name()),
            "generation": token.map(|token| token.meta().generation),
            "next": self.next,
        })
    }
}

fn name(token: &Token) -> String {
    let (service, kind) = (token.service(), token.meta().kind);
    if kind == TokenKind::Key {
        format!("the configured key of {service}")
    } else {
        format!("the {} token of {service}", kind.name())
    }
}

fn reject(
    options: &RejectOptions,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> Result<Outcome> {
    let resource = read_resource(&options.resource, streams.stdin)?;
    let config = context.load_config()?;
    let account = options
        .profile
        .as_deref()
        .unwrap_or(config.default_account());
    let profile = config.profile(account)?;
    let request = Request {
        link_password: options.link_password.read()?,
        ..Request::new(resource.as_str())
    };
    let session = context.open_session(config, options.profile.as_deref())?;
    if let Some(token) = session.present(&request)? {
        return reject_stored(&session, &profile, &resource, token, options.generation);
    }
    if !session.is_configured_secret(&resource)? {
        return Ok(Outcome {
            rejected: None,
            next: "keyferry has no token for this URL, so the next request fetches one".into(),
        });
    }
    reject_key(&session, &request)
}

/// Rejects a token of the store.
fn reject_stored(
    session: &Session,
    profile: &Profile,
    resource: &str,
    token: Token,
    generation: Option<u64>,
) -> Result<Outcome> {
    if generation.is_some_and(|generation| generation != token.meta().generation) {
        return Ok(Outcome {
            rejected: None,
            next: format!(
                "keyferry has {} of another generation, and the next request gets it",
                name(&token)
            ),
        });
    }
    session.reject_for(resource, &token)?;
    let service = token.service();
    let can_log_in = token.meta().kind != TokenKind::User || profile.is_set("masv.password");
    let replaced = if can_log_in {
        "fetches a new one"
    } else {
        "fails until you run `keyferry login masv`"
    };
    let next = if session.has_test_request(&token) {
        format!(
            "the next request for this URL asks {service} whether the token is still valid; if not, it {replaced}; \
             if it is valid, the request fails, because the account may not use this URL"
        )
    } else {
        format!("the next request for this URL {replaced}, at most once in 10 seconds")
    };
    Ok(Outcome {
        rejected: Some(token),
        next,
    })
}

/// Rejects a configured key. Nothing is stored for a key until a request asks for it again. This
/// function makes that request, which tests the key if the service has a test request.
fn reject_key(session: &Session, request: &Request) -> Result<Outcome> {
    let token = session.token_for(request)?;
    session.reject_for(&request.resource, &token)?;
    let next = match session.token_for(request) {
        Ok(_) => "the next request gets the key again; keyferry withholds it longer if it is rejected again".into(),
        Err(error) => match error.retry_after_s() {
            Some(seconds) => format!(
                "for {seconds} s, requests for this URL fail: {}",
                error.message()
            ),
            None => format!("requests for this URL fail: {}", error.message()),
        },
    };
    Ok(Outcome {
        rejected: Some(token),
        next,
    })
}
