//! The rows of the table: every exchange by which a token, or an agent's session, is got.

use std::sync::atomic::{AtomicU64, Ordering};

use keyferry::ffi::status as k;
use keyferry_sandbox::{Fault, FaultAction, Sandbox, Service, credentials as c};
use serde_json::json;

use crate::checks::{config_for, link, package, with_key, with_login};
use keyferry_testing::c_api::{Config, Request, Result, Session, Token};
use keyferry_testing::settings::ServiceUrls;

/// The call that proves a token: method, path below the service, body.
type Proof = (&'static str, &'static str, &'static str);

/// One exchange.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    pub(crate) method: &'static str,
    /// What its path begins with; with a `?`, path and query.
    pub(crate) path: &'static str,
    pub(crate) config: fn(&dyn ServiceUrls) -> Config,
    /// How the services are set up for it.
    pub(crate) set_up: fn(&Sandbox),
    /// What comes before the call that is looked at.
    pub(crate) prepare: fn(&Session),
    /// The call; the number is the time it may take, in milliseconds, where it can say that.
    pub(crate) acquire: fn(&Session, u32) -> Result<Option<Token>>,
    pub(crate) proof: Proof,
    /// Whether its answer holds a token.
    pub(crate) has_token: bool,
    /// What each status means here; 0 is success by another way.
    pub(crate) statuses: &'static [(u16, i32)],
    /// Faults that end otherwise here than in most rows.
    pub(crate) exceptions: &'static [(&'static str, i32)],
}

fn token(session: &Session, resource: &str, ms: u32) -> Result<Option<Token>> {
    session
        .token_for(&Request::new(resource).timeout_ms(ms))
        .map(Some)
}

fn check_session_json(outcome: Result<String>) -> Result<Option<Token>> {
    outcome.map(|text| {
        let session: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            session["user"]["email"].is_string()
                || session["USER"].is_object()
                || session["user"]["EMAIL"].is_string(),
            "{text}"
        );
        assert!(session["teams"].is_array(), "{text}");
        None
    })
}

const LOGIN: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_CREDENTIALS),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (422, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (501, k::KEYFERRY_E_UNSUPPORTED),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
];
const TEAMS: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (501, k::KEYFERRY_E_UNSUPPORTED),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
];
const SINGLE: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, 0),
    (405, 0),
    (410, k::KEYFERRY_E_NOT_FOUND),
    (501, k::KEYFERRY_E_UNSUPPORTED),
];
const LIST: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (410, k::KEYFERRY_E_NOT_FOUND),
];
const INBOX: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_NOT_FOUND),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_NOT_FOUND),
    (410, k::KEYFERRY_E_NOT_FOUND),
];
const LINK: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_CREDENTIALS),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (410, k::KEYFERRY_E_NOT_FOUND),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
];
const TRANSFERS: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_INSUFFICIENT_ACCESS),
    (404, k::KEYFERRY_E_NOT_FOUND),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (410, k::KEYFERRY_E_NOT_FOUND),
];
const AGENT_GET: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_RESPONSE),
    (401, k::KEYFERRY_E_LOGIN_REQUIRED),
    (403, k::KEYFERRY_E_LOGIN_REQUIRED),
    (404, k::KEYFERRY_E_UNSUPPORTED),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (501, k::KEYFERRY_E_UNSUPPORTED),
];
const AGENT_POST: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_CREDENTIALS),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_UNSUPPORTED),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (409, k::KEYFERRY_E_BAD_CREDENTIALS),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
    (501, k::KEYFERRY_E_UNSUPPORTED),
];
const BEARER: &[(u16, i32)] = &[
    (400, k::KEYFERRY_E_BAD_CREDENTIALS),
    (401, k::KEYFERRY_E_BAD_CREDENTIALS),
    (403, k::KEYFERRY_E_BAD_CREDENTIALS),
    (404, k::KEYFERRY_E_UNSUPPORTED),
    (405, k::KEYFERRY_E_UNSUPPORTED),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
    (501, k::KEYFERRY_E_UNSUPPORTED),
];
const REFRESH: &[(u16, i32)] = &[
    (400, 0),
    (401, 0),
    (403, 0),
    (404, 0),
    (405, 0),
    (501, 0),
    (418, k::KEYFERRY_E_BAD_RESPONSE),
];

/// An agent that did what it was asked and sent nothing is asked who it is.
const EMPTY_IS_SUCCESS: &[(&str, i32)] = &[("empty", 0)];
/// A renewal that can't be read, or whose answer is lost, has used up what renews: the token call
/// comes next.
const FALLS_BACK_TO_LOGIN: &[(&str, i32)] = &[
    ("html", 0),
    ("empty", 0),
    ("null", 0),
    ("wrong types", 0),
    ("crowded", 0),
    ("deep", 0),
    ("token with CR and LF", 0),
    ("token with NUL", 0),
    ("token with a space", 0),
    ("token that is not ASCII", 0),
    ("token undefined", 0),
    ("token too long", 0),
    ("half", 0),
    ("close", 0),
    ("reset", 0),
    ("lost", 0),
    ("short", 0),
];

const TEAM_CALL: Proof = ("GET", "/v1/teams", "");
const RENAME: Proof = (
    "PUT",
    "/v1/packages/01J0SANDB0XPACKAGE00000001",
    r#"{"name":"Reel 1"}"#,
);
const DOWNLOAD: Proof = (
    "GET",
    "/v1/packages/01J0SANDB0XPACKAGE00000001/files/01J0SANDB0XF1LE00000000001/download",
    "",
);
const JOB: Proof = (
    "GET",
    "/api/v1/jobrequests/5f0c1d2e-0000-4000-8000-000000000001",
    "",
);
const SINGLE_PATH: &str = "/v1.1/teams/01J0SANDB0XTEAM00000000001/packages/";

const BASE_ROW: Row = Row {
    name: "",
    service: Service::Masv,
    method: "GET",
    path: "",
    config: with_login,
    set_up: |_| {},
    prepare: |_| {},
    acquire: |_, _| Ok(None),
    proof: TEAM_CALL,
    has_token: true,
    statuses: &[],
    exceptions: &[],
};

/// Every exchange of MASV cloud.
pub(crate) fn masv() -> Vec<Row> {
    let listed = [listed_packages(), linked_packages()].into_iter().flatten();
    users().into_iter().chain(listed).collect()
}

fn users() -> Vec<Row> {
    vec![
        Row {
            name: "masv_login",
            method: "POST",
            path: "/v1/auth",
            acquire: |s, _| s.login(None, None).map(Some),
            statuses: LOGIN,
            ..BASE_ROW
        },
        Row {
            name: "user token",
            method: "POST",
            path: "/v1/auth",
            acquire: |s, ms| token(s, "user", ms),
            statuses: LOGIN,
            ..BASE_ROW
        },
        Row {
            name: "teams of a key",
            path: "/v1/teams",
            config: |at| config_for(at).set("masv.api_key", c::API_KEY),
            acquire: |s, ms| token(s, &package(c::PACKAGE_ID), ms),
            proof: RENAME,
            has_token: false,
            statuses: TEAMS,
            exceptions: &[("wrong types", k::KEYFERRY_E_NOT_FOUND)],
            ..BASE_ROW
        },
    ]
}

fn listed_packages() -> Vec<Row> {
    let list = |sandbox: &Sandbox| sandbox.configure("single_lookup", json!(405));
    vec![
        Row {
            name: "single look-up with a key",
            path: SINGLE_PATH,
            config: with_key,
            acquire: |s, ms| token(s, &package(c::PACKAGE_ID), ms),
            proof: RENAME,
            statuses: SINGLE,
            ..BASE_ROW
        },
        Row {
            name: "single look-up with a login",
            path: SINGLE_PATH,
            acquire: |s, ms| token(s, &package(c::PACKAGE_ID), ms),
            proof: RENAME,
            statuses: SINGLE,
            ..BASE_ROW
        },
        Row {
            name: "paged list",
            path: "/v1.1/teams/01J0SANDB0XTEAM00000000001/packages?",
            config: with_key,
            set_up: list,
            acquire: |s, ms| token(s, &package(c::PACKAGE_ID), ms),
            proof: RENAME,
            statuses: LIST,
            ..BASE_ROW
        },
        Row {
            name: "inbox",
            path: "/v1.1/teams/01J0SANDB0XTEAM00000000001/inbox",
            config: with_key,
            acquire: |s, ms| token(s, &package(c::INBOX_PACKAGE_ID), ms),
            proof: (
                "PUT",
                "/v1/packages/01J0SANDB0XNB0XPKG00000001",
                r#"{"name":"In"}"#,
            ),
            statuses: INBOX,
            ..BASE_ROW
        },
    ]
}

fn linked_packages() -> Vec<Row> {
    vec![
        Row {
            name: "link",
            path: "/v1/links/",
            config: config_for,
            acquire: |s, ms| token(s, &link(c::LINK_ID, c::LINK_SECRET), ms),
            proof: DOWNLOAD,
            statuses: LINK,
            ..BASE_ROW
        },
        Row {
            name: "link with a password",
            path: "/v1/links/",
            config: config_for,
            acquire: |s, ms| {
                let resource = link(c::PROTECTED_LINK_ID, c::PROTECTED_LINK_SECRET);
                s.token_for(
                    &Request::new(&resource)
                        .link_password(c::LINK_PASSWORD)
                        .timeout_ms(ms),
                )
                .map(Some)
            },
            proof: DOWNLOAD,
            statuses: LINK,
            ..BASE_ROW
        },
        Row {
            name: "transfer",
            path: "/v1/packages/01J0SANDB0XPACKAGE00000001/transfer",
            config: with_key,
            acquire: |s, ms| {
                token(
                    s,
                    &format!("packages/{}/transfers/{}", c::PACKAGE_ID, c::TRANSFER_ID),
                    ms,
                )
            },
            proof: ("GET", "/v1/transfers/01J0SANDB0XTRANSFER0000001", ""),
            statuses: TRANSFERS,
            ..BASE_ROW
        },
    ]
}

/// Every exchange of the agent.
pub(crate) fn agent() -> Vec<Row> {
    let row = Row {
        service: Service::Agent,
        config: with_login,
        has_token: false,
        ..BASE_ROW
    };
    let signed_in = |sandbox: &Sandbox| sandbox.configure("agent_signed_in", json!(true));
    let user_alone = |sandbox: &Sandbox| {
        sandbox.configure("agent_signed_in", json!(true));
        let body = json!({"user": {"id": "U", "email": "ann@example.com"}}).to_string();
        let literal = FaultAction::Literal {
            status: 200,
            media_type: "application/json".into(),
            body,
        };
        sandbox.fault(
            Fault::new(literal)
                .service(Service::Agent)
                .path("/api/v1/login")
                .forever(),
        );
    };
    static PERSON: AtomicU64 = AtomicU64::new(0);
    vec![
        Row {
            name: "agent's session",
            path: "/api/v1/login",
            set_up: signed_in,
            acquire: |s, _| check_session_json(s.agent()),
            statuses: AGENT_GET,
            ..row
        },
        Row {
            name: "agent's teams",
            path: "/api/v1/teams",
            set_up: user_alone,
            acquire: |s, _| check_session_json(s.agent()),
            statuses: AGENT_GET,
            exceptions: &[("wrong types", 0), ("wrong case", 0)],
            ..row
        },
        Row {
            name: "agent's login",
            method: "POST",
            path: "/api/v1/login",
            acquire: |s, _| check_session_json(s.agent_sign_in(None, None)),
            statuses: AGENT_POST,
            exceptions: EMPTY_IS_SUCCESS,
            ..row
        },
        Row {
            name: "agent's sign-up",
            method: "POST",
            path: "/api/v1/signup",
            set_up: |sandbox| sandbox.configure("legacy", json!(true)),
            acquire: |s, _| {
                let email = format!("ann{}@example.com", PERSON.fetch_add(1, Ordering::Relaxed));
                check_session_json(s.agent_sign_up(&email, c::PASSWORD, "Ann"))
            },
            statuses: AGENT_POST,
            exceptions: EMPTY_IS_SUCCESS,
            ..row
        },
    ]
}

/// Every exchange of FileVerbs.
pub(crate) fn fileverbs() -> Vec<Row> {
    let row = Row {
        service: Service::FileVerbs,
        method: "POST",
        proof: JOB,
        ..BASE_ROW
    };
    vec![
        Row {
            name: "bearer",
            path: "/api/v1/accounts/access-token",
            acquire: |s, ms| token(s, "fileverbs:bearer", ms),
            statuses: BEARER,
            ..row
        },
        Row {
            name: "renewal",
            path: "/api/v1/accounts/refresh-token",
            prepare: |session| session.reject(&session.bearer().unwrap()).unwrap(),
            acquire: |s, ms| token(s, "fileverbs:bearer", ms),
            statuses: REFRESH,
            exceptions: FALLS_BACK_TO_LOGIN,
            ..row
        },
    ]
}

pub(crate) fn all() -> Vec<Row> {
    masv()
        .into_iter()
        .chain(agent())
        .chain(fileverbs())
        .collect()
}
