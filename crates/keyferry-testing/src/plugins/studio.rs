//! The made-up asset store that the template is a plugin for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::server::{Reply, Seen, Server, reply};

pub const KEY: &str = "studio-key-\"one\"";

/// Its state, which tests turn.
#[derive(Default)]
pub struct Turn {
    /// How long a token lives.
    pub life_s: AtomicI64,
    /// What the next logins are answered with, instead of a token; 0 for a token.
    pub fails: AtomicU16,
    /// Tokens so far.
    pub tokens: AtomicU32,
}

pub struct Studio {
    pub server: Server,
    pub turn: Arc<Turn>,
}

pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

impl Studio {
    pub fn open() -> Self {
        let turn = Arc::new(Turn { life_s: AtomicI64::new(3600), ..Turn::default() });
        let theirs = Arc::clone(&turn);
        Self { server: Server::start(move |seen| answer(&theirs, seen)), turn }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }
}

fn answer(turn: &Turn, seen: &Seen) -> Reply {
    let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
    match seen.line.as_str() {
        "POST /v1/sessions" => match turn.fails.load(Ordering::SeqCst) {
            0 if body["key"] == KEY => session(turn),
            0 => reply(403, "{}"),
            status => reply(status, "{}"),
        },
        "POST /v1/sessions/renew" => {
            let known = body["refresh"].as_str().is_some_and(|text| text.starts_with("refresh-"));
            if known { session(turn) } else { reply(403, "{}") }
        }
        "GET /v1/assets/7/ticket" if seen.header("X-Studio-Key") == Some(KEY) => {
            reply(200, json!({"ticket": format!("ticket-{}", turn.tokens.fetch_add(1, Ordering::SeqCst) + 1)}))
        }
        "GET /v1/assets/7/ticket" => reply(401, "{}"),
        "GET /v1/library" if seen.header("Authorization").is_some_and(|value| value.starts_with("Bearer studio-")) => reply(200, "{}"),
        _ => reply(404, "{}"),
    }
}

fn session(turn: &Turn) -> Reply {
    let number = turn.tokens.fetch_add(1, Ordering::SeqCst) + 1;
    let ends = now_s() + turn.life_s.load(Ordering::SeqCst);
    reply(200, json!({"token": format!("studio-{number}"), "refresh": format!("refresh-{number}"), "expires_at": ends}))
}
