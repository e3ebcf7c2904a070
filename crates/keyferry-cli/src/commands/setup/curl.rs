//! `keyferry setup curl`: installs the script `~/.local/bin/kcurl`.
//!
//! Rationale: curl has no credential helper, and `~/.curlrc` can only hold a fixed header, which
//! curl would send to every host. A shell function named `curl` would add a credential to commands
//! that the user pastes, and would not exist in scripts. A command of its own name sends a
//! credential only if the user asks for it, and works in every shell, script and makefile.

use std::path::Path;

use super::change::{Change, Plan, failure, home_path, keyferry_path};
use crate::context::CliContext;
use crate::file_edit::FileEdit;
use crate::shell::quote;
use keyferry::error::Result;

const SCRIPT: &str = ".local/bin/kcurl";
/// The beginning of the script, by which this command recognises it.
const HEAD: &str =
    "#!/bin/sh\n# Added by `keyferry setup curl`. To remove: keyferry setup curl --undo\n";

/// Compares the script with the wanted one.
///
/// # Errors
/// [`keyferry::error::ErrorKind::Config`] if the file cannot be read, or is not this command's.
pub(super) fn plan(undo: bool, context: &CliContext) -> Result<Plan> {
    let path = home_path(context, SCRIPT)?;
    let file = FileEdit::open(&path)?;
    let old_text = file.text()?;
    let is_ours = old_text.starts_with(HEAD);
    if undo {
        return Ok(if is_ours {
            let make = move || file.remove();
            let lines = old_text.lines().map(|line| format!("- {line}"));
            needed(&path, lines, make, "kcurl is removed")
        } else {
            Plan::UpToDate("kcurl is not installed; nothing to undo".to_owned())
        });
    }
    if file.exists() && !is_ours {
        let shown = path.display();
        return Err(failure(format!(
            "cannot set up curl: {shown} exists, and keyferry did not create it; rename it, then retry"
        )));
    }
    let program = quote(&keyferry_path(context)?);
    let new_text = format!("{HEAD}exec {program} curl -- \"$@\"\n");
    if old_text == new_text {
        return Ok(Plan::UpToDate("kcurl is already installed".to_owned()));
    }
    let removed = old_text.lines().map(|line| format!("- {line}"));
    let lines: Vec<_> = removed
        .chain(new_text.lines().map(|line| format!("+ {line}")))
        .collect();
    let make = move || file.replace_executable(&new_text);
    let done = installed(&path, context);
    Ok(needed(&path, lines.into_iter(), make, &done))
}

fn needed(
    path: &Path,
    lines: impl Iterator<Item = String>,
    make: impl FnOnce() -> Result<()> + 'static,
    done: &str,
) -> Plan {
    Plan::Needed(Change {
        title: format!("Change to {}:", path.display()),
        lines: lines.collect(),
        make: Box::new(make),
        done: done.to_owned(),
    })
}

fn installed(path: &Path, context: &CliContext) -> String {
    let done = "kcurl is installed; use it like curl: kcurl URL";
    let undo = "to undo this: keyferry setup curl --undo";
    let variable = (context.environment)("PATH").unwrap_or_default();
    let mut dirs = std::env::split_paths(&variable);
    if dirs.any(|dir| Some(dir.as_path()) == path.parent()) {
        return format!("{done}\n{undo}");
    }
    let dir = path.parent().unwrap_or(Path::new("/")).display();
    format!("{done}\nadd {dir} to PATH, so that your shell finds kcurl\n{undo}")
}
