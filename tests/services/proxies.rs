//! Proxies: whatever the environment or the configuration names, loopback is reached directly.

use keyferry::ffi::status as k;
use keyferry_sandbox::{Options, Sandbox};

use crate::redirects::Sink;
use crate::{checks, rows, secret_leaks, table};
use keyferry_testing::c_api::Error;
use keyferry_testing::own_process::run_in_own_process;

const PROXY_VARIABLES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "SOCKS_PROXY",
    "socks_proxy",
    "Http_Proxy",
    "KEYFERRY_HTTP_PROXY",
];

#[test]
fn proxies_of_the_environment_see_nothing_that_goes_to_loopback() {
    for scheme in ["http", "socks5"] {
        let sink = Sink::open();
        let proxy = format!("{scheme}://{}", sink.address);
        let mut variables: Vec<_> = PROXY_VARIABLES
            .iter()
            .map(|name| (*name, proxy.as_str()))
            .collect();
        variables.extend([("NO_PROXY", ""), ("no_proxy", "")]);
        run_in_own_process(
            "proxies::all_exchanges_in_an_environment_with_proxies",
            &variables,
        );
        sink.check();
    }
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn all_exchanges_in_an_environment_with_proxies() {
    assert!(std::env::var_os("HTTP_PROXY").is_some());
    let sandbox = checks::sandbox();
    for row in rows::all() {
        let session = (row.config)(&sandbox).open();
        (row.set_up)(&sandbox);
        (row.prepare)(&session);
        table::succeed(&row, &sandbox, &session, "beside a proxy");
        sandbox.clear_faults();
    }
    let by_name = sandbox.agent_url().replace("127.0.0.1", "localhost");
    sandbox.configure("agent_signed_in", serde_json::json!(true));
    checks::config_for(&sandbox)
        .set("agent.url", &by_name)
        .open()
        .agent()
        .unwrap();
    over_tls();
}

/// https to this machine needs a proxy no more than http does.
fn over_tls() {
    secret_leaks::watch_log();
    let sandbox = Sandbox::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, sandbox.ca_pem().unwrap()).unwrap();
    checks::with_login(&sandbox)
        .set("http.ca_file", path.to_str().unwrap())
        .open()
        .token("user")
        .unwrap();
    assert_eq!(sandbox.count("login"), 1);
}

#[test]
fn a_configured_proxy_sees_nothing_that_goes_to_loopback() {
    let (sink, sandbox) = (Sink::open(), checks::sandbox());
    for row in rows::all() {
        let session = (row.config)(&sandbox)
            .set("http.proxy", &format!("http://{}", sink.address))
            .open();
        (row.set_up)(&sandbox);
        (row.prepare)(&session);
        table::succeed(&row, &sandbox, &session, "beside a configured proxy");
        sandbox.clear_faults();
    }
    sink.check();
}

#[test]
fn a_proxy_in_capitals_is_used_and_every_spelling_of_this_machine_is_not() {
    let sink = Sink::open();
    let proxy = format!("SOCKS5://{}", sink.address);
    let variables = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("https_proxy", ""),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ];
    run_in_own_process("proxies::this_machine_in_other_spellings", &variables);
    sink.check();
    run_in_own_process("proxies::a_cloud_host_by_a_proxy_in_capitals", &variables);
    // The greeting of SOCKS 5.
    assert_eq!(sink.first_byte(), Some(5));
}

/// A CGI program's `HTTP_PROXY` may come from a request's header `Proxy`. The others can't.
#[test]
fn a_cgi_programs_proxy_is_used_or_an_error() {
    let sink = Sink::open();
    let proxy = format!("socks5://{}", sink.address);
    let by_proxy = [
        ("REQUEST_METHOD", "GET"),
        ("HTTPS_PROXY", proxy.as_str()),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ];
    run_in_own_process("proxies::a_cloud_host_by_a_proxy_in_capitals", &by_proxy);
    assert_eq!(sink.first_byte(), Some(5));
    let broken = [("REQUEST_METHOD", "POST"), ("HTTPS_PROXY", "http://[::1")];
    run_in_own_process(
        "proxies::a_proxy_that_nobody_can_use_is_not_passed_by",
        &broken,
    );
}

#[test]
fn an_empty_exception_hides_no_other() {
    let sink = Sink::open();
    let proxy = format!("socks5://{}", sink.address);
    for exceptions in [
        ["", "255.255.255.255"],
        ["255.255.255.255", "elsewhere.example"],
        ["*.255.255.255 255.255.255.255:1", ""],
    ] {
        let variables = [
            ("HTTPS_PROXY", proxy.as_str()),
            ("NO_PROXY", exceptions[0]),
            ("no_proxy", exceptions[1]),
        ];
        run_in_own_process("proxies::a_host_that_is_an_exception", &variables);
    }
    sink.check();
}

/// What no proxy can be read from; the user's name for it stands in none of the messages.
const UNUSABLE_PROXIES: [&str; 10] = [
    "ftp://127.0.0.1:1",
    "http://[::1",
    "http://canary:p@[bad",
    "::::",
    "http://",
    "http:///canary",
    "http://127.0.0.1:99999",
    "127.0.0.1:99999",
    "http://can ary:1",
    "socks5://",
];

#[test]
fn a_proxy_that_can_not_be_read_is_an_error_and_not_passed_by() {
    for (at, broken) in UNUSABLE_PROXIES.iter().enumerate() {
        let name = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"][at % 4];
        run_in_own_process(
            "proxies::a_proxy_that_nobody_can_use_is_not_passed_by",
            &[(name, *broken)],
        );
    }
    // An empty variable is none, and hides no other.
    let hidden = [("HTTPS_PROXY", ""), ("https_proxy", "http://[::1")];
    run_in_own_process(
        "proxies::a_proxy_that_nobody_can_use_is_not_passed_by",
        &hidden,
    );
}

#[test]
fn a_proxy_without_a_scheme_or_behind_an_empty_variable_is_used() {
    for variables in [
        [("HTTPS_PROXY", "127.0.0.1:1"), ("ALL_PROXY", "")],
        [("HTTPS_PROXY", ""), ("https_proxy", "http://127.0.0.1:1")],
    ] {
        run_in_own_process(
            "proxies::a_cloud_host_by_a_proxy_that_is_not_there",
            &variables,
        );
    }
}

fn login_error_at(url: &str) -> Error {
    let sandbox = checks::sandbox();
    let session = checks::with_login(&sandbox).set("masv.url", url).open();
    session.token("user").err().unwrap()
}

fn login_status_at(url: &str) -> k::keyferry_status {
    login_error_at(url).status
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn this_machine_in_other_spellings() {
    for url in [
        "https://[::ffff:127.0.0.1]:1",
        "https://foo.localhost:1",
        "https://localhost.:1",
        "http://foo.localhost:1",
    ] {
        assert_eq!(login_status_at(url), k::KEYFERRY_E_UNREACHABLE, "{url}");
    }
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn a_cloud_host_by_a_proxy_in_capitals() {
    assert_eq!(
        login_status_at("https://192.0.2.1"),
        k::KEYFERRY_E_UNREACHABLE
    );
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn a_host_that_is_an_exception() {
    // The system itself refuses a connection to all of a network at once.
    assert_eq!(
        login_status_at("https://255.255.255.255:1"),
        k::KEYFERRY_E_UNREACHABLE
    );
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn a_proxy_that_nobody_can_use_is_not_passed_by() {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let (name, value) = names
        .into_iter()
        .find_map(|name| {
            Some((
                name,
                std::env::var(name).ok().filter(|value| !value.is_empty())?,
            ))
        })
        .unwrap();
    let failure = login_error_at("https://nowhere.invalid");
    assert_eq!(failure.status, k::KEYFERRY_E_CONFIG, "{value}: {failure:?}");
    let said = &failure.message;
    assert!(
        said.starts_with(&format!("{name} is not a proxy URL")),
        "{said}"
    );
    ["canary", "[", ":::", "99999", "127.0.0.1", "socks5"]
        .iter()
        .for_each(|part| assert!(!said.contains(part), "{said}"));
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn a_cloud_host_by_a_proxy_that_is_not_there() {
    let failure = login_error_at("https://192.0.2.1");
    assert_eq!(failure.status, k::KEYFERRY_E_UNREACHABLE);
    assert!(
        failure.message.contains("connection refused"),
        "{failure:?}"
    );
}
