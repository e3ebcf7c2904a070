//! Configuration and secret sources: layers, profiles, references, and what each mistake is told.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use keyferry::config::{Config, Layer, SETTINGS, Setting, markdown_table};
use keyferry::error::{Error, ErrorKind};
use keyferry::secret::Secret;
use keyferry::secret_sources::resolve;
use proptest::prelude::*;

use keyferry_testing::harness::Harness;
use keyferry_testing::settings::environment;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let dir = Harness::new();
    let path = dir.write_file("config.toml", text, 0o600);
    Config::load(Some(&path), environment(variables))
}

/// The secret or text of a key, as a service gets it.
fn value(config: &Config, account: &str, key: &str) -> Option<String> {
    let profile = config.profile(account).unwrap();
    let setting = profile.setting(key)?;
    Some(
        resolve(setting, key, profile.environment())
            .unwrap()
            .expose()
            .to_owned(),
    )
}

/// Who gave a setting to an account.
fn layer_of(config: &Config, account: &str, key: &str) -> Option<Layer> {
    config.profile(account).unwrap().layer_of(key).cloned()
}

fn set(config: &mut Config, key: &str, value: &str) {
    config.set(key, value.into()).unwrap();
}

#[test]
fn later_layers_win_over_earlier_ones() {
    let text = "[masv]\nteam = 'file'\n";
    let mut config = load(text, &[]).unwrap();
    assert_eq!(
        value(&config, "default", "masv.team").as_deref(),
        Some("file")
    );
    assert!(matches!(
        layer_of(&config, "default", "masv.team"),
        Some(Layer::File(_))
    ));
    config = load(text, &[("MASV_TEAM_ID", "variable")]).unwrap();
    assert_eq!(
        value(&config, "default", "masv.team").as_deref(),
        Some("variable")
    );
    assert_eq!(
        layer_of(&config, "default", "masv.team")
            .unwrap()
            .to_string(),
        "MASV_TEAM_ID"
    );
    set(&mut config, "masv.team", "program");
    assert_eq!(
        value(&config, "default", "masv.team").as_deref(),
        Some("program")
    );
    assert_eq!(
        layer_of(&config, "default", "masv.team"),
        Some(Layer::Program)
    );
    assert_eq!(layer_of(&config, "default", "masv.url"), None);
}

#[test]
fn first_variable_that_is_set_counts_and_empty_ones_are_not_set() {
    let both = [
        ("KEYFERRY_MASV_API_KEY", "first"),
        ("MASV_API_KEY", "second"),
    ];
    assert_eq!(
        value(&load("", &both).unwrap(), "default", "masv.api_key").as_deref(),
        Some("first")
    );
    let empty = [("KEYFERRY_MASV_API_KEY", ""), ("MASV_API_KEY", "second")];
    assert_eq!(
        value(&load("", &empty).unwrap(), "default", "masv.api_key").as_deref(),
        Some("second")
    );
    assert!(
        !load("", &[("MASV_API_KEY", "")])
            .unwrap()
            .profile("default")
            .unwrap()
            .is_set("masv.api_key")
    );
}

#[test]
fn defaults_are_there_but_do_not_count_as_set() {
    let profile = Config::new().profile("default").unwrap();
    assert_eq!(profile.text("masv.url"), Some("https://api.massive.app"));
    assert!(!profile.is_set("masv.url"));
    assert_eq!(profile.text("store"), Some("file"));
    assert_eq!(profile.milliseconds("http.timeout_ms"), 30_000);
    assert_eq!(profile.text("masv.password"), None);
    assert_eq!(
        (Config::new().default_account(), Config::new().accounts()),
        ("default", vec!["default".to_owned()])
    );
}

#[test]
fn values_from_environment_and_program_are_literal() {
    for odd in [
        "env:HOME",
        "{ env = \"HOME\" }",
        "file:/etc/passwd",
        "$HOME",
        "%0a",
    ] {
        let mut config = load("", &[("KEYFERRY_MASV_PASSWORD", odd)]).unwrap();
        assert_eq!(
            value(&config, "default", "masv.password").as_deref(),
            Some(odd)
        );
        set(&mut config, "masv.api_key", odd);
        assert_eq!(
            value(&config, "default", "masv.api_key").as_deref(),
            Some(odd)
        );
    }
}

#[test]
fn control_characters_are_refused_in_every_layer() {
    for bad in [
        "a\rb",
        "a\nb",
        "a\0b",
        "a\tb",
        "a\x7fb",
        "a\u{85}b",
        "a\u{2028}b",
    ] {
        let error = Config::new().set("masv.password", bad.into()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidValue);
        assert!(load("", &[("KEYFERRY_MASV_PASSWORD", bad)]).is_err());
        let escaped: String = bad
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() {
                    c.to_string()
                } else {
                    format!("\\u{:04x}", c as u32)
                }
            })
            .collect();
        assert!(
            load(&format!("[masv]\npassword = \"{escaped}\""), &[]).is_err(),
            "{escaped}"
        );
    }
    assert_eq!(
        Config::new()
            .set("masv.password", "".into())
            .unwrap_err()
            .kind,
        ErrorKind::InvalidValue
    );
}

#[test]
fn values_that_can_not_be_right_are_refused_and_not_repeated() {
    for (key, bad) in [
        ("masv.url", "http://api.massive.app"),
        ("masv.url", "https://user:canary@api.massive.app"),
        ("agent.url", "canary"),
        ("http.timeout_ms", "0"),
        ("http.timeout_ms", "600001"),
        ("http.timeout_ms", "1.5"),
        ("http.timeout_ms", "+5"),
        ("http.ca_file", "canary.pem"),
        ("http.proxy", "http://user:canary@proxy.example"),
        ("http.proxy", "ftp://canary"),
        ("store", "file:canary"),
        ("store", "redis"),
        ("plugins", "/a.so:canary.so"),
        ("fileverbs.refresh_path", "//canary.example/x"),
        ("fileverbs.refresh_path", "/x?canary"),
        ("fileverbs.refresh_cookie", "a=canary"),
        ("profile", "../canary"),
    ] {
        let error = Config::new().set(key, bad.into()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidValue, "{key}");
        assert!(
            error.message().starts_with(key) && !error.message().contains("canary"),
            "{error}"
        );
    }
    for (key, good) in [
        ("http.timeout_ms", "600000"),
        ("http.proxy", "none"),
        ("http.proxy", "socks5://127.0.0.1:1080"),
        ("store", "file:/var/lib/keyferry"),
        ("plugins", "/a.so:/b.so"),
        ("masv.url", "https://api.massive.app/v1"),
    ] {
        Config::new().set(key, good.into()).unwrap();
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    for (key, near) in [
        ("masv.apikey", "masv.api_key"),
        ("masv.pasword", "masv.password"),
        ("secret_key", "fileverbs.secret_key"),
        ("http.timeout", "http.timeout_ms"),
        ("profile.work.masv.apikey", "profile.work.masv.api_key"),
    ] {
        let error = Config::new().set(key, "canary".into()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(
            error
                .message()
                .contains(&format!("no setting {key}; did you mean {near}?")),
            "{error}"
        );
    }
    let error = Config::new().set("a\nb", "x".into()).unwrap_err();
    assert!(!error.message().contains('\n'));
    assert!(Config::new().set("profile.work", "x".into()).is_err());
    let error = Config::new()
        .set("profile.work.profile", "x".into())
        .unwrap_err();
    assert!(!error.message().contains("did you mean"), "{error}");
}

#[test]
fn mistakes_in_the_file_name_place_and_remedy_but_no_value() {
    for (text, hint) in [
        ("[masv]\npassword = canary", "line 2, column 12"),
        ("[masv]\npassword = 'canary'\npassword = 'canary'", "line 3"),
        ("[masv]\napi_kee = 'canary'", "did you mean masv.api_key?"),
        ("[mosv]\napi_key = 'canary'", "there is no setting mosv"),
        (
            "'masv.api_key' = 'canary'",
            "there is no setting masv.api_key",
        ),
        ("masv = 'canary'", "write [masv]"),
        ("[masv]\nteam = 7", "put it in quotes"),
        ("[masv]\nteam = ['canary']", "put it in quotes"),
        (
            "[masv]\nteam = { env = 'CANARY' }",
            "is not a secret, so it cannot be a table",
        ),
        ("[http]\ntimeout_ms = '5'", "without quotes"),
        ("[http]\ntimeout_ms = 1e3", "whole number"),
        ("[http]\ntimeout_ms = 0", "1 to 600000"),
        ("[masv]\npassword = { env = 'a-b' }", "{ env = \"NAME\" }"),
        ("[masv]\npassword = { env = ['A'] }", "{ env = \"NAME\" }"),
        (
            "[masv]\npassword = { file = 'canary' }",
            "not an absolute path",
        ),
        ("[masv]\npassword = { file = \"/can\\nary\" }", "line break"),
        ("[masv]\npassword = { keyring = ['canary'] }", "two strings"),
        (
            "[masv]\npassword = { command = ['canary'] }",
            "absolute path",
        ),
        (
            "[masv]\npassword = { command = '/canary' }",
            "absolute path",
        ),
        ("[masv]\npassword = { vault = 'canary' }", "exactly one of"),
        (
            "[masv]\npassword = { env = 'A', file = '/canary' }",
            "exactly one of",
        ),
        ("[masv]\npassword = {}", "exactly one of"),
        ("profile = 'canary'", "KEYFERRY_PROFILE"),
        (
            "[profile.default.masv]\nteam = 'canary'",
            "without `profile.default`",
        ),
        ("[profile.'a/b'.masv]\nteam = 'canary'", "1 to 64 letters"),
        ("[profile]\nwork = 'canary'", "[profile.work.masv]"),
        (
            "[profile.work]\nprofile = 'canary'",
            "no setting profile.work.profile",
        ),
        (
            "[profile.work.masv]\napi_kee = 'canary'",
            "did you mean profile.work.masv.api_key?",
        ),
    ] {
        let error = load(text, &[])
            .err()
            .unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!(error.kind, ErrorKind::Config, "{text}");
        assert!(error.message().contains(hint), "{text}: {error}");
        assert!(
            error.message().contains("config.toml")
                && !error.message().to_lowercase().contains("canary"),
            "{text}: {error}"
        );
    }
}

#[test]
fn deep_documents_are_refused() {
    assert!(load(&format!("a = {}", "[".repeat(100_000)), &[]).is_err());
    assert!(load(&format!("a = {}", "{a=".repeat(50_000)), &[]).is_err());
    assert!(load(&format!("a{} = 1", ".a".repeat(100_000)), &[]).is_err());
    assert!(load(&format!("[a{}]", ".a".repeat(100_000)), &[]).is_err());
}

#[test]
fn references_are_followed_when_the_value_is_needed() {
    let dir = Harness::new();
    let secret = dir.write_file("secret", "from file\n", 0o600);
    let text = format!(
        "[masv]\npassword = {{ env = 'MY_PASSWORD' }}\napi_key = {{ file = '{}' }}\nemail = {{ env = 'MAIL' }}",
        secret.display()
    );
    let path = dir.write_file("config.toml", &text, 0o644);
    let config = Config::load(
        Some(&path),
        environment(&[("MY_PASSWORD", "pass"), ("MAIL", "a@b.example")]),
    )
    .unwrap();
    assert_eq!(
        value(&config, "default", "masv.password").as_deref(),
        Some("pass")
    );
    assert_eq!(
        value(&config, "default", "masv.api_key").as_deref(),
        Some("from file")
    );
    assert_eq!(
        value(&config, "default", "masv.email").as_deref(),
        Some("a@b.example")
    );
    assert_eq!(config.profile("default").unwrap().text("masv.email"), None);
}

#[test]
fn mounted_secrets_may_be_links_that_all_can_read() {
    let dir = Harness::new();
    dir.write_file("..data", "mounted\n", 0o644);
    let link = dir.path("secret");
    symlink(dir.path("..data"), &link).unwrap();
    let shown = link.to_str().unwrap();
    let config = load(
        "",
        &[
            ("MASV_API_KEY_FILE", shown),
            ("KEYFERRY_MASV_EMAIL_FILE", shown),
        ],
    )
    .unwrap();
    assert_eq!(
        value(&config, "default", "masv.api_key").as_deref(),
        Some("mounted")
    );
    assert_eq!(
        value(&config, "default", "masv.email").as_deref(),
        Some("mounted")
    );
    assert_eq!(
        layer_of(&config, "default", "masv.api_key")
            .unwrap()
            .to_string(),
        "MASV_API_KEY_FILE"
    );
    for field in SETTINGS.iter().filter(|field| field.secret) {
        for name in field.env {
            let name_file = format!("{name}_FILE");
            let config = load("", &[(&name_file, shown)]).unwrap();
            assert_eq!(
                value(&config, "default", field.key).as_deref(),
                Some("mounted"),
                "{name_file}"
            );
            let error = load("", &[(name, "canary"), (&name_file, shown)])
                .err()
                .unwrap();
            assert_eq!(
                error.message(),
                format!("{name} and {name_file} are both set; unset one")
            );
        }
    }
    assert!(
        load("", &[("MASV_API_KEY_FILE", "relative")])
            .err()
            .unwrap()
            .message()
            .contains("MASV_API_KEY_FILE is not an absolute path")
    );
    assert_eq!(
        layer_of(
            &load("", &[("KEYFERRY_MASV_URL_FILE", shown)]).unwrap(),
            "default",
            "masv.url"
        ),
        None
    );
}

#[test]
fn a_literal_secret_in_a_public_file_is_refused_with_the_chmod() {
    let dir = Harness::new();
    let text = "[profile.work.masv]\npassword = 'canary'";
    for mode in [0o644, 0o640, 0o604] {
        let path = dir.write_file("config.toml", text, mode);
        let error = Config::load(Some(&path), environment(&[])).err().unwrap();
        assert_eq!(error.kind, ErrorKind::UnsafeFile);
        assert!(
            error.message().contains(&format!(
                "masv.password and other users can read it; run `chmod 600 {}`",
                path.display()
            )),
            "{error}"
        );
    }
    let open = dir.write_file(
        "open.toml",
        "[masv]\nteam = 't'\nemail = 'a@b.example'",
        0o644,
    );
    assert!(Config::load(Some(&open), environment(&[])).is_ok());
    let changeable = dir.write_file("changeable.toml", "", 0o666);
    assert_eq!(
        Config::load(Some(&changeable), environment(&[]))
            .err()
            .unwrap()
            .kind,
        ErrorKind::UnsafeFile
    );
}

#[test]
fn the_users_file_is_found_below_absolute_folders_only() {
    let dir = Harness::new();
    let shown = dir.folder().to_str().unwrap();
    for below in ["xdg/keyferry", ".config/keyferry"] {
        fs::create_dir_all(dir.path(below)).unwrap();
        dir.write_file(
            &format!("{below}/config.toml"),
            &format!("[masv]\nteam = '{below}'"),
            0o600,
        );
    }
    let team = |variables: &[(&str, &str)]| {
        value(
            &Config::load(None, environment(variables)).unwrap(),
            "default",
            "masv.team",
        )
    };
    let xdg = format!("{shown}/xdg");
    assert_eq!(
        team(&[("HOME", shown), ("XDG_CONFIG_HOME", &xdg)]).as_deref(),
        Some("xdg/keyferry")
    );
    assert_eq!(
        team(&[("HOME", shown), ("XDG_CONFIG_HOME", "xdg")]).as_deref(),
        Some(".config/keyferry")
    );
    assert_eq!(
        team(&[("HOME", shown)]).as_deref(),
        Some(".config/keyferry")
    );
    for nowhere in [
        &[][..],
        &[("HOME", "/nonexistent")],
        &[("HOME", "relative")],
        &[("HOME", "")],
    ] {
        assert_eq!(team(nowhere), None);
    }
    let error = Config::load(
        Some(Path::new("/nonexistent/config.toml")),
        environment(&[]),
    )
    .err()
    .unwrap();
    assert!(
        error.kind == ErrorKind::Config
            && error
                .message()
                .starts_with("/nonexistent/config.toml does not exist"),
        "{error}"
    );
}

const PROFILES: &str = "
[masv]
api_key = 'general key'
team = 'general team'
[fileverbs]
secret_key = 'general secret'
[profile.login.masv]
email = 'login@b.example'
password = 'login password'
[profile.team.masv]
team = 'other team'
[profile.staging.masv]
url = 'https://staging.example'
[profile.own.masv]
api_key = 'own key'
[profile.empty]
[profile.'dotted.name'.masv]
team = 'dotted team'
";

#[test]
fn a_profiles_credentials_do_not_mix_with_general_ones() {
    let config = load(PROFILES, &[]).unwrap();
    let get = |account: &str, key: &str| value(&config, account, key);
    assert_eq!(get("login", "masv.api_key"), None);
    assert_eq!(get("login", "masv.team"), None);
    assert_eq!(
        get("login", "fileverbs.secret_key").as_deref(),
        Some("general secret")
    );
    assert_eq!(get("team", "masv.api_key").as_deref(), Some("general key"));
    assert_eq!(get("team", "masv.team").as_deref(), Some("other team"));
    assert_eq!(get("staging", "masv.api_key"), None);
    assert_eq!(get("own", "masv.api_key").as_deref(), Some("own key"));
    assert_eq!(get("empty", "masv.api_key").as_deref(), Some("general key"));
    assert_eq!(
        get("dotted.name", "masv.team").as_deref(),
        Some("dotted team")
    );
    assert_eq!(
        config.accounts(),
        [
            "default",
            "dotted.name",
            "empty",
            "login",
            "own",
            "staging",
            "team"
        ]
    );
}

#[test]
fn environment_is_about_the_default_account() {
    let key = ("MASV_API_KEY", "variable key");
    let named = load(PROFILES, &[key]).unwrap();
    for (account, expected) in [
        ("default", Some("variable key")),
        ("own", Some("own key")),
        ("login", None),
        ("empty", Some("variable key")),
    ] {
        assert_eq!(
            value(&named, account, "masv.api_key").as_deref(),
            expected,
            "{account}"
        );
    }
    let chosen = load(PROFILES, &[key, ("KEYFERRY_PROFILE", "own")]).unwrap();
    assert_eq!(chosen.default_account(), "own");
    assert_eq!(
        value(&chosen, "own", "masv.api_key").as_deref(),
        Some("variable key")
    );
    assert_eq!(value(&chosen, "login", "masv.api_key"), None);
    assert_eq!(
        layer_of(&chosen, chosen.default_account(), "masv.api_key")
            .unwrap()
            .to_string(),
        "MASV_API_KEY"
    );
    assert!(matches!(
        layer_of(&chosen, "login", "masv.password"),
        Some(Layer::File(_))
    ));
    assert_eq!(
        chosen.default_account_layer().unwrap().to_string(),
        "KEYFERRY_PROFILE"
    );
}

#[test]
fn a_program_can_make_and_pick_profiles() {
    let mut config = load(PROFILES, &[("KEYFERRY_PROFILE", "own")]).unwrap();
    set(&mut config, "profile", "made.here");
    set(&mut config, "profile.made.here.masv.api_key", "made key");
    assert_eq!(config.default_account(), "made.here");
    assert_eq!(
        value(&config, "made.here", "masv.api_key").as_deref(),
        Some("made key")
    );
    set(&mut config, "profile.own.masv.api_key", "program key");
    assert_eq!(
        value(&config, "own", "masv.api_key").as_deref(),
        Some("program key")
    );
}

#[test]
fn an_unknown_profile_is_not_configured_and_names_those_there_are() {
    let config = load(
        "[profile.work.masv]\nteam = 't'",
        &[("KEYFERRY_PROFILE", "wrok")],
    )
    .unwrap();
    let error = config.profile(config.default_account()).err().unwrap();
    assert_eq!(
        (error.kind, error.message()),
        (
            ErrorKind::NotConfigured,
            "there is no profile wrok; did you mean work? use one of default, work, or add a section [profile.NAME] to config.toml"
        )
    );
    assert!(
        !config
            .profile("a\nb")
            .err()
            .unwrap()
            .message()
            .contains('\n')
    );
}

#[test]
fn nothing_shows_a_secret() {
    let setting = Setting::Literal("canary".into());
    assert!(!format!("{setting:?}").contains("canary"));
}

#[test]
fn every_setting_is_documented_once_in_the_table() {
    let text = markdown_table();
    for field in SETTINGS {
        assert_eq!(
            SETTINGS
                .iter()
                .filter(|other| other.key == field.key)
                .count(),
            1
        );
        assert_eq!(
            text.matches(&format!("| `{}` |", field.key)).count(),
            1,
            "{}",
            field.key
        );
        assert!(field.about.ends_with('.') && !field.env.is_empty());
        let own = format!("KEYFERRY_{}", field.key.to_uppercase().replace('.', "_"));
        assert_eq!(field.env[0], own);
        if let Some(default) = field.default {
            field.check(ErrorKind::Config, field.key, default).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn what_is_set_comes_back_the_same(text in "[^\\p{Cc}\u{2028}\u{2029}]{1,200}") {
        let mut config = Config::new();
        for key in ["masv.password", "profile.work.fileverbs.secret_key"] {
            config.set(key, Secret::new(text.clone())).unwrap();
        }
        prop_assert_eq!(value(&config, "default", "masv.password"), Some(text.clone()));
        prop_assert_eq!(value(&config, "work", "fileverbs.secret_key"), Some(text.clone()));
        if !text.contains('\u{fffd}') {
            let loaded = load("", &[("KEYFERRY_MASV_PASSWORD", &text)]).unwrap();
            prop_assert_eq!(value(&loaded, "default", "masv.password"), Some(text));
        }
    }

    #[test]
    fn no_file_makes_the_reader_panic(text in "(\\[|\\]|[a-z]{1,6}|\\.|=|'|\"|\\{|\\}|\n|masv|profile|password|env|[0-9]|,| ){0,60}") {
        drop(load(&text, &[]));
    }
}
