//! `vault.c` against a server of the shape of OpenBao: a source of other services' secrets, and a
//! service of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::session::Session;
use serde_json::{Value, json};

use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::compile::header;
use keyferry_testing::plugins::server::{ReceivedRequest, Reply, Server, reply};

const TOKEN: &str = "bao-root-canary";

fn server() -> Server {
    Server::start(answer)
}

/// The routes that the plugin uses, with their documents and their refusals.
fn answer(request: &ReceivedRequest) -> Reply {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let login = |token: &str| {
        reply(
            200,
            json!({"auth": {"client_token": token, "lease_duration": 1800, "renewable": true, "policies": ["default"]}}),
        )
    };
    let token = request.header("X-Vault-Token").unwrap_or_default();
    match request.line.as_str() {
        "POST /v1/auth/approle/login"
            if body["role_id"] == "role" && body["secret_id"] == "secret-canary" =>
        {
            login("bao-approle")
        }
        "POST /v1/auth/approle/login" => {
            reply(400, json!({"errors": ["invalid role or secret ID"]}))
        }
        "POST /v1/auth/token/renew-self" if token == "bao-approle" => login("bao-approle"),
        _ if token != TOKEN && token != "bao-approle" => {
            reply(403, json!({"errors": ["permission denied"]}))
        }
        "GET /v1/secret/data/studio/masv" => reply(
            200,
            json!({"data": {"data": {"api_key": "from-the-vault", "odd/field": "slash", "n": 7}, "metadata": {"version": 3}}}),
        ),
        "GET /v1/secret/data/forbidden" => reply(
            403,
            json!({"errors": ["1 error occurred: permission denied"]}),
        ),
        _ => reply(404, json!({"errors": []})),
    }
}

struct VaultPlugin {
    harness: Harness,
    plugin: PathBuf,
    server: Server,
}

impl VaultPlugin {
    fn new() -> Self {
        let harness = Harness::new();
        let plugin = harness.plugin("vault.c", &[]);
        Self {
            harness,
            plugin,
            server: server(),
        }
    }

    fn open(&self, text: &str) -> Session {
        let head = format!(
            "plugins = '{}'\nstore = 'memory'\nvault.url = '{}'\n",
            self.plugin.display(),
            self.server.url
        );
        let path = self
            .harness
            .write_private_file("config.toml", &(head + text));
        Session::open(Config::load(Some(&path), Arc::new(|_| None)).unwrap()).unwrap()
    }
}

fn api_key(what: &str) -> String {
    format!("vault.token = '{TOKEN}'\nmasv.api_key = {{ plugin = ['vault', '{what}'] }}\n")
}

#[test]
fn a_secret_of_another_service_comes_from_the_vault() {
    let vault = VaultPlugin::new();
    let session = vault.open(&api_key("studio/masv#api_key"));
    assert_eq!(
        header(&session, "user").unwrap(),
        "X-API-KEY: from-the-vault"
    );
    assert_eq!(
        header(&session, "user").unwrap(),
        "X-API-KEY: from-the-vault"
    );
    assert_eq!(vault.server.requests().len(), 1, "a hit asks nobody");
    let [request] = &vault.server.requests()[..] else {
        panic!("one")
    };
    assert_eq!(
        (request.line.as_str(), request.header("X-Vault-Token")),
        ("GET /v1/secret/data/studio/masv", Some(TOKEN))
    );
    let session = vault.open(&api_key("studio/masv#n"));
    assert_eq!(header(&session, "user").unwrap(), "X-API-KEY: 7");
}

#[test]
fn without_a_token_it_logs_in_with_the_approle() {
    let vault = VaultPlugin::new();
    let session = vault
        .open("vault.role_id = 'role'\nvault.secret_id = 'secret-canary'\nmasv.api_key = { plugin = ['vault', 'studio/masv#api_key'] }\n");
    assert_eq!(
        header(&session, "user").unwrap(),
        "X-API-KEY: from-the-vault"
    );
    assert_eq!(vault.server.count("POST /v1/auth/approle/login"), 1);
    // As a service it hands out its own token, and renews that.
    assert_eq!(
        header(&session, "vault:secret/data/x").unwrap(),
        "X-Vault-Token: bao-approle"
    );
    assert_eq!(
        header(&session, &format!("{}/v1/sys/health", vault.server.url)).unwrap(),
        "X-Vault-Token: bao-approle"
    );
    assert_eq!(vault.server.count("POST /v1/auth/approle/login"), 2);
    session.reject(&session.token("vault:x").unwrap()).unwrap();
    assert_eq!(
        header(&session, "vault:x").unwrap(),
        "X-Vault-Token: bao-approle"
    );
    assert_eq!(vault.server.count("POST /v1/auth/token/renew-self"), 1);
}

#[test]
fn what_the_vault_does_not_give_is_named_without_a_secret() {
    let vault = VaultPlugin::new();
    for (what, hint) in [
        ("studio/masv#nothing", "has no such field"),
        ("studio/other#x", "has no such entry"),
        ("forbidden#x", "permits no reading"),
        ("studio/masv", "is named like"),
        ("#x", "is named like"),
    ] {
        let error = vault
            .open(&api_key(what))
            .token("user")
            .err()
            .unwrap_or_else(|| panic!("given: {what}"));
        assert_eq!(error.kind, ErrorKind::SecretSource, "{what}: {error}");
        assert!(
            error.message().starts_with("masv.api_key: ")
                && error.message().contains("vault")
                && error.message().contains(hint),
            "{error}"
        );
        assert!(!error.message().contains("canary"), "{error}");
    }
    let other = vault
        .open("masv.api_key = { plugin = ['nobody', 'x'] }\n")
        .token("user")
        .unwrap_err();
    assert!(
        other.kind == ErrorKind::SecretSource
            && other.message().contains("there is no plugin nobody; add"),
        "{other}"
    );
    let misspelt = vault
        .open("masv.api_key = { plugin = ['valut', 'x'] }\n")
        .token("user")
        .unwrap_err();
    assert!(
        misspelt
            .message()
            .contains("there is no plugin valut; did you mean vault? "),
        "{misspelt}"
    );
}

#[test]
fn a_wrong_secret_id_is_sent_once() {
    let vault = VaultPlugin::new();
    let session =
        vault.open("vault.role_id = 'role'\nvault.secret_id = 'wrong'\nmasv.api_key = { plugin = ['vault', 'studio/masv#api_key'] }\n");
    for _ in 0..10 {
        assert_eq!(
            session.token("user").unwrap_err().kind,
            ErrorKind::SecretSource
        );
        let error = session.token("vault:x").unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadCredentials, "{error}");
    }
    assert_eq!(vault.server.requests().len(), 1);
}

#[test]
fn a_vault_that_is_down_is_told_as_such_and_not_stormed() {
    let VaultPlugin {
        harness,
        plugin,
        server,
    } = VaultPlugin::new();
    let url = server.url.clone();
    drop(server);
    let vault = VaultPlugin {
        harness,
        plugin,
        server: Server::start(|_| reply(503, "")),
    };
    let session = vault.open(&api_key("studio/masv#api_key"));
    for _ in 0..10 {
        let error = session.token("user").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(
            error
                .message()
                .starts_with("masv.api_key: the vault is unavailable"),
            "{error}"
        );
    }
    assert!(
        vault.server.requests().len() <= 3,
        "{}",
        vault.server.requests().len()
    );
    let session = vault.open(&api_key("studio/masv#api_key").replace(&vault.server.url, &url));
    assert!(session.token("user").is_err());
}

/// A lease is counted from the vault's own clock, which the host learns from its answers.
#[test]
fn a_vault_with_another_clock_is_believed_about_its_own_time() {
    let ahead_s = 7200;
    let (harness, plugin) = {
        let vault = VaultPlugin::new();
        (vault.harness, vault.plugin)
    };
    let server = Server::start(move |request| {
        let date = time::OffsetDateTime::now_utc() + time::Duration::seconds(ahead_s);
        let mut answer = answer(request);
        answer.headers.push((
            "date",
            date.format(&time::format_description::well_known::Rfc2822)
                .unwrap()
                .replace("+0000", "GMT"),
        ));
        answer
    });
    let vault = VaultPlugin {
        harness,
        plugin,
        server,
    };
    let session = vault.open("vault.role_id = 'role'\nvault.secret_id = 'secret-canary'\n");
    let token = session.token("vault:x").unwrap();
    let ends_s = token.meta().expires_us / 1_000_000 - keyferry_testing::plugins::studio::now_s();
    assert!(
        (ahead_s + 1790..=ahead_s + 1810).contains(&ends_s),
        "{ends_s}"
    );
    // By this machine's clock it is half an hour.
    let here_s = session.inspect().ends_here_unix_s(&token).unwrap()
        - keyferry_testing::plugins::studio::now_s();
    assert!((1790..=1810).contains(&here_s), "{here_s}");
}

/// What the doors themselves need of a vault: `exec` hands the secret on, `doctor` sees whether it
/// can be had.
#[test]
fn commands_have_a_vaults_secret_too() {
    let vault = VaultPlugin::new();
    let folder = vault.harness.path("home/.config/keyferry");
    fs::create_dir_all(&folder).unwrap();
    let gone = vault.harness.path("gone.so");
    let text = format!(
        "plugins = '{}:{}'\nvault.url = '{}'\n{}",
        vault.plugin.display(),
        gone.display(),
        vault.server.url,
        api_key("studio/masv#api_key")
    );
    fs::write(folder.join("config.toml"), text).unwrap();
    fs::set_permissions(folder.join("config.toml"), Permissions::from_mode(0o600)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = vault
            .harness
            .program(env!("CARGO_BIN_EXE_keyferry"), arguments);
        command
            .env("KEYFERRY_MASV_URL", "http://127.0.0.1:9")
            .env("KEYFERRY_FILEVERBS_URL", "http://127.0.0.1:10");
        keyferry_testing::child::run(&mut command, std::time::Duration::from_secs(60))
    };
    let handed = run(&["exec", "--", "sh", "-c", "echo $KEYFERRY_MASV_API_KEY"]);
    assert_eq!(handed.out, "from-the-vault\n", "{}", handed.said());
    let examined = run(&["doctor"]).said();
    assert!(
        examined.contains("set, from plugin vault studio/masv#api_key"),
        "{examined}"
    );
    assert!(
        examined.contains("gone.so: the file does not exist")
            && !examined.contains("from-the-vault")
            && !examined.contains(TOKEN),
        "{examined}"
    );
}
