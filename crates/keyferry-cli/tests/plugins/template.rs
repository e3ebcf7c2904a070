//! The template's service through the doors: C, git, curl and scripts. Not a line of keyferry knows
//! of it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use keyferry::ffi::version::KEYFERRY_ABI_VERSION;
use keyferry_sandbox::{Options, Sandbox};

use keyferry_testing::child::{self, ProgramOutput, run_with_input};
use keyferry_testing::compiler;
use keyferry_testing::files::{beside, file};
use keyferry_testing::harness::Harness;
use keyferry_testing::plugins::studio::{KEY, Studio};
use keyferry_testing::skip;

use crate::git_credential;

const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");
const LIMIT: Duration = Duration::from_secs(600);

struct TemplatePlugin {
    harness: Harness,
    studio: Studio,
    template: PathBuf,
}

impl TemplatePlugin {
    fn new() -> Self {
        let harness = Harness::new();
        let template = harness.plugin("template.c", &[]);
        Self {
            harness,
            studio: Studio::start(),
            template,
        }
    }

    /// A program that is told of the plugin, its URL and its key.
    fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.harness.isolated_program(program, arguments);
        command
            .env("KEYFERRY_PLUGINS", &self.template)
            .env("KEYFERRY_TEMPLATE_URL", self.studio.url())
            .env("KEYFERRY_TEMPLATE_KEY", KEY);
        command
    }

    fn keyferry(&self, arguments: &[&str]) -> ProgramOutput {
        child::run(&mut self.program(KEYFERRY, arguments), LIMIT)
    }

    fn git(&self, input: &str) -> (bool, String) {
        self.git_credential("fill", input, &[])
    }

    fn git_credential(
        &self,
        word: &str,
        input: &str,
        variables: &[(&str, &str)],
    ) -> (bool, String) {
        let mut command = self.program("git", &[]);
        command.args(git_credential(word));
        command.envs(variables.iter().copied());
        let ended = run_with_input(&mut command, input);
        (ended.status.success(), ended.out + &ended.err)
    }
}

#[test]
fn git_fills_in_the_plugins_token() {
    let template = TemplatePlugin::new();
    let url = template.studio.url();
    let (filled, said) = template.git(&format!("url={url}/v1/library.git\n\n"));
    assert!(
        filled && said.contains("\nusername=default\n") && said.contains("\npassword=studio-1\n"),
        "{said}"
    );
    let (filled, said) = template.git(&format!(
        "capability[]=authtype\nurl={url}/v1/library.git\n\n"
    ));
    // git forgets the capabilities when it reads `url`, so they must come after it.
    assert!(filled, "{said}");
    let (filled, said) = template.git(&format!("url={url}/v1/assets/7/raw\n\n"));
    assert!(
        filled && said.contains("username=X-Asset-Ticket\n") && said.contains("password=ticket-"),
        "{said}"
    );
    let (filled, said) = template.git("url=https://elsewhere.example/v1/library.git\n\n");
    assert!(
        !filled && !said.contains("studio-") && !said.contains("keyferry:"),
        "{said}"
    );
    if skip::without_git((2, 46)) {
        return;
    }
    let (filled, said) = template.git(&format!(
        "url={url}/v1/library.git\ncapability[]=authtype\n\n"
    ));
    assert!(
        filled && said.contains("authtype=Bearer\n") && said.contains("credential=studio-"),
        "{said}"
    );
}

#[test]
fn logout_takes_the_service_of_a_plugin() {
    let template = TemplatePlugin::new();
    let url = format!("{}/v1/library.git", template.studio.url());
    let run = |arguments: &[&str]| {
        let mut command = template.program(KEYFERRY, arguments);
        child::run(command.env("KEYFERRY_STORE", "file"), LIMIT)
    };
    let first = run(&["token", &url]).out;
    assert_eq!(run(&["token", &url]).out, first);
    let other = run(&["logout", "masv"]);
    assert!(other.out.contains("0 tokens deleted"), "{other:?}");
    assert_eq!(run(&["token", &url]).out, first);
    let output = run(&["logout", "template"]);
    assert!(
        output.code == Some(0)
            && output
                .out
                .starts_with("logged out of template; 1 token deleted"),
        "{output:?}"
    );
    assert_ne!(run(&["token", &url]).out, first);
}

/// `explain` and `doctor` say for a plugin's service as much as for a built-in service, and do not call
/// the plugin.
#[test]
fn explain_and_doctor_say_what_happens_next() {
    let template = TemplatePlugin::new();
    let url = format!("{}/v1/library", template.studio.url());
    let run = |arguments: &[&str], key: Option<&str>| {
        let mut command = template.program(KEYFERRY, arguments);
        command.env("KEYFERRY_STORE", "file");
        match key {
            Some(key) => command.env("KEYFERRY_TEMPLATE_KEY", key),
            None => command.env_remove("KEYFERRY_TEMPLATE_KEY"),
        };
        child::run(&mut command, LIMIT)
    };
    let explain = |key: Option<&str>| run(&["explain", &url], key);
    let assert_next = |output: &ProgramOutput, next: &str| {
        let rows = output.out.lines();
        let mut shown = rows.filter_map(|line| line.strip_prefix("next"));
        let shown = shown.next().unwrap_or_default().trim();
        assert!(shown.starts_with(next), "{next}: {}", output.said());
    };
    let calls = "calls `acquire` of the plugin template, which may ";
    let before = explain(Some(KEY));
    assert_next(&before, &format!("{calls}send requests"));
    let source = "template.key from variable KEYFERRY_TEMPLATE_KEY";
    assert!(before.out.contains(source), "{}", before.out);
    assert_next(
        &explain(None),
        &format!("{calls}fail without template.key, because no value is set"),
    );
    let document = run(&["explain", &url, "--json"], Some(KEY)).out;
    assert!(document.contains("\"step\":\"call_plugin\""), "{document}");
    assert!(template.studio.server.requests().is_empty());

    run(&["header", &url], Some("wrong")).assert_error(3, "template");
    let sent = template.studio.server.count("POST /v1/sessions");
    let refused = explain(Some("wrong"));
    assert_next(&refused, "would fail: ");
    for part in [" (refused ", " ago; tried again in "] {
        assert!(refused.out.contains(part), "{}", refused.out);
    }
    let doctor = run(&["doctor"], Some("wrong")).out;
    let row = doctor
        .lines()
        .find(|line| line.starts_with("template login"));
    let row = row.unwrap_or_else(|| panic!("{doctor}"));
    assert!(row.contains("BAD") && row.contains(" (refused "), "{row}");
    assert_next(&explain(Some(KEY)), calls);
    assert_eq!(template.studio.server.count("POST /v1/sessions"), sent);

    assert_eq!(run(&["header", &url], Some(KEY)).code, Some(0));
    let stored = explain(Some(KEY));
    assert_next(&stored, "returns this token, without a request");
    assert!(stored.out.contains("the store (file)"), "{}", stored.out);

    let other = format!("{}/v9/library", template.studio.url());
    run(&["explain", &other], Some(KEY)).assert_error(
        1,
        "the URL belongs to template, but its path has no known version prefix; check that the path begins with /v1/\n",
    );
}

#[test]
fn setup_makes_git_ask_for_the_plugins_token() {
    let template = TemplatePlugin::new();
    let done = template.keyferry(&["setup", "git", "--yes"]);
    assert!(done.status.success(), "{}", done.said());
    let mut command = template.program("git", &["credential", "fill"]);
    let input = format!("url={}/v1/assets/7/raw\n\n", template.studio.url());
    let filled = run_with_input(&mut command, &input);
    assert!(
        filled.out.contains("username=X-Asset-Ticket\n"),
        "{}",
        filled.said()
    );
}

#[test]
fn what_git_rejects_is_forgotten_and_what_it_approves_is_left_alone() {
    let template = TemplatePlugin::new();
    let store = [("KEYFERRY_STORE", "file")];
    let url = format!("url={}/v1/library.git\n", template.studio.url());
    let fill = || {
        template
            .git_credential("fill", &format!("{url}\n"), &store)
            .1
    };
    assert!(fill().contains("password=studio-1\n"));
    assert_eq!(
        template.git_credential(
            "approve",
            &format!("{url}username=default\npassword=studio-1\n\n"),
            &store
        ),
        (true, String::new())
    );
    assert!(fill().contains("password=studio-1\n"));
    assert_eq!(
        template.git_credential(
            "reject",
            &format!("{url}username=default\npassword=studio-1\n\n"),
            &store
        ),
        (true, String::new())
    );
    assert!(
        fill().contains("password=studio-2\n"),
        "renewed with what the first one came with"
    );
    assert_eq!(
        (
            template.studio.server.count("POST /v1/sessions/renew"),
            template.studio.server.requests().len()
        ),
        (1, 2)
    );
}

#[test]
fn scripts_get_its_header_and_curl_uses_it() {
    if skip::without(&["curl"]) {
        return;
    }
    let template = TemplatePlugin::new();
    let url = format!("{}/v1/library", template.studio.url());
    for (word, expected) in [
        ("header", "Authorization: Bearer studio-1\n"),
        (
            "curl",
            "max-redirs = 0\nheader = \"Authorization: Bearer studio-2\"\n",
        ),
        ("token", "studio-3\n"),
    ] {
        let ended = template.keyferry(&[word, &url]);
        assert_eq!(
            (
                ended.status.success(),
                ended.out.as_str(),
                ended.err.as_str()
            ),
            (true, expected, "")
        );
    }
    let explained = template.keyferry(&["explain", &url]);
    assert!(
        explained.status.success() && explained.out.contains("template"),
        "{}",
        explained.said()
    );
    let script = format!(
        "'{KEYFERRY}' curl '{url}' | curl -sS -o /dev/null -w '%{{http_code}}' -K - '{url}'"
    );
    let ended = child::run(&mut template.program("sh", &["-c", &script]), LIMIT);
    assert_eq!(ended.out, "200", "{}", ended.said());
}

#[test]
fn one_login_serves_many_commands() {
    let template = TemplatePlugin::new();
    for _ in 0..4 {
        let mut command = template.program(KEYFERRY, &["header", "template:library"]);
        let ended = child::run(command.env("KEYFERRY_STORE", "file"), LIMIT);
        assert_eq!(
            ended.out,
            "Authorization: Bearer studio-1\n",
            "{}",
            ended.said()
        );
    }
    assert_eq!(template.studio.server.requests().len(), 1);
}

/// The C program that the door is for, with its library and its environment.
fn compile_c_program(template: &TemplatePlugin, flags: &[&str]) -> (PathBuf, Sandbox) {
    let lib = template.harness.path("lib");
    std::fs::create_dir(&lib).unwrap();
    for name in [
        "libkeyferry.so".to_owned(),
        format!("libkeyferry.so.{KEYFERRY_ABI_VERSION}"),
    ] {
        std::os::unix::fs::symlink(beside("libkeyferry.so"), lib.join(name)).unwrap();
    }
    let program = template.harness.path("program");
    let mut command = compiler::strict(&file("c-tests").join("plugin.c"));
    command
        .args(flags)
        .arg("-I")
        .arg(file("include"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&lib)
        .args(["-lkeyferry", "-pthread", "-ldl"]);
    compiler::succeed(&mut command);
    (program, Sandbox::start(Options::default()).unwrap())
}

fn run_c_program(runner: &[&str], arguments: &[&str], flags: &[&str]) -> ProgramOutput {
    let template = TemplatePlugin::new();
    let (program, sandbox) = compile_c_program(&template, flags);
    let plugin = |source: &str| {
        template
            .harness
            .plugin(source, &[&["-D_GNU_SOURCE"], flags].concat())
            .display()
            .to_string()
    };
    let plugins = ["template.c", "liar.c", "reentrant.c"].map(plugin);
    let words: Vec<_> = runner
        .iter()
        .copied()
        .chain([program.to_str().unwrap()])
        .chain(arguments.iter().copied())
        .collect();
    let mut command = template.program(words[0], &words[1..]);
    command
        .env("KEYFERRY_PLUGINS", plugins.join(":"))
        .env("LD_LIBRARY_PATH", template.harness.path("lib"));
    command.envs(
        sandbox
            .variables()
            .into_iter()
            .filter(|(name, _)| !name.starts_with('#')),
    );
    command
        .env("KEYFERRY_LIAR_URL", "http://127.0.0.1:9/liar")
        .env("KEYFERRY_REENTRANT_URL", "http://127.0.0.1:9/reentrant");
    command
        .env("KEYFERRY_LIAR_KEY", "k")
        .env("KEYFERRY_STORE", "memory");
    child::run(&mut command, LIMIT)
}

#[test]
fn c_programs_reach_it_like_a_built_in_service() {
    for arguments in [&[][..], &["fork"]] {
        let ended = run_c_program(&[], arguments, &[]);
        assert!(
            ended.status.success() && ended.out.is_empty() && ended.err.is_empty(),
            "{}",
            ended.said()
        );
    }
}

#[test]
fn host_and_plugins_are_clean_under_valgrind() {
    if skip::without(&["valgrind"]) {
        return;
    }
    let ended = run_c_program(
        &[
            "valgrind",
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite",
        ],
        &[],
        &[],
    );
    assert!(ended.status.success(), "{}", ended.said());
}

/// The sanitizer sees what plugin and program do, and what the host does to memory that either has.
#[test]
fn host_and_plugins_are_clean_under_the_address_sanitizer() {
    let ended = run_c_program(&[], &[], &["-fsanitize=address"]);
    assert!(
        ended.status.success() && ended.err.is_empty(),
        "{}",
        ended.said()
    );
}

/// The parts of a binding, and the library that it finds beside them.
fn link_package(template: &TemplatePlugin, from: &str, parts: &[&str], library: &str) -> PathBuf {
    let to = template.harness.path(from);
    std::fs::create_dir_all(&to).unwrap();
    for part in parts {
        std::os::unix::fs::symlink(file(from).join(part), to.join(part)).unwrap();
    }
    let library = to.join(library);
    std::fs::create_dir_all(library.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(beside("libkeyferry.so"), library).unwrap();
    to
}

/// The token is fetched once and shown twice: by header, and by token object.
fn assert_reached(template: &TemplatePlugin, command: &mut Command) {
    let ended = child::run(command, LIMIT);
    assert!(
        ended.status.success() && ended.err.is_empty(),
        "{}",
        ended.said()
    );
    assert_eq!(
        ended.out,
        "Authorization Bearer studio-1 template\n",
        "{}",
        ended.said()
    );
    assert_eq!(
        template
            .studio
            .state
            .token_count
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
}

#[test]
fn python_reaches_it_like_a_built_in_service() {
    if skip::without(&["python3"]) {
        return;
    }
    let template = TemplatePlugin::new();
    let sources = std::fs::read_dir(file("bindings/python/keyferry"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let sources: Vec<_> = sources
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".py"))
        .collect();
    let parts: Vec<_> = sources.iter().map(String::as_str).collect();
    let package = link_package(
        &template,
        "bindings/python/keyferry",
        &parts,
        "libkeyferry.so",
    );
    let url = template.studio.url();
    let code = format!(
        "import keyferry\nprint(*keyferry.header('{url}/v1/library'), keyferry.token_for('template:library').service)"
    );
    let mut command = template.program("python3", &["-c", &code]);
    assert_reached(
        &template,
        command.env("PYTHONPATH", package.parent().unwrap()),
    );
}

#[test]
fn node_reaches_it_like_a_built_in_service() {
    if skip::without(&["node", "npm"]) {
        return;
    }
    let template = TemplatePlugin::new();
    let library = format!(
        "native/linux-{}/libkeyferry.so",
        if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x64"
        }
    );
    let package = link_package(&template, "bindings/node", &[], &library);
    for part in ["index.js", "package.json"] {
        std::fs::copy(file("bindings/node").join(part), package.join(part)).unwrap();
    }
    std::fs::create_dir(package.join("lib")).unwrap();
    for source in std::fs::read_dir(file("bindings/node/lib"))
        .unwrap()
        .map(Result::unwrap)
    {
        std::fs::copy(source.path(), package.join("lib").join(source.file_name())).unwrap();
    }
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-npm");
    let mut npm = template.harness.isolated_program(
        "npm",
        &[
            "install",
            "--ignore-scripts",
            "--prefer-offline",
            "--no-audit",
            "--no-fund",
        ],
    );
    npm.current_dir(&package)
        .env("npm_config_cache", cache)
        .env("npm_config_update_notifier", "false");
    // Where its packages come from is the tester's own matter.
    npm.envs(std::env::vars().filter(|(name, _)| {
        name.to_lowercase().starts_with("npm_config_") || name.to_lowercase().ends_with("_proxy")
    }));
    let ended = child::run(&mut npm, LIMIT);
    assert!(ended.status.success(), "{}", ended.said());
    let url = template.studio.url();
    let code = format!(
        "import {{ Session }} from './index.js'; const session = Session.default; \
         const headers = await session.headersFor('{url}/v1/library'); \
         console.log(...Object.entries(headers)[0], (await session.tokenFor('template:library')).service)"
    );
    let mut command = template.program("node", &["--input-type=module", "-e", &code]);
    assert_reached(&template, command.current_dir(&package));
}
