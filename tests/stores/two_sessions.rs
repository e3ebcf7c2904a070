//! Two sessions that share a store alone, as two processes do.

use std::path::PathBuf;
use std::time::Duration;

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::model::key::Access;
use keyferry::model::request::Request;
use keyferry::model::token::TokenKind;
use keyferry::secret::Secret;
use keyferry::session::{Options, Session};
use keyferry_sandbox::{Fault, credentials as c};
use keyferry_testing::harness::Harness;
use keyferry_testing::settings::{config, environment, settings};

use crate::processes::{StoreProcesses, new_harness};

/// Sessions that share the store of a harness.
pub(crate) trait StoreSessions {
    fn session(&self) -> Session;

    /// Returns the paths and contents of the stored tokens.
    fn token_files(&self) -> Vec<(PathBuf, Vec<u8>)>;
}

impl StoreSessions for Harness {
    fn session(&self) -> Session {
        let store = self.setting();
        let settings = settings(self.sandbox(), &[("store", &store)]);
        let options = Options {
            clock: self.clock().clone(),
            refreshes_in_background: false,
        };
        Session::open_with(config(settings), options).unwrap()
    }

    fn token_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(self.path("store/tokens")).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    }
}

fn link() -> String {
    format!("links/{}?secret={}", c::LINK_ID, c::LINK_SECRET)
}

#[test]
fn what_one_got_the_other_takes() {
    let harness = new_harness();
    let (first, second) = (harness.session(), harness.session());
    for resource in [
        "user",
        &crate::worker::package(),
        &link(),
        "fileverbs:bearer",
    ] {
        let got = first.token(resource).unwrap();
        let requests = harness.sandbox().count("requests");
        let taken = second.token(resource).unwrap();
        assert_eq!(
            (taken.meta(), taken.value(), taken.details()),
            (got.meta(), got.value(), got.details()),
            "{resource}"
        );
        assert_eq!(harness.sandbox().count("requests"), requests, "{resource}");
    }
    assert_eq!(harness.sandbox().count("link"), 1);
}

#[test]
fn nothing_of_a_key_or_token_can_be_read_from_names_or_files() {
    let harness = new_harness();
    let session = harness.session();
    let tokens: Vec<_> = ["user", &link(), "fileverbs:bearer"]
        .into_iter()
        .map(|resource| session.token(resource).unwrap())
        .collect();
    let mut texts: Vec<&str> = tokens
        .iter()
        .flat_map(|token| [token.value(), token.id()])
        .filter(|text| !text.is_empty())
        .collect();
    texts.extend([
        c::EMAIL,
        c::PASSWORD,
        c::LINK_ID,
        c::LINK_SECRET,
        "masv",
        "fileverbs",
        "127.0.0.1",
    ]);
    let files = harness.token_files();
    assert!(files.len() >= tokens.len(), "{files:?}");
    for (path, bytes) in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let holds = |text: &&str| {
            name.contains(*text)
                || bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
        };
        assert_eq!(texts.iter().find(|text| holds(text)), None, "{name}");
    }
}

#[test]
fn a_revoked_token_is_replaced_for_all_and_a_later_one_is_not() {
    let harness = new_harness();
    let (first, second) = (harness.session(), harness.session());
    let old = first.token("user").unwrap();
    assert_eq!(second.token("user").unwrap().meta(), old.meta());
    harness.sandbox().reject_token(old.value());
    first.reject(&old).unwrap();
    let new = first.token("user").unwrap();
    assert!(new.meta().generation > old.meta().generation && new.value() != old.value());
    assert_eq!(harness.sandbox().count("login"), 2);
    // The other one finds out later, and takes what there is.
    second.reject(&old).unwrap();
    assert_eq!(second.token("user").unwrap().meta(), new.meta());
    assert_eq!(harness.session().token("user").unwrap().meta(), new.meta());
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn the_generation_exceeds_the_stored_one_though_the_clock_goes_back() {
    let harness = new_harness();
    let old = harness.session().token("user").unwrap();
    harness.pass_s(-3600);
    let later = harness.session();
    let taken = later.token("user").unwrap();
    harness.sandbox().reject_token(taken.value());
    later.reject(&taken).unwrap();
    let new = later.token("user").unwrap();
    assert!(new.meta().generation > old.meta().generation);
    assert_eq!(harness.session().token("user").unwrap().meta(), new.meta());
    let login = harness.session().masv_login(None, None).unwrap();
    assert!(login.meta().generation > new.meta().generation);
    assert_eq!(
        harness.session().token("user").unwrap().meta(),
        login.meta()
    );
}

#[test]
fn a_refused_refresh_adopts_what_another_has_stored_meanwhile_and_deletes_nothing() {
    let harness = new_harness();
    harness.sandbox().set_life("bearer", 600);
    harness.session().token("fileverbs:bearer").unwrap();
    let before = harness.token_files();
    harness.pass_s(598);
    let other = harness.session().token("fileverbs:bearer").unwrap();
    let after = harness.token_files();
    assert_eq!(harness.sandbox().count("refresh"), 1);
    // As if the lock had not held: this one looked before the other stored, and is refused after
    // it.
    let put = |files: &[(std::path::PathBuf, Vec<u8>)]| {
        files
            .iter()
            .for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap())
    };
    put(&before);
    harness.sandbox().fault(
        Fault::status(400)
            .path("/api/v1/accounts/refresh-token")
            .latency(Duration::from_millis(400)),
    );
    let late = harness.session();
    let token = std::thread::scope(|scope| {
        let threads = scope.spawn(|| late.token("fileverbs:bearer"));
        assert!(
            harness
                .sandbox()
                .wait_for("refresh", 2, Duration::from_secs(10))
        );
        put(&after);
        threads.join().unwrap().unwrap()
    });
    assert_eq!(token.meta(), other.meta());
    assert_eq!(harness.token_files(), after);
    assert_eq!(harness.sandbox().count("fileverbs_login"), 1);
}

#[test]
fn a_refused_refresh_ends_in_one_login_and_keeps_the_token_until_then() {
    let harness = new_harness();
    harness.sandbox().set_life("bearer", 600);
    let old = harness.session().token("fileverbs:bearer").unwrap();
    harness.pass_s(595);
    let refused = || Fault::status(400).path("/api/v1/accounts/refresh-token");
    harness.sandbox().fault(refused());
    harness
        .sandbox()
        .fault(Fault::status(503).path("/api/v1/accounts/access-token"));
    assert_eq!(
        harness.session().token("fileverbs:bearer").unwrap().meta(),
        old.meta(),
        "nothing better came"
    );
    harness.pass_s(4);
    assert_eq!(
        harness.session().token("fileverbs:bearer").unwrap().meta(),
        old.meta(),
        "a login that failed is not repeated at once"
    );
    harness.pass_s(60);
    harness.session().token("fileverbs:bearer").unwrap();
    assert_eq!(
        (
            harness.sandbox().count("fileverbs_login"),
            harness.sandbox().count("refresh")
        ),
        (3, 1)
    );
}

#[test]
fn what_is_forgotten_is_forgotten_in_the_store_and_the_list_tells() {
    let harness = new_harness();
    let session = harness.session();
    session.token("user").unwrap();
    let opened = session.token(&link()).unwrap();
    let list = harness.session().list().unwrap();
    let kinds: Vec<_> = list.iter().map(|token| token.kind).collect();
    assert!(
        kinds.len() == 2 && kinds.contains(&TokenKind::User) && kinds.contains(&TokenKind::Package),
        "{list:?}"
    );
    assert!(
        list.iter()
            .all(|token| token.account.as_deref() == Some("default")),
        "{list:?}"
    );
    assert!(!format!("{list:?}").contains(opened.value()));
    // By a session that knows only the link.
    harness.session().forget(Some(&link())).unwrap();
    let after = harness.session();
    after.token(&link()).unwrap();
    assert_eq!(
        (
            harness.sandbox().count("link"),
            harness.sandbox().count("login")
        ),
        (2, 1)
    );
    harness.session().forget(None).unwrap();
    assert!(harness.token_files().is_empty());
    harness.session().token("user").unwrap();
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn one_who_needs_a_token_for_longer_is_not_put_off_with_the_stored_one() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 3600);
    let old = harness.session().token("user").unwrap();
    harness.pass_s(2400);
    assert_eq!(harness.session().token("user").unwrap().meta(), old.meta());
    let request = Request {
        min_valid: Duration::from_secs(3000),
        ..Request::new("user")
    };
    let new = harness.session().token_for(&request).unwrap();
    assert!(new.meta().generation > old.meta().generation);
    assert_eq!(harness.session().token("user").unwrap().meta(), new.meta());
}

#[test]
fn a_token_that_is_not_fresh_serves_a_new_process_while_the_service_is_down() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    let old = harness.session().token("user").unwrap();
    harness.pass_s(590);
    harness.sandbox().fault(Fault::status(503).forever());
    assert_eq!(harness.session().token("user").unwrap().meta(), old.meta());
    harness.pass_s(11);
    assert!(
        harness.session().token("user").is_err(),
        "one that has ended is never handed out"
    );
}

#[test]
fn who_asks_the_store_alone_gets_what_is_fresh_and_nothing_else() {
    let harness = new_harness();
    harness.sandbox().set_life("user", 600);
    let package = crate::worker::package();
    let stored = |request: &Request| {
        harness
            .session()
            .stored(request)
            .unwrap()
            .map(|token| (*token.meta(), token.value().to_owned()))
    };
    assert_eq!(stored(&Request::new("user")), None);
    let session = harness.session();
    let got = ["user", &package, "fileverbs:bearer", &link()]
        .map(|resource| session.token(resource).unwrap());
    let requests = harness.sandbox().count("requests");
    for (resource, token) in ["user", &package, "fileverbs:bearer"].iter().zip(&got) {
        assert_eq!(
            stored(&Request::new(*resource)),
            Some((*token.meta(), token.value().to_owned())),
            "{resource}"
        );
    }
    // A link's name in the store is a fingerprint; a package's token to manage can't read.
    assert_eq!(stored(&Request::new(link())), None);
    assert_eq!(stored(&Request::new("packages/01UNHEARD")), None);
    let longer = Request {
        min_valid: Duration::from_secs(560),
        ..Request::new("user")
    };
    harness.pass_s(60);
    assert!(stored(&Request::new("user")).is_some() && stored(&longer).is_none());
    harness.pass_s(500);
    assert!(
        stored(&Request::new("user")).is_some(),
        "callers don't wait yet"
    );
    harness.pass_s(20);
    assert_eq!(
        stored(&Request::new("user")),
        None,
        "in the last twentieth of its life somebody has to refresh it"
    );
    harness.pass_s(30);
    assert_eq!(stored(&Request::new("user")), None, "it has ended");
    assert_eq!(harness.sandbox().count("requests"), requests);
    let value = Secret::from(session.token(&package).unwrap().value());
    session.reject_value(&package, &value).unwrap();
    assert_eq!(
        stored(&Request::new(&*package)),
        None,
        "it was rejected for this resource"
    );
    let other = format!("masv:/v1/{package}/files");
    assert!(stored(&Request::new(other)).is_some(), "and for no other");
}

#[test]
fn a_token_that_must_be_refreshed_is_not_replaced_by_one_of_another_access() {
    let harness = new_harness();
    harness.sandbox().set_life("package", 600);
    let package = crate::worker::package();
    let session = harness.session();
    let adopted = "adopted-to-write";
    let year_2100 = Some(4_102_444_800);
    session.adopt(&package, adopted.into(), year_2100).unwrap();
    let managing = session
        .token_for(&Request {
            access: Some(Access::Manage),
            ..Request::new(&*package)
        })
        .unwrap();
    let stored = || {
        let token = harness.session().stored(&Request::new(&*package)).unwrap();
        token.map(|token| token.value().to_owned())
    };
    assert_eq!(stored().as_deref(), Some(managing.value()));
    harness.pass_s(580);
    assert_eq!(stored(), None, "a session with a network refreshes it");
    harness.pass_s(30);
    assert_eq!(stored().as_deref(), Some(adopted), "the other has expired");
}

#[test]
fn a_configuration_of_its_own_keeps_tokens_in_memory_unless_it_says_otherwise() {
    let session = Session::open(Config::new()).unwrap();
    assert_eq!(session.explain("user").unwrap().store, "memory");
    let explained = new_harness().session().explain("user").unwrap();
    assert_eq!(explained.store, "file");
}

/// Opens a session whose e-mail address is this reference.
fn session_of(harness: &Harness, reference: &str) -> Session {
    let text = format!("[masv]\nemail = {reference}\n");
    let path = harness.write_private_file("config.toml", &text);
    let mut config = Config::load(Some(&path), environment(&[("EMAIL", c::EMAIL)])).unwrap();
    let store = harness.setting();
    for (key, value) in settings(harness.sandbox(), &[("store", &store), ("masv.email", "")]) {
        config.set(key, value.into()).unwrap();
    }
    let options = Options {
        clock: harness.clock().clone(),
        refreshes_in_background: false,
    };
    Session::open_with(config, options).unwrap()
}

#[test]
fn the_same_user_behind_different_references_shares_the_token() {
    let harness = new_harness();
    let one = harness.write_private_file("one", c::EMAIL);
    let two = harness.write_private_file("two", &format!("{}\n", c::EMAIL));
    let file = |path: &PathBuf| format!("{{ file = \"{}\" }}", path.display());
    let first = session_of(&harness, &file(&one)).token("user").unwrap();
    for reference in [
        file(&two),
        "{ env = \"EMAIL\" }".into(),
        format!("\"{}\"", c::EMAIL),
    ] {
        let next = session_of(&harness, &reference).token("user").unwrap();
        assert_eq!(next.value(), first.value(), "{reference}");
    }
    assert_eq!(harness.sandbox().count("login"), 1);
}

#[test]
fn another_user_behind_the_same_reference_gets_none_of_the_former_ones_tokens() {
    let harness = new_harness();
    let path = harness.write_private_file("email", c::EMAIL);
    let reference = format!("{{ file = \"{}\" }}", path.display());
    let running = session_of(&harness, &reference);
    running.token("user").unwrap();
    harness.write_private_file("email", c::SECOND_EMAIL);
    // The running session goes on with the former user's token. What it gets with that one is the
    // former user's too.
    running.token(&crate::worker::package()).unwrap();
    assert_eq!(harness.sandbox().count("login"), 1);
    let next = session_of(&harness, &reference);
    // The password is the former user's.
    for resource in ["user", &crate::worker::package()] {
        let failure = next.token(resource).map(drop).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::BadCredentials, "{resource}");
    }
    assert_eq!(harness.sandbox().count("login"), 2);
}

#[test]
fn no_command_runs_to_find_a_stored_token() {
    let harness = new_harness();
    let log = harness.path("runs");
    let script = format!("echo run >> {}; echo {}", log.display(), c::EMAIL);
    let reference = format!("{{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}");
    for _ in 0..3 {
        session_of(&harness, &reference).token("user").unwrap();
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "run\n");
    assert_eq!(harness.sandbox().count("login"), 1);
}
