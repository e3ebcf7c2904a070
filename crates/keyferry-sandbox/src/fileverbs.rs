//! FileVerbs: the token call, refresh by a cookie that rotates, and the calls that both credentials open.
//!
//! A refresh token that comes a second time revokes its whole family, as the sample that FileVerbs
//! resembles does it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::checks::{self, Presented};
use crate::clock::http_date;
use crate::credentials as c;
use crate::masv::claims;
use crate::request::{SandboxRequest, text};
use crate::response::Response;
use crate::service::Service;
use crate::settings::Settings;
use crate::state::SandboxState;
use crate::tokens::GrantKind;

const ACCOUNT_ID: u32 = 7001;
const TOKEN_PATH: &str = "/api/v1/accounts/access-token";
const REVOKE_PATH: &str = "/api/v1/accounts/revoke-token";

#[derive(Default)]
pub(crate) struct FileVerbsData {
    refresh_tokens: BTreeMap<String, Refresh>,
    revoked_families: BTreeSet<u64>,
    families: u64,
    jobs: BTreeSet<String>,
}

struct Refresh {
    family: u64,
    expires_ms: i64,
    used: bool,
}

pub(crate) fn counter(call: &SandboxRequest, settings: &Settings) -> Option<&'static str> {
    let path = call.path.as_str();
    match (call.method.as_str(), path) {
        ("POST", TOKEN_PATH) => Some("fileverbs_login"),
        ("POST", REVOKE_PATH) => Some("revoke"),
        ("POST", _) if path == settings.refresh_path => Some("refresh"),
        _ if path.starts_with("/api/v1/") => Some("fileverbs_call"),
        _ => None,
    }
}

pub(crate) fn handle(state: &mut SandboxState, call: &SandboxRequest) -> Response {
    answer(state, call).unwrap_or_else(|refusal| refusal)
}

fn answer(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let presented = checks::credential(state, call)?;
    checks::content_type(state, call)?;
    if call.path == state.settings.refresh_path && call.method == "POST" {
        checks::route(Service::FileVerbs, state.settings.refresh_route)?;
        checks::none(state, call, &presented)?;
        return refresh(state, call);
    }
    let parts = call.parts();
    let ["api", "v1", rest @ ..] = parts.as_slice() else {
        return Err(checks::unknown(state, call));
    };
    match (call.method.as_str(), rest) {
        ("POST", ["accounts", "access-token"]) => {
            checks::none(state, call, &presented)?;
            log_in(state, call)
        }
        ("POST", ["accounts", "revoke-token"]) => revoke(state, call, &presented),
        (_, ["accounts", "access-token" | "revoke-token"]) => Err(checks::wrong_method(state, call)),
        (_, ["fileuploads" | "jobrequests", ..]) => {
            authorized(state, call, &presented)?;
            working(state, call, rest)
        }
        _ => Err(checks::unknown(state, call)),
    }
}

/// The SecretKey header or a bearer; either will do for every working call.
fn authorized(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<(), Response> {
    let refused = |state: &mut SandboxState, counter: &str| {
        state.count(counter);
        Err(Response::message(401, "Unauthorized"))
    };
    match presented {
        Some(("SecretKey", value)) if value == c::SECRET_KEY && !state.tokens.is_rejected(value) => Ok(()),
        Some(("SecretKey", _)) => refused(state, "bad_secret_key"),
        Some(("Authorization", value)) => {
            let Some(token) = value.strip_prefix("Bearer ") else {
                return refused(state, "bad_token");
            };
            match state.tokens.check(GrantKind::Bearer, token, call.now_ms) {
                Ok(_) => Ok(()),
                Err(refusal) => refused(state, refusal.counter()),
            }
        }
        _ => refused(state, "missing_credential"),
    }
}

fn log_in(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let document = checks::object(state, call)?;
    let good = text(&document, "SecretKey") == Some(c::SECRET_KEY) && text(&document, "APIKey") == Some(c::FV_API_KEY);
    if !good || state.tokens.is_rejected(c::SECRET_KEY) {
        state.count("fileverbs_login_refused");
        return Err(Response::message(state.settings.fileverbs_refusal_status, "SecretKey or APIKey is incorrect"));
    }
    state.fileverbs.families += 1;
    let family = state.fileverbs.families;
    signed_in(state, call, family)
}

/// A new bearer and a new refresh token of this family.
fn signed_in(state: &mut SandboxState, call: &SandboxRequest, family: u64) -> Result<Response, Response> {
    let refresh = new_refresh_token(state, call, family)?;
    answered(state, call, &refresh)
}

fn answered(state: &mut SandboxState, call: &SandboxRequest, refresh: &str) -> Result<Response, Response> {
    let now_s = call.now_ms.div_euclid(1000);
    let fields = claims(json!({"id": ACCOUNT_ID.to_string(), "iat": now_s, "nbf": now_s}));
    let token = state.tokens.issue(GrantKind::Bearer, fields, call.now_ms);
    let expires = http_date(call.now_ms.saturating_add(state.tokens.life_s(GrantKind::Refresh).saturating_mul(1000)));
    let cookie = format!("{}={refresh}; expires={expires}; path=/; httponly", state.settings.refresh_cookie);
    let fields = [
        ("Id", json!(ACCOUNT_ID)),
        ("FirstName", json!("Fer")),
        ("LastName", json!("Ry")),
        ("Email", json!(c::EMAIL)),
        ("Role", json!("User")),
        ("IsVerified", json!(true)),
        ("JwtToken", json!(token)),
        ("RefreshToken", json!(refresh)),
    ];
    let name = |name: &str| if state.settings.camel_case { camel(name) } else { name.to_owned() };
    let document: Value = fields.into_iter().map(|(own, value)| (name(own), value)).collect();
    Ok(Response::ok(document).with("set-cookie", cookie))
}

fn camel(name: &str) -> String {
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("{}{rest}", first.to_lowercase())
}

fn new_refresh_token(state: &mut SandboxState, call: &SandboxRequest, family: u64) -> Result<String, Response> {
    let mut bytes = [0_u8; 40];
    getrandom::fill(&mut bytes).map_err(|_| Response::message(500, "no random bytes"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let generation = state.tokens.next_generation(GrantKind::Refresh);
    if state.tokens.is_refused_generation(GrantKind::Refresh, generation) {
        state.tokens.reject(&token);
    }
    let life_ms = state.tokens.life_s(GrantKind::Refresh).saturating_mul(1000);
    let expires_ms = call.now_ms.saturating_add(life_ms);
    if state.fileverbs.refresh_tokens.len() > 10_000 {
        // A soak gets new ones for hours. Those that expired are refused, known or not.
        state.fileverbs.refresh_tokens.retain(|_, known| call.now_ms < known.expires_ms);
    }
    state.fileverbs.refresh_tokens.insert(token.clone(), Refresh { family, expires_ms, used: false });
    Ok(token)
}

/// The refresh token of the request's cookies.
fn cookie(state: &SandboxState, call: &SandboxRequest) -> Option<String> {
    let all = call.header("cookie")?;
    let mut pairs = all.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == state.settings.refresh_cookie).map(|(_, value)| value.to_owned())
}

fn refresh(state: &mut SandboxState, call: &SandboxRequest) -> Result<Response, Response> {
    let Some(token) = cookie(state, call) else {
        return Err(refused_refresh(state, "Token is required"));
    };
    let rotates = state.settings.refresh_rotates;
    let rejected = state.tokens.is_rejected(&token);
    let world = &mut state.fileverbs;
    let Some(known) = world.refresh_tokens.get_mut(&token) else {
        return Err(refused_refresh(state, "Invalid token"));
    };
    let family = known.family;
    if world.revoked_families.contains(&family) || rejected || call.now_ms >= known.expires_ms {
        return Err(refused_refresh(state, "Invalid token"));
    }
    if known.used {
        world.revoked_families.insert(family);
        state.count("refresh_reuse");
        return Err(refused_refresh(state, "Invalid token"));
    }
    known.used = rotates;
    if rotates { signed_in(state, call, family) } else { answered(state, call, &token) }
}

fn refused_refresh(state: &mut SandboxState, message: &str) -> Response {
    state.count("refresh_refused");
    Response::message(state.settings.refresh_refusal_status, message)
}

fn revoke(state: &mut SandboxState, call: &SandboxRequest, presented: &Presented) -> Result<Response, Response> {
    authorized(state, call, presented)?;
    let document = call.document();
    let token = text(&document, "token").map(str::to_owned).or_else(|| cookie(state, call));
    let family = token.and_then(|token| state.fileverbs.refresh_tokens.get(&token)).map(|known| known.family);
    match family {
        None => Err(Response::message(400, "Token is required")),
        Some(family) => {
            state.fileverbs.revoked_families.insert(family);
            Ok(Response::message(200, "Token revoked"))
        }
    }
}

fn working(state: &mut SandboxState, call: &SandboxRequest, rest: &[&str]) -> Result<Response, Response> {
    let is_own = |state: &SandboxState, id: &str| id == c::JOB_ID || state.fileverbs.jobs.contains(id);
    match (call.method.as_str(), rest) {
        ("GET", ["fileuploads"]) => Ok(Response::ok(json!([{"Id": 1, "FileName": "contract.docx"}]))),
        ("POST", ["fileuploads", "upload"]) => Ok(Response::ok(json!({"Id": 2, "FileName": "upload.docx"}))),
        ("POST", ["jobrequests"]) => {
            let id = format!("5f0c1d2e-0000-4000-8000-{:012}", state.fileverbs.jobs.len() + 100);
            state.fileverbs.jobs.insert(id.clone());
            Ok(Response::json(201, json!({"Id": id, "Status": "Queued"})))
        }
        // A job of somebody else isn't there at all.
        ("GET", ["jobrequests", id] | ["jobrequests", id, "outputs"]) if !is_own(state, id) => {
            state.count("foreign_job");
            Err(Response::message(404, "Not found"))
        }
        ("GET", ["jobrequests", id]) => Ok(Response::ok(json!({"Id": id, "Status": "Done"}))),
        ("GET", ["jobrequests", id, "outputs"]) => Ok(Response::ok(json!([{"JobId": id, "FileName": "contract.pdf", "Size": 4096}]))),
        (_, ["fileuploads" | "jobrequests"] | ["fileuploads", "upload"] | ["jobrequests", _]) => Err(checks::wrong_method(state, call)),
        _ => Err(checks::unknown(state, call)),
    }
}
