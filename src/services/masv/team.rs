//! The team whose packages are meant.
//!
//! The configured one, else what the login answer says, else the only one there is. An API key does
//! not tell its team.

use serde_json::Value;

use super::api::{ApiResponse, Masv, TEAMS_PATH};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::service::Context;
use crate::services::response;

const TEAMS_ROUTE: &str = "GET /v1/teams";
/// The most teams that an error names.
const MAX_LISTED_TEAMS: usize = 12;

impl Masv {
    /// The id of the team.
    pub(super) fn team(&self, context: &dyn Context) -> Result<String> {
        let configured = context
            .setting("masv.team")?
            .filter(|team| !team.is_empty());
        let configured = configured.as_ref().map(|team| team.expose());
        if let Some(id) = configured.filter(|team| is_team_id(team)) {
            return Ok(id.to_owned());
        }
        if let Some(id) = self.fetched_team.lock().clone() {
            return Ok(id);
        }
        if !self.has_api_key {
            let token = self.user_token(context)?;
            if let Some(id) = serde_json::from_str(token.details())
                .ok()
                .and_then(|details| team_of_login(&details, configured))
            {
                return Ok(id);
            }
        }
        self.fetch_team(configured, context)
    }

    /// Fetches the team once for all concurrent callers, and keeps it.
    fn fetch_team(&self, configured: Option<&str>, context: &dyn Context) -> Result<String> {
        context.coalesce("teams", &mut || {
            let response = self.get_as_user(TEAMS_PATH, context)?;
            if !response.is_success() {
                return Err(response.unexpected(TEAMS_ROUTE));
            }
            let document = response.document()?;
            let teams = response::list(&document, &["teams", "records"]);
            let teams = teams.ok_or_else(|| {
                Error::new(
                    ErrorKind::BadResponse,
                    format!("the answer to {TEAMS_ROUTE} holds no list of teams: check `masv.url`"),
                )
            })?;
            *self.fetched_team.lock() = Some(choose_team(teams, configured, &response)?);
            Ok(Vec::new())
        })?;
        let changed = || {
            Error::new(
                ErrorKind::Unavailable,
                "the team was changed while it was looked up: try again",
            )
        };
        self.fetched_team.lock().clone().ok_or_else(changed)
    }

    /// Forgets a fetched team that the service does not know.
    pub(super) fn forget_team(&self, team: &str) {
        let mut fetched_team = self.fetched_team.lock();
        if fetched_team.as_deref() == Some(team) {
            *fetched_team = None;
        }
    }
}

/// Ids are ULIDs: 26 letters and digits.
fn is_team_id(team: &str) -> bool {
    team.len() == 26 && team.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The team by the details of a login, if they decide it.
fn team_of_login(details: &Value, configured: Option<&str>) -> Option<String> {
    let teams = response::field(details, "teams")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if let Some(name) = configured {
        return find_team(teams, name);
    }
    let user = response::field(details, "user").unwrap_or(&Value::Null);
    let only = || {
        if let [team] = teams {
            response::id(team, "id")
        } else {
            None
        }
    };
    response::id(user, "preferred_team_id")
        .or_else(|| response::id(user, "primary_team_id"))
        .or_else(only)
}

/// The team of this id, subdomain or name, in this order.
fn find_team(teams: &[Value], name: &str) -> Option<String> {
    let has_name = |team: &&Value, field: &str| {
        response::text(team, field).is_some_and(|value| value.to_lowercase() == name.to_lowercase())
    };
    let team = ["id", "subdomain", "name"]
        .iter()
        .find_map(|field| teams.iter().find(|team| has_name(team, field)))?;
    response::id(team, "id")
}

fn choose_team(
    teams: &[Value],
    configured: Option<&str>,
    response: &ApiResponse,
) -> Result<String> {
    let not_configured = |message: &str, names: &str| {
        Err(Error::new(
            ErrorKind::NotConfigured,
            format!("{message}{names}"),
        ))
    };
    if let Some(name) = configured {
        let unknown = "`masv.team` names no team of this user: there is ";
        return find_team(teams, name)
            .map_or_else(|| not_configured(unknown, &team_names(teams, response)), Ok);
    }
    match teams {
        [] => not_configured("the user is in no team: packages belong to one", ""),
        [team] => response::id(team, "id").ok_or_else(|| {
            Error::new(
                ErrorKind::BadResponse,
                format!("the answer to {TEAMS_ROUTE} has no usable `id`: check `masv.url`"),
            )
        }),
        _ => not_configured(
            "`masv.team` is not set: the user is in several teams, so set it to one of ",
            &team_names(teams, response),
        ),
    }
}

/// The subdomains of teams, for a message: those that do not hold what was sent.
fn team_names(teams: &[Value], response: &ApiResponse) -> String {
    let name = |team: &Value| {
        response::text(team, "subdomain")
            .map(response::printable)
            .or_else(|| response::id(team, "id"))
    };
    let names: Vec<_> = teams
        .iter()
        .filter_map(name)
        .filter_map(|name| response.sanitize(&name))
        .take(MAX_LISTED_TEAMS)
        .collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
