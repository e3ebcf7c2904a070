//! The shared library as a linker sees it.

use std::collections::BTreeSet;
use std::process::Command;

use keyferry::ffi::version::KEYFERRY_ABI_VERSION;

use super::header::symbols;
use keyferry_testing::{compiler, files, skip};

fn tool_output(tool: &str, options: &[&str]) -> Option<String> {
    (!skip::without(&[tool])).then(|| {
        compiler::succeed(
            Command::new(tool)
                .args(options)
                .arg(files::beside("libkeyferry.so")),
        )
        .out
    })
}

#[test]
fn exactly_the_listed_functions_are_exported() {
    let Some(out) = tool_output("nm", &["--dynamic", "--defined-only", "--format=posix"]) else {
        return;
    };
    let exported: BTreeSet<_> = out
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(exported, symbols());
}

#[test]
fn the_soname_holds_the_abi_number() {
    let Some(out) = tool_output("readelf", &["--dynamic", "--wide"]) else {
        return;
    };
    assert!(
        out.contains(&format!("soname: [libkeyferry.so.{KEYFERRY_ABI_VERSION}]")),
        "{out}"
    );
}

#[test]
fn it_is_bound_at_once_stays_loaded_and_looks_nowhere_else() {
    let Some(out) = tool_output("readelf", &["--dynamic", "--wide"]) else {
        return;
    };
    assert!(out.contains("NOW") && out.contains("NODELETE"), "{out}");
    assert!(
        !out.contains("RPATH") && !out.contains("RUNPATH") && !out.contains("TEXTREL"),
        "{out}"
    );
}

#[test]
fn it_asks_for_no_executable_stack_and_its_tables_are_read_only() {
    let Some(out) = tool_output("readelf", &["--program-headers", "--wide"]) else {
        return;
    };
    let stack = out.lines().find(|line| line.contains("GNU_STACK")).unwrap();
    assert!(stack.contains(" RW ") && !stack.contains("RWE"), "{stack}");
    assert!(out.contains("GNU_RELRO"), "{out}");
}
