//! `keyferry login` and `logout`: where secrets come from, where they are kept, and what is
//! refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keyferry_sandbox::credentials as c;
use serde_json::Value;

use crate::programs::{KEYFERRY, Programs};
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secret_in_file;

const MASV: [&str; 4] = ["login", "masv", "--email", c::EMAIL];

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn no_option_takes_a_secret() {
    let harness = Harness::watching_arguments();
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
        let output = harness.keyferry(&arguments);
        output.assert_error(2, "--secret-file or --secret-fd");
        assert!(!output.err.contains(&secret), "{}", output.err);
    }
    for arguments in [
        vec!["login", "masv", &secret],
        vec!["login", &secret],
        vec!["login", "masv", "--hunter2"],
        vec!["agent", "sign-in", &secret],
    ] {
        let output = harness.keyferry(&arguments);
        output.assert_error(2, "never pass a secret");
        assert!(!output.err.contains(&secret), "{}", output.err);
    }
    let help = harness.keyferry(&["login", "--help"]);
    assert!(
        help.code == Some(0) && !help.out.contains("--password"),
        "{}",
        help.out
    );
    assert_eq!(harness.sandbox().count("requests"), 0);
}

#[test]
fn a_password_comes_from_standard_input_a_descriptor_or_a_file() {
    let harness = Harness::watching_arguments();
    let file = harness.write_private_file("pass", &format!("{}\n", c::PASSWORD));
    let file_name = file.to_str().unwrap();
    let lines = format!("{}\r\nsecond\n", c::PASSWORD);
    let by_file = [&MASV[..], &["--secret-file", file_name]].concat();
    let fd = format!(
        "\"$KEYFERRY\" login masv --email {} --secret-fd 3 3<\"$FILE\"",
        c::EMAIL
    );
    for output in [
        run_with_input(
            &mut harness.program_without_secrets(KEYFERRY, &MASV),
            c::PASSWORD,
        ),
        run_with_input(
            &mut harness.program_without_secrets(KEYFERRY, &MASV),
            &lines,
        ),
        run_with_input(&mut harness.program_without_secrets(KEYFERRY, &by_file), ""),
        run_with_input(
            harness
                .program_without_secrets("sh", &["-c", &fd])
                .env("KEYFERRY", KEYFERRY)
                .env("FILE", &file),
            "",
        ),
    ] {
        assert!(
            output.code == Some(0) && output.out.contains(&format!("as {}", c::EMAIL)),
            "{output:?}"
        );
        output.assert_no_secrets();
    }
    assert_eq!(harness.sandbox().count("login"), 4);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    run_with_input(&mut harness.program_without_secrets(KEYFERRY, &by_file), "")
        .assert_error(3, "chmod 600");
    run_with_input(&mut harness.program_without_secrets(KEYFERRY, &MASV), "")
        .assert_error(3, "the secret is missing or empty");
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["login", "masv"]),
        "x",
    )
    .assert_error(3, "--email");
    run_with_input(
        &mut harness
            .program_without_secrets(KEYFERRY, &[&MASV[..], &["--secret-fd", "77"]].concat()),
        "",
    )
    .assert_error(3, "not open");
    run_with_input(
        &mut harness
            .program_without_secrets(KEYFERRY, &[&MASV[..], &["--secret-fd", "1"]].concat()),
        "",
    )
    .assert_error(3, "they are for output");
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &MASV),
        "a\tb\n",
    )
    .assert_error(3, "control character");
    assert!(
        !harness.config().exists(),
        "nothing is kept unless it is asked for"
    );
}

#[test]
fn what_is_configured_needs_no_question() {
    let harness = Harness::watching_arguments();
    let output = harness.keyferry(&["login", "masv", "--json"]);
    let object: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!(
        (object["user"]["email"].as_str(), object["store"].as_str()),
        (Some(c::EMAIL), Some("memory"))
    );
    assert_eq!(object["teams"][0]["id"], c::TEAM_ID);
    output.assert_no_secrets();
    let both = harness.keyferry(&["login", "fileverbs"]);
    assert!(
        both.code == Some(0) && both.out.contains("fileverbs"),
        "{both:?}"
    );
    assert_eq!(
        (
            harness.sandbox().count("login"),
            harness.sandbox().count("fileverbs_login")
        ),
        (1, 1)
    );
}

#[test]
fn save_keeps_the_secret_in_a_private_file_and_refers_to_it() {
    let harness = Harness::watching_arguments();
    let before = "# mine\nstore = \"memory\" # kept\n\n[agent]\nurl = \"http://127.0.0.1:1\"\n";
    harness.write_private_file("home/.config/keyferry/config.toml", before);
    let save = [&MASV[..], &["--save", "file"]].concat();
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &save),
        "wrong\n",
    )
    .assert_error(3, "rejected");
    assert_eq!(
        fs::read_to_string(harness.config()).unwrap(),
        before,
        "what is refused is not kept"
    );

    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &save),
        c::PASSWORD,
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    output.assert_no_secrets();
    let after = fs::read_to_string(harness.config()).unwrap();
    assert!(
        after.starts_with(before) && after.contains("[masv]\n") && after.contains(c::EMAIL),
        "{after}"
    );
    assert_no_secret_in_file(&harness.config());
    let secret = harness.path("home/.config/keyferry/secrets/masv.password");
    assert_eq!(
        (
            mode(&secret),
            mode(secret.parent().unwrap()),
            mode(&harness.config())
        ),
        (0o600, 0o700, 0o600)
    );
    assert_eq!(
        fs::read_to_string(&secret).unwrap(),
        format!("{}\n", c::PASSWORD)
    );
    let token = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "user"]),
        "",
    );
    assert!(token.out.starts_with("X-User-Token: eyJ"), "{token:?}");

    let keys = format!("{}\n{}\n", c::SECRET_KEY, c::FV_API_KEY);
    let output = run_with_input(
        &mut harness.program_without_secrets(
            KEYFERRY,
            &["login", "fileverbs", "--save", "file", "--json"],
        ),
        &keys,
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    let bearer = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["token", "fileverbs:bearer"]),
        "",
    );
    assert!(bearer.out.starts_with("eyJ"), "{bearer:?}");

    let key = run_with_input(
        &mut harness
            .program_without_secrets(KEYFERRY, &["login", "masv", "--with-key", "--save", "file"]),
        c::API_KEY,
    );
    assert_eq!(key.code, Some(0), "{key:?}");
    assert_eq!(
        run_with_input(
            &mut harness.program_without_secrets(KEYFERRY, &["header", "user"]),
            ""
        )
        .out,
        format!("X-API-KEY: {}\n", c::API_KEY)
    );
    assert!(
        fs::read_to_string(harness.config())
            .unwrap()
            .starts_with(before)
    );
    assert_no_secret_in_file(&harness.config());
    let left: Vec<_> = fs::read_dir(harness.config().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "nothing is left beside them: {left:?}");
}

#[test]
fn a_configuration_that_can_not_be_changed_safely_is_left_alone() {
    let harness = Harness::watching_arguments();
    let before = format!(
        "[masv]\nemail = \"{}\"\n[masv.password] # why\nenv = \"X\"\n",
        c::EMAIL
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &before);
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["login", "masv", "--save", "file"]),
        c::PASSWORD,
    );
    output.assert_error(3, "safely; put `password = ");
    assert_eq!(fs::read_to_string(harness.config()).unwrap(), before);
}

#[test]
fn an_inline_table_gets_the_setting() {
    let harness = Harness::watching_arguments();
    let before = format!(
        "masv = {{ email = \"{}\", team = \"x\" }} # mine\n",
        c::EMAIL
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &before);
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["login", "masv", "--save", "file"]),
        c::PASSWORD,
    );
    assert_eq!(output.code, Some(0), "{}", output.err);
    let after = fs::read_to_string(harness.config()).unwrap();
    let kept = before.strip_suffix(" } # mine\n").unwrap();
    assert!(
        after.starts_with(&format!("{kept}, password = {{ file = ")),
        "{after}"
    );
    assert!(after.ends_with(" } # mine\n"), "{after}");
}

#[test]
fn an_account_with_a_second_factor_is_told_to_use_a_key() {
    let harness = Harness::watching_arguments();
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["login", "masv", "--email", c::MFA_EMAIL]),
        c::PASSWORD,
    )
    .assert_error(3, "API key");
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["login", "masv", "--with-key"]),
        c::API_KEY,
    )
    .assert_error(3, "--save");
}

#[test]
fn the_agent_is_looked_at_and_signed_in_to() {
    let harness = Harness::watching_arguments();
    harness
        .keyferry(&["agent"])
        .assert_error(3, "no user is signed in");
    let absent: Value = serde_json::from_str(&harness.keyferry(&["agent", "--json"]).out).unwrap();
    assert_eq!(
        (&absent["runs"], &absent["signed_in"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["agent", "sign-in", "--email", c::EMAIL]),
        c::PASSWORD,
    );
    assert!(
        output.code == Some(0) && output.out.contains(c::EMAIL),
        "{output:?}"
    );
    let output = harness.keyferry(&["agent"]);
    assert!(
        output.code == Some(0) && output.out.contains(c::TEAM_NAME),
        "{output:?}"
    );
    output.assert_no_secrets();
    let session: Value = serde_json::from_str(&harness.keyferry(&["agent", "--json"]).out).unwrap();
    assert_eq!(
        (
            session["user"]["email"].as_str(),
            session["signed_in"].as_bool()
        ),
        (Some(c::EMAIL), Some(true))
    );
    let gone = run_with_input(
        harness
            .program(KEYFERRY, &["agent"])
            .env("KEYFERRY_AGENT_URL", "http://127.0.0.1:1"),
        "",
    );
    gone.assert_error(4, "cannot connect to the MASV Agent");
}

#[test]
fn logout_says_what_would_log_in_again() {
    let harness = Harness::watching_arguments();
    let output = harness.keyferry(&["logout"]);
    assert!(
        output.code == Some(0)
            && output.out.contains("still configured")
            && output.out.contains("masv.password"),
        "{output:?}"
    );
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["logout", "masv", "--json"]),
        "",
    );
    assert_eq!(
        output.out,
        "{\"format\":1,\"forgotten\":0,\"removed\":[],\"still_configured\":[],\"unreadable\":false}\n"
    );
    harness
        .keyferry(&["logout", "elsewhere"])
        .assert_error(2, "use one of: fileverbs, masv");
}

#[test]
fn a_new_profile_is_added_after_the_login() {
    let harness = Harness::watching_arguments();
    let before = "# mine\n[masv]\nemail = \"other@example.com\"\n";
    harness.write_private_file("home/.config/keyferry/config.toml", before);
    let run = |arguments: &[&str], input: &str| {
        let mut command = harness.program_without_secrets(KEYFERRY, arguments);
        run_with_input(command.env_remove("KEYFERRY_STORE"), input)
    };
    let text = || fs::read_to_string(harness.config()).unwrap();
    let login = [&MASV[..], &["--profile", "client"]].concat();
    let wrong = run(&login, "wrong\n");
    assert!(wrong.code != Some(0), "{wrong:?}");
    // The address of the default account is another user's.
    run(&["login", "masv", "--profile", "client"], c::PASSWORD).assert_error(3, "--email");
    run(&["login", "masv", "--profile", "a b"], c::PASSWORD).assert_error(3, "letters");
    let keys = format!("{}\n", c::SECRET_KEY);
    run(&["login", "fileverbs", "--profile", "client"], &keys).assert_error(3, "--save");
    assert_eq!(text(), before, "a failed login adds nothing");

    let output = run(&login, c::PASSWORD);
    let line = format!("profile.client.masv.email = \"{}\"", c::EMAIL);
    assert!(
        output.code == Some(0)
            && output.out.contains("wrote to ")
            && output.out.contains(&format!("  {line}\n")),
        "{output:?}"
    );
    let section = format!("\n[profile.client.masv]\nemail = \"{}\"\n", c::EMAIL);
    assert_eq!(text(), format!("{before}{section}"));
    let header = run(&["header", "user", "--profile", "client"], "");
    assert!(header.out.starts_with("X-User-Token: eyJ"), "{header:?}");
    assert_eq!(harness.sandbox().count("login"), 2);

    // A second profile keeps its secret, and gives it back.
    let save = ["--profile", "studio", "--save", "file"];
    let output = run(&[&["login", "fileverbs"], &save[..]].concat(), &keys);
    assert!(
        output.code == Some(0)
            && output
                .out
                .contains("profile.studio.fileverbs.secret_key = { file"),
        "{output:?}"
    );
    let logout = run(&["logout", "--profile", "studio"], "");
    assert!(
        logout.out.contains("removed fileverbs.secret_key from "),
        "{logout:?}"
    );
    let secrets = harness.path("home/.config/keyferry/secrets");
    assert_eq!(fs::read_dir(secrets).unwrap().count(), 0);
    assert!(
        text().starts_with(&format!("{before}{section}")) && !text().contains("secret_key"),
        "{}",
        text()
    );
}

#[test]
fn a_key_is_checked_with_one_request_before_it_is_saved() {
    let harness = Harness::watching_arguments();
    let login = ["login", "masv", "--with-key", "--save", "file"];
    let run = |input: &str| {
        run_with_input(
            &mut harness.program_without_secrets(KEYFERRY, &login),
            input,
        )
    };
    let wrong = run("not-a-key-of-the-sandbox");
    assert!(
        wrong.code != Some(0) && wrong.err.contains("MASV rejected the API key"),
        "{wrong:?}"
    );
    assert_eq!(harness.sandbox().count("requests"), 1);
    assert!(!harness.config().exists());
    let output = run(c::API_KEY);
    assert!(
        output.code == Some(0) && output.out.contains("accepts the API key"),
        "{output:?}"
    );
    output.assert_no_secrets();
    assert_eq!(harness.sandbox().count("requests"), 2);
    let mut gone = harness.program_without_secrets(KEYFERRY, &login);
    gone.env("KEYFERRY_MASV_URL", "http://127.0.0.1:1");
    run_with_input(&mut gone, c::SECOND_API_KEY).assert_error(4, "127.0.0.1");
}

#[test]
fn logout_removes_what_login_saved_and_nothing_else() {
    let harness = Harness::watching_arguments();
    let other = harness.write_private_file("api_key", c::API_KEY);
    let before = format!(
        "# mine\nstore = \"file\" # kept\n\n[masv]\n# the team\nteam = \"x\"\nemail = \"{}\"\n\n[profile.w.masv]\napi_key = {{ file = \"{}\" }}\n",
        c::EMAIL,
        other.display()
    );
    harness.write_private_file("home/.config/keyferry/config.toml", &before);
    let run = |arguments: &[&str], input: &str| {
        let mut command = harness.program_without_secrets(KEYFERRY, arguments);
        run_with_input(command.env_remove("KEYFERRY_STORE"), input)
    };
    let text = || fs::read_to_string(harness.config()).unwrap();
    let secret = harness.path("home/.config/keyferry/secrets/masv.password");
    let save = ["login", "masv", "--save", "file"];
    assert_eq!(run(&save, c::PASSWORD).code, Some(0));
    let saved = text();
    assert!(secret.exists() && saved != before);

    let kept = run(&["logout", "--keep-saved"], "");
    assert!(kept.out.contains("still configured"), "{kept:?}");
    assert!(secret.exists() && text() == saved);
    // Another profile's logout leaves it alone, and so does the logout of another service.
    run(&["logout", "--profile", "w"], "");
    run(&["logout", "fileverbs"], "");
    assert!(secret.exists() && text() == saved);

    let output = run(&["logout", "masv"], "");
    assert!(
        output.code == Some(0)
            && output.out.contains("removed masv.password from ")
            && !output.out.contains("still configured"),
        "{output:?}"
    );
    assert!(!secret.exists() && other.exists());
    assert_eq!(text(), before);
    run(&["header", "user"], "").assert_error(3, "keyferry login masv");
}
