//! Which team's packages are meant.
//!
//! The configured one, else what the login answer says, else the only one there is. An API key does not tell its team.

use serde_json::Value;

use super::Masv;
use super::user::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::service::Context;
use crate::services::response;

/// The route that lists the user's teams.
pub(super) const TEAMS: &str = "/v1/teams";
const ROUTE: &str = "GET /v1/teams";
/// How many teams an error names.
const SHOWN: usize = 12;

impl Masv {
    /// The id of the team.
    pub(super) fn team(&self, context: &dyn Context) -> Result<String> {
        let configured = context.setting("masv.team")?.filter(|team| !team.is_empty());
        let configured = configured.as_ref().map(|team| team.expose());
        if let Some(id) = configured.filter(|team| is_id(team)) {
            return Ok(id.to_owned());
        }
        if let Some(id) = self.team.lock().clone() {
            return Ok(id);
        }
        if !self.has_key {
            let token = self.login_token(context)?;
            if let Some(id) = serde_json::from_str(token.details()).ok().and_then(|details| of_login(&details, configured)) {
                return Ok(id);
            }
        }
        self.ask_for_team(configured, context)
    }

    /// Asks once for all who want to know, and keeps the answer.
    fn ask_for_team(&self, configured: Option<&str>, context: &dyn Context) -> Result<String> {
        context.coalesce("teams", &mut || {
            let reply = self.ask(TEAMS, context)?;
            if !response::is_success(&reply.response) {
                return Err(reply.unexpected(ROUTE));
            }
            let document = reply.document()?;
            let teams = response::list(&document, &["teams", "records"]);
            let teams = teams.ok_or_else(|| {
                Error::new(ErrorKind::BadResponse, format!("the answer to {ROUTE} holds no list of teams: check `masv.url`"))
            })?;
            *self.team.lock() = Some(choose(teams, configured, &reply)?);
            Ok(Vec::new())
        })?;
        let gone = || Error::new(ErrorKind::Unavailable, "the team was changed while it was looked up: try again");
        self.team.lock().clone().ok_or_else(gone)
    }

    /// The service does not know the team: what was kept of it is wrong.
    pub(super) fn forget_team(&self, team: &str) {
        let mut kept = self.team.lock();
        if kept.as_deref() == Some(team) {
            *kept = None;
        }
    }
}

/// Ids are ULIDs: 26 letters and digits.
fn is_id(team: &str) -> bool {
    team.len() == 26 && team.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The team by the answer to a login, if that is enough to tell.
fn of_login(details: &Value, configured: Option<&str>) -> Option<String> {
    let teams = response::field(details, "teams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if let Some(name) = configured {
        return named(teams, name);
    }
    let user = response::field(details, "user").unwrap_or(&Value::Null);
    let only = || if let [team] = teams { response::id(team, "id") } else { None };
    response::id(user, "preferred_team_id").or_else(|| response::id(user, "primary_team_id")).or_else(only)
}

/// The team of this id, subdomain or name, in this order.
fn named(teams: &[Value], name: &str) -> Option<String> {
    let is_named =
        |team: &&Value, field: &str| response::text(team, field).is_some_and(|value| value.to_lowercase() == name.to_lowercase());
    let team = ["id", "subdomain", "name"].iter().find_map(|field| teams.iter().find(|team| is_named(team, field)))?;
    response::id(team, "id")
}

fn choose(teams: &[Value], configured: Option<&str>, reply: &Reply) -> Result<String> {
    let not_configured = |what: &str, names: &str| Err(Error::new(ErrorKind::NotConfigured, format!("{what}{names}")));
    if let Some(name) = configured {
        let unknown = "`masv.team` names no team of this user: there is ";
        return named(teams, name).map_or_else(|| not_configured(unknown, &listed(teams, reply)), Ok);
    }
    match teams {
        [] => not_configured("the user is in no team: packages belong to one", ""),
        [team] => response::id(team, "id")
            .ok_or_else(|| Error::new(ErrorKind::BadResponse, format!("the answer to {ROUTE} has no usable `id`: check `masv.url`"))),
        _ => not_configured("`masv.team` is not set: the user is in several teams, so set it to one of ", &listed(teams, reply)),
    }
}

/// The subdomains of teams, for a message: those that do not hold what was sent.
fn listed(teams: &[Value], reply: &Reply) -> String {
    let name = |team: &Value| response::text(team, "subdomain").map(response::shown).or_else(|| response::id(team, "id"));
    let names: Vec<_> = teams.iter().filter_map(name).filter_map(|name| reply.harmless(&name)).take(SHOWN).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
