//! Every kind of request that the library sends.

use std::panic::RefUnwindSafe;
use std::path::Path;

use keyferry_testing::c_api::{Config, Result, Session};
use keyferry_testing::plugins::studio;

use super::service::{TEAM, Trait};
use crate::checks::AMPLE_TIMEOUT_MS;

/// Everything that a test of one kind needs.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What the request line begins with.
    pub(super) line: &'static str,
    /// Whether the request may change something at the service or use something up.
    pub(super) spends: bool,
    /// Whether the request is sent again after a lost response.
    pub(super) repeats: bool,
    /// Whether a connection is open already when a new session sends the request: one that was opened
    /// beside the login, or that of the read before.
    pub(super) has_connection: bool,
    /// The services that this kind needs.
    pub(super) needs: Trait,
    pub(super) config: Box<dyn Fn(&str) -> Config + Send + Sync + RefUnwindSafe>,
    /// What comes before the request, each time.
    pub(super) prepare: fn(&Session),
    /// Reads something else from the same service, so that a connection of it is idle.
    pub(super) read_before: fn(&Session),
    /// Sends the request, for the thing of this number. Returns the token or the session.
    pub(super) ask: fn(&Session, u32) -> Result<String>,
    /// What a sound result contains.
    pub(super) result: fn(u32) -> String,
    /// The requests of this kind's service that spend something.
    pub(super) spending: &'static [&'static str],
}

pub(super) const LOGIN: &str = "POST /v1/auth";
pub(super) const BEARER: &str = "POST /api/v1/accounts/access-token";
pub(super) const REFRESH: &str = "POST /api/v1/accounts/refresh-token";
pub(super) const LOOK_UP: &str = "GET /v1.1/teams/01J0SCR1PTEDTEAM0000000001/packages/";
const LIST: &str = "GET /v1.1/teams/01J0SCR1PTEDTEAM0000000001/packages?";

const MASV_SPENDING: &[&str] = &[LOGIN];
const FILEVERBS_SPENDING: &[&str] = &[BEARER, REFRESH];
const AGENT_SPENDING: &[&str] = &["POST /api/v1/login", "POST /api/v1/signup"];
const PLUGIN_SPENDING: &[&str] = &["POST /v1/sessions", "GET /v1/assets/"];

pub(super) const EMAIL: &str = "ann@example.com";
pub(super) const PASSWORD: &str = "made-up-password";
pub(super) const API_KEY: &str = "made-up-api-key";
pub(super) const SECRET_KEY: &str = "made-up-secret-key";
pub(super) const FILEVERBS_KEY: &str = "made-up-fileverbs-key";

/// Returns a configuration with these settings.
pub(super) fn config(settings: &[(&str, &str)]) -> Config {
    Config::new()
        .set("http.timeout_ms", &AMPLE_TIMEOUT_MS.to_string())
        .set_all(settings.iter().copied())
}

/// Returns a configuration with an e-mail address and a password for MASV.
pub(super) fn with_login(url: &str) -> Config {
    config(&[
        ("masv.url", url),
        ("masv.email", EMAIL),
        ("masv.password", PASSWORD),
    ])
}

/// Returns a configuration with an API key for MASV.
pub(super) fn with_key(url: &str) -> Config {
    config(&[("masv.url", url), ("masv.api_key", API_KEY)])
}

pub(super) fn fileverbs(url: &str) -> Config {
    config(&[
        ("fileverbs.url", url),
        ("fileverbs.secret_key", SECRET_KEY),
        ("fileverbs.api_key", FILEVERBS_KEY),
    ])
}

fn agent(url: &str) -> Config {
    config(&[
        ("agent.url", url),
        ("masv.email", EMAIL),
        ("masv.password", PASSWORD),
    ])
}

fn value(session: &Session, resource: &str) -> Result<String> {
    session
        .token(resource)
        .map(|token| token.value().to_owned())
}

pub(super) fn ask_package(session: &Session, number: u32) -> Result<String> {
    value(session, &format!("packages/P{number}"))
}

fn ask_link(session: &Session, number: u32) -> Result<String> {
    value(
        session,
        &format!("links/L{number}?secret=made-up-link-secret"),
    )
}

fn ask_transfer(session: &Session, number: u32) -> Result<String> {
    value(session, &format!("packages/P{number}/transfers/T{number}"))
}

fn ask_bearer(session: &Session, _number: u32) -> Result<String> {
    session.bearer().map(|token| token.value().to_owned())
}

fn package(number: u32) -> String {
    format!(".package-P{number}.")
}

fn nothing(_: &Session) {}

/// Reads a link, which needs no login.
fn read_link(session: &Session) {
    ask_link(session, 9).unwrap();
}

fn read_package(session: &Session) {
    ask_package(session, 9).unwrap();
}

fn kind(name: &'static str, line: &'static str, ask: fn(&Session, u32) -> Result<String>) -> Kind {
    Kind {
        name,
        line,
        spends: line.starts_with("POST"),
        repeats: line.starts_with("GET"),
        has_connection: false,
        needs: Trait::None,
        config: Box::new(|url| with_key(url).set("masv.team", TEAM)),
        prepare: nothing,
        read_before: read_link,
        ask,
        result: package,
        spending: MASV_SPENDING,
    }
}

pub(super) fn masv() -> Vec<Kind> {
    let login = || Box::new(|url: &str| with_login(url).set("masv.team", TEAM));
    vec![
        Kind {
            config: login(),
            result: |_| ".user-ann.".into(),
            ..kind("login", LOGIN, |session, _| value(session, "user"))
        },
        Kind {
            config: login(),
            result: |_| ".user-ann.".into(),
            ..kind("explicit login", LOGIN, |session, _| {
                session
                    .login(None, None)
                    .map(|token| token.value().to_owned())
            })
        },
        Kind {
            config: login(),
            ..kind("login for a package", LOGIN, ask_package)
        },
        Kind {
            config: Box::new(with_login),
            has_connection: true,
            ..kind("teams with a login", "GET /v1/teams", ask_package)
        },
        Kind {
            config: Box::new(with_key),
            ..kind("check of an API key", "GET /v1/teams", ask_package)
        },
        Kind {
            config: login(),
            has_connection: true,
            read_before: read_package,
            ..kind("look-up with a login", LOOK_UP, ask_package)
        },
        Kind {
            read_before: read_package,
            ..kind("look-up with an API key", LOOK_UP, ask_package)
        },
        Kind {
            needs: Trait::ListsOnly,
            ..kind("list of packages", LIST, ask_package)
        },
        Kind {
            result: |number| format!(".link-L{number}."),
            ..kind("link", "GET /v1/links/", ask_link)
        },
        Kind {
            has_connection: true,
            read_before: read_package,
            result: |number| format!(".transfer-T{number}."),
            ..kind("transfer", "GET /v1/packages/", ask_transfer)
        },
    ]
}

pub(super) fn fileverbs_and_agent() -> Vec<Kind> {
    let of_agent = |kind: Kind| Kind {
        config: Box::new(agent),
        read_before: |session| drop(session.agent().unwrap()),
        result: |_| format!(r#""id":"{TEAM}""#),
        spending: AGENT_SPENDING,
        ..kind
    };
    let of_fileverbs = |kind: Kind| Kind {
        config: Box::new(fileverbs),
        read_before: nothing,
        result: |_| ".bearer.".into(),
        spending: FILEVERBS_SPENDING,
        ..kind
    };
    vec![
        of_fileverbs(kind("bearer", BEARER, ask_bearer)),
        of_fileverbs(Kind {
            prepare: |session| session.reject(&session.bearer().unwrap()).unwrap(),
            ..kind("refresh", REFRESH, ask_bearer)
        }),
        of_agent(kind(
            "agent's session",
            "GET /api/v1/login",
            |session, _| session.agent(),
        )),
        of_agent(Kind {
            has_connection: true,
            needs: Trait::TeamsApart,
            ..kind("agent's teams", "GET /api/v1/teams", |session, _| {
                session.agent()
            })
        }),
        of_agent(kind("agent's login", "POST /api/v1/login", |session, _| {
            session.agent_sign_in(None, None)
        })),
        of_agent(kind(
            "agent's sign-up",
            "POST /api/v1/signup",
            |session, _| session.agent_sign_up(EMAIL, PASSWORD, "Ann"),
        )),
    ]
}

/// The requests of the plugin `template.c`, compiled to this file.
pub(super) fn plugin(path: &Path) -> Vec<Kind> {
    let path = path.to_str().unwrap().to_owned();
    let of_plugin = |kind: Kind| {
        let path = path.clone();
        Kind {
            config: Box::new(move |url| {
                config(&[
                    ("plugins", &path),
                    ("template.url", url),
                    ("template.key", studio::KEY),
                ])
            }),
            spends: true,
            // A request of a plugin that has read a secret is a login.
            repeats: false,
            spending: PLUGIN_SPENDING,
            ..kind
        }
    };
    vec![
        of_plugin(Kind {
            read_before: |session| drop(value(session, "template:assets/9/raw/x").unwrap()),
            result: |_| ".plugin.".into(),
            ..kind("plugin's login", "POST /v1/sessions", |session, _| {
                value(session, "template:library")
            })
        }),
        of_plugin(Kind {
            read_before: |session| drop(value(session, "template:library").unwrap()),
            result: |number| format!(".ticket-{number}."),
            ..kind("plugin's GET", "GET /v1/assets/", |session, number| {
                value(session, &format!("template:assets/{number}/raw/x"))
            })
        }),
    ]
}
