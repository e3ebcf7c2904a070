//! The behaviours that a test can change while the sandbox runs. They cover what the services leave
//! undocumented.
//!
//! This module stores the values. The services act on them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tokens::GrantKind;

/// Whether a response contains a list directly, or inside an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListShape {
    Array,
    Object,
}

/// The status that a route returns instead of working, or `None` if the route works.
pub(crate) type RouteOverride = Option<u16>;

/// The current value of each behaviour.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) auth_refusal_status: u16,
    pub(crate) auth_refusal_json: bool,
    pub(crate) teams: usize,
    pub(crate) teams_shape: ListShape,
    pub(crate) preferred_team: bool,
    pub(crate) login_teams: bool,
    pub(crate) single_lookup: RouteOverride,
    pub(crate) paged_list: RouteOverride,
    pub(crate) inbox_route: RouteOverride,
    pub(crate) link_secret_status: u16,
    pub(crate) link_password_status: u16,
    pub(crate) download_secret: bool,
    pub(crate) read_lists_transfers: bool,
    pub(crate) transfers_shape: ListShape,
    pub(crate) legacy: bool,
    pub(crate) agent_teams_shape: ListShape,
    pub(crate) camel_case: bool,
    pub(crate) refresh_route: RouteOverride,
    pub(crate) refresh_path: String,
    pub(crate) refresh_cookie: String,
    pub(crate) refresh_rotates: bool,
    pub(crate) refresh_refusal_status: u16,
    pub(crate) fileverbs_refusal_status: u16,
    pub(crate) min_chunk_size: u64,
    pub(crate) plain_upload_id: bool,
}

/// What the caller must do after [`Settings::set`], for behaviours that [`Settings`] doesn't store.
pub(crate) enum SettingChange {
    /// Nothing: the value is stored in [`Settings`].
    None,
    Packages(usize),
    Inbox(usize),
    AgentSignedIn(bool),
    Opaque(BTreeSet<GrantKind>),
    NoExpiry(BTreeSet<GrantKind>),
    Certificate(String),
    /// The limit of the storage, in bytes.
    Storage(u64),
}

impl Settings {
    pub(crate) fn new() -> Settings {
        Settings {
            auth_refusal_status: 401,
            auth_refusal_json: true,
            teams: 1,
            teams_shape: ListShape::Array,
            preferred_team: true,
            login_teams: true,
            single_lookup: None,
            paged_list: None,
            inbox_route: None,
            link_secret_status: 401,
            link_password_status: 401,
            download_secret: true,
            read_lists_transfers: true,
            transfers_shape: ListShape::Array,
            legacy: false,
            agent_teams_shape: ListShape::Array,
            camel_case: false,
            refresh_route: None,
            refresh_path: "/api/v1/accounts/refresh-token".to_owned(),
            refresh_cookie: "refreshToken".to_owned(),
            refresh_rotates: true,
            refresh_refusal_status: 400,
            fileverbs_refusal_status: 400,
            min_chunk_size: 5 << 20,
            plain_upload_id: true,
        }
    }

    /// Sets one behaviour. `docs/testing.md` lists the keys.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<SettingChange, String> {
        match key {
            "auth_refusal_status" => self.auth_refusal_status = status_value(key, value)?,
            "auth_refusal_json" => self.auth_refusal_json = bool_value(key, value)?,
            "teams" => self.teams = count_value(key, value)?,
            "teams_shape" => self.teams_shape = list_shape(key, value)?,
            "preferred_team" => self.preferred_team = bool_value(key, value)?,
            "login_teams" => self.login_teams = bool_value(key, value)?,
            "single_lookup" => self.single_lookup = route_override(key, value)?,
            "paged_list" => self.paged_list = route_override(key, value)?,
            "inbox_route" => self.inbox_route = route_override(key, value)?,
            "link_secret_status" => self.link_secret_status = status_value(key, value)?,
            "link_password_status" => self.link_password_status = status_value(key, value)?,
            "download_secret" => self.download_secret = bool_value(key, value)?,
            "read_lists_transfers" => self.read_lists_transfers = bool_value(key, value)?,
            "transfers_shape" => self.transfers_shape = list_shape(key, value)?,
            "legacy" => self.legacy = bool_value(key, value)?,
            "agent_teams_shape" => self.agent_teams_shape = list_shape(key, value)?,
            "camel_case" => self.camel_case = bool_value(key, value)?,
            "no_refresh_route" => self.refresh_route = absent_route_override(key, value)?,
            "refresh_path" => self.refresh_path = text_value(key, value)?,
            "refresh_cookie" => self.refresh_cookie = text_value(key, value)?,
            "refresh_rotates" => self.refresh_rotates = bool_value(key, value)?,
            "refresh_refusal_status" => self.refresh_refusal_status = status_value(key, value)?,
            "fileverbs_refusal_status" => self.fileverbs_refusal_status = status_value(key, value)?,
            "min_chunk_size" => self.min_chunk_size = bytes_value(key, value)?,
            "plain_upload_id" => self.plain_upload_id = bool_value(key, value)?,
            "packages" => return Ok(SettingChange::Packages(count_value(key, value)?)),
            "inbox" => return Ok(SettingChange::Inbox(count_value(key, value)?)),
            "agent_signed_in" => return Ok(SettingChange::AgentSignedIn(bool_value(key, value)?)),
            "opaque" => return Ok(SettingChange::Opaque(token_kinds(key, value)?)),
            "no_exp" => return Ok(SettingChange::NoExpiry(token_kinds(key, value)?)),
            "certificate" => return Ok(SettingChange::Certificate(text_value(key, value)?)),
            "storage_limit_bytes" => return Ok(SettingChange::Storage(bytes_value(key, value)?)),
            _ => return Err(format!("the sandbox has no behaviour '{key}'")),
        }
        Ok(SettingChange::None)
    }
}

fn bool_value(key: &str, value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("'{key}' must be true or false"))
}

fn count_value(key: &str, value: &Value) -> Result<usize, String> {
    let number = value.as_u64().filter(|number| *number <= 1_000_000);
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| format!("'{key}' must be a number from 0 to 1000000"))
}

fn bytes_value(key: &str, value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("'{key}' must be a number of bytes"))
}

fn text_value(key: &str, value: &Value) -> Result<String, String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("'{key}' must be a string"))
}

fn status_value(key: &str, value: &Value) -> Result<u16, String> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number
        .filter(|number| (200..=999).contains(number))
        .ok_or_else(|| format!("'{key}' must be an HTTP status"))
}

fn list_shape(key: &str, value: &Value) -> Result<ListShape, String> {
    match value.as_str() {
        Some("array") => Ok(ListShape::Array),
        Some("object") => Ok(ListShape::Object),
        _ => Err(format!("'{key}' must be \"array\" or \"object\"")),
    }
}

fn route_override(key: &str, value: &Value) -> Result<RouteOverride, String> {
    match value {
        Value::Bool(true) => Ok(None),
        Value::Bool(false) => Ok(Some(404)),
        _ => status_value(key, value).map(Some),
    }
}

fn absent_route_override(key: &str, value: &Value) -> Result<RouteOverride, String> {
    match value {
        Value::Bool(absent) => Ok(absent.then_some(404)),
        _ => status_value(key, value).map(Some),
    }
}

fn token_kinds(key: &str, value: &Value) -> Result<BTreeSet<GrantKind>, String> {
    let wrong = || format!("'{key}' must be an array of token kinds");
    let names = value.as_array().ok_or_else(wrong)?;
    names
        .iter()
        .map(|name| GrantKind::from_name(name.as_str().ok_or_else(wrong)?))
        .collect()
}
