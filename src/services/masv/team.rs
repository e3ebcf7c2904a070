//! Determines the team whose packages are used.
//!
//! This is the configured team, else the team in the login's response, else the user's only team.
//! An API key does not identify a team.

use serde_json::Value;

use super::api::{ApiResponse, Masv, TEAMS_PATH};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::service::Context;
use crate::services::response;

const TEAMS_ROUTE: &str = "GET /v1/teams";
/// The maximum number of teams that an error message names.
const MAX_LISTED_TEAMS: usize = 12;

impl Masv {
    /// Returns the ID of the team.
    pub(super) fn team(&self, context: &dyn Context) -> Result<String> {
        let configured = context
            .setting("masv.team")?
            .filter(|team| !team.is_empty());
        #[expect(clippy::disallowed_methods, reason = "the id of a team is no secret")]
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

    /// Fetches the team, once for all concurrent callers, and caches it.
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
                    format!("the response to {TEAMS_ROUTE} has no list of teams; check `masv.url`"),
                )
            })?;
            *self.fetched_team.lock() = Some(choose_team(teams, configured, &response)?);
            context.keep_connection();
            Ok(Vec::new())
        })?;
        let changed = || {
            Error::new(
                ErrorKind::Unavailable,
                "the team changed while keyferry looked it up; retry",
            )
        };
        self.fetched_team.lock().clone().ok_or_else(changed)
    }

    /// Removes a team from the cache, because the service has no such team.
    pub(super) fn forget_team(&self, team: &str) {
        let mut fetched_team = self.fetched_team.lock();
        if fetched_team.as_deref() == Some(team) {
            *fetched_team = None;
        }
    }
}

/// Returns whether a string has the form of a team ID: a ULID of 26 letters and digits.
fn is_team_id(team: &str) -> bool {
    team.len() == 26 && team.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns the team from the details of a login. `None` if they don't identify one team.
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

/// Returns the ID of the team that has `name` as its ID. If there is none, looks for `name` among the
/// subdomains, and then among the team names.
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
        let unknown = "`masv.team` names no team of this user; set it to one of the user's teams: ";
        return find_team(teams, name)
            .map_or_else(|| not_configured(unknown, &team_names(teams, response)), Ok);
    }
    match teams {
        [] => not_configured(
            "cannot look up packages: the user is in no team; join or create a team",
            "",
        ),
        [team] => response::id(team, "id").ok_or_else(|| {
            Error::new(
                ErrorKind::BadResponse,
                format!("the response to {TEAMS_ROUTE} has no valid `id`; check `masv.url`"),
            )
        }),
        _ => not_configured(
            "`masv.team` is not set, and the user is in several teams; set it to one of: ",
            &team_names(teams, response),
        ),
    }
}

/// Returns the subdomains of teams for an error message. Leaves out a subdomain that contains the
/// credential of the request, in case the service returns the credential in its response.
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
