//! `keyferry setup bazel`: adds `--credential_helper` lines to `~/.bazelrc`.
//!
//! The lines form a block, which is added at the beginning of the file, so that the rest of the file stays as it is,
//! even if its last line has no line break.

use std::collections::BTreeSet;
use std::ops::Range;

use super::change::{Change, Plan, failure, home_path, keyferry_path, origins};
use crate::context::CliContext;
use crate::file_edit::FileEdit;
use keyferry::error::Result;

const FIRST_LINE: &str =
    "# Added by `keyferry setup bazel`. To remove: keyferry setup bazel --undo\n";
const LAST_LINE: &str = "# End of `keyferry setup bazel`.\n";
const OPTION: &str = "--credential_helper";

/// Compares `~/.bazelrc` with the wanted one.
///
/// # Errors
/// [`keyferry::error::ErrorKind::Config`] if the file cannot be read, or sets another helper.
pub(super) fn plan(undo: bool, context: &CliContext) -> Result<Plan> {
    let file = FileEdit::open(&home_path(context, ".bazelrc")?)?;
    let old_text = file.text()?;
    let range = block_range(&old_text);
    let (before, old_block, after) = (
        &old_text[..range.start],
        &old_text[range.clone()],
        &old_text[range.end..],
    );
    let (new_block, done, nothing) = if undo {
        (
            String::new(),
            "Bazel no longer uses keyferry",
            "Bazel does not use keyferry; nothing to undo",
        )
    } else {
        let origins = origins(context)?;
        let hosts: BTreeSet<_> = origins.iter().map(super::change::Origin::host).collect();
        check_other_helpers(&[before, after], &hosts, &file)?;
        (
            block(&hosts, &keyferry_path(context)?),
            "Bazel now uses keyferry\nto undo this: keyferry setup bazel --undo",
            "Bazel already uses keyferry; nothing to change",
        )
    };
    if new_block == old_block {
        return Ok(Plan::UpToDate(nothing.to_owned()));
    }
    let removed = old_block.lines().map(|line| format!("- {line}"));
    let added = new_block.lines().map(|line| format!("+ {line}"));
    let lines = removed.chain(added).collect();
    let new_text = format!("{before}{new_block}{after}");
    Ok(Plan::Needed(Change {
        title: format!("Change to {}:", file.path().display()),
        lines,
        make: Box::new(move || file.replace(&new_text)),
        done: done.to_owned(),
    }))
}

/// Returns where the block of this command is, or the beginning of the file if there is none.
fn block_range(text: &str) -> Range<usize> {
    let start = text.find(FIRST_LINE).unwrap_or(0);
    let end = text[start..].find(LAST_LINE).map(|end| start + end);
    let has_block = text[start..].starts_with(FIRST_LINE);
    match end.filter(|_| has_block) {
        Some(end) => start..end + LAST_LINE.len(),
        None => 0..0,
    }
}

fn block(hosts: &BTreeSet<&str>, program: &str) -> String {
    let line = |host: &&str| {
        let option = format!("{OPTION}={host}={program}");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=[]%+@,~".contains(c);
        if option.chars().all(is_plain) {
            format!("common {option}\n")
        } else {
            let escaped = option.replace('\\', r"\\").replace('"', "\\\"");
            format!("common \"{escaped}\"\n")
        }
    };
    let lines: String = hosts.iter().map(line).collect();
    format!("{FIRST_LINE}{lines}{LAST_LINE}")
}

/// Refuses to add a helper for a host that already has one.
fn check_other_helpers(texts: &[&str], hosts: &BTreeSet<&str>, file: &FileEdit) -> Result<()> {
    let lines = texts.iter().flat_map(|text| text.lines());
    let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
    for (line, host) in lines.flat_map(|line| hosts.iter().map(move |host| (line, host))) {
        let sets = |separator| line.contains(&format!("{OPTION}{separator}{host}="));
        if sets("=") || sets(" ") {
            return Err(failure(format!(
                "cannot set up Bazel: {} already has a {OPTION} for {host}; remove that line, then retry",
                file.path().display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_is_quoted() {
        let text = block(&BTreeSet::from(["a.example"]), "/a \"b/keyferry");
        let line = text.lines().nth(1);
        assert_eq!(
            line,
            Some(r#"common "--credential_helper=a.example=/a \"b/keyferry""#)
        );
    }

    #[test]
    fn the_block_is_found_where_the_user_moves_it() {
        let own = block(&BTreeSet::from(["a.example"]), "/keyferry");
        for (before, after) in [
            ("", ""),
            ("", "build -c opt"),
            ("# mine\n", "\n\n# mine\n"),
            ("", FIRST_LINE),
        ] {
            let range = block_range(&format!("{before}{own}{after}"));
            assert_eq!(range, before.len()..before.len() + own.len());
        }
        assert_eq!(block_range(LAST_LINE), 0..0);
        assert_eq!(block_range(&format!("{LAST_LINE}{FIRST_LINE}")), 0..0);
    }
}
