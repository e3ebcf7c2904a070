//! `keyferry exec`: a profile's secrets, in one program's environment and nowhere else.

use std::fs;

use keyferry_sandbox::credentials as c;

use crate::harness::{KEYFERRY, Stage, assert_clean_file, say};

#[test]
fn the_program_gets_the_profile_and_nobody_elses_secrets() {
    let stage = Stage::set();
    let key = stage.private("key", &format!("{}\n", c::API_KEY));
    let config = format!("[profile.work.masv]\napi_key = {{ file = \"{}\" }}\nteam = \"{}\"\n", key.display(), c::TEAM_ID);
    stage.private("home/.config/keyferry/config.toml", &config);
    let said = stage.keyferry(&["exec", "--profile", "work", "--", "env"]);
    let line = |name: &str| said.line(name);
    assert_eq!((said.code, line("KEYFERRY_MASV_API_KEY"), line("MASV_API_KEY")), (Some(0), Some(c::API_KEY), Some(c::API_KEY)));
    assert_eq!((line("KEYFERRY_PROFILE"), line("KEYFERRY_MASV_TEAM")), (Some("work"), Some(c::TEAM_ID)));
    assert_eq!((line("KEYFERRY_MASV_PASSWORD"), line("KEYFERRY_MASV_EMAIL")), (None, None), "the default account's own");
    let default = stage.keyferry(&["exec", "--", "env"]);
    assert_eq!((default.line("KEYFERRY_MASV_PASSWORD"), default.line("MASV_API_KEY")), (Some(c::PASSWORD), None));
}

#[test]
fn a_command_is_asked_once_it_is_needed() {
    let stage = Stage::set();
    let script = stage.private("give", "#!/bin/sh\nread line && echo got \"$line\"\nprintf 'a b=$c\\nmore\\n'\n");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    stage.private("home/.config/keyferry/config.toml", &format!("[masv]\napi_key = {{ command = [\"{}\", \"x\"] }}\n", script.display()));
    let said = say(&mut stage.stranger(KEYFERRY, &["exec", "--", "env"]), "standard input is the program's\n");
    assert_eq!(said.line("MASV_API_KEY"), Some("a b=$c"));
    let header = say(&mut stage.stranger(KEYFERRY, &["header", "user"]), "");
    assert_eq!(header.out, "X-API-KEY: a b=$c\n");
}

#[test]
fn exit_codes_are_the_programs_own() {
    let stage = Stage::set();
    assert_eq!(stage.keyferry(&["exec", "--", "sh", "-c", "exit 42"]).code, Some(42));
    assert_eq!(stage.keyferry(&["exec", "--", "sh", "-c", "echo --password $0", "--password"]).out, "--password --password\n");
    stage.keyferry(&["exec", "--", "/nonexistent/x"]).assert_sentence(127, "/nonexistent/x can't be started");
    stage.keyferry(&["exec", "--", "/etc"]).assert_sentence(126, "can't be started");
    stage.keyferry(&["exec", "--profile", "none", "--", "env"]).assert_sentence(3, "there is no profile none");
    assert_eq!(stage.keyferry(&["exec"]).code, Some(2));
}

#[test]
fn a_secret_that_can_not_be_had_starts_nothing() {
    let stage = Stage::set();
    let said = say(stage.program(KEYFERRY, &["exec", "--", "touch", "started"]).env("KEYFERRY_MASV_API_KEY_FILE", "/nonexistent/key"), "");
    said.assert_sentence(1, "masv.api_key");
    assert!(!stage.path("work/started").exists());
}

/// Where secrets are in a user's shell: under names of their own, and under those of a plugin's settings.
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
    let stage = Stage::set();
    let config = "[masv]\napi_key = { env = \"MY_KEY\" }\n[profile.other.masv]\napi_key = { env = \"OTHER_KEY\" }\n";
    stage.private("home/.config/keyferry/config.toml", config);
    let mut command = stage.stranger(KEYFERRY, &["exec", "--", "env"]);
    let said = say(command.envs(SCATTERED).env("KEYFERRY_VAULT_URL", "https://vault.example").env("EDITOR", "vi"), "");
    assert_eq!((said.line("MASV_API_KEY"), said.line("KEYFERRY_MASV_API_KEY")), (Some(c::API_KEY), Some(c::API_KEY)), "{said:?}");
    assert_eq!(SCATTERED.map(|(name, _)| said.line(name)), [None; 5], "{said:?}");
    let kept = ["KEYFERRY_VAULT_URL", "EDITOR", "KEYFERRY_STORE", "KEYFERRY_MASV_URL"].map(|name| said.line(name).is_some());
    assert_eq!(kept, [true; 4], "what is no secret stays: {said:?}");
}

#[test]
fn a_command_that_gives_a_secret_is_given_none() {
    let stage = Stage::set();
    let script = stage.private("give", "#!/bin/sh\nenv > \"$0.env\"\necho the-key\n");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let config = format!(
        "[masv]\napi_key = {{ command = [\"{}\"] }}\n[profile.a.masv]\npassword = {{ env = \"MY_KEY\" }}\n[profile.b.masv]\napi_key = {{ env = \
         \"OTHER_KEY\" }}\n",
        script.display()
    );
    stage.private("home/.config/keyferry/config.toml", &config);
    let said = say(stage.stranger(KEYFERRY, &["header", "user"]).envs(SCATTERED), "");
    assert_eq!(said.out, "X-API-KEY: the-key\n", "{said:?}");
    let inherited = fs::read_to_string(stage.path("give.env")).unwrap();
    assert!(inherited.contains("HOME="), "{inherited}");
    assert_clean_file(&stage.path("give.env"));
    SCATTERED.iter().for_each(|(name, _)| assert!(!inherited.contains(name), "{name}: {inherited}"));
}
