//! The columns of the table: everything that can come back, or not come, and in what it must end.

use keyferry::ffi::status as k;
use keyferry_sandbox::{BodyKind, Fault, FaultAction};

use crate::rows::Row;

/// One fault.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) action: FaultAction,
    pub(crate) retry_after: Option<&'static str>,
    /// What it ends in; 0 is success.
    pub(crate) expected_status: i32,
}

fn column(name: &str, action: FaultAction, expected_status: i32) -> Column {
    Column {
        name: name.into(),
        action,
        retry_after: None,
        expected_status,
    }
}

fn document(status: u16, media_type: &str, body: impl Into<String>) -> FaultAction {
    FaultAction::Literal {
        status,
        media_type: media_type.into(),
        body: body.into(),
    }
}

/// Documents that are none, or not the right ones.
pub(crate) fn documents() -> Vec<Column> {
    let bad_response = |name: &str, action| column(name, action, k::KEYFERRY_E_BAD_RESPONSE);
    let raw = |name: &str, bytes: &[u8]| bad_response(name, FaultAction::Raw(bytes.to_vec()));
    let headers = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X-Filler: of no use\r\n".repeat(20_000)
    );
    vec![
        column("wrong case", FaultAction::WrongCase, 0),
        bad_response(
            "html",
            document(
                200,
                "text/html",
                "<html><body><h1>Please log in to the hotel's network</h1></body></html>",
            ),
        ),
        bad_response("empty", FaultAction::Empty),
        bad_response("null", FaultAction::Null),
        bad_response("wrong types", FaultAction::WrongTypes),
        bad_response("huge", FaultAction::Huge(64 << 20)),
        bad_response("endless", FaultAction::Endless),
        bad_response("deep", FaultAction::Deep(100_000)),
        bad_response(
            "crowded",
            document(
                200,
                "application/json",
                format!("[{}0]", "0,".repeat(200_000)),
            ),
        ),
        raw(
            "not UTF-8",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{\"\xff\xfe\"}",
        ),
        raw("not HTTP", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
        raw("headers without end", headers.as_bytes()),
        raw(
            "negative length",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        ),
        raw(
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\n{}",
        ),
        raw(
            "bad chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        ),
    ]
}

/// Documents that would take much memory: more than the parser allows, and nearly as much as it
/// allows. What they end in depends on the row.
pub(crate) fn large_documents() -> Vec<Column> {
    let list = |item: &str, count| format!("[{}{item}]", format!("{item},").repeat(count));
    let objects = |count| list(r#"{"a":[1]}"#, count);
    let text = |count| "x".repeat(count);
    let fields = |count| {
        let fields: Vec<_> = (0..count)
            .map(|number| format!(r#""a{number}":"""#))
            .collect();
        format!(r#"{{"email":"",{}}}"#, fields.join(","))
    };
    let login = |user: String, teams: String| {
        format!(r#"{{"token":"abc","jwtToken":"abc","user":{user},"teams":{teams}}}"#)
    };
    let user_of = |fields: String| login(fields, "[]".into());
    let bodies = [
        (200, "too many objects", objects(16_000)),
        (200, "many objects", objects(1_990)),
        (200, "many small objects", list(r#"{"":0}"#, 2_400)),
        (200, "too many fields", fields(32_000)),
        (200, "many fields", fields(8_900)),
        (200, "many numbers", list("0.5", 31_000)),
        (200, "many strings", list("\"ab\"", 30_000)),
        (
            200,
            "an escaped string",
            format!("\"\\n{}\"", text(1_000_000)),
        ),
        (
            200,
            "a string of escapes",
            format!("\"{}\"", "\\n".repeat(500_000)),
        ),
        (
            200,
            "a long name",
            format!(r#"{{"{}":1}}"#, text(1_000_000)),
        ),
        (
            200,
            "a long list and a long string",
            format!(
                r#"{{"a":"{}","records":{}}}"#,
                text(900_000),
                objects(1_000)
            ),
        ),
        (
            200,
            "a user of many objects",
            login(r#"{"email":""}"#.into(), objects(1_950)),
        ),
        (200, "a user of many fields", user_of(fields(8_800))),
        (
            200,
            "a user of one string",
            user_of(format!(r#"{{"email":"{}"}}"#, text(1_000_000))),
        ),
        (
            401,
            "an error of many objects",
            format!(r#"{{"errors":{}}}"#, objects(1_950)),
        ),
        (
            401,
            "an error of one string",
            format!(r#"{{"message":"{}"}}"#, text(1_000_000)),
        ),
    ];
    bodies
        .into_iter()
        .map(|(status, name, body)| {
            assert!(body.len() <= 1 << 20, "{name}");
            column(name, document(status, "application/json", body), 0)
        })
        .collect()
}

/// Tokens that no header can carry.
pub(crate) fn tokens() -> Vec<Column> {
    let long = "x".repeat(20_000);
    let rows = [
        ("token with CR and LF", "abc\r\nX-Evil: 1"),
        ("token with NUL", "abc\0def"),
        ("token with a space", "abc def"),
        ("token that is not ASCII", "abc\u{e9}def"),
        ("token undefined", "undefined"),
        ("token too long", long.as_str()),
    ];
    rows.into_iter()
        .map(|(name, token)| {
            column(
                name,
                FaultAction::Token(token.into()),
                k::KEYFERRY_E_BAD_RESPONSE,
            )
        })
        .collect()
}

/// Answers that break off or never come. Those that hang have a test of their own, for their clock.
pub(crate) fn no_responses() -> Vec<Column> {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"token\":\"a".to_vec();
    let all = [
        ("half", FaultAction::Half),
        ("close", FaultAction::Close),
        ("reset", FaultAction::Reset),
        ("lost", FaultAction::Lost),
        ("short", FaultAction::Raw(short)),
    ];
    let silent = |(name, action)| column(name, action, k::KEYFERRY_E_NO_RESPONSE);
    all.into_iter().map(silent).collect()
}

/// Services that are out of order.
pub(crate) fn outages() -> Vec<Column> {
    let rows = [
        (500, BodyKind::Json),
        (502, BodyKind::Html),
        (503, BodyKind::Empty),
        (504, BodyKind::Html),
        (599, BodyKind::Json),
    ];
    let down = |(status, body)| {
        column(
            &format!("status {status} with {body:?}"),
            FaultAction::Status { status, body },
            k::KEYFERRY_E_UNAVAILABLE,
        )
    };
    rows.into_iter().map(down).collect()
}

/// Requests for fewer requests.
pub(crate) fn throttles() -> Vec<Column> {
    let rows = [
        Some("7"),
        Some("99999999999999999999"),
        Some("-5"),
        Some("soon"),
        None,
    ];
    let throttle = |retry_after: Option<&'static str>| Column {
        retry_after,
        ..column(
            &format!("429 with Retry-After {retry_after:?}"),
            FaultAction::Status {
                status: 429,
                body: BodyKind::Html,
            },
            k::KEYFERRY_E_THROTTLED,
        )
    };
    rows.into_iter().map(throttle).collect()
}

/// Every status that means something in a row, with each kind of body.
pub(crate) fn statuses(row: &Row) -> Vec<Column> {
    let bodies = [BodyKind::Json, BodyKind::Html, BodyKind::Empty];
    let columns_of = |(status, expected_status): &(u16, i32)| {
        let (status, expected_status) = (*status, *expected_status);
        bodies.map(|body| {
            column(
                &format!("status {status} with {body:?}"),
                FaultAction::Status { status, body },
                expected_status,
            )
        })
    };
    row.statuses.iter().flat_map(columns_of).collect()
}

impl Column {
    /// The fault, for all requests of a row.
    pub(crate) fn fault(&self, row: &Row) -> Fault {
        let fault = Fault::new(self.action.clone())
            .service(row.service)
            .method(row.method)
            .path(row.path)
            .forever();
        self.retry_after
            .map_or(fault.clone(), |text| fault.retry_after(text))
    }

    /// What it ends in for a row.
    pub(crate) fn expected_status(&self, row: &Row) -> i32 {
        row.exceptions
            .iter()
            .find(|(name, _)| *name == self.name)
            .map_or(self.expected_status, |(_, expected_status)| {
                *expected_status
            })
    }
}
