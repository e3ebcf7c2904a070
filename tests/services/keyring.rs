//! A keyring that is mute: however many wait for a secret of it, each has its error soon.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyferry::config::{Config, process_environment};
use keyferry::error::ErrorKind;
use keyferry::session::Session;
use keyferry_testing::skip;

use keyferry_testing::own_process::run_in_own_process;

const CALLERS: usize = 12;

#[test]
fn a_mute_keyring_holds_all_callers_up_once() {
    if skip::without(&["secret-tool"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (bus, file) = (folder.path().join("bus"), folder.path().join("config.toml"));
    std::fs::write(&file, "[masv]\nurl = \"http://127.0.0.1:9\"\napi_key = { keyring = [\"keyferry\", \"nobody's\"] }\n").unwrap();
    // Whoever connects waits in the queue.
    let _listener = UnixListener::bind(&bus).unwrap();
    let address = format!("unix:path={}", bus.display());
    let variables = [
        ("DBUS_SESSION_BUS_ADDRESS", address.as_str()),
        ("CONFIGURED_BY", file.to_str().unwrap()),
    ];
    run_in_own_process("keyring::callers_of_a_keyring_that_is_mute", &variables);
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn callers_of_a_keyring_that_is_mute() {
    let file = std::env::var("CONFIGURED_BY").unwrap();
    let session = Arc::new(
        Session::open(Config::load(Some(Path::new(&file)), process_environment()).unwrap())
            .unwrap(),
    );
    let ask = |number: usize, session: &Session| {
        let began = Instant::now();
        let error = session
            .token(&format!("packages/01J0SANDB0XPACKAGE{number:08}"))
            .err()
            .unwrap();
        assert!(
            error.kind == ErrorKind::SecretSource
                && error.message().contains("did not respond within 2 s"),
            "{error}"
        );
        began.elapsed()
    };
    let slowest = std::thread::scope(|scope| {
        let session = &session;
        let asking: Vec<_> = (0..CALLERS)
            .map(|number| scope.spawn(move || ask(number, session)))
            .collect();
        asking
            .into_iter()
            .map(|one| one.join().unwrap())
            .max()
            .unwrap()
    });
    // Two seconds each in turn would be 24.
    assert!(slowest < Duration::from_secs(6), "{slowest:?}");
    assert!(
        ask(CALLERS, &session) < Duration::from_secs(1),
        "it is left alone for a while"
    );
}
