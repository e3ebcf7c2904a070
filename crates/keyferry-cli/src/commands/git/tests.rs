//! What the door does to a session that lives longer than one call: trap 10, and the tokens that callers bring.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use super::*;
use keyferry::config::Config;
use keyferry_sandbox::{Options, Sandbox, credentials as c};

struct Stage {
    sandbox: Sandbox,
    session: Session,
    context: CliContext,
}

impl Stage {
    fn set() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let variables = sandbox.variables();
        let environment: keyferry::config::Environment =
            Arc::new(move |name| variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()));
        let session = Session::open(Config::load(None, Arc::clone(&environment)).unwrap()).unwrap();
        Self { sandbox, session, context: CliContext { environment, temp_dir: "/tmp".into(), stdin_is_terminal: false } }
    }

    fn run(&self, operation: Operation, url: &str, more: &str) -> Result<Message> {
        let message = Message::read(&mut format!("url={url}\n{more}").as_bytes()).unwrap();
        let request = CredentialRequest::read(&message).unwrap().unwrap();
        operation(&GitCall { request: &request, session: &self.session, context: &self.context })
    }

    fn call(&self, operation: Operation, url: &str, more: &str) -> String {
        let mut text = Vec::new();
        self.run(operation, url, more).unwrap().write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn value(&self, url: &str, key: &str) -> String {
        let more = if key == "credential" { "capability[]=authtype\n" } else { "" };
        let said = self.call(get, url, more);
        said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap().to_owned()
    }

    fn package(&self, id: &str) -> String {
        format!("{}/v1/packages/{id}", self.sandbox.masv_url())
    }
}

#[test]
fn trap_10_erase_rejects_exactly_the_value_that_it_names() {
    for (is_bearer, key) in [(false, "password"), (true, "password"), (true, "credential")] {
        let stage = Stage::set();
        let url = if is_bearer { format!("{}/a.git", stage.sandbox.fileverbs_url()) } else { stage.package(c::PACKAGE_ID) };
        let first = stage.value(&url, key);
        stage.call(erase, &url, "");
        stage.call(erase, &url, "username=ann\npassword=another\n");
        stage.call(erase, &url, &format!("{key}={}\n", &first[1..]));
        assert_eq!(stage.value(&url, key), first, "{key}: only its own value ends a token");
        stage.call(erase, &url, &format!("{key}={first}\n"));
        let second = stage.value(&url, key);
        assert_ne!(second, first, "{key}");
        stage.call(erase, &url, &format!("{key}={first}\n"));
        assert_eq!(stage.value(&url, key), second, "the refusal of a token doesn't end its successor");
    }
}

#[test]
fn store_adopts_a_packages_token_and_nothing_else() {
    let stage = Stage::set();
    let url = stage.package("01BROUGHT");
    let brought = "username=X-Package-Token\npassword=brought-by-the-caller\n";
    for other in ["username=ann\npassword=typed\n", "username=X-Package-Token\n", "password=typed\n"] {
        assert_eq!(stage.call(store, &url, other), "");
    }
    for elsewhere in
        [format!("{url}/files/F/download"), format!("{}/v1/user", stage.sandbox.masv_url()), stage.sandbox.fileverbs_url().to_owned()]
    {
        // Not a package's, or not one that it may write to: some of these are no errors, none is kept.
        assert_eq!(stage.call(store, &elsewhere, brought), "");
    }
    assert_eq!(stage.session.list().unwrap(), "[]");
    assert_eq!(stage.run(store, &url, "username=X-Package-Token\npassword=tü k\n").err().unwrap().kind, ErrorKind::InvalidValue);
    stage.call(store, &url, &format!("{brought}password_expiry_utc=4102444800\n"));
    assert_eq!(stage.value(&url, "password"), "brought-by-the-caller");
    assert_eq!(stage.value(&url, "password_expiry_utc"), "4102444800");
    assert_eq!(stage.sandbox.count("requests"), 0);
}

#[test]
fn store_takes_nothing_back_that_came_from_here() {
    let stage = Stage::set();
    let url = stage.package(c::PACKAGE_ID);
    let own = stage.value(&url, "password");
    let before = stage.session.list().unwrap();
    stage.call(store, &url, &format!("username=X-Package-Token\npassword={own}\n"));
    assert_eq!(stage.session.list().unwrap(), before, "a management token is not kept a second time as one that writes");
}
