//! Changes one setting of a configuration file. Comments, order and formatting of the rest stay.
//!
//! Parses the new content and compares it with the old. If anything except the one setting has
//! changed, the edit fails and the user must edit the file.

use std::path::Path;

use toml::{Table, Value};

use super::account::DEFAULT_ACCOUNT;
use crate::error::{Error, ErrorKind, Result};

/// Returns the content of a file with one setting changed. `value` is the TOML expression after the
/// equals sign.
///
/// # Errors
/// [`ErrorKind::Config`] if the file cannot be changed safely. The error message contains the line
/// that the user must add.
pub fn with_setting(
    path: &Path,
    text: &str,
    account: &str,
    key: &str,
    value: &str,
) -> Result<String> {
    let (section, leaf) = key.rsplit_once('.').unwrap_or(("", key));
    let section = if account == DEFAULT_ACCOUNT {
        section.to_owned()
    } else {
        format!("profile.{}.{section}", quoted_key(account))
    };
    let refuse = || {
        let file = path.display();
        Error::new(
            ErrorKind::Config,
            format!(
                "cannot change {file} safely; put `{leaf} = {value}` under [{section}] yourself"
            ),
        )
    };
    let expected_table = expected_table(text, &section, leaf, value).ok_or_else(refuse)?;
    let found = candidates(text, &section, leaf, value).find(|text| {
        text.parse::<Table>()
            .is_ok_and(|table| table == expected_table)
    });
    found.ok_or_else(refuse)
}

/// Returns a string as a TOML basic string. Control characters are not escaped, because settings
/// contain none.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns a profile's name as one part of a TOML key. A name with dots is quoted, because unquoted
/// dots separate parts.
fn quoted_key(name: &str) -> String {
    if name.contains('.') {
        quoted(name)
    } else {
        name.to_owned()
    }
}

/// Returns the settings that the changed file must contain.
fn expected_table(text: &str, section: &str, leaf: &str, value: &str) -> Option<Table> {
    let mut table = text.parse::<Table>().ok()?;
    let addition = format!("[{section}]\n{leaf} = {value}\n")
        .parse::<Table>()
        .ok()?;
    merge(&mut table, addition, leaf);
    Some(table)
}

fn merge(into: &mut Table, from: Table, leaf: &str) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(more)) if name != leaf => {
                merge(inner, more, leaf)
            }
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

/// Returns candidates for the new content, the smallest change first.
fn candidates<'a>(
    text: &'a str,
    section: &'a str,
    leaf: &'a str,
    value: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let lines = || {
        text.split_inclusive('\n').scan(0, |at, line| {
            Some((std::mem::replace(at, *at + line.len()), line))
        })
    };
    let replaced = lines().filter_map(move |(at, line)| {
        let (left, _) = line.split_once('=')?;
        let name = left
            .trim()
            .rsplit('.')
            .next()?
            .trim()
            .trim_matches(['"', '\'']);
        let (_, end) =
            (name == leaf).then(|| line.split_at(line.trim_end_matches(['\r', '\n']).len()))?;
        Some(format!(
            "{}{left}= {value}{}{end}{}",
            &text[..at],
            comment(line),
            &text[at + line.len()..]
        ))
    });
    let inserted = lines()
        .filter(|(_, line)| line.trim_start().starts_with('['))
        .map(move |(at, line)| {
            let (before, after) = text.split_at(at + line.len());
            let end = if line.ends_with('\n') { "" } else { "\n" };
            format!("{before}{end}{leaf} = {value}\n{after}")
        });
    let gap = if text.is_empty() || text.ends_with("\n\n") {
        ""
    } else {
        "\n"
    };
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let appended = format!("{text}{end}{gap}[{section}]\n{leaf} = {value}\n");
    let dotted = format!("{section}.{leaf} = {value}\n{text}");
    replaced.chain(inserted).chain([appended, dotted])
}

/// Returns the comment at the end of a line. A `#` begins a comment only if the part of the line
/// before it is valid TOML. A `#` inside a string does not.
fn comment(line: &str) -> String {
    let line = line.trim_end();
    let begins = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].parse::<Table>().is_ok());
    begins
        .map(|(at, _)| format!(" {}", &line[at..]))
        .unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const VALUE: &str = r#"{ file = "/s" }"#;

    fn edit(text: &str) -> Result<String> {
        with_setting(
            Path::new("/c.toml"),
            text,
            DEFAULT_ACCOUNT,
            "masv.password",
            VALUE,
        )
    }

    #[test]
    fn one_setting_changes_and_the_rest_stays_to_the_letter() {
        for (before, after) in [
            ("", "[masv]\npassword = V\n"),
            (
                "store = \"memory\"",
                "store = \"memory\"\n\n[masv]\npassword = V\n",
            ),
            (
                "# top\n[masv] # here\nemail = \"a\"\n\n[agent]\n",
                "# top\n[masv] # here\npassword = V\nemail = \"a\"\n\n[agent]\n",
            ),
            (
                "[masv]\n  password=\"a#b\" # kept\nemail = 'x'\n",
                "[masv]\n  password= V # kept\nemail = 'x'\n",
            ),
            (
                "[masv]\r\npassword = \"a\"\r\n",
                "[masv]\r\npassword = V\r\n",
            ),
            (
                "masv.password = \"a\"\nmasv.email = \"b\"\n",
                "masv.password = V\nmasv.email = \"b\"\n",
            ),
            (
                "masv.email = \"b\"\n[agent]\n",
                "masv.password = V\nmasv.email = \"b\"\n[agent]\n",
            ),
            (
                "[profile.w.masv]\npassword = \"w\"\n",
                "[profile.w.masv]\npassword = \"w\"\n\n[masv]\npassword = V\n",
            ),
            (
                "[profile.w.masv]\npassword = \"w\"\n[masv]\n",
                "[profile.w.masv]\npassword = \"w\"\n[masv]\npassword = V\n",
            ),
            (
                "[masv]\npassword = { env = \"A\" }\n",
                "[masv]\npassword = V\n",
            ),
        ] {
            assert_eq!(
                edit(before).unwrap(),
                after.replace('V', VALUE),
                "{before:?}"
            );
        }
    }

    #[test]
    fn a_profile_gets_a_section_of_its_own() {
        let edit = |text, account| {
            with_setting(Path::new("/c"), text, account, "masv.password", VALUE).unwrap()
        };
        assert_eq!(
            edit("", "work"),
            format!("[profile.work.masv]\npassword = {VALUE}\n")
        );
        assert_eq!(
            edit("", "a.b"),
            format!("[profile.\"a.b\".masv]\npassword = {VALUE}\n")
        );
        let both = "[masv]\npassword = \"a\"\n\n[profile.work.masv]\nemail = \"b\"\n";
        assert_eq!(
            edit(both, "work"),
            both.replace("masv]\nemail", &format!("masv]\npassword = {VALUE}\nemail"))
        );
    }

    #[test]
    fn what_can_not_be_changed_safely_is_left_alone() {
        for text in [
            "masv = { password = \"a\" }\n",
            "[masv]\npassword = \"\"\"\na\n\"\"\"\n",
            "no TOML",
            "[masv]\npassword = [\n\"a\" ]\n",
        ] {
            let error = edit(text).unwrap_err();
            assert!(error.message().contains("put `password = "), "{error}");
        }
    }

    #[test]
    fn nothing_of_the_old_value_stays_behind() {
        assert_eq!(
            edit("[masv]\npassword = 'ab#canary'\n").unwrap(),
            format!("[masv]\npassword = {VALUE}\n")
        );
    }
}
