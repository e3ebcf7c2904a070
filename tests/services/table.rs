//! The table: each row with each column ends in the right status, in time, with a message that can
//! be shown, and the session works as soon as the fault is gone.

use std::thread;
use std::time::Duration;

use keyferry::ffi::status as k;
use keyferry_sandbox::{FaultAction, Sandbox};

use crate::checks::{self, AMPLE_TIMEOUT_MS};
use crate::faults::{self, Column};
use crate::rows::{self, Row};
use keyferry_testing::c_api::{Session, Token};
use keyferry_testing::settings::ServiceUrls;

/// Asks, requires success, and makes the call that the token is for.
pub(crate) fn succeed(row: &Row, at: &dyn ServiceUrls, session: &Session, what: &str) {
    let token: Option<Token> = (row.acquire)(session, AMPLE_TIMEOUT_MS)
        .unwrap_or_else(|error| panic!("{}, {what}: {error:?}", row.name));
    if let Some(token) = token {
        checks::call_with_token(at.url_of(row.service), &token, row.proof);
    }
}

/// One cell of the table.
pub(crate) fn cell(row: &Row, column: &Column, sandbox: &Sandbox) {
    let session = (row.config)(sandbox).open();
    (row.set_up)(sandbox);
    (row.prepare)(&session);
    sandbox.fault(column.fault(row));
    fail(row, column, &session);
    sandbox.clear_faults();
    recover(row, column, &session, sandbox);
}

/// Asks while the fault is there.
pub(crate) fn fail(row: &Row, column: &Column, session: &Session) {
    let what = format!("{}, {}", row.name, column.name);
    let outcome = checks::within_time(
        Duration::from_millis(AMPLE_TIMEOUT_MS.into()),
        &what,
        || (row.acquire)(session, AMPLE_TIMEOUT_MS),
    );
    match (&outcome, column.expected_status(row)) {
        (Ok(_), 0) => {}
        (Err(error), expected_status) => {
            assert_eq!(error.status, expected_status, "{what}: {error:?}");
            checks::check_message(error, &[]);
            // An inbox that can't be looked into is an empty one.
            let passed_over = row.name == "inbox" && expected_status == k::KEYFERRY_E_NOT_FOUND;
            if let (
                FaultAction::Status { status, .. } | FaultAction::Redirect { status, .. },
                false,
            ) = (&column.action, passed_over)
            {
                assert_eq!(error.http_status, i32::from(*status), "{what}: {error:?}");
            }
        }
        (Ok(_), expected_status) => panic!("{what} succeeded, not {expected_status}"),
    }
}

/// Asks once the fault is gone.
pub(crate) fn recover(row: &Row, column: &Column, session: &Session, at: &dyn ServiceUrls) {
    session.forget(None).unwrap();
    succeed(row, at, session, &format!("after {}", column.name));
}

/// All cells of some rows, each row with a sandbox and a thread of its own.
fn table(rows: &[Row], columns: fn(&Row) -> Vec<Column>) {
    thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || {
                let sandbox = checks::sandbox();
                columns(row)
                    .iter()
                    .for_each(|column| cell(row, column, &sandbox));
                checks::check_requests(&sandbox);
            });
        }
    });
}

#[test]
fn every_exchange_succeeds_and_its_token_opens_what_it_is_for() {
    let sandbox = checks::sandbox();
    for row in rows::all() {
        let session = (row.config)(&sandbox).open();
        (row.set_up)(&sandbox);
        (row.prepare)(&session);
        succeed(&row, &sandbox, &session, "without a fault");
        sandbox.clear_faults();
    }
    checks::check_requests(&sandbox);
}

#[test]
fn a_bad_document_is_a_bad_answer() {
    table(&rows::all(), |_| faults::documents());
}

#[test]
fn a_token_that_no_header_can_carry_is_a_bad_answer() {
    let rows: Vec<_> = rows::all()
        .into_iter()
        .filter(|row| row.has_token)
        .collect();
    table(&rows, |_| faults::tokens());
}

#[test]
fn an_answer_that_breaks_off_is_silence() {
    table(&rows::all(), |_| faults::no_responses());
}

#[test]
fn a_service_that_is_out_of_order_is_unavailable() {
    table(&rows::all(), |_| faults::outages());
}

#[test]
fn a_service_that_wants_fewer_requests_is_left_alone() {
    table(&rows::all(), |_| faults::throttles());
}

#[test]
fn every_other_status_ends_as_the_service_means_it() {
    table(&rows::all(), faults::statuses);
}

#[test]
fn a_service_that_never_answers_costs_no_more_than_the_configured_time() {
    const TIME_MS: u32 = 400;
    let hang = || Column {
        name: "hang".into(),
        action: FaultAction::Hang,
        retry_after: None,
        expected_status: k::KEYFERRY_E_NO_RESPONSE,
    };
    thread::scope(|scope| {
        for row in rows::all() {
            scope.spawn(move || {
                let sandbox = checks::sandbox();
                let session = (row.config)(&sandbox)
                    .set("http.timeout_ms", &TIME_MS.to_string())
                    .open();
                (row.set_up)(&sandbox);
                (row.prepare)(&session);
                sandbox.fault(hang().fault(&row));
                let error =
                    checks::within_time(Duration::from_millis(TIME_MS.into()), row.name, || {
                        (row.acquire)(&session, TIME_MS)
                    })
                    .unwrap_err();
                assert!(
                    [k::KEYFERRY_E_NO_RESPONSE, k::KEYFERRY_E_TIMEOUT].contains(&error.status),
                    "{}: {error:?}",
                    row.name
                );
                checks::check_message(&error, &[]);
                sandbox.clear_faults();
                checks::wait_until_idle(&session);
                session.forget(None).unwrap();
                succeed(&row, &sandbox, &session, "after hanging");
            });
        }
    });
}

#[test]
fn a_service_that_refuses_connections_is_unreachable() {
    for row in rows::all() {
        let sandbox = checks::sandbox();
        let session = (row.config)(&sandbox).open();
        // What has to be there beforehand comes from a service that still is; then all of it goes.
        (row.set_up)(&sandbox);
        (row.prepare)(&session);
        drop(sandbox);
        let error = (row.acquire)(&session, AMPLE_TIMEOUT_MS).unwrap_err();
        assert_eq!(
            error.status,
            k::KEYFERRY_E_UNREACHABLE,
            "{}: {error:?}",
            row.name
        );
        checks::check_message(&error, &[]);
    }
}

#[test]
fn a_body_in_drips_is_cut_off_at_the_deadline() {
    let sandbox = checks::sandbox();
    for row in rows::all()
        .into_iter()
        .filter(|row| row.name == "bearer" || row.name == "link")
    {
        let session = (row.config)(&sandbox).open();
        let drip = Column {
            name: "drip".into(),
            action: FaultAction::Drip(Duration::from_millis(50)),
            retry_after: None,
            expected_status: k::KEYFERRY_E_TIMEOUT,
        };
        sandbox.fault(drip.fault(&row));
        let error = checks::within_time(Duration::from_millis(300), row.name, || {
            (row.acquire)(&session, 300)
        })
        .unwrap_err();
        assert_eq!(error.status, k::KEYFERRY_E_TIMEOUT, "{error:?}");
        sandbox.clear_faults();
    }
}

#[test]
fn the_words_of_a_service_are_passed_on_unless_they_hold_a_secret() {
    use keyferry_sandbox::credentials as c;
    let sandbox = checks::sandbox();
    let secrets = [
        c::PASSWORD,
        c::API_KEY,
        c::SECRET_KEY,
        c::FV_API_KEY,
        c::LINK_SECRET,
        c::LINK_PASSWORD,
        c::PROTECTED_LINK_SECRET,
    ];
    for row in rows::all() {
        for form in secrets
            .iter()
            .flat_map(|secret| keyferry_testing::secrets::forms(secret))
        {
            let body = serde_json::json!({"code": 9, "message": format!("no: {form} is wrong"), "errors": []}).to_string();
            let action = FaultAction::Literal {
                status: 401,
                media_type: "application/json".into(),
                body,
            };
            let echo = Column {
                name: "echo".into(),
                action,
                retry_after: None,
                expected_status: 0,
            };
            let session = (row.config)(&sandbox).open();
            (row.set_up)(&sandbox);
            (row.prepare)(&session);
            sandbox.fault(echo.fault(&row));
            if let Err(error) = (row.acquire)(&session, AMPLE_TIMEOUT_MS) {
                let sent = row_sends(&row, &form);
                assert!(
                    !sent || !keyferry_testing::secrets::leaks(&error.message, &[]),
                    "{}: {}",
                    row.name,
                    error.message
                );
            }
            sandbox.clear_faults();
        }
    }
}

/// Whether a row sends the secret that this is a form of.
fn row_sends(row: &Row, form: &str) -> bool {
    use keyferry_sandbox::credentials as c;
    let sent: &[&str] = match row.name {
        "masv_login" | "user token" | "agent's login" | "agent's sign-up" => &[c::PASSWORD],
        "teams of a key" | "single look-up with a key" | "paged list" | "inbox" => &[c::API_KEY],
        "link" => &[c::LINK_SECRET],
        "link with a password" => &[c::PROTECTED_LINK_SECRET, c::LINK_PASSWORD],
        "bearer" | "renewal" => &[c::SECRET_KEY, c::FV_API_KEY],
        _ => &[],
    };
    sent.iter().any(|secret| {
        keyferry_testing::secrets::forms(secret)
            .iter()
            .any(|own| own == form)
    })
}
