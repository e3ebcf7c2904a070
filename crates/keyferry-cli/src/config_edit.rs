//! Changes or removes one setting in the text of `config.toml`. The rest of the text keeps its comments, order
//! and layout.
//!
//! This module neither reads nor writes files.

use std::path::Path;

use toml_edit::{DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use keyferry::config::{DEFAULT_ACCOUNT, toml_error};
use keyferry::error::{Error, ErrorKind, Result};

/// Returns the text of a file with one setting changed. `path` is used in error messages.
///
/// A setting that is not in the file is added at the end of its table, and a missing table at the
/// end of the file. The setting's own line keeps its comment.
///
/// # Errors
/// [`ErrorKind::Config`] if the text is not TOML, or if the setting has the form of a table, which
/// may contain comments. The error message contains the line that the user must add.
pub fn with_setting(
    path: &Path,
    text: &str,
    account: &str,
    key: &str,
    value: Value,
) -> Result<String> {
    // `toml_edit` writes every line break as LF.
    let unix_text = text.replace("\r\n", "\n");
    let mut document: DocumentMut = unix_text.parse().map_err(|error: toml_edit::TomlError| {
        toml_error(path, unix_text.as_bytes(), error.span())
    })?;
    let (names, leaf) = key_path(account, key);
    let line = format!("{} = {value}", Key::new(leaf));
    let refuse = || refusal(path, &names, &line);
    if names.is_empty() {
        add_to_root(&mut document, leaf, value).ok_or_else(refuse)?;
    } else {
        add_to_section(&mut document, &unix_text, &names, leaf, value).ok_or_else(refuse)?;
    }
    let new_text = document.to_string();
    // A file may define one table in two forms, for example with a dotted key and with a section.
    // Adding a setting to this table can produce invalid TOML.
    if new_text.parse::<DocumentMut>().is_err() {
        return Err(refuse());
    }
    let has_only_crlf = text.matches("\r\n").count() == text.matches('\n').count();
    Ok(if has_only_crlf && text.contains('\n') {
        new_text.replace('\n', "\r\n")
    } else {
        new_text
    })
}

/// Returns the text of a file without one setting. A comment on the line of the setting stays, and
/// so does every other line. A section of the default account goes if nothing is left in it. A
/// setting that is not in the file is not an error.
///
/// # Errors
/// [`ErrorKind::Config`] if the text is not TOML, or if the setting has the form of a table. The
/// error message names the setting that the user must remove.
pub fn without_setting(path: &Path, text: &str, account: &str, key: &str) -> Result<String> {
    let document = toml_edit::Document::parse(text)
        .map_err(|error| toml_error(path, text.as_bytes(), error.span()))?;
    let (names, leaf) = key_path(account, key);
    let mut table: &dyn TableLike = document.as_table();
    for name in &names {
        match table.get(name).and_then(Item::as_table_like) {
            Some(inner) => table = inner,
            None => return Ok(text.to_owned()),
        }
    }
    let Some((found, item)) = table.get_key_value(leaf) else {
        return Ok(text.to_owned());
    };
    let refuse = || {
        let message = format!(
            "cannot change {} safely; remove `{leaf}` under [{}] yourself",
            path.display(),
            names.join(".")
        );
        Error::new(ErrorKind::Config, message)
    };
    let spans = found.span().zip(item.as_value().and_then(Value::span));
    let (key_span, value_span) = spans.ok_or_else(refuse)?;
    let line = text[..key_span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[value_span.end..]
        .find('\n')
        .map_or(text.len(), |at| value_span.end + at + 1);
    let (before, after) = (&text[line..key_span.start], &text[value_span.end..end]);
    let new_text = if before.contains(['{', ',']) {
        without_inline(text, &names, leaf).ok_or_else(refuse)?
    } else {
        let comment = after.trim_start_matches([' ', '\t']);
        let kept = if comment.trim().is_empty() {
            ""
        } else {
            comment
        };
        drop_empty_section(&format!("{}{kept}", &text[..line]), &text[end..], &names)
    };
    match new_text.parse::<DocumentMut>() {
        Ok(_) => Ok(new_text),
        Err(_) => Err(refuse()),
    }
}

/// Returns the text without a setting of an inline table.
fn without_inline(text: &str, names: &[&str], leaf: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in names {
        table = table.get_mut(name)?.as_table_like_mut()?;
    }
    let removed = table.remove(leaf)?;
    // The space before the closing brace belongs to the last value.
    let end = removed.as_value()?.decor().suffix().cloned();
    let last = table.iter_mut().last();
    if let (Some(end), Some(last)) = (end, last.and_then(|(_, item)| item.as_value_mut())) {
        last.decor_mut().set_suffix(end);
    }
    let new_text = document.to_string();
    Some(if text.contains("\r\n") {
        new_text.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        new_text
    })
}

/// Joins the text before and after a removed setting. Leaves out the header of its section if the
/// header is the last line before it, and nothing else is in the section.
fn drop_empty_section(before: &str, after: &str, names: &[&str]) -> String {
    let header = format!("[{}]", names.join("."));
    let is_empty = after.trim_start().is_empty() || after.trim_start().starts_with('[');
    let head = before.trim_end();
    match head.strip_suffix(&header) {
        Some(rest) if is_empty && names.len() == 1 && (rest.is_empty() || rest.ends_with('\n')) => {
            let rest = rest.strip_suffix('\n').map_or(rest, |shorter| {
                let is_blank = shorter.ends_with('\n') || shorter.ends_with("\n\r");
                if is_blank {
                    shorter.trim_end_matches('\r')
                } else {
                    rest
                }
            });
            format!("{rest}{after}")
        }
        _ => format!("{before}{after}"),
    }
}

/// Splits a key into the names of its tables and its last name.
fn key_path<'a>(account: &'a str, key: &'a str) -> (Vec<&'a str>, &'a str) {
    let mut names = if account == DEFAULT_ACCOUNT {
        Vec::new()
    } else {
        vec!["profile", account]
    };
    let leaf = match key.rsplit_once('.') {
        Some((section, leaf)) => {
            names.extend(section.split('.'));
            leaf
        }
        None => key,
    };
    (names, leaf)
}

fn refusal(path: &Path, names: &[&str], line: &str) -> Error {
    let file = path.display();
    let section = names
        .iter()
        .map(|name| Key::new(*name).to_string())
        .collect::<Vec<_>>()
        .join(".");
    let place = if names.is_empty() {
        "above the first section".to_owned()
    } else {
        format!("under [{section}]")
    };
    Error::new(
        ErrorKind::Config,
        format!("cannot change {file} safely; put `{line}` {place} yourself"),
    )
}

/// Adds or replaces a setting above the first section. `None` if the setting has the form of a
/// table.
fn add_to_root(document: &mut DocumentMut, leaf: &str, mut value: Value) -> Option<()> {
    let is_new = !document.contains_key(leaf);
    let (has_items, has_values) = (
        !document.is_empty(),
        !document.as_table().get_values().is_empty(),
    );
    if is_new && has_items && !has_values {
        // An empty line between the setting and the first section.
        value.decor_mut().set_suffix("\n");
    }
    set(document.as_table_mut(), leaf, value)?;
    if !has_items {
        // A file of comments: the setting comes after them.
        let comments = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing("");
        document
            .key_mut(leaf)?
            .leaf_decor_mut()
            .set_prefix(end_line(comments));
    }
    Some(())
}

/// Adds or replaces a setting in a section, which is created if it is missing. Returns `None` if
/// one of `names` belongs to a value that is not a table, or if the setting has the form of a
/// table.
fn add_to_section(
    document: &mut DocumentMut,
    text: &str,
    names: &[&str],
    leaf: &str,
    mut value: Value,
) -> Option<()> {
    let comments = document.trailing().as_str().unwrap_or_default().to_owned();
    let gap = if text.is_empty() || text.ends_with("\n\n") {
        ""
    } else {
        "\n"
    };
    let prefix = end_line(comments) + gap;
    let mut has_new_section = false;
    let mut is_inline = false;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in names {
        if !table.contains_key(name) {
            let new_table = new_table(table.is_dotted(), &prefix);
            // An inline table converts its new member into an inline table.
            table.insert(name, Item::Table(new_table));
            has_new_section |= table
                .get(name)
                .and_then(Item::as_table)
                .is_some_and(|table| !table.is_dotted());
        }
        let item = table.get_mut(name)?;
        is_inline = item.is_inline_table();
        table = item.as_table_like_mut()?;
    }
    if is_inline && !table.contains_key(leaf) {
        move_end_of_inline_table(table, &mut value);
    }
    set(table, leaf, value)?;
    if has_new_section {
        document.set_trailing("");
    }
    Some(())
}

/// Creates a table without values. A table in a dotted key is also written as a dotted key. Any
/// other table is a section at the end of the file.
fn new_table(is_dotted: bool, prefix: &str) -> Table {
    let mut table = Table::new();
    table.set_dotted(is_dotted);
    table.set_implicit(true); // no header for a section that only contains sections
    table.set_position(Some(isize::MAX));
    table.decor_mut().set_prefix(prefix);
    table
}

/// Moves the space before the closing brace of an inline table to the value that is added to it.
fn move_end_of_inline_table(table: &mut dyn TableLike, value: &mut Value) {
    let last = table
        .iter_mut()
        .last()
        .and_then(|(_, item)| item.as_value_mut());
    if let Some(decor) = last.map(Value::decor_mut)
        && let Some(end) = decor.suffix().cloned()
    {
        decor.set_suffix("");
        value.decor_mut().set_suffix(end);
    }
}

/// Adds or replaces a value. Returns `None` if a table has this name.
fn set(table: &mut dyn TableLike, leaf: &str, mut value: Value) -> Option<()> {
    match table.get_mut(leaf) {
        None => drop(table.insert(leaf, Item::Value(value))),
        Some(Item::Value(old)) if !old.as_inline_table().is_some_and(InlineTable::is_dotted) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        Some(_) => return None,
    }
    Some(())
}

/// Returns a text that is empty or ends in a line break.
fn end_line(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    /// What `V` stands for in the tables of the tests.
    const VALUE: &str = r#"{ file = "/s" }"#;

    fn edit_key(text: &str, account: &str, key: &str) -> Result<String> {
        let value = Value::from_iter([("file", "/s")]);
        with_setting(Path::new("/c.toml"), text, account, key, value)
    }

    fn edit(text: &str) -> Result<String> {
        edit_key(text, DEFAULT_ACCOUNT, "masv.password")
    }

    #[test]
    fn one_setting_changes_and_the_rest_stays_to_the_letter() {
        for (before, after) in [
            ("", "[masv]\npassword = V\n"),
            (
                "# only\n# comments",
                "# only\n# comments\n\n[masv]\npassword = V\n",
            ),
            (
                "store = \"memory\"",
                "store = \"memory\"\n\n[masv]\npassword = V\n",
            ),
            (
                "[agent]\nurl = 'u'\n\n# end\n\n",
                "[agent]\nurl = 'u'\n\n# end\n\n[masv]\npassword = V\n",
            ),
            (
                "# top\n[masv] # here\nemail = \"a\" # mine\n# off\n\n[agent]\n",
                "# top\n[masv] # here\nemail = \"a\" # mine\npassword = V\n# off\n\n[agent]\n",
            ),
            (
                "[masv]\n  password=\"a#b\" # kept\nemail = 'x'\n",
                "[masv]\n  password=V # kept\nemail = 'x'\n",
            ),
            (
                "masv.password = \"a\"\nmasv.email = \"b\"\n",
                "masv.password = V\nmasv.email = \"b\"\n",
            ),
            (
                "masv.email = \"b\"\nstore = 'memory'\n[agent]\n",
                "masv.email = \"b\"\nmasv.password = V\nstore = 'memory'\n[agent]\n",
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
            (
                "masv = { email = \"a\" } # inline\n",
                "masv = { email = \"a\", password = V } # inline\n",
            ),
            (
                "masv = {password=\"a\", email=\"b\"}\n",
                "masv = {password=V, email=\"b\"}\n",
            ),
            ("masv = {}\n", "masv = { password = V }\n"),
            (
                "[masv]\npassword = \"\"\"\na\n\"\"\"\n",
                "[masv]\npassword = V\n",
            ),
            ("[masv]\npassword = [\n\"a\" ]\n", "[masv]\npassword = V\n"),
            (
                "[\"masv\"]\n'password' = 1\n",
                "[\"masv\"]\n'password' = V\n",
            ),
        ] {
            assert_eq!(
                edit(before).unwrap(),
                after.replace('V', VALUE),
                "{before:?}"
            );
            let windows_text = before.replace('\n', "\r\n");
            if before.contains('\n') {
                assert_eq!(
                    edit(&windows_text).unwrap(),
                    after.replace('V', VALUE).replace('\n', "\r\n"),
                    "{windows_text:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_without_a_dot_stands_above_the_first_section() {
        for (before, after) in [
            ("", "store = V\n"),
            ("# only\n", "# only\nstore = V\n"),
            ("store = 'file' # kept\n", "store = V # kept\n"),
            (
                "a = 1\n\n[masv]\nb = 2\n",
                "a = 1\nstore = V\n\n[masv]\nb = 2\n",
            ),
            (
                "# top\n[masv]\nb = 2\n",
                "store = V\n\n# top\n[masv]\nb = 2\n",
            ),
        ] {
            assert_eq!(
                edit_key(before, DEFAULT_ACCOUNT, "store").unwrap(),
                after.replace('V', VALUE),
                "{before:?}"
            );
        }
        let error = edit_key("[store]\na = 1\n", DEFAULT_ACCOUNT, "store").unwrap_err();
        assert!(
            error
                .message()
                .ends_with("put `store = { file = \"/s\" }` above the first section yourself"),
            "{error}"
        );
    }

    #[test]
    fn a_profile_gets_a_section_of_its_own() {
        for (before, account, key, after) in [
            (
                "",
                "work",
                "masv.password",
                "[profile.work.masv]\npassword = V\n",
            ),
            (
                "",
                "a.b",
                "masv.password",
                "[profile.\"a.b\".masv]\npassword = V\n",
            ),
            ("", "work", "store", "[profile.work]\nstore = V\n"),
            (
                "[masv]\npassword = \"a\"\n\n[profile.work.masv]\nemail = \"b\"\n\n[agent]\n",
                "work",
                "masv.password",
                "[masv]\npassword = \"a\"\n\n[profile.work.masv]\nemail = \"b\"\npassword = V\n\n[agent]\n",
            ),
            (
                "[profile.work.masv]\nemail = \"b\"\n\n[agent]\n# end\n",
                "home",
                "masv.password",
                "[profile.work.masv]\nemail = \"b\"\n\n[agent]\n# end\n\n[profile.home.masv]\npassword = V\n",
            ),
            (
                "profile.work.masv.email = \"b\"\n",
                "home",
                "masv.password",
                "profile.work.masv.email = \"b\"\nprofile.home.masv.password = V\n",
            ),
        ] {
            assert_eq!(
                edit_key(before, account, key).unwrap(),
                after.replace('V', VALUE),
                "{before:?}"
            );
        }
    }

    #[test]
    fn what_can_not_be_changed_safely_is_left_alone() {
        for text in [
            "masv = 1\n",
            "[[masv]]\n",
            "[masv.password]\n# why\nfile = \"/a\"\n",
            "[masv]\npassword.file = \"/a\"\n",
            "masv = { password.file = \"/a\" }\n",
        ] {
            let error = edit(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert_eq!(
                error.message(),
                "cannot change /c.toml safely; put `password = { file = \"/s\" }` under [masv] yourself",
                "{text:?}"
            );
        }
        let error = edit_key("profile = 1", "a.b", "masv.password").unwrap_err();
        assert!(
            error.message().contains("under [profile.\"a.b\".masv]"),
            "{error}"
        );
    }

    #[test]
    fn the_error_for_a_file_that_is_not_toml_names_the_place_and_no_value() {
        for text in ["[masv]\r\nemail = hunter2\r\n", "[masv]\nemail = hunter2\n"] {
            let error = edit(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert_eq!(
                error.message(),
                "/c.toml is not valid TOML at line 2, column 9; check for missing quotes and repeated keys"
            );
        }
    }

    #[test]
    fn text_is_quoted_as_toml_needs_it() {
        for text in ["plain", "a\"b", "a\\b", "a'b\"c", "é 東"] {
            let changed = with_setting(
                Path::new("/c"),
                "",
                DEFAULT_ACCOUNT,
                "masv.email",
                text.into(),
            )
            .unwrap();
            let document: DocumentMut = changed.parse().unwrap();
            assert_eq!(document["masv"]["email"].as_str(), Some(text));
        }
    }

    #[test]
    fn nothing_of_the_old_value_stays_behind() {
        assert_eq!(
            edit("[masv]\npassword = 'ab#canary'\n").unwrap(),
            format!("[masv]\npassword = {VALUE}\n")
        );
    }

    #[test]
    fn a_setting_goes_and_the_rest_stays_to_the_letter() {
        for (before, after) in [
            ("[masv]\npassword = V\n", ""),
            (
                "store = \"memory\"\n\n[masv]\npassword = V\n",
                "store = \"memory\"\n",
            ),
            (
                "[masv]\nemail = 'a'\npassword = V\n",
                "[masv]\nemail = 'a'\n",
            ),
            (
                "# top\n[masv] # here\n# why\n  password = V # mine\n# off\n\n[agent]\n",
                "# top\n[masv] # here\n# why\n# mine\n# off\n\n[agent]\n",
            ),
            (
                "[masv]\npassword = V\n\n[agent]\nurl = 'u'\n",
                "\n[agent]\nurl = 'u'\n",
            ),
            ("[masv]\n# mine\npassword = V\n", "[masv]\n# mine\n"),
            (
                "masv.password = V\nmasv.email = 'b'\n",
                "masv.email = 'b'\n",
            ),
            (
                "masv = { email = \"a\", password = V } # inline\n",
                "masv = { email = \"a\" } # inline\n",
            ),
            (
                "[profile.w.masv]\npassword = V\n",
                "[profile.w.masv]\npassword = V\n",
            ),
            ("[masv]\nemail = 'a'\n", "[masv]\nemail = 'a'\n"),
            ("", ""),
        ] {
            let remove = |text: &str| {
                without_setting(Path::new("/c.toml"), text, DEFAULT_ACCOUNT, "masv.password")
            };
            let before = before.replace('V', VALUE);
            let after = after.replace('V', VALUE);
            assert_eq!(remove(&before).unwrap(), after, "{before:?}");
            assert_eq!(
                remove(&before.replace('\n', "\r\n")).unwrap(),
                after.replace('\n', "\r\n"),
                "{before:?}"
            );
        }
        let table = "[masv.password]\n# why\nfile = \"/s\"\n";
        let error = without_setting(
            Path::new("/c.toml"),
            table,
            DEFAULT_ACCOUNT,
            "masv.password",
        );
        assert_eq!(
            error.unwrap_err().message(),
            "cannot change /c.toml safely; remove `password` under [masv] yourself"
        );
        let profile = format!("[profile.w.masv]\npassword = {VALUE}\n");
        assert_eq!(
            without_setting(Path::new("/c.toml"), &profile, "w", "masv.password").unwrap(),
            "[profile.w.masv]\n",
            "the profile stays"
        );
    }
}
