//! Connections: whatever a server does at any point of an exchange, reads are answered right or fail
//! with a clear error, and no request that spends something is sent twice.
//!
//! A request *spends* if the service may change something or use something up: a login, a refresh,
//! each POST, and each request of a plugin.

mod faults;
mod left_in_memory;
mod requests;
mod service;
mod sharing;

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::thread;
use std::time::Duration;

use keyferry::ffi::status as k;
use keyferry_testing::c_api::{Result, Session};
use keyferry_testing::harness::Harness;
use keyferry_testing::scripted_server::Ending;
use parking_lot::Mutex;

use crate::checks::{self, AMPLE_TIMEOUT_MS};
use faults::{Fault, ODD, Odd, POINTS, Point, Times};
use requests::{Kind, REFRESH};
use service::{Services, Trait};

/// The attempts at a read of which all fail: the first, and 2 retries.
const MAX_ATTEMPTS: usize = 3;
/// How many cases run at the same time. Most of them wait for the pauses before retries.
const WORKERS: usize = 24;

/// A fault of the library can fail most of the cases, each after a wait.
const MAX_FAILED: usize = 20;

/// Whether the service has an idle connection when the request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    First,
    Reused,
}

/// One cell of the matrix.
#[derive(Clone, Copy)]
struct Case<'a> {
    kind: &'a Kind,
    fault: Fault,
    times: Times,
    connection: Use,
}

impl Case<'_> {
    fn name(&self) -> String {
        format!(
            "{}, {:?} {:?} on a connection's {:?} use",
            self.kind.name, self.fault, self.times, self.connection
        )
    }
}

/// Runs these cases, many at a time. Stops after [`MAX_FAILED`] that fail.
fn run_all(cases: Vec<Case<'_>>) {
    let queue = Mutex::new(VecDeque::from(cases));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    if failed.lock().len() >= MAX_FAILED {
                        return;
                    }
                    let next = queue.lock().pop_front();
                    let Some(case) = next else { return };
                    if catch_unwind(|| run(case)).is_err() {
                        failed.lock().push(case.name());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} cases: {failed:#?}", failed.len());
}

/// Shows a fault to one request, and asks again without it.
fn run(case: Case<'_>) {
    let Case { kind, fault, .. } = case;
    let name = case.name();
    let services = Services::start("made-up", kind.needs);
    let session = (kind.config)(services.url()).open();
    if case.connection == Use::Reused {
        (kind.read_before)(&session);
    }
    (kind.prepare)(&session);
    let before = services.server.count(kind.line);
    services.arm(kind.line, fault, case.times);
    let time = Duration::from_millis(AMPLE_TIMEOUT_MS.into());
    let outcome = checks::within_time(time, &name, || (kind.ask)(&session, 1));
    services.disarm();
    check_outcome(&case, &outcome);
    check_count(&case, &outcome, services.server.count(kind.line) - before);
    services.check_connections(&name, kind.spending);
    recover(&case, &services, &session);
    drop(session);
    services.check_connections(&name, kind.spending);
}

/// Asks without a fault, for the same and for another thing.
fn recover(case: &Case<'_>, services: &Services, session: &Session) {
    let kind = case.kind;
    for (number, forgets) in [(2, false), (1, true), (2, true), (3, false)] {
        if forgets {
            session.forget(None).unwrap();
        }
        match (kind.ask)(session, number) {
            Ok(result) => check_result(case, number, &result),
            // What was recorded about the failure counts until it is forgotten.
            Err(error) if forgets || number == 3 => {
                panic!("{}, afterwards: {error:?}", case.name())
            }
            Err(error) => checks::check_message(&error, &[]),
        }
        services.check_connections(&case.name(), kind.spending);
    }
}

fn check_result(case: &Case<'_>, number: u32, result: &str) {
    let expected = (case.kind.result)(number);
    assert!(
        result.contains(&expected),
        "{}: {result} in place of {expected}",
        case.name()
    );
}

fn check_outcome(case: &Case<'_>, outcome: &Result<String>) {
    let name = case.name();
    match outcome {
        Ok(result) => check_result(case, 1, result),
        Err(error) => {
            checks::check_message(error, &[]);
            assert!(!error.message.contains("made-up"), "{name}: {error:?}");
            assert!(!case.must_succeed(), "{name}: {error:?}");
            // A reset may come before the client knows that it is connected.
            let is_unreachable = case.is_at_accept() && error.status == k::KEYFERRY_E_UNREACHABLE;
            if case.fault.loses_response() && !is_unreachable {
                assert_eq!(error.status, k::KEYFERRY_E_NO_RESPONSE, "{name}: {error:?}");
            }
        }
    }
    assert!(
        outcome.is_err() || !case.must_fail(),
        "{name}: it succeeded, although the response was lost"
    );
}

impl Case<'_> {
    /// Returns whether the request must succeed in spite of the fault.
    fn must_succeed(&self) -> bool {
        // After a lost refresh comes a login.
        let is_repeated = self.kind.repeats || self.kind.line == REFRESH;
        let is_lost_once = self.fault.loses_response() && self.times == Times::Once;
        // The connection that is closed when it is accepted may be that of a login.
        self.fault.is_harmless()
            || !self.is_at_accept()
                && (is_repeated && is_lost_once
                    || self.kind.line == REFRESH && self.fault.loses_response())
    }

    fn must_fail(&self) -> bool {
        let is_repeated = self.kind.repeats || self.kind.line == REFRESH;
        let hits_another = self.is_at_accept() && self.times == Times::Once;
        self.fault.loses_response()
            && !hits_another
            && match self.times {
                Times::Once => !is_repeated,
                Times::Always => self.kind.line != REFRESH || self.is_at_accept(),
            }
    }

    fn is_at_accept(&self) -> bool {
        self.fault.ends_at(Point::Accept).is_some()
    }
}

/// Checks how often the server received the request, or the beginning of it.
fn check_count(case: &Case<'_>, outcome: &Result<String>, count: usize) {
    let name = format!("{}: {outcome:?}", case.name());
    if !case.kind.repeats {
        assert!(count <= 1, "{name}: the server received it {count} times");
        assert!(count == 1 || case.is_at_accept(), "{name}: it was not sent");
        return;
    }
    // A read on a reused connection is repeated once at once, and each read after a pause.
    let extra = usize::from(case.connection == Use::Reused || case.kind.has_connection);
    assert!(count <= MAX_ATTEMPTS + extra, "{name}: {count} attempts");
    if case.fault.is_harmless() {
        assert_eq!(count, 1, "{name}: a complete response was asked for again");
    }
}

/// All cells of these kinds with these faults.
fn cases<'a>(kinds: &'a [Kind], faults: &[Fault]) -> Vec<Case<'a>> {
    let mut cases = Vec::new();
    for kind in kinds {
        for &fault in faults {
            for connection in [Use::First, Use::Reused] {
                for times in [Times::Once, Times::Always] {
                    let case = Case {
                        kind,
                        fault,
                        times,
                        connection,
                    };
                    if case.is_sensible() {
                        cases.push(case);
                    }
                }
            }
        }
    }
    cases
}

impl Case<'_> {
    fn is_sensible(&self) -> bool {
        let has_body = !self.kind.repeats && self.kind.line != REFRESH;
        let is_always = self.times == Times::Always;
        match self.fault {
            Fault::End(Point::InRequestBody, _) => has_body,
            // A request that is not repeated comes once, so the other times make no difference.
            _ if !self.kind.repeats && is_always => self.is_at_accept(),
            Fault::End(Point::Accept, _) => self.connection == Use::First || self.kind.spends,
            Fault::Respond(_) => !is_always,
            Fault::End(Point::AfterResponse, _) => !is_always,
            Fault::End(..) => true,
        }
    }
}

/// The faults that end a connection in this way, at each point.
fn endings(ending: Ending) -> Vec<Fault> {
    POINTS.map(|point| Fault::End(point, ending)).to_vec()
}

fn odd_responses() -> Vec<Fault> {
    ODD.map(Fault::Respond).to_vec()
}

fn every_fault() -> Vec<Fault> {
    [Ending::Close, Ending::HalfClose, Ending::Reset]
        .into_iter()
        .flat_map(endings)
        .chain(odd_responses())
        .collect()
}

#[test]
fn no_request_to_masv_is_answered_wrong_or_spent_twice() {
    run_all(cases(&requests::masv(), &every_fault()));
}

#[test]
fn no_request_to_fileverbs_or_the_agent_is_answered_wrong_or_spent_twice() {
    run_all(cases(&requests::fileverbs_and_agent(), &every_fault()));
}

#[test]
fn no_request_of_a_plugin_is_answered_wrong_or_spent_twice() {
    let harness = Harness::new();
    let plugin = harness.plugin("template.c", &[]);
    run_all(cases(&requests::plugin(&plugin), &every_fault()));
}

/// A server may close an idle connection at any moment, also while the next request is on its way.
#[test]
fn a_read_succeeds_although_the_server_closes_the_idle_connection() {
    let kinds = [requests::masv(), requests::fileverbs_and_agent()];
    let reads: Vec<_> = kinds.iter().flatten().filter(|kind| !kind.spends).collect();
    thread::scope(|scope| {
        for kind in reads {
            for ending in [Ending::Close, Ending::HalfClose, Ending::Reset] {
                scope.spawn(move || read_after_close(kind, ending));
            }
        }
    });
}

fn read_after_close(kind: &Kind, ending: Ending) {
    let services = Services::start("made-up", kind.needs);
    let session = (kind.config)(services.url()).open();
    let fault = Fault::End(Point::AfterResponse, ending);
    for number in 1..=5 {
        (kind.read_before)(&session);
        services.arm("GET", fault, Times::Once);
        let before = services.shown();
        let first = (kind.ask)(&session, number);
        if number % 2 == 0 {
            services.wait_until_shown(before + 1);
        }
        let what = format!("{}, {ending:?}", kind.name);
        let (first, second) = (
            first.unwrap_or_else(|error| panic!("{what}: {error:?}")),
            (kind.ask)(&session, number + 10)
                .unwrap_or_else(|error| panic!("{what}, the next one: {error:?}")),
        );
        assert!(first.contains(&(kind.result)(number)), "{what}: {first}");
        assert!(
            second.contains(&(kind.result)(number + 10)),
            "{what}: {second}"
        );
        session.forget(None).unwrap();
    }
    services.check_connections(kind.name, kind.spending);
}

/// Some servers send status 408 on a connection that has had no request for some seconds, and close
/// it. The connection that is opened beside a slow login is such a one.
#[test]
fn a_read_succeeds_although_the_server_gives_up_on_the_connection_beside_the_login() {
    let services = Services::start("made-up", Trait::GivesUp);
    let session = requests::with_login(services.url()).open();
    let value = requests::ask_package(&session, 1).unwrap();
    assert!(value.contains(".package-P1."), "{value}");
    assert_eq!(services.server.count(requests::LOGIN), 1);
    assert_eq!(
        services.shown(),
        1,
        "no connection was opened beside the login"
    );
}

#[test]
fn a_get_of_a_plugin_that_fails_does_not_keep_others_from_succeeding() {
    let harness = Harness::new();
    let kinds = requests::plugin(&harness.plugin("template.c", &[]));
    let kind = kinds
        .iter()
        .find(|kind| kind.line.starts_with("GET"))
        .unwrap();
    let services = Services::start("made-up", kind.needs);
    let session = (kind.config)(services.url()).open();
    services.arm(kind.line, Fault::Respond(Odd::Status(503)), Times::Once);
    let error = checks::failure((kind.ask)(&session, 1), k::KEYFERRY_E_UNAVAILABLE);
    assert_eq!(error.http_status, 503);
    assert!((kind.ask)(&session, 2).unwrap().contains(".ticket-2."));
}
