//! The completion scripts, read by the shells themselves.

use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

use crate::programs::{KEYFERRY, Programs};

/// Command lines, the last word of which is completed, with the words that a shell must offer.
const LINES: [(&str, &[&str]); 6] = [
    ("keyferry sta", &["status"]),
    ("keyferry expl", &["explain"]),
    ("keyferry header --acc", &["--access"]),
    ("keyferry header --access ", &["read", "write", "manage"]),
    ("keyferry login ", &["masv", "fileverbs", "agent"]),
    ("keyferry plugin ", &["list", "check"]),
];

/// Writes the script of a shell into a file and returns its path.
fn script(harness: &Harness, shell: &str) -> String {
    let output = harness.keyferry(&["completions", shell]);
    assert!(
        output.code == Some(0) && output.err.is_empty(),
        "{shell}: {output:?}"
    );
    let path = harness.write_file(&format!("completions.{shell}"), &output.out, 0o644);
    path.to_str().unwrap().to_owned()
}

/// Runs a shell with these arguments and returns its output.
fn run(harness: &Harness, shell: &str, arguments: &[&str]) -> String {
    let output = run_with_input(&mut harness.isolated_program(shell, arguments), "");
    assert!(
        output.code == Some(0) && output.err.is_empty(),
        "{shell} {arguments:?}: {output:?}"
    );
    output.out
}

#[test]
fn bash_completes_commands_options_and_values() {
    if skip::without(&["bash"]) {
        return;
    }
    // Calls the registered function as bash does after the Tab key.
    const COMPLETE: &str = r#"
        . "$1"
        IFS=' ' read -ra COMP_WORDS <<< "$2"
        case $2 in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        set -- $(complete -p keyferry)
        while [ "$1" != -F ]; do shift; done
        "$2" keyferry "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let harness = Harness::new();
    let script = script(&harness, "bash");
    for (line, expected) in LINES {
        let offered = run(&harness, "bash", &["-c", COMPLETE, "bash", &script, line]);
        for word in expected {
            let is_offered = offered.lines().any(|offer| offer == *word);
            assert!(is_offered, "{line:?} offers no {word}: {offered}");
        }
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if skip::without(&["fish"]) {
        return;
    }
    let harness = Harness::new();
    let script = script(&harness, "fish");
    // clap_complete offers fish no values of arguments without an option.
    let lines = LINES.iter().filter(|(line, _)| *line != "keyferry login ");
    for (line, expected) in lines {
        let code = format!("source '{script}'; complete -C '{line}'");
        let offered = run(&harness, "fish", &["--no-config", "-c", &code]);
        for word in *expected {
            let is_offered = offered
                .lines()
                .any(|offer| offer.split('\t').next() == Some(word));
            assert!(is_offered, "{line:?} offers no {word}: {offered}");
        }
    }
}

#[test]
fn zsh_loads_the_script_and_registers_it() {
    if skip::without(&["zsh"]) {
        return;
    }
    let harness = Harness::new();
    let script = script(&harness, "zsh");
    run(&harness, "zsh", &["-n", &script]);
    let code = format!(
        "autoload -Uz compinit && compinit -u -D && . '{script}' && print -r -- $_comps[keyferry]"
    );
    assert_eq!(run(&harness, "zsh", &["-f", "-c", &code]), "_keyferry\n");
}

#[test]
fn powershell_gets_a_script_and_another_shell_an_error() {
    let harness = Harness::new();
    let script = harness.keyferry(&["completions", "powershell"]).out;
    assert!(
        script.contains("Register-ArgumentCompleter") && script.contains("'explain'"),
        "{script}"
    );
    let error = harness.keyferry(&["completions", "basch"]);
    assert!(
        error.code == Some(2) && error.err.contains("similar value exists: 'bash'"),
        "{error:?}"
    );
    // Nothing of it is in the helper, which git starts for every fetch.
    let helper = std::fs::read(crate::programs::HELPER).unwrap();
    let program = std::fs::read(KEYFERRY).unwrap();
    let names_a_subcommand = |bytes: &[u8]| {
        let text = b"unrecognized subcommand";
        bytes.windows(text.len()).any(|part| part == text)
    };
    assert!(names_a_subcommand(&program) && !names_a_subcommand(&helper));
}
