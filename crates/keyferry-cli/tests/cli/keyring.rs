//! A real Secret Service on a bus of its own, the kernel's keys, and keyrings that are locked,
//! absent or mute.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keyferry_sandbox::credentials as c;
use keyferry_testing::skip;

use crate::programs::KEYFERRY;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::secrets::assert_no_secret_in_file;

/// Runs a script on a bus of its own, with folders of its own; the password is at descriptor 3.
fn on_a_bus(harness: &Harness, script: &str) -> ProgramOutput {
    let runtime = harness
        .write_private_file("runtime/x", "")
        .parent()
        .unwrap()
        .to_owned();
    fs::set_permissions(
        &runtime,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let password = harness.write_private_file("password", c::PASSWORD);
    let whole = format!(
        "exec 3<\"$PASSWORD_FILE\"\nms() {{ echo $(($(date +%s%N) / 1000000)); }}\n{script}"
    );
    let mut command =
        harness.program_without_secrets("dbus-run-session", &["--", "bash", "-c", &whole]);
    command
        .env("XDG_DATA_HOME", harness.path("data"))
        .env("XDG_RUNTIME_DIR", runtime)
        .env("PASSWORD_FILE", password);
    command.env("KEYFERRY", KEYFERRY).env("EMAIL", c::EMAIL);
    run_with_input(&mut command, "")
}

/// The same with a Secret Service that is unlocked; none where the programs for it are missing.
fn with_secret_service(script: &str) -> Option<(Harness, ProgramOutput)> {
    if skip::without(&["dbus-run-session", "gnome-keyring-daemon", "secret-tool"]) {
        return None;
    }
    let (harness, unlock) = (
        Harness::watching_arguments(),
        "printf unlocks | gnome-keyring-daemon --unlock --components=secrets > /dev/null",
    );
    let output = on_a_bus(&harness, &format!("{unlock}\n{script}"));
    Some((harness, output))
}

/// The number behind a word that a script has printed.
fn number(output: &ProgramOutput, word: &str) -> u64 {
    output
        .line(word)
        .unwrap_or_else(|| panic!("{word} is missing: {output:?}"))
        .parse()
        .unwrap()
}

const CONFIGURED: &str = "[masv]\nemail = \"ferry@example.com\"\npassword = { keyring = [\"keyferry\", \"masv.password\"] }\n";

#[test]
fn a_secret_is_kept_in_the_secret_service_read_back_and_missed_when_it_is_locked() {
    let played = with_secret_service(
        r#""$KEYFERRY" login masv --email "$EMAIL" --secret-fd 3 --save keyring; echo "login=$?"
        "$KEYFERRY" header user | cut -c 1-16; echo "doctor=$("$KEYFERRY" doctor | grep -c 'masv.password.*from keyring')"
        secret-tool lookup service keyferry account masv.password | cmp - "$PASSWORD_FILE"; echo "same=$?"
        secret-tool lock --collection=login > /dev/null 2>&1
        began=$(ms); "$KEYFERRY" header user 2> locked; echo "locked=$?"; echo "took=$(($(ms) - began))"
        secret-tool clear service keyferry account masv.password 2> /dev/null"#,
    );
    let Some((harness, output)) = played else {
        return;
    };
    assert_eq!(
        (
            number(&output, "login"),
            number(&output, "same"),
            number(&output, "doctor")
        ),
        (0, 0, 1),
        "{output:?}"
    );
    assert!(
        output
            .out
            .contains("saved masv.password in the Secret Service")
            && output.out.contains("X-User-Token: ey"),
        "{output:?}"
    );
    let config = fs::read_to_string(harness.config()).unwrap();
    assert!(
        config.contains("keyring = [\"keyferry\", \"masv.password\"]"),
        "{config}"
    );
    assert_no_secret_in_file(&harness.config());
    let locked = fs::read_to_string(harness.path("work/locked")).unwrap();
    assert!(
        number(&output, "locked") == 3
            && locked.contains("masv.password: ")
            && locked.contains("unlock"),
        "{output:?} {locked}"
    );
    assert!(number(&output, "took") < 3_000, "{output:?}");
    harness.assert_no_secret_in_argv();
}

#[test]
fn logout_removes_the_item_that_login_saved() {
    let played = with_secret_service(
        r#"printf other | secret-tool store --label=other service keyferry account other
        "$KEYFERRY" login masv --email "$EMAIL" --secret-fd 3 --save keyring; echo "login=$?"
        "$KEYFERRY" logout; echo "logout=$?"
        secret-tool lookup service keyferry account masv.password; echo "lookup=$?"
        echo "other=$(secret-tool lookup service keyferry account other)""#,
    );
    let Some((harness, output)) = played else {
        return;
    };
    assert_eq!(
        (
            number(&output, "login"),
            number(&output, "logout"),
            number(&output, "lookup"),
            output.line("other")
        ),
        (0, 0, 1, Some("other")),
        "{output:?}"
    );
    let config = fs::read_to_string(harness.config()).unwrap();
    assert!(!config.contains("keyring"), "{config}");
}

#[test]
fn the_key_of_the_store_is_kept_in_the_keyring_where_it_is_asked_for() {
    let played = with_secret_service(
        r#"export KEYFERRY_STORE=file KEYFERRY_STORE_KEY=keyring
        "$KEYFERRY" login masv --email "$EMAIL" --secret-fd 3; echo "login=$?"
        "$KEYFERRY" header user | cut -c 1-16; "$KEYFERRY" status --json | grep -o 'key in the keyring'
        KEYFERRY_STORE_KEY=file "$KEYFERRY" header user 2> other; echo "other=$?"
        secret-tool lock --collection=login > /dev/null 2>&1
        began=$(ms); "$KEYFERRY" header user 2> locked; echo "locked=$?"; echo "took=$(($(ms) - began))""#,
    );
    let Some((harness, output)) = played else {
        return;
    };
    assert_eq!(
        (
            number(&output, "login"),
            number(&output, "other"),
            number(&output, "locked")
        ),
        (0, 3, 3),
        "{output:?}"
    );
    assert!(
        output.out.contains("X-User-Token: ey") && output.out.contains("key in the keyring"),
        "{output:?}"
    );
    assert_eq!(
        harness.sandbox().count("login"),
        1,
        "the second program read what the first had stored"
    );
    let told = |name: &str| fs::read_to_string(harness.path("work").join(name)).unwrap();
    assert!(
        told("other").contains("keyferry: warning: ")
            && told("other").contains("set `store_key` to keyring"),
        "{}",
        told("other")
    );
    assert!(
        told("locked").contains("keyferry: warning: ")
            && told("locked").contains("unlock the keyring"),
        "{}",
        told("locked")
    );
    assert!(number(&output, "took") < 4_000, "{output:?}");
    let label = fs::read_to_string(harness.path("home/.local/state/keyferry/store")).unwrap();
    assert!(
        label.starts_with("keyferry store 2\nkey keyring ")
            && !harness.path("data/keyferry/store.key").exists(),
        "{label}"
    );
}

#[test]
fn a_mute_secret_service_is_left_after_two_seconds() {
    if skip::without(&["dbus-run-session", "secret-tool"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    harness.write_private_file("home/.config/keyferry/config.toml", CONFIGURED);
    // The bus starts it when it is asked for, and waits for a word of it.
    let mute = "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/bin/sh -c \"exec sleep 20 > /dev/null 2>&1\"\n";
    harness.write_private_file("data/dbus-1/services/org.freedesktop.secrets.service", mute);
    let script = r#"began=$(ms); "$KEYFERRY" header user 2> mute; echo "mute=$?"; echo "took=$(($(ms) - began))"
        began=$(ms); KEYFERRY_STORE=file KEYFERRY_STORE_KEY=keyring "$KEYFERRY" token user 2> store <&3; echo "store=$(($(ms) - began))""#;
    let output = on_a_bus(&harness, script);
    let told = fs::read_to_string(harness.path("work/mute")).unwrap();
    assert!(
        number(&output, "mute") == 3
            && told.contains("did not respond within 2 s")
            && told.lines().count() == 1,
        "{output:?} {told}"
    );
    assert!(
        (1_900..4_000).contains(&number(&output, "took")),
        "{output:?}"
    );
    // Once for the password, once for the store's key, however often that is looked for.
    assert!(number(&output, "store") < 6_000, "{output:?}");
}

#[test]
fn a_mute_bus_is_left_after_two_seconds() {
    if skip::without(&["secret-tool"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    harness.write_private_file("home/.config/keyferry/config.toml", CONFIGURED);
    let bus = harness.path("bus");
    // Whoever connects waits in the queue.
    let _listener = UnixListener::bind(&bus).unwrap();
    let began = Instant::now();
    let mut command = harness.program_without_secrets(KEYFERRY, &["header", "user"]);
    run_with_input(
        command.env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={}", bus.display()),
        ),
        "",
    )
    .assert_error(3, "did not respond within 2 s");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn without_a_keyring_or_an_item_the_answer_is_at_once() {
    let harness = Harness::watching_arguments();
    harness.write_private_file("home/.config/keyferry/config.toml", CONFIGURED);
    let began = Instant::now();
    let output = run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "user"]),
        "",
    );
    output.assert_error(3, "masv.password: ");
    let mut command = harness.program_without_secrets(KEYFERRY, &["header", "user"]);
    run_with_input(
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent"),
        "",
    )
    .assert_error(3, "masv.password: ");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn without_a_bus_the_kernel_keeps_a_secret_until_the_next_start() {
    if skip::without(&["keyctl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    // No account of the tester's is called so.
    let account = format!("test-{}", std::process::id());
    let path = harness.write_private_file(
        "home/.config/keyferry/config.toml",
        &format!("[profile.{account}.masv]\nemail = \"{}\"\n", c::EMAIL),
    );
    let login = ["login", "masv", "--profile", &account, "--save", "keyring"];
    let in_session = |arguments: &[&str], input: &str| {
        let words = [&["session", "-", KEYFERRY], arguments].concat();
        run_with_input(
            harness
                .program_without_secrets("keyctl", &words)
                .stderr(Stdio::null()),
            input,
        )
    };
    let kept = in_session(&login, c::PASSWORD);
    let read = in_session(&["header", "user", "--profile", &account], "");
    let item = format!("keyferry:{account}.masv.password");
    let found = Command::new("keyctl")
        .args(["request", "user", &item])
        .output()
        .unwrap();
    let number = String::from_utf8(found.stdout).unwrap();
    assert!(
        Command::new("keyctl")
            .args(["unlink", number.trim(), "@u"])
            .status()
            .unwrap()
            .success(),
        "{kept:?}"
    );
    assert!(
        kept.code == Some(0)
            && kept
                .out
                .contains("kernel's keyring, until this machine reboots"),
        "{kept:?}"
    );
    assert!(read.out.starts_with("X-User-Token: eyJ"), "{read:?}");
    assert_no_secret_in_file(&path);
    run_with_input(
        &mut harness.program_without_secrets(KEYFERRY, &["header", "user", "--profile", &account]),
        "",
    )
    .assert_error(3, "masv.password: ");
}
