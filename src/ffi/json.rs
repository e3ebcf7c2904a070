//! The JSON documents that C functions return. The programs print the same documents for `--json`.
//!
//! No code of keyferry reads these documents.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::error::Result;
use crate::ffi::status;
use crate::ports::service::AgentSession;
use crate::session::inspect::{Explanation, Inspect, NextStep, SessionStats, TokenInfo};

/// Returns the document of `keyferry_session_explain`. Its token has no `account` and no
/// `expires_here_unix_s`, but the times of its refresh.
pub fn explanation(explanation: &Explanation) -> Value {
    let Explanation {
        service,
        base,
        account,
        resource_kind,
        id,
        access,
        key,
        store,
        clock_skew_s,
        origin,
        token,
        refresh_from_unix_s,
        callers_wait_from_unix_s,
        next,
        pause,
        fetch,
        settings,
    } = explanation;
    let token = token.as_ref().map(|token| {
        let mut token = bare_token(token);
        token["refresh_from_unix_s"] = json!(refresh_from_unix_s);
        token["callers_wait_from_unix_s"] = json!(callers_wait_from_unix_s);
        token
    });
    let pause = pause
        .as_ref()
        .map(|error| json!({ "error": error.message(), "retry_after_ms": error.retry_after_ms }));
    json!({
        "service": service, "base": base, "account": account, "class": resource_kind.name(), "id": id,
        "access": access.name(), "key": key, "store": store, "clock_skew_s": clock_skew_s, "token": token,
        "next": next, "pause": pause, "origin": origin.name(), "fetch": fetch.as_ref().map(next_step),
        "settings": settings.iter().map(|used| json!({ "key": used.key, "source": used.source })).collect::<Value>(),
    })
}

/// Returns the first step of a fetch. Each step has the same fields.
fn next_step(step: &NextStep) -> Value {
    let (name, header, setting, failure) = match step {
        NextStep::UseSecret(header) => ("use_secret", Some(header), None, None),
        NextStep::LogIn => ("log_in", None, None, None),
        NextStep::Ask => ("ask", None, None, None),
        NextStep::ReadSecret(setting) => ("read_secret", None, Some(setting), None),
        NextStep::CallPlugin { .. } => ("call_plugin", None, None, None),
        NextStep::Fail {
            error,
            since_unix_s,
        } => ("fail", None, None, Some((error, since_unix_s))),
    };
    let failure = failure.map(|(error, since_unix_s)| {
        json!({
            "status": status::from_kind(error.kind), "message": error.message(), "since_unix_s": since_unix_s,
            "retry_after_ms": error.retry_after_ms,
        })
    });
    json!({ "step": name, "header": header, "setting": setting, "failure": failure })
}

/// Returns the text of the document of `keyferry_session_list`.
///
/// # Errors
/// Returns the errors of [`Inspect::visit`].
pub fn tokens(inspect: &Inspect<'_>) -> Result<String> {
    let mut text = String::from("[");
    inspect.visit(&mut |info| {
        if text.len() > 1 {
            text.push(',');
        }
        text += &token(&info).to_string();
        ControlFlow::Continue(())
    })?;
    text.push(']');
    Ok(text)
}

/// Returns one element of the document of `keyferry_session_list`.
pub fn token(token: &TokenInfo) -> Value {
    let mut row = bare_token(token);
    row["account"] = json!(token.account);
    row["expires_here_unix_s"] = json!(token.expires_here_unix_s);
    row
}

/// Returns the fields of a token that `explain` and `list` share.
fn bare_token(token: &TokenInfo) -> Value {
    let TokenInfo {
        service,
        account: _,
        user,
        kind,
        id,
        access,
        generation,
        expires_unix_s,
        expires_here_unix_s: _,
        acquired_unix_s,
        header_names,
    } = token;
    json!({
        "service": service, "kind": kind.name(), "id": id, "access": access.name(), "generation": generation,
        "expires_unix_s": expires_unix_s, "acquired_unix_s": acquired_unix_s, "headers": header_names,
        "user": user,
    })
}

/// Returns the document of `keyferry_session_stats`.
pub fn stats(stats: &SessionStats) -> Value {
    let SessionStats {
        flights,
        flights_under_way,
        waits,
        exchanges,
        logins,
        renewals,
        background_refreshes,
        refused_from_memory,
        rejected,
    } = stats;
    json!({
        "flights": flights, "flights_under_way": flights_under_way, "waits": waits, "exchanges": exchanges,
        "logins": logins, "renewals": renewals, "refreshes_beside": background_refreshes,
        "refused_from_memory": refused_from_memory, "rejected": rejected,
    })
}

/// Returns the document of `masv_agent_session`.
pub fn agent_session(session: AgentSession) -> Value {
    let AgentSession { user, teams } = session;
    // `json!` would copy the values.
    let fields = [("user", user), ("teams", Value::Array(teams))];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_teams_stay_as_the_agent_sent_them() {
        let session = AgentSession {
            user: json!({ "name": "Ann", "level": 1 }),
            teams: vec![json!({ "name": "T", "id": "1" }), json!(null)],
        };
        assert_eq!(
            agent_session(session).to_string(),
            r#"{"teams":[{"id":"1","name":"T"},null],"user":{"level":1,"name":"Ann"}}"#
        );
    }
}
