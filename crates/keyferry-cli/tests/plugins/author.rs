//! What an author of a plugin has: the page, the conformance test and the list.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keyferry_testing::child::{self, ProgramOutput, run_with_input};
use keyferry_testing::files::file;
use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::studio::{KEY, Studio};
use keyferry_testing::skip;

use crate::git_credential;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");
const LIMIT: Duration = Duration::from_secs(300);

fn check(harness: &Harness, path: &Path) -> ProgramOutput {
    child::run(
        &mut harness.isolated_program(KEYFERRY, &["plugin", "check", path.to_str().unwrap()]),
        LIMIT,
    )
}

/// The blocks of a language in the page, one after the other.
fn page(language: &str) -> String {
    let text = fs::read_to_string(file("docs/plugins.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_leads_from_an_empty_file_to_git() {
    let (harness, studio) = (Harness::new(), Studio::start());
    let plugin = harness.plugin_from_text("studio.c", &page("c"));
    let checked = check(&harness, &plugin);
    assert!(
        checked.status.success() && checked.err.is_empty(),
        "{}",
        checked.said()
    );
    // The plugin of the page has no `renew`.
    assert!(
        checked.out.contains("`acquire` handles every response")
            && !checked.out.contains("`renew`"),
        "{}",
        checked.out
    );
    let mut command = harness.isolated_program("git", &[]);
    command
        .args(git_credential("fill"))
        .env("KEYFERRY_PLUGINS", &plugin)
        .env("KEYFERRY_STUDIO_URL", studio.url())
        .env("KEYFERRY_STUDIO_KEY", KEY);
    let url = format!("url={}/v1/library.git\n\n", studio.url());
    let filled = run_with_input(&mut command, &url);
    assert!(
        filled.status.success() && filled.out.contains("password=studio-1\n"),
        "{}",
        filled.said()
    );
    if !skip::without_git((2, 40)) {
        let has_expiry = filled.out.contains("password_expiry_utc=");
        assert!(has_expiry, "{}", filled.said());
    }
}

/// The page's configuration is one, with the page's plugin.
#[test]
fn the_pages_configuration_is_read() {
    let harness = Harness::new();
    let plugin = harness.plugin_from_text("studio.c", &page("c"));
    let text = page("toml").replace(
        "/usr/local/lib/keyferry/studio.so",
        plugin.to_str().unwrap(),
    );
    fs::create_dir_all(harness.path("home/.config/keyferry")).unwrap();
    fs::write(harness.path("home/.config/keyferry/config.toml"), text).unwrap();
    let listed = child::run(
        &mut harness.isolated_program(KEYFERRY, &["plugin", "list"]),
        LIMIT,
    );
    assert!(
        listed.status.success() && listed.err.is_empty(),
        "{}",
        listed.said()
    );
    let row = listed.out.lines().nth(1).unwrap();
    assert!(
        row.starts_with("studio  1.0      studio:{rest}  studio.url studio.key  ")
            && row.ends_with("/studio.so"),
        "{row}"
    );
}

#[test]
fn honest_plugins_pass() {
    let harness = Harness::new();
    for name in ["template.c", "vault.c", "new.c", "reentrant.c", "canary.c"] {
        let checked = check(&harness, &harness.plugin(name, &["-D_GNU_SOURCE"]));
        assert!(
            checked.status.success() && checked.err.is_empty(),
            "{name}: {}",
            checked.said()
        );
        assert!(
            !checked.out.contains("FAULT") && checked.out.lines().count() >= 10,
            "{name}: {}",
            checked.out
        );
    }
}

#[test]
fn a_report_says_what_is_wrong_at_which_step() {
    let harness = Harness::new();
    let small = |name: &str, body: &str| {
        let text = format!(
            "#define NAME \"small\"\n#include \"small.h\"\nstatic keyferry_plugin_status acquire(keyferry_plugin_call call, const keyferry_plugin_token_spec *spec) {{\n\
             keyferry_plugin_buffer key;\nkeyferry_plugin_request request;\nkeyferry_plugin_response response;\n(void)call;\n(void)spec;\n(void)key;\n\
             memset(&request, 0, sizeof request);\nmemset(&response, 0, sizeof response);\nrequest.struct_size = sizeof request;\n\
             request.method = KEYFERRY_PLUGIN_METHOD_GET;\nrequest.path = \"/x\";\nresponse.struct_size = sizeof response;\n{body}\n}}\n"
        );
        harness.plugin_from_text(name, &text)
    };
    let deaf = small(
        "deaf.c",
        "host->exchange(call, &request, &response); return host->add_header(call, \"X-A\", \"b\");",
    );
    let open = small(
        "open.c",
        "if (host->get_setting(call, \"key\", &key) != KEYFERRY_PLUGIN_OK) return KEYFERRY_PLUGIN_E_NOT_CONFIGURED;\n\
         static char path[128] = \"/x?key=\"; strcpy(path + 7, key.data); request.path = path; return host->exchange(call, &request, &response);",
    );
    let mute = small("mute.c", "return KEYFERRY_PLUGIN_E_FAILED;");
    let quits = small(
        "quits.c",
        "extern void _exit(int); _exit(0);\nreturn host->exchange(call, &request, &response);",
    );
    for (plugin, step, what) in [
        (
            deaf,
            "`acquire` handles missing settings",
            "although `exchange` had failed",
        ),
        (
            open,
            "`acquire` handles a missing network",
            "puts a secret into a URL",
        ),
        (
            mute,
            "`acquire` handles missing settings",
            "call `set_error_message` first",
        ),
        (
            quits,
            "`acquire` handles missing settings",
            "the plugin ended the process;",
        ),
        (
            harness.plugin("crasher.c", &[]),
            "`acquire` handles missing settings",
            "the plugin crashed the process;",
        ),
        (
            harness.plugin_named("crasher.c", "crasher-init.so", &["-DCRASH_IN_INIT"]),
            "`init` succeeds, and its tables are valid",
            "the plugin crashed the process;",
        ),
        (
            harness.plugin("slow.c", &[]),
            "`acquire` handles missing settings",
            "`acquire` did not return within 2000 ms",
        ),
        (
            harness.plugin_named("tables.c", "t50.so", &["-DLIE=50"]),
            "`init` succeeds",
            "`init` returned the code 4711",
        ),
        (
            harness.plugin_named("tables.c", "t20.so", &["-DLIE=20"]),
            "it loads, and its entry is valid",
            "has a key that is not",
        ),
        (
            harness.plugin_named("tables.c", "t1.so", &["-DLIE=1"]),
            "its file is safe",
            "uses version 0",
        ),
        (
            harness.path("gone.so"),
            "its file is safe",
            "the file does not exist",
        ),
    ] {
        let checked = check(&harness, &plugin);
        assert_eq!(checked.status.code(), Some(1), "{}", checked.said());
        let row = checked
            .out
            .lines()
            .find(|line| line.starts_with("FAULT"))
            .unwrap_or_else(|| panic!("{}: {}", plugin.display(), checked.said()));
        assert!(row.contains(step) && row.contains(what), "{row}");
        assert!(
            checked.err.contains("does not follow keyferry_plugin.h: ")
                && !checked.said().contains("canary-4fd1c6"),
            "{}",
            checked.said()
        );
    }
}

/// Words of a plugin's own, however they read, are as good as any.
#[test]
fn what_a_plugin_says_of_its_service_is_not_taken_for_a_fault_of_its_own() {
    let harness = Harness::new();
    for (name, words) in [
        ("rude.c", "my service misbehaves: it is out"),
        ("coy.c", "my service fails and does not say why"),
    ] {
        let text = format!(
            "#define NAME \"small\"\n#include \"small.h\"\nstatic keyferry_plugin_status acquire(keyferry_plugin_call call, const \
             keyferry_plugin_token_spec *spec) {{\n(void)spec;\nhost->set_error_message(call, \"{words}\");\nreturn KEYFERRY_PLUGIN_E_FAILED;\n}}\n"
        );
        let checked = check(&harness, &harness.plugin_from_text(name, &text));
        assert!(
            checked.status.success() && checked.err.is_empty(),
            "{}",
            checked.said()
        );
    }
}

#[test]
fn the_list_tells_what_is_there_and_what_is_left_out() {
    let harness = Harness::new();
    let (vault, old) = (
        harness.plugin("vault.c", &[]),
        harness.plugin_named("canary.c", "old.so", &["-DMAJOR=0"]),
    );
    let listed = |plugins: String, arguments: &[&str]| {
        let mut command = harness.isolated_program(KEYFERRY, arguments);
        command
            .env("KEYFERRY_PLUGINS", plugins)
            .env("KEYFERRY_VAULT_TOKEN", "canary-token");
        child::run(&mut command, LIMIT)
    };
    let good = listed(vault.display().to_string(), &["plugin", "list", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&good.out).unwrap();
    let row = &document["plugins"][0];
    assert_eq!(
        (
            row["name"].as_str(),
            row["is_source"].as_bool(),
            row["routes"][0].as_str()
        ),
        (Some("vault"), Some(true), Some("{rest}"))
    );
    assert_eq!(row["settings"][1]["environment"], "KEYFERRY_VAULT_TOKEN");
    assert!(
        row["settings"][1]["set"] == true
            && row["settings"][3]["set"] == false
            && document["left_out"].as_array().unwrap().is_empty()
    );
    assert!(good.status.success() && !good.said().contains("canary-token"));
    let both = listed(
        format!("{}:{}", vault.display(), old.display()),
        &["plugin", "list"],
    );
    assert!(
        both.out.contains("vault")
            && both.err.contains("old.so: it uses version 0")
            && both.status.code() == Some(1),
        "{}",
        both.said()
    );
    let none = listed(String::new(), &["plugin", "list"]);
    assert!(none.status.success(), "{}", none.said());
    assert_eq!(
        none.err,
        "keyferry: warning: keyferry has no variable KEYFERRY_VAULT_TOKEN; unset it, or load the plugin that it belongs to; docs/configuration.md lists the variables\n"
    );
}

#[test]
fn a_relative_path_is_named_as_such() {
    let checked = check(&Harness::new(), Path::new("build/studio.so"));
    assert!(
        checked.out.contains(
            "build/studio.so: its path is not absolute; use the path that `realpath` prints"
        ),
        "{}",
        checked.said()
    );
}
