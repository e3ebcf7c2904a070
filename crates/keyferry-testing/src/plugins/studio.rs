//! A fake asset store, which is the service of the plugin `template.c`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::server::{ReceivedRequest, Reply, Server, reply};

pub const KEY: &str = "studio-key-\"one\"";

/// The state of the asset store. Tests may change it.
#[derive(Default)]
pub struct StudioState {
    /// The lifetime of new tokens in seconds.
    pub token_lifetime_s: AtomicI64,
    /// The status of all responses to logins; 0 if logins succeed.
    pub failure_status: AtomicU16,
    /// The number of tokens issued so far.
    pub token_count: AtomicU32,
}

/// The asset store and its HTTP server.
pub struct Studio {
    pub server: Server,
    pub state: Arc<StudioState>,
}

pub fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

impl Studio {
    pub fn start() -> Self {
        let state = Arc::new(StudioState {
            token_lifetime_s: AtomicI64::new(3600),
            ..StudioState::default()
        });
        let server_state = Arc::clone(&state);
        Self {
            server: Server::start(move |request| answer(&server_state, request)),
            state,
        }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }
}

fn answer(state: &StudioState, request: &ReceivedRequest) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    match request.line.as_str() {
        "POST /v1/sessions" => match state.failure_status.load(Ordering::SeqCst) {
            0 if body["key"] == KEY => session(state),
            0 => reply(403, "{}"),
            status => reply(status, "{}"),
        },
        "POST /v1/sessions/renew" => {
            let known = body["refresh"]
                .as_str()
                .is_some_and(|text| text.starts_with("refresh-"));
            if known {
                session(state)
            } else {
                reply(403, "{}")
            }
        }
        "GET /v1/assets/7/ticket" if request.header("X-Studio-Key") == Some(KEY) => reply(
            200,
            json!({"ticket": format!("ticket-{}", state.token_count.fetch_add(1, Ordering::SeqCst) + 1)}),
        ),
        "GET /v1/assets/7/ticket" => reply(401, "{}"),
        "GET /v1/library"
            if request
                .header("Authorization")
                .is_some_and(|value| value.starts_with("Bearer studio-")) =>
        {
            reply(200, "{}")
        }
        _ => reply(404, "{}"),
    }
}

fn session(state: &StudioState) -> Reply {
    let number = state.token_count.fetch_add(1, Ordering::SeqCst) + 1;
    let ends = now_s() + state.token_lifetime_s.load(Ordering::SeqCst);
    reply(
        200,
        json!({"token": format!("studio-{number}"), "refresh": format!("refresh-{number}"), "expires_at": ends}),
    )
}
