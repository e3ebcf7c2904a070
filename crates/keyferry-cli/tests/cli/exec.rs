//! `keyferry exec`: a profile's secrets, in one program's environment and nowhere else.

use std::fs;

use keyferry_sandbox::credentials as c;

use crate::programs::{KEYFERRY, Programs};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secret_in_file;

#[test]
fn the_program_gets_the_profile_and_nobody_elses_secrets() {
    let harness = Harness::watching_arguments();
    let key = harness.write_private_file("key", &format!("{}\n", c::API_KEY));
    let config = format!(
        "[profile.work.masv]\napi_key = {{ file = \"{}\" }}\nteam = \"{}\"\n",
        key.display(),
        c::TEAM_ID
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &config);
    let output = harness.keyferry(&["exec", "--profile", "work", "--", "env"]);
    let line = |name: &str| output.line(name);
    assert_eq!(
        (
            output.code,
            line("KEYFERRY_MASV_API_KEY"),
            line("MASV_API_KEY")
        ),
        (Some(0), Some(c::API_KEY), Some(c::API_KEY))
    );
    assert_eq!(
        (line("KEYFERRY_PROFILE"), line("KEYFERRY_MASV_TEAM")),
        (Some("work"), Some(c::TEAM_ID))
    );
    assert_eq!(
        (line("KEYFERRY_MASV_PASSWORD"), line("KEYFERRY_MASV_EMAIL")),
        (None, None),
        "the default account's own"
    );
    let default = harness.keyferry(&["exec", "--", "env"]);
    assert_eq!(
        (
            default.line("KEYFERRY_MASV_PASSWORD"),
            default.line("MASV_API_KEY")
        ),
        (Some(c::PASSWORD), None)
    );
}

#[test]
fn a_command_is_asked_once_it_is_needed() {
    let harness = Harness::watching_arguments();
    let script = harness.write_private_file(
        "give",
        "#!/bin/sh\nread line && echo got \"$line\"\nprintf 'a b=$c\\nmore\\n'\n",
    );
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    harness.write_private_file(
        "home/.config/keyferry/config.toml",
        &format!(
            "[masv]\napi_key = {{ command = [\"{}\", \"x\"] }}\n",
            script.display()
        ),
    );
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["exec", "--", "env"]),
        "standard input is the program's\n",
    );
    assert_eq!(output.line("MASV_API_KEY"), Some("a b=$c"));
    let header = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "user"]),
        "",
    );
    assert_eq!(header.out, "X-API-KEY: a b=$c\n");
}

#[test]
fn exit_codes_are_the_programs_own() {
    let harness = Harness::watching_arguments();
    assert_eq!(
        harness
            .keyferry(&["exec", "--", "sh", "-c", "exit 42"])
            .code,
        Some(42)
    );
    assert_eq!(
        harness
            .keyferry(&["exec", "--", "sh", "-c", "echo --password $0", "--password"])
            .out,
        "--password --password\n"
    );
    harness
        .keyferry(&["exec", "--", "/nonexistent/x"])
        .assert_error(127, "cannot start /nonexistent/x");
    harness
        .keyferry(&["exec", "--", "/etc"])
        .assert_error(126, "cannot start /etc");
    harness
        .keyferry(&["exec", "--profile", "none", "--", "env"])
        .assert_error(3, "there is no profile none");
    assert_eq!(harness.keyferry(&["exec"]).code, Some(2));
}

#[test]
fn a_secret_that_can_not_be_had_starts_nothing() {
    let harness = Harness::watching_arguments();
    let output = run_with_input(
        harness
            .program(KEYFERRY, &["exec", "--", "touch", "started"])
            .env("KEYFERRY_MASV_API_KEY_FILE", "/nonexistent/key"),
        "",
    );
    output.assert_error(3, "masv.api_key");
    assert!(!harness.path("work/started").exists());
}

/// Where secrets are in a user's shell: under names of their own, and under those of a plugin's
/// settings.
const SCATTERED: [(&str, &str); 5] = [
    ("MY_KEY", c::API_KEY),
    ("OTHER_KEY", c::SECOND_API_KEY),
    ("KEYFERRY_VAULT_TOKEN", c::SECRET_KEY),
    ("KEYFERRY_VAULT_TEAM_TOKEN", c::FV_API_KEY),
    // What posts into a room is a URL that is a secret.
    ("KEYFERRY_VAULT_WEBHOOK_URL", "https://rooms.example/in/eyJ"),
];

#[test]
fn variables_that_a_setting_refers_to_and_plugins_own_go_to_no_program() {
    let harness = Harness::watching_arguments();
    let config = "[masv]\napi_key = { env = \"MY_KEY\" }\n[profile.other.masv]\napi_key = { env = \"OTHER_KEY\" }\n";
    harness.write_private_file("home/.config/keyferry/config.toml", config);
    let mut command = harness.program_without_secrets(KEYFERRY, &["exec", "--", "env"]);
    let output = run_with_input(
        command
            .envs(SCATTERED)
            .env("KEYFERRY_VAULT_URL", "https://vault.example")
            .env("EDITOR", "vi"),
        "",
    );
    assert_eq!(
        (
            output.line("MASV_API_KEY"),
            output.line("KEYFERRY_MASV_API_KEY")
        ),
        (Some(c::API_KEY), Some(c::API_KEY)),
        "{output:?}"
    );
    assert_eq!(
        SCATTERED.map(|(name, _)| output.line(name)),
        [None; 5],
        "{output:?}"
    );
    let kept = [
        "KEYFERRY_VAULT_URL",
        "EDITOR",
        "KEYFERRY_STORE",
        "KEYFERRY_MASV_URL",
    ]
    .map(|name| output.line(name).is_some());
    assert_eq!(kept, [true; 4], "what is no secret stays: {output:?}");
}

#[test]
fn a_command_that_gives_a_secret_is_given_none() {
    let harness = Harness::watching_arguments();
    let script = harness.write_private_file("give", "#!/bin/sh\nenv > \"$0.env\"\necho the-key\n");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let config = format!(
        "[masv]\napi_key = {{ command = [\"{}\"] }}\n[profile.a.masv]\npassword = {{ env = \"MY_KEY\" }}\n[profile.b.masv]\napi_key = {{ env = \
         \"OTHER_KEY\" }}\n",
        script.display()
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &config);
    let output = run_with_input(
        harness
            .program_without_secrets(KEYFERRY, &["header", "user"])
            .envs(SCATTERED),
        "",
    );
    assert_eq!(output.out, "X-API-KEY: the-key\n", "{output:?}");
    let inherited = fs::read_to_string(harness.path("give.env")).unwrap();
    assert!(inherited.contains("HOME="), "{inherited}");
    assert_no_secret_in_file(&harness.path("give.env"));
    SCATTERED
        .iter()
        .for_each(|(name, _)| assert!(!inherited.contains(name), "{name}: {inherited}"));
}
