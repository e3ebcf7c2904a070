//! A plugin's settings: in the file under its name, in variables, per profile, checked against what
//! it declares.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use keyferry::config::Config;
use keyferry::error::{Error, ErrorKind};
use keyferry::model::request::Request;
use keyferry::secret::Secret;
use keyferry::session::Session;

use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::studio::{KEY, Studio};
use keyferry_testing::settings::environment;

struct PluginSettings {
    harness: Harness,
    plugin: PathBuf,
}

impl PluginSettings {
    fn new() -> Self {
        let harness = Harness::new();
        let plugin = harness.plugin("template.c", &[]);
        Self { harness, plugin }
    }

    fn config(&self, text: &str, variables: &[(&str, &str)], mode: u32) -> Result<Config, Error> {
        let text = text.replace("PLUGIN", self.plugin.to_str().unwrap());
        let path = self.harness.write_file("config.toml", &text, mode);
        let mut config = Config::load(Some(&path), environment(variables))?;
        config.set("store", Secret::from("memory"))?;
        Ok(config)
    }

    fn open(&self, text: &str, variables: &[(&str, &str)]) -> Result<Session, Error> {
        Session::open(self.config(text, variables, 0o600)?)
    }

    #[track_caller]
    fn assert_refused(
        &self,
        text: &str,
        variables: &[(&str, &str)],
        mode: u32,
        kind: ErrorKind,
        hint: &str,
    ) {
        let error = self
            .config(text, variables, mode)
            .and_then(Session::open)
            .err()
            .unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!(error.kind, kind, "{error}");
        assert!(
            error.message().contains(hint) && !error.message().contains("canary"),
            "{hint}: {error}"
        );
    }
}

#[test]
fn file_variables_and_profiles_have_their_say() {
    let (home, one, two) = (PluginSettings::new(), Studio::start(), Studio::start());
    let key = KEY.replace('"', "\\\"");
    let file = format!(
        "plugins = 'PLUGIN'\n[template]\nurl = '{}'\nkey = \"{key}\"\n",
        one.url()
    );
    assert!(
        home.open(&file, &[])
            .unwrap()
            .token("template:library")
            .is_ok()
    );
    // A variable wins over the file, and may name a mounted file.
    let mounted = home.harness.path("mounted");
    fs::write(&mounted, format!("{KEY}\n")).unwrap();
    let wrong = file.replace(&key, "wrong");
    let variables = [
        ("KEYFERRY_TEMPLATE_KEY_FILE", mounted.to_str().unwrap()),
        ("KEYFERRY_TEMPLATE_URL", two.url()),
    ];
    assert!(
        home.open(&wrong, &variables)
            .unwrap()
            .token("template:library")
            .is_ok()
    );
    assert_eq!(
        (one.server.requests().len(), two.server.requests().len()),
        (1, 1)
    );
    // A profile with a URL of its own gets no key of the general account: it would carry that to
    // another host.
    let profile = format!("{file}[profile.other.template]\nurl = '{}'\n", two.url());
    let request = Request {
        account: Some("other".into()),
        ..Request::new("template:library")
    };
    let session = home.open(&profile, &[]).unwrap();
    assert_eq!(
        session.token_for(&request).unwrap_err().kind,
        ErrorKind::NotConfigured
    );
    let session = home
        .open(&format!("{profile}key = \"{key}\"\n"), &[])
        .unwrap();
    assert!(session.token_for(&request).is_ok() && session.token("template:library").is_ok());
    assert_eq!(
        (one.server.requests().len(), two.server.requests().len()),
        (2, 2)
    );
    // A reference leads to the secret as for any other.
    let secret = home.harness.path("secret");
    fs::write(&secret, KEY).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let reference = format!(
        "plugins = 'PLUGIN'\n[template]\nurl = '{}'\nkey = {{ file = '{}' }}\n",
        one.url(),
        secret.display()
    );
    assert!(
        home.open(&reference, &[])
            .unwrap()
            .token("template:library")
            .is_ok()
    );
}

#[test]
fn what_no_plugin_declares_is_refused() {
    let home = PluginSettings::new();
    let head = "plugins = 'PLUGIN'\n";
    let assert_refused = |text: &str, hint: &str| {
        home.assert_refused(
            &format!("{head}{text}"),
            &[],
            0o600,
            ErrorKind::Config,
            hint,
        )
    };
    assert_refused(
        "[template]\nkee = 'canary'",
        "there is no setting template.kee",
    );
    assert_refused(
        "[templat]\nkey = 'canary'",
        "there is no setting templat.key",
    );
    assert_refused("[template]\nkey = 7", "put it in quotes");
    assert_refused("[template]\n'a.b' = 'canary'", "there is no setting");
    assert_refused(
        "[template]\nurl = 'ftp://canary'",
        "is not an https URL; write it like",
    );
    assert_refused("[template]\nurl = 'http://elsewhere.example'", "uses http");
    assert_refused(
        "[template]\nurl = { env = 'URL' }",
        "is not a secret, so it cannot be a table such as { env = \"NAME\" }",
    );
    assert_refused(
        "[template]\nkey = { plugin = ['template', 'canary'] }",
        "cannot come from a plugin",
    );
    assert_refused(
        "[template]\nkey = { plugin = 'template' }",
        "write { plugin = [",
    );
    assert_refused("[template]\nkey = \"a\\nb\"", "line break");
    assert_refused(
        "[profile.work.template]\nkee = 'canary'",
        "there is no setting profile.work.template.kee",
    );
    home.assert_refused(
        "[template]\nkey = 'canary'",
        &[],
        0o600,
        ErrorKind::Config,
        "there is no setting template.key",
    );
    let both = [
        ("KEYFERRY_TEMPLATE_KEY", "canary"),
        ("KEYFERRY_TEMPLATE_KEY_FILE", "/canary"),
    ];
    home.assert_refused(head, &both, 0o600, ErrorKind::Config, "are both set");
    home.assert_refused(
        head,
        &[
            ("KEYFERRY_TEMPLATE_URL_FILE", "/canary"),
            ("KEYFERRY_TEMPLATE_URL", "x"),
        ],
        0o600,
        ErrorKind::Config,
        "KEYFERRY_TEMPLATE_URL",
    );
    home.assert_refused(
        &format!("{head}[template]\nkey = 'canary'"),
        &[],
        0o644,
        ErrorKind::UnsafeFile,
        "contains template.key and other users can read it; run `chmod 600",
    );
    // What is no secret may be read by others; and without the plugin nobody knows what may be.
    assert!(
        home.config(
            &format!("{head}[template]\nurl = 'https://a.example'"),
            &[],
            0o644
        )
        .and_then(Session::open)
        .is_ok()
    );
    assert!(
        home.open("plugins = '/nowhere/gone.so'\n[gone]\nkey = 'x'", &[])
            .is_ok()
    );
}

#[test]
fn a_program_sets_them_once_it_has_named_the_plugin() {
    let mut config = Config::new();
    assert_eq!(
        config
            .set("template.key", Secret::from("k"))
            .unwrap_err()
            .kind,
        ErrorKind::Config
    );
    let home = PluginSettings::new();
    config
        .set("plugins", Secret::from(home.plugin.to_str().unwrap()))
        .unwrap();
    config.set("template.key", Secret::from("k")).unwrap();
    config
        .set("profile.a.b.template.key", Secret::from("k"))
        .unwrap();
    assert_eq!(
        config
            .set("template.key", Secret::from("a\nb"))
            .unwrap_err()
            .kind,
        ErrorKind::InvalidValue
    );
    assert_eq!(
        config
            .set("template.a.b", Secret::from("k"))
            .unwrap_err()
            .kind,
        ErrorKind::Config
    );
    assert!(Session::open(config.clone()).is_ok());
    config.set("template.kee", Secret::from("k")).unwrap();
    assert!(
        Session::open(config)
            .err()
            .unwrap()
            .message()
            .contains("no setting template.kee")
    );
}

#[test]
fn a_request_of_a_plugin_is_used_with_a_session_without_the_plugin() {
    let (home, studio) = (PluginSettings::new(), Studio::start());
    let file = format!(
        "plugins = 'PLUGIN'\n[template]\nurl = '{}'\nkey = \"{}\"\n",
        studio.url(),
        KEY.replace('"', "\\\"")
    );
    let (with, without) = (home.open(&file, &[]).unwrap(), home.open("", &[]).unwrap());
    let request = Request::new("template:library");
    for _ in 0..2 {
        assert!(with.token_for(&request).is_ok());
        for error in [
            without.token_for(&request).err(),
            without.cached(&request).err(),
        ] {
            assert_eq!(error.unwrap().kind, ErrorKind::UnknownService);
        }
    }
}
