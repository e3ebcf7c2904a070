//! Hostile plugins: each ends in a clear status that names plugin and fault, and everything else
//! goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use keyferry::error::{Error, ErrorKind};
use keyferry::model::request::Request;
use keyferry::session::Session;

use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::compile::header;
use keyferry_testing::plugins::server::{Server, reply};

/// The built-in services go on.
#[track_caller]
fn assert_built_in_works(session: &Session) {
    assert_eq!(header(session, "user").unwrap(), "X-API-KEY: masv-key");
}

const MASV: (&str, &str) = ("masv.api_key", "masv-key");

#[track_caller]
fn assert_plugin_fault(error: &Error, plugin: &str, hint: &str) {
    assert_eq!(error.kind, ErrorKind::Plugin, "{error}");
    let what = error.message();
    assert!(
        what.contains(plugin) && what.contains(hint),
        "{hint}: {what}"
    );
    assert!(
        !what.chars().any(char::is_control) && !what.ends_with('.') && what.len() < 700,
        "{what:?}"
    );
}

#[test]
fn every_lie_of_a_function_is_named() {
    let harness = Harness::new();
    let server = Server::start(|_| reply(200, "{}"));
    let url = format!("{}/base", server.url);
    let settings = [
        MASV,
        ("liar.url", url.as_str()),
        ("liar.key", "canary-key"),
        ("masv.password", "canary-password"),
    ];
    let session = harness.plugin_session(&[&harness.plugin("liar.c", &[])], &settings);
    assert_eq!(header(&session, "liar:honest").unwrap(), "X-Token: honest");
    for (lie, hint) in [
        ("code", "the code 4711"),
        ("negative", "the code -1"),
        ("over", "the code 12, but the host did not cancel the call"),
        ("argument", "the code 13, which a plugin must not return"),
        ("nothing", "returned KEYFERRY_PLUGIN_OK without a header"),
        (
            "undeclared",
            "`get_setting` for `masv.password`, which its entry does not declare",
        ),
        ("headers", "`add_header` more than 8 times"),
        ("exchanges", "`exchange` more than 16 times"),
        ("utf8", "value that is not UTF-8"),
        ("crlf", "value that contains a line break"),
        ("delete", "value that contains a line break"),
        ("empty", "`add_header` with a value that is empty"),
        ("endless", "value that is too long, or does not end in NUL"),
        ("null", "value that is NULL"),
        (
            "header-name",
            "a name that is empty, or that contains characters other than letters, digits, `-` and `_`",
        ),
        ("null-out", "out-pointer that is NULL"),
        ("odd-out", "out-pointer that is NULL or not aligned"),
        (
            "bad-renewal",
            "`set_renewal_secret` with a string that contains",
        ),
        ("bad-expiry", "which is not a time in seconds since 1970"),
        ("bad-level", "the level 99"),
        (
            "bad-sentence",
            "`set_error_message` with a message that contains",
        ),
        ("too-much", "it exceeded the 4 MiB limit for its buffers"),
        ("outside", "a path that leads outside its base URL"),
        ("no-slash", "a path that does not begin with `/`"),
        ("backslash", "a path that leads outside its base URL"),
        ("host-header", "a header that cannot be sent"),
        ("bad-header", "header value that contains a line break"),
        ("many-headers", "list of headers that has too many elements"),
        (
            "small-request",
            "request that has a `struct_size` that is too small",
        ),
        ("half-request", "path that is NULL"),
        (
            "cut-request",
            "request that has a `struct_size` that ends inside a field",
        ),
        (
            "cut-answer",
            "response that has a `struct_size` that ends inside a field",
        ),
        (
            "small-answer",
            "response that has a `struct_size` that is too small",
        ),
        ("bad-method", "the method 77"),
        (
            "bad-base",
            "`key`, which its entry does not declare as a URL",
        ),
        (
            "other-base",
            "`masv.url`, which its entry does not declare as a URL",
        ),
    ] {
        let error = session
            .token(&format!("liar:{lie}"))
            .err()
            .unwrap_or_else(|| panic!("{lie} is believed"));
        assert_plugin_fault(&error, "the plugin liar", hint);
        assert!(!error.message().contains("canary"), "{lie}: {error}");
        assert_built_in_works(&session);
    }
    assert_eq!(header(&session, "liar:stale").unwrap(), "X-Token: stale");
    assert_eq!(header(&session, "liar:honest").unwrap(), "X-Token: honest");
    // Nothing went where it should not, and nothing that the plugin did not name went anywhere.
    let seen = server.requests();
    assert!(
        seen.iter().all(|seen| seen.line == "GET /base/x"
            && seen.header("host") == server.url.strip_prefix("http://")),
        "{seen:?}"
    );
}

#[test]
fn a_plugin_that_tells_its_secret_is_not_repeated() {
    let harness = Harness::new();
    let session = harness.plugin_session(
        &[&harness.plugin("liar.c", &[])],
        &[("liar.key", "canary-key")],
    );
    let error = session.token("liar:tell").unwrap_err();
    assert_eq!(
        (error.kind, error.message()),
        (
            ErrorKind::Plugin,
            "the plugin liar: the plugin failed without an error message; report this to the plugin's author"
        )
    );
}

#[test]
fn every_lie_of_a_table_is_named_and_the_session_opens_all_the_same() {
    let harness = Harness::new();
    for (lie, hint) in [
        (1, "uses version 0"),
        (2, "uses version 2"),
        (3, "install a newer keyferry"),
        (4, "its entry has a `struct_size` that is too small"),
        (5, "its entry has a `struct_size` that is too small"),
        (6, "its name is NULL"),
        (7, "its list of settings has too many elements"),
        (8, "its list of settings has too many elements"),
        (9, "its name is NULL"),
        (10, "its name is reserved, or is not"),
        (11, "its name is reserved, or is not"),
        (12, "its name is reserved, or is not"),
        (13, "its name is not UTF-8"),
        (14, "its name is reserved, or is not"),
        (15, "its name is too long"),
        (16, "its version contains"),
        (17, "its list of settings is NULL"),
        (18, "its list of settings is not aligned"),
        (19, "its `get_extension` is NULL"),
        (20, "has a key that is not"),
        (21, "has the kind 99"),
        (22, "is a secret, so it must not have a default value"),
        (23, "has an invalid default value"),
        (24, "has a description that contains"),
        (25, "has a key that is NULL"),
        (26, "the setting url twice"),
        (27, "its entry has a `struct_size` that ends inside a field"),
        (30, "its service table has a `struct_size`"),
        (31, "the title of its service is NULL"),
        (32, "its list of routes has too many elements"),
        (33, "its service has no routes"),
        (34, "the title of its service is NULL"),
        (35, "the prefix of its service is not a path like `/v1/`"),
        (36, "the prefix of its service is not a path like `/v1/`"),
        (37, "its list of routes is NULL"),
        (38, "the `acquire` of its service is NULL"),
        (
            39,
            "its service table has a `struct_size` that ends inside a field",
        ),
        (40, "an empty segment"),
        (41, "the token kind 99"),
        (42, "the access 99"),
        (43, "has a pattern that"),
        (44, "has a pattern that is not UTF-8"),
        (50, "`init` returned the code 4711"),
        (51, "no licence is installed here"),
        (
            52,
            "has neither keyferry.service/1 nor keyferry.secret-source/1",
        ),
        (53, "its service table is not aligned"),
    ] {
        let path = harness.plugin_named(
            "tables.c",
            &format!("tables-{lie}.so"),
            &[&format!("-DLIE={lie}")],
        );
        let session = harness.plugin_session(&[&path], &[MASV]);
        assert_built_in_works(&session);
        let error = session
            .token("tables:x")
            .err()
            .unwrap_or_else(|| panic!("{lie} is believed"));
        assert_plugin_fault(&error, "tables", hint);
        // A URL is somebody else's still, so that git asks its next helper; the fault is told
        // beside.
        let error = session.token("https://tables.example/x").unwrap_err();
        assert!(
            error.kind == ErrorKind::UnknownService && error.message().contains(hint),
            "{error}"
        );
    }
    let honest = harness.plugin_named("tables.c", "tables.so", &[]);
    assert_eq!(
        header(&harness.plugin_session(&[&honest], &[]), "tables:x").unwrap(),
        "X-Token: tables"
    );
}

#[test]
fn a_plugin_that_hangs_ends_for_its_callers_and_for_nobody_else() {
    let harness = Harness::new();
    let session = harness.plugin_session(
        &[&harness.plugin("slow.c", &[])],
        &[MASV, ("http.timeout_ms", "300")],
    );
    let mut request = Request::new("slow:first");
    request.timeout = Some(Duration::from_millis(50));
    let began = Instant::now();
    let error = session.token_for(&request).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(
        error
            .message()
            .contains("the plugin slow has not returned yet"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    // Others go on while it hangs, also another call of the same plugin.
    assert_built_in_works(&session);
    assert_eq!(header(&session, "slow:honest").unwrap(), "X-Token: honest");
    let mut patient = Request::new("slow:second");
    patient.timeout = Some(Duration::from_secs(60));
    assert_plugin_fault(
        &session.token_for(&patient).unwrap_err(),
        "the plugin slow",
        "`acquire` did not return within 300 ms",
    );
    // Four that never come back are enough.
    for lost in ["third", "fourth"] {
        patient.resource = format!("slow:{lost}").into();
        assert_plugin_fault(
            &session.token_for(&patient).unwrap_err(),
            "the plugin slow",
            "did not return within",
        );
    }
    assert_plugin_fault(
        &session.token("slow:honest-again").unwrap_err(),
        "the plugin slow",
        "4 of its calls have not returned",
    );
    assert_built_in_works(&session);
    let began = Instant::now();
    drop(session);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "closing waits for nobody: {:?}",
        began.elapsed()
    );
}

#[test]
fn a_closing_session_waits_for_no_plugin() {
    let harness = Harness::new();
    let path = harness.plugin_named("slow.c", "slow-closing.so", &[]);
    let session = harness.plugin_session(&[&path], &[MASV, ("http.timeout_ms", "60000")]);
    let mut request = Request::new("slow:x");
    request.timeout = Some(Duration::from_millis(30));
    assert_eq!(
        session.token_for(&request).unwrap_err().kind,
        ErrorKind::Timeout
    );
    request.resource = "slow:asks".into();
    assert_eq!(
        session.token_for(&request).unwrap_err().kind,
        ErrorKind::Timeout
    );
    let began = Instant::now();
    drop(session);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_plugin_that_hangs_in_init_is_left_out() {
    let harness = Harness::new();
    let path = harness.plugin_named("slow.c", "slow-init.so", &["-DHANG_IN_INIT"]);
    let began = Instant::now();
    let session = harness.plugin_session(&[&path], &[MASV]);
    assert_built_in_works(&session);
    assert_plugin_fault(
        &session.token("slow:x").unwrap_err(),
        "the plugin slow",
        "`init` did not return within 5000 ms",
    );
    // The next session knows.
    let again = harness.plugin_session(&[&path], &[MASV]);
    assert_plugin_fault(
        &again.token("slow:x").unwrap_err(),
        "the plugin slow",
        "`init`",
    );
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_plugin_may_ask_from_several_threads() {
    let harness = Harness::new();
    let session = harness.plugin_session(
        &[&harness.plugin("reentrant.c", &["-D_GNU_SOURCE"])],
        &[("reentrant.key", "k")],
    );
    assert_eq!(
        header(&session, "reentrant:threads").unwrap(),
        "X-Threads: 4"
    );
}

#[test]
fn a_second_plugin_of_a_name_is_refused() {
    let harness = Harness::new();
    let (first, second) = (
        harness.plugin("liar.c", &[]),
        harness.plugin_named("liar.c", "liar-too.so", &[]),
    );
    let session = harness.plugin_session(&[&first, &second], &[MASV]);
    assert_eq!(header(&session, "liar:honest").unwrap(), "X-Token: honest");
    assert_built_in_works(&session);
    let error = session.token("https://liar.example/x").unwrap_err();
    assert!(
        error
            .message()
            .contains("liar-too.so: the name liar is already used by ")
            && error
                .message()
                .contains("remove one of them from `plugins`"),
        "{error}"
    );
    let twice = harness.plugin_session(&[&first, &first], &[MASV]);
    assert!(
        twice
            .token("https://liar.example/x")
            .unwrap_err()
            .message()
            .contains("the name liar is already used by")
    );
}

/// Every way to stand where a built-in service is, or below it, or above it.
#[test]
fn a_plugin_that_claims_urls_of_another_service_is_refused() {
    let harness = Harness::new();
    let (liar, reentrant) = (
        harness.plugin("liar.c", &[]),
        harness.plugin("reentrant.c", &["-D_GNU_SOURCE"]),
    );
    let open = |url: &str, more: &[(&str, &str)]| {
        harness.plugin_session(&[&liar], &[&[MASV, ("liar.url", url)], more].concat())
    };
    for (url, other) in [
        ("https://api.massive.app", "masv"),
        ("https://API.massive.app:443/", "masv"),
        ("https://api.massive.app/deep/inside", "masv"),
        ("https://get.massive.io", "masv"),
        ("https://get.massive.app/x", "masv"),
        ("https://api.fileverbs.com/x", "fileverbs"),
        ("http://localhost:8080", "agent"),
    ] {
        let session = open(url, &[]);
        assert_plugin_fault(
            &session.token("liar:honest").unwrap_err(),
            "the plugin liar",
            &format!("claims URLs of {other}"),
        );
        assert_built_in_works(&session);
    }
    let gate = [("masv.url", "https://gate.example/masv")];
    assert_plugin_fault(
        &open("https://gate.example/", &gate)
            .token("liar:honest")
            .unwrap_err(),
        "the plugin liar",
        "claims URLs of masv",
    );
    assert!(
        open("https://gate.example/masvish", &gate)
            .token("liar:honest")
            .is_ok()
    );
    // One plugin against the other: the first one named has it.
    let session = harness.plugin_session(
        &[&reentrant as &Path, &liar],
        &[("liar.url", "http://127.0.0.1:9/below")],
    );
    assert_plugin_fault(
        &session.token("liar:honest").unwrap_err(),
        "the plugin liar",
        "claims URLs of reentrant",
    );
}
