//! The template's service enjoys what a built-in one does: cache, single flight, refresh, store,
//! refusal memory, and its own URLs alone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use keyferry::clock::Clock;
use keyferry::error::ErrorKind;
use keyferry::session::{Options, Session};

use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::compile::{config, header};
use keyferry_testing::plugins::server::{Server, reply};
use keyferry_testing::plugins::studio::{KEY, Studio, now_s};

fn open(harness: &Harness, studio: &Studio, more: &[(&str, &str)]) -> Session {
    let settings = [
        &[("template.url", studio.url()), ("template.key", KEY)],
        more,
    ]
    .concat();
    harness.plugin_session(&[&harness.plugin("template.c", &[])], &settings)
}

/// Opens a session on a manual clock that begins now, and returns both.
fn open_on_manual_clock(harness: &Harness, studio: &Studio) -> (Session, Clock) {
    let config = config(
        &[&harness.plugin("template.c", &[])],
        &[("template.url", studio.url()), ("template.key", KEY)],
    )
    .unwrap();
    let clock = Clock::manual(now_s() * 1_000_000);
    let session = Session::open_with(
        config,
        Options {
            clock: clock.clone(),
            refreshes_in_background: false,
        },
    )
    .unwrap();
    (session, clock)
}

#[test]
fn one_token_serves_all_urls_and_an_item_has_its_own() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let session = open(&harness, &studio, &[]);
    let url = |path: &str| format!("{}{path}", studio.url());
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-1"
    );
    for same in [
        url("/v1/library"),
        url("/v1/library/x?y=z"),
        url("/v1/assets/7"),
        url("/v1/"),
        "template:other".into(),
    ] {
        assert_eq!(
            header(&session, &same).unwrap(),
            "Authorization: Bearer studio-1",
            "{same}"
        );
    }
    assert_eq!(
        header(&session, &url("/v1/assets/7/raw/a.exr")).unwrap(),
        "X-Asset-Ticket: ticket-2"
    );
    assert_eq!(
        header(&session, "template:assets/7/raw").unwrap(),
        "X-Asset-Ticket: ticket-2"
    );
    assert_eq!(
        session.token("template:assets/8/raw").unwrap_err().kind,
        ErrorKind::NotFound
    );
    assert_eq!(studio.server.count("POST /v1/sessions"), 1);
}

#[test]
fn a_hundred_callers_make_one_login() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let session = open(&harness, &studio, &[]);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                assert_eq!(
                    header(&session, "template:library").unwrap(),
                    "Authorization: Bearer studio-1"
                )
            });
        }
    });
    assert_eq!(studio.server.count("POST"), 1);
}

#[test]
fn a_token_is_renewed_by_what_it_came_with() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let (session, clock) = open_on_manual_clock(&harness, &studio);
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-1"
    );
    studio
        .state
        .token_lifetime_s
        .store(2 * 3600, Ordering::SeqCst);
    clock.advance_us(3590 * 1_000_000);
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-2"
    );
    assert_eq!(
        (
            studio.server.count("POST /v1/sessions/renew"),
            studio.server.count("POST")
        ),
        (1, 2)
    );
    // What the caller rejects is replaced at once.
    let token = session.token("template:library").unwrap();
    session.reject(&token).unwrap();
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-3"
    );
}

#[test]
fn a_present_token_serves_on_while_the_service_is_down() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let (session, clock) = open_on_manual_clock(&harness, &studio);
    header(&session, "template:library").unwrap();
    let Studio { server, .. } = studio;
    drop(server);
    clock.advance_us(3590 * 1_000_000);
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-1"
    );
    clock.advance_us(20 * 1_000_000);
    assert!(
        header(&session, "template:library").is_err(),
        "an ended token is never served"
    );
}

#[test]
fn the_next_session_finds_the_token_in_the_store() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let store = format!("file:{}", harness.path("store").display());
    for _ in 0..3 {
        let session = open(&harness, &studio, &[("store", &store)]);
        assert_eq!(
            header(&session, "template:library").unwrap(),
            "Authorization: Bearer studio-1"
        );
        assert_eq!(
            header(&session, "template:assets/7/raw").unwrap(),
            "X-Asset-Ticket: ticket-2"
        );
    }
    assert_eq!(studio.server.requests().len(), 2);
    let session = open(&harness, &studio, &[("store", &store)]);
    session.forget(Some("template:library")).unwrap();
    assert_eq!(
        header(&session, "template:library").unwrap(),
        "Authorization: Bearer studio-3"
    );
}

#[test]
fn a_refused_key_is_sent_once_however_many_ask_and_a_new_one_at_once() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let store = format!("file:{}", harness.path("store").display());
    for _ in 0..5 {
        let session = open(
            &harness,
            &studio,
            &[("template.key", "wrong"), ("store", &store)],
        );
        for resource in [
            "template:library",
            "template:library",
            "template:assets/7/raw",
        ] {
            let error = session.token(resource).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadCredentials, "{error}");
            assert!(
                error.message().contains("template") && !error.message().contains("wrong"),
                "{error}"
            );
            assert_eq!(error.http_status.unwrap_or(403), 403);
        }
    }
    assert_eq!(
        studio.server.requests().len(),
        1,
        "{:?}",
        studio.server.requests()
    );
    let session = open(&harness, &studio, &[("store", &store)]);
    assert!(header(&session, "template:library").is_ok());
}

#[test]
fn a_service_out_of_order_is_not_stormed() {
    let (harness, studio) = (Harness::new(), Studio::start());
    studio.state.failure_status.store(503, Ordering::SeqCst);
    let session = open(&harness, &studio, &[]);
    for _ in 0..20 {
        let error = session.token("template:library").unwrap_err();
        assert_eq!(
            (error.kind, error.http_status),
            (ErrorKind::Unavailable, Some(503)),
            "{error}"
        );
    }
    assert_eq!(studio.server.requests().len(), 1);
}

#[test]
fn what_is_not_set_is_named_with_its_own_words() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let session = harness.plugin_session(
        &[&harness.plugin("template.c", &[])],
        &[("template.url", studio.url())],
    );
    let error = session.token("template:library").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotConfigured);
    assert_eq!(
        error.message(),
        "`template.key` (\"Its API key (Settings, Access)\") is not set; set it or `KEYFERRY_TEMPLATE_KEY`"
    );
    assert_eq!(studio.server.requests().len(), 0);
}

/// No header for anything but the exact origin, and no token of one origin for another, whatever is
/// configured when.
#[test]
fn a_token_of_one_origin_is_never_given_for_another() {
    let (harness, one, two) = (Harness::new(), Studio::start(), Studio::start());
    let store = format!("file:{}", harness.path("store").display());
    let first = open(&harness, &one, &[("store", &store)]);
    header(&first, "template:library").unwrap();
    let port = one.url().rsplit(':').next().unwrap();
    for other in [
        format!("{}/v1/library", two.url()),
        format!("https://127.0.0.1:{port}/v1/library"),
        format!("http://localhost:{port}/v1/library"),
        format!("http://127.0.0.1.evil.example:{port}/v1/library"),
        format!("http://127.0.0.1:{}/v1/library", &port[1..]),
        format!("{}/v2/library", one.url()),
        format!("{}/v1", one.url()),
    ] {
        let error = first.token(&other).unwrap_err();
        assert_eq!(error.kind, ErrorKind::UnknownService, "{other}: {error}");
    }
    for bad in [
        format!("http://u@127.0.0.1:{port}/v1/library"),
        format!("http://127.0.0.1:{port}\\@evil.example/v1/x"),
    ] {
        assert_eq!(
            first.token(&bad).unwrap_err().kind,
            ErrorKind::InvalidResource,
            "{bad}"
        );
    }
    // The same store, the same names, another origin: another token, got there.
    let second = open(&harness, &two, &[("store", &store)]);
    assert_eq!(
        second
            .cached(&keyferry::model::request::Request::new("template:library"))
            .unwrap_err()
            .kind,
        ErrorKind::NotCached
    );
    header(&second, "template:library").unwrap();
    assert_eq!(
        (one.server.requests().len(), two.server.requests().len()),
        (1, 1)
    );
}

#[test]
fn the_host_follows_no_redirect_for_a_plugin() {
    let other = Server::start(|_| reply(200, "{\"token\":\"stolen\",\"ticket\":\"stolen\"}"));
    for status in [301, 302, 303, 307, 308] {
        let harness = Harness::new();
        let target = format!("{}/v1/sessions", other.url);
        let server = Server::start(move |_| {
            let mut answer = reply(status, "");
            answer.headers.push(("location", target.clone()));
            answer
        });
        let session = harness.plugin_session(
            &[&harness.plugin("template.c", &[])],
            &[("template.url", &server.url), ("template.key", KEY)],
        );
        for resource in ["template:library", "template:assets/7/raw"] {
            let error = session.token(resource).unwrap_err();
            assert_eq!(
                (error.kind, error.http_status),
                (ErrorKind::Redirected, Some(status)),
                "{error}"
            );
            assert!(error.message().contains("`template.url`"), "{error}");
        }
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_hostile_answer_is_a_clear_error() {
    for body in [
        "",
        "<html>",
        "{\"token\":\"a\\r\\nX: b\"}",
        "{\"token\":7e999}",
        "{}",
        "[]",
        "{\"token\":null}",
        "{\"token\":\"\"}",
        "{\"token\":\"\\u0000\"}",
    ] {
        let harness = Harness::new();
        let server = Server::start(move |_| reply(200, body));
        let session = harness.plugin_session(
            &[&harness.plugin("template.c", &[])],
            &[("template.url", &server.url), ("template.key", KEY)],
        );
        let error = session.token("template:library").unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::BadResponse | ErrorKind::Plugin),
            "{body}: {error}"
        );
        assert!(error.message().contains("template"), "{body}: {error}");
    }
}

#[test]
fn a_caller_ends_at_its_deadline_while_the_service_is_mute() {
    let harness = Harness::new();
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Server::start(move |_| {
        let _ = wait.lock().unwrap().recv();
        reply(200, "{}")
    });
    let session = harness.plugin_session(
        &[&harness.plugin("template.c", &[])],
        &[("template.url", &server.url), ("template.key", KEY)],
    );
    let mut request = keyferry::model::request::Request::new("template:library");
    request.timeout = Some(Duration::from_millis(200));
    let error = session.token_for(&request).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(
        error
            .message()
            .contains("the plugin template has not returned yet"),
        "{error}"
    );
    drop(release);
}

#[test]
fn a_refusal_that_only_the_plugin_can_read_is_remembered_too() {
    let harness = Harness::new();
    let server = Server::start(|_| reply(200, "{\"ok\":false}"));
    let source = r#"
#define NAME "small"
#include "small.h"
static keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {
    keyferry_plugin_buffer key, ok;
    keyferry_plugin_request request;
    keyferry_plugin_response response;
    keyferry_plugin_status status = host->get_setting(call, "key", &key);
    (void)spec;
    memset(&request, 0, sizeof request);
    memset(&response, 0, sizeof response);
    request.struct_size = sizeof request;
    request.method = KEYFERRY_PLUGIN_METHOD_POST;
    request.path = "/login";
    response.struct_size = sizeof response;
    if (status == KEYFERRY_PLUGIN_OK) status = host->exchange(call, &request, &response);
    if (status == KEYFERRY_PLUGIN_OK) status = host->json_get_text(call, response.body.data, response.body.size, "/ok", &ok);
    if (status != KEYFERRY_PLUGIN_OK) return status;
    return strcmp(ok.data, "true") == 0 ? host->add_header(call, "X-Token", "t") : KEYFERRY_PLUGIN_E_BAD_CREDENTIALS;
}
"#;
    let path = harness.plugin_from_text("small.c", source);
    let session = harness.plugin_session(
        &[&path],
        &[("small.url", &server.url), ("small.key", "wrong")],
    );
    for id in ["a", "b", "a", "c"] {
        let error = session.token(&format!("small:{id}")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadCredentials, "{error}");
    }
    assert_eq!(server.requests().len(), 1);
}
