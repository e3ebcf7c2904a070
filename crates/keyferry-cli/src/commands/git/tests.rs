//! Tests of the git operations on a session that lives longer than one request: trap 10, and
//! adopted tokens.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;

use super::*;
use keyferry::config::Config;
use keyferry_sandbox::{Options, Sandbox, credentials as c};

struct GitHarness {
    sandbox: Sandbox,
    session: Session,
    context: CliContext,
}

impl GitHarness {
    fn new() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let variables = sandbox.variables();
        let environment: keyferry::config::Environment = Arc::new(move |name| {
            variables
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value.into())
        });
        let session = Session::open(Config::load(None, Arc::clone(&environment)).unwrap()).unwrap();
        Self {
            sandbox,
            session,
            context: CliContext {
                environment,
                temp_dir: "/tmp".into(),
                stdin_is_terminal: false,
            },
        }
    }

    fn run(&self, operation: Operation, url: &str, more: &str) -> Result<Message> {
        let message =
            Message::read(&mut format!("url={url}\n{more}").as_bytes(), USED_KEYS).unwrap();
        let request = CredentialRequest::read(&message).unwrap().unwrap();
        operation(&GitCall {
            request: &request,
            session: &self.session,
            context: &self.context,
        })
    }

    fn call(&self, operation: Operation, url: &str, more: &str) -> String {
        let mut text = Vec::new();
        self.run(operation, url, more)
            .unwrap()
            .write(&mut text)
            .unwrap();
        String::from_utf8(text).unwrap()
    }

    fn value(&self, url: &str, key: &str) -> String {
        let more = if key == "credential" {
            "capability[]=authtype\n"
        } else {
            ""
        };
        let output = self.call(get, url, more);
        output
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .unwrap()
            .to_owned()
    }

    fn package(&self, id: &str) -> String {
        format!("{}/v1/packages/{id}", self.sandbox.masv_url())
    }
}

#[test]
fn trap_10_erase_rejects_exactly_the_value_that_it_names() {
    for (is_bearer, key) in [
        (false, "password"),
        (true, "password"),
        (true, "credential"),
    ] {
        let harness = GitHarness::new();
        let url = if is_bearer {
            format!("{}/a.git", harness.sandbox.fileverbs_url())
        } else {
            harness.package(c::PACKAGE_ID)
        };
        let first = harness.value(&url, key);
        harness.call(erase, &url, "");
        harness.call(erase, &url, "username=ann\npassword=another\n");
        harness.call(erase, &url, &format!("{key}={}\n", &first[1..]));
        assert_eq!(
            harness.value(&url, key),
            first,
            "{key}: only its own value ends a token"
        );
        harness.call(erase, &url, &format!("{key}={first}\n"));
        let second = harness.value(&url, key);
        assert_ne!(second, first, "{key}");
        harness.call(erase, &url, &format!("{key}={first}\n"));
        assert_eq!(
            harness.value(&url, key),
            second,
            "the refusal of a token doesn't end its successor"
        );
    }
}

#[test]
fn store_adopts_a_packages_token_and_nothing_else() {
    let harness = GitHarness::new();
    let url = harness.package("01BROUGHT");
    let adopted = "username=X-Package-Token\npassword=brought-by-the-caller\n";
    for other in [
        "username=ann\npassword=typed\n",
        "username=X-Package-Token\n",
        "password=typed\n",
    ] {
        assert_eq!(harness.call(store, &url, other), "");
    }
    for elsewhere in [
        format!("{url}/files/F/download"),
        format!("{}/v1/user", harness.sandbox.masv_url()),
        harness.sandbox.fileverbs_url().to_owned(),
    ] {
        // These URLs are not a package's or don't take a write token. Some of them cause no error,
        // but no token is stored for any.
        assert_eq!(harness.call(store, &elsewhere, adopted), "");
    }
    assert_eq!(harness.session.list().unwrap(), []);
    assert_eq!(
        harness
            .run(store, &url, "username=X-Package-Token\npassword=tü k\n")
            .err()
            .unwrap()
            .kind,
        ErrorKind::InvalidValue
    );
    harness.call(
        store,
        &url,
        &format!("{adopted}password_expiry_utc=4102444800\n"),
    );
    assert_eq!(harness.value(&url, "password"), "brought-by-the-caller");
    assert_eq!(harness.value(&url, "password_expiry_utc"), "4102444800");
    assert_eq!(harness.sandbox.count("requests"), 0);
}

#[test]
fn store_takes_nothing_back_that_came_from_here() {
    let harness = GitHarness::new();
    let url = harness.package(c::PACKAGE_ID);
    let own = harness.value(&url, "password");
    let before = harness.session.list().unwrap();
    harness.call(
        store,
        &url,
        &format!("username=X-Package-Token\npassword={own}\n"),
    );
    assert_eq!(
        harness.session.list().unwrap(),
        before,
        "a management token is not kept a second time as one that writes"
    );
}
