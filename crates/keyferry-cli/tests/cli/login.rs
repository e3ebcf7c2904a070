//! `keyferry login` and `logout`: where secrets come from, where they are kept, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keyferry_sandbox::credentials as c;
use serde_json::Value;

use crate::harness::{KEYFERRY, Stage, assert_clean_file, say};

const MASV: [&str; 4] = ["login", "masv", "--email", c::EMAIL];

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn no_option_takes_a_secret() {
    let stage = Stage::set();
    let secret = ["hunt", "er2"].concat();
    for arguments in [
        vec!["login", "masv", "--password", &secret],
        vec!["login", "masv", "--password=hunter2"],
        vec!["login", "fileverbs", "--secret-key", &secret],
        vec!["login", "masv", "--api-key=hunter2"],
        vec!["login", "masv", "-p", &secret],
        vec!["token", "user", "--token", &secret],
        vec!["agent", "sign-in", "--password", &secret],
    ] {
        let said = stage.keyferry(&arguments);
        said.assert_sentence(2, "--secret-file or --secret-fd");
        assert!(!said.err.contains(&secret), "{}", said.err);
    }
    for arguments in
        [vec!["login", "masv", &secret], vec!["login", &secret], vec!["login", "masv", "--hunter2"], vec!["agent", "sign-in", &secret]]
    {
        let said = stage.keyferry(&arguments);
        said.assert_sentence(2, "never a secret");
        assert!(!said.err.contains(&secret), "{}", said.err);
    }
    let help = stage.keyferry(&["login", "--help"]);
    assert!(help.code == Some(0) && !help.out.contains("--password"), "{}", help.out);
    assert_eq!(stage.sandbox.count("requests"), 0);
}

#[test]
fn a_password_comes_from_standard_input_a_descriptor_or_a_file() {
    let stage = Stage::set();
    let file = stage.private("pass", &format!("{}\n", c::PASSWORD));
    let file_name = file.to_str().unwrap();
    let lines = format!("{}\r\nsecond\n", c::PASSWORD);
    let by_file = [&MASV[..], &["--secret-file", file_name]].concat();
    let fd = format!("\"$KEYFERRY\" login masv --email {} --secret-fd 3 3<\"$FILE\"", c::EMAIL);
    for said in [
        say(&mut stage.stranger(KEYFERRY, &MASV), c::PASSWORD),
        say(&mut stage.stranger(KEYFERRY, &MASV), &lines),
        say(&mut stage.stranger(KEYFERRY, &by_file), ""),
        say(stage.stranger("sh", &["-c", &fd]).env("KEYFERRY", KEYFERRY).env("FILE", &file), ""),
    ] {
        assert!(said.code == Some(0) && said.out.contains(&format!("as {}", c::EMAIL)), "{said:?}");
        said.assert_harmless();
    }
    assert_eq!(stage.sandbox.count("login"), 4);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    say(&mut stage.stranger(KEYFERRY, &by_file), "").assert_sentence(1, "chmod 600");
    say(&mut stage.stranger(KEYFERRY, &MASV), "").assert_sentence(1, "no secret came");
    say(&mut stage.stranger(KEYFERRY, &["login", "masv"]), "x").assert_sentence(3, "--email");
    say(&mut stage.stranger(KEYFERRY, &[&MASV[..], &["--secret-fd", "77"]].concat()), "").assert_sentence(1, "not open");
    say(&mut stage.stranger(KEYFERRY, &[&MASV[..], &["--secret-fd", "1"]].concat()), "").assert_sentence(1, "where answers go");
    say(&mut stage.stranger(KEYFERRY, &MASV), "a\tb\n").assert_sentence(1, "control character");
    assert!(!stage.config().exists(), "nothing is kept unless it is asked for");
}

#[test]
fn what_is_configured_needs_no_question() {
    let stage = Stage::set();
    let said = stage.keyferry(&["login", "masv", "--json"]);
    let object: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((object["user"]["email"].as_str(), object["store"].as_str()), (Some(c::EMAIL), Some("memory")));
    assert_eq!(object["teams"][0]["id"], c::TEAM_ID);
    said.assert_harmless();
    let both = stage.keyferry(&["login", "fileverbs"]);
    assert!(both.code == Some(0) && both.out.contains("fileverbs"), "{both:?}");
    assert_eq!((stage.sandbox.count("login"), stage.sandbox.count("fileverbs_login")), (1, 1));
}

#[test]
fn save_keeps_the_secret_in_a_private_file_and_refers_to_it() {
    let stage = Stage::set();
    let before = "# mine\nstore = \"memory\" # kept\n\n[agent]\nurl = \"http://127.0.0.1:1\"\n";
    stage.private("home/.config/keyferry/config.toml", before);
    let save = [&MASV[..], &["--save", "file"]].concat();
    say(&mut stage.stranger(KEYFERRY, &save), "wrong\n").assert_sentence(1, "refuses");
    assert_eq!(fs::read_to_string(stage.config()).unwrap(), before, "what is refused is not kept");

    let said = say(&mut stage.stranger(KEYFERRY, &save), c::PASSWORD);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.assert_harmless();
    let after = fs::read_to_string(stage.config()).unwrap();
    assert!(after.starts_with(before) && after.contains("[masv]\n") && after.contains(c::EMAIL), "{after}");
    assert_clean_file(&stage.config());
    let secret = stage.path("home/.config/keyferry/secrets/masv.password");
    assert_eq!((mode(&secret), mode(secret.parent().unwrap()), mode(&stage.config())), (0o600, 0o700, 0o600));
    assert_eq!(fs::read_to_string(&secret).unwrap(), format!("{}\n", c::PASSWORD));
    let token = say(&mut stage.stranger(KEYFERRY, &["header", "user"]), "");
    assert!(token.out.starts_with("X-User-Token: eyJ"), "{token:?}");

    let keys = format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY);
    let said = say(&mut stage.stranger(KEYFERRY, &["login", "fileverbs", "--save", "file", "--json"]), &keys);
    assert_eq!(said.code, Some(0), "{said:?}");
    let bearer = say(&mut stage.stranger(KEYFERRY, &["token", "fileverbs:bearer"]), "");
    assert!(bearer.out.starts_with("eyJ"), "{bearer:?}");

    let key = say(&mut stage.stranger(KEYFERRY, &["login", "masv", "--with-key", "--save", "file"]), c::API_KEY);
    assert_eq!(key.code, Some(0), "{key:?}");
    assert_eq!(say(&mut stage.stranger(KEYFERRY, &["header", "user"]), "").out, format!("X-API-KEY: {}\n", c::API_KEY));
    assert!(fs::read_to_string(stage.config()).unwrap().starts_with(before));
    assert_clean_file(&stage.config());
    let left: Vec<_> = fs::read_dir(stage.config().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left beside them: {left:?}");
}

#[test]
fn a_configuration_that_can_not_be_changed_safely_is_left_alone() {
    let stage = Stage::set();
    let before = format!("masv = {{ email = \"{}\", team = \"x\" }}\n", c::EMAIL);
    stage.private("home/.config/keyferry/config.toml", &before);
    let said = say(&mut stage.stranger(KEYFERRY, &["login", "masv", "--save", "file"]), c::PASSWORD);
    said.assert_sentence(1, "is left as it is: put `password = ");
    assert_eq!(fs::read_to_string(stage.config()).unwrap(), before);
}

#[test]
fn an_account_with_a_second_factor_is_told_to_use_a_key() {
    let stage = Stage::set();
    say(&mut stage.stranger(KEYFERRY, &["login", "masv", "--email", c::MFA_EMAIL]), c::PASSWORD).assert_sentence(1, "API key");
    say(&mut stage.stranger(KEYFERRY, &["login", "masv", "--with-key"]), c::API_KEY).assert_sentence(3, "--save");
}

#[test]
fn the_agent_is_looked_at_and_signed_in_to() {
    let stage = Stage::set();
    stage.keyferry(&["agent"]).assert_sentence(3, "nobody is signed in");
    let absent: Value = serde_json::from_str(&stage.keyferry(&["agent", "--json"]).out).unwrap();
    assert_eq!((&absent["runs"], &absent["signed_in"]), (&Value::Bool(true), &Value::Bool(false)));
    let said = say(&mut stage.stranger(KEYFERRY, &["agent", "sign-in", "--email", c::EMAIL]), c::PASSWORD);
    assert!(said.code == Some(0) && said.out.contains(c::EMAIL), "{said:?}");
    let said = stage.keyferry(&["agent"]);
    assert!(said.code == Some(0) && said.out.contains(c::TEAM_NAME), "{said:?}");
    said.assert_harmless();
    let session: Value = serde_json::from_str(&stage.keyferry(&["agent", "--json"]).out).unwrap();
    assert_eq!((session["user"]["email"].as_str(), session["signed_in"].as_bool()), (Some(c::EMAIL), Some(true)));
    let gone = say(stage.program(KEYFERRY, &["agent"]).env("KEYFERRY_AGENT_URL", "http://127.0.0.1:1"), "");
    gone.assert_sentence(4, "start the MASV Agent");
}

#[test]
fn logout_says_what_would_log_in_again() {
    let stage = Stage::set();
    let said = stage.keyferry(&["logout"]);
    assert!(said.code == Some(0) && said.out.contains("still configured") && said.out.contains("masv.password"), "{said:?}");
    let said = say(&mut stage.stranger(KEYFERRY, &["logout", "masv", "--json"]), "");
    assert_eq!(said.out, "{\"forgotten\":0,\"still_configured\":[]}\n");
    assert_eq!(stage.keyferry(&["logout", "elsewhere"]).code, Some(2));
}
