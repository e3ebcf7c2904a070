//! Every program of `c-tests`, each with a sandbox of its own. A program says nothing if all is
//! well.

use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;

use super::program;
use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

const LIMIT: Duration = Duration::from_secs(180);

/// Compiles and runs one program as any program runs.
fn run(source: &str, arguments: &[&str]) -> ProgramOutput {
    let harness = Harness::with_library();
    let program_path = program::compile(source, &harness);
    child::run(
        program::set_environment(Command::new(program_path).args(arguments), &harness),
        LIMIT,
    )
}

fn passes(source: &str) {
    let ended = run(source, &[]);
    assert!(
        ended.status.success() && ended.out.is_empty() && ended.err.is_empty(),
        "{source}: {}",
        ended.said()
    );
}

#[test]
fn every_status_has_words_of_its_own() {
    passes("status.c");
}

#[test]
fn the_library_says_which_one_it_is() {
    passes("version.c");
}

#[test]
fn texts_are_the_callers_until_freed() {
    passes("text.c");
}

#[test]
fn an_error_holds_every_detail_and_no_secret() {
    passes("error.c");
}

#[test]
fn a_configuration_is_file_then_environment_then_program() {
    passes("config.c");
}

#[test]
fn a_request_says_what_the_caller_needs() {
    passes("request.c");
}

#[test]
fn a_started_request_tells_at_a_descriptor_that_it_has_its_token() {
    passes("start.c");
}

#[test]
fn a_token_is_headers_with_their_expiry() {
    passes("token.c");
}

#[test]
fn a_session_keeps_rejects_adopts_and_forgets() {
    passes("session.c");
}

#[test]
fn masv_gives_every_kind_of_token() {
    passes("masv.c");
}

#[test]
fn the_agent_tells_who_is_signed_in() {
    passes("agent.c");
}

#[test]
fn fileverbs_gives_bearer_and_secret_key() {
    passes("fileverbs.c");
}

#[test]
fn the_log_goes_to_one_function_that_must_not_call_back() {
    passes("log.c");
}

#[test]
fn no_function_crashes_on_null() {
    passes("null_arguments.c");
}

#[test]
fn many_threads_share_one_login_and_a_cancelled_wait_ends() {
    passes("threads.c");
}

#[test]
fn a_session_is_freed_while_other_threads_use_it() {
    passes("session_free.c");
}

#[test]
fn a_forked_child_is_told_and_goes_on_with_handles_of_its_own() {
    passes("fork.c");
}

#[test]
fn a_host_that_may_write_no_file_lives() {
    passes("file_size_limit.c");
}

#[test]
fn handles_work_after_every_failure() {
    passes("after_error.c");
}

#[test]
fn secrets_are_wiped_from_memory() {
    passes("wiped_secrets.c");
}

#[test]
fn loading_using_and_unloading_leaves_nothing_behind() {
    let library = files::beside("libkeyferry.so");
    let ended = run("load_unload.c", &[library.to_str().unwrap()]);
    assert!(
        ended.status.success() && ended.err.is_empty(),
        "{}",
        ended.said()
    );
}

#[test]
fn the_cpp_wrapper_does_all_that_the_header_does() {
    if skip::without(&["c++"]) {
        return;
    }
    passes("cpp_wrapper.cpp");
}

#[test]
fn the_quick_start_prints_name_and_expiry_but_not_the_token() {
    let package = format!("packages/{}", keyferry_sandbox::credentials::PACKAGE_ID);
    let ended = run("quickstart.c", &[&package]);
    assert!(
        ended.status.success() && ended.err.is_empty(),
        "{}",
        ended.said()
    );
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines[0], "X-Package-Token: ...");
    assert!(
        lines[1].starts_with("expires at ") && lines.len() == 2,
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("eyJ"), "a JWT begins so");
    let ended = run("quickstart.c", &["packages/nobody-knows"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.said());
    assert!(ended.err.starts_with("703: "), "{}", ended.said());
}

#[test]
fn the_quick_start_is_short() {
    let text = std::fs::read_to_string(files::file("c-tests/quickstart.c")).unwrap();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("/*");
    assert!(text.lines().filter(is_code).count() <= 20);
}

#[test]
fn every_program_is_run() {
    let here = include_str!("programs.rs");
    let elsewhere = [
        include_str!("loading.rs"),
        include_str!("privilege.rs"),
        include_str!("../../crates/keyferry-cli/tests/plugins/template.rs"),
    ]
    .concat();
    for entry in std::fs::read_dir(files::file("c-tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_program = name.ends_with(".c") || name.ends_with(".cpp");
        let quoted = format!("\"{name}\"");
        assert!(
            !is_program || here.contains(&quoted) || elsewhere.contains(&quoted),
            "{name} is run by no test"
        );
    }
}

#[test]
fn a_program_of_root_creates_no_file_in_the_home_of_another_user() {
    if skip::without_root() {
        return;
    }
    let harness = Harness::with_library();
    let program_path = program::compile("quickstart.c", &harness);
    let package = format!("packages/{}", keyferry_sandbox::credentials::PACKAGE_ID);
    let theirs = harness.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(12345), None).unwrap();
    for (names, home) in [
        (&["HOME"][..], theirs.clone()),
        (&["XDG_STATE_HOME", "XDG_DATA_HOME"], theirs.join("absent")),
    ] {
        let mut command = Command::new(&program_path);
        program::set_environment(command.arg(&package), &harness);
        command
            .env_remove("KEYFERRY_STORE")
            .envs(names.iter().map(|name| (name, &home)));
        let ended = child::run(&mut command, LIMIT);
        assert!(ended.status.success(), "{names:?}: {}", ended.said());
        assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0, "{names:?}");
    }
}
