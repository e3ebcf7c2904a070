//! Source files as the rules see them: the text, and the code alone, with the same lines.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// One file of this package.
pub(crate) struct File {
    /// Below the package, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with blanks for comments and for what stands in quotes. Byte for byte as long.
    pub(crate) code: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            code: without_words(text),
        }
    }

    /// A complaint about a place in the file.
    pub(crate) fn complain(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.line(at))
    }

    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    /// Where a word of code stands, as a whole word.
    pub(crate) fn words(&self, word: &str) -> Vec<usize> {
        let is_part = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let bytes = self.code.as_bytes();
        let whole = |at: usize| {
            !is_part(at.checked_sub(1).and_then(|before| bytes.get(before)))
                && !is_part(bytes.get(at + word.len()))
        };
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(|at| whole(*at))
            .collect()
    }

    /// Whether a path begins with this name: `name::x`, `pub use name::X`.
    pub(crate) fn starts_a_path(&self, name: &str) -> bool {
        let follows = |at: usize| {
            self.code[at + name.len()..].starts_with("::") && !self.code[..at].ends_with("::")
        };
        self.words(name).into_iter().any(follows)
    }

    /// The block that the first brace from here opens, with its braces.
    pub(crate) fn block(&self, from: usize) -> Range<usize> {
        let open = self.code[from..]
            .find('{')
            .map_or(self.code.len(), |at| from + at);
        enclosed(&self.code, open, b'{', b'}')
    }

    /// Where the file's own tests stand.
    pub(crate) fn tests(&self) -> Vec<Range<usize>> {
        let marks = self.code.match_indices("#[cfg(test)]").map(|(at, _)| at);
        marks
            .filter(|at| {
                self.code[*at..]
                    .lines()
                    .nth(1)
                    .is_some_and(|line| line.trim_end().ends_with('{') || line.starts_with('#'))
            })
            .map(|at| at..self.block(at).end)
            .collect()
    }
}

/// From an opening bracket to the one that closes it.
pub(crate) fn enclosed(code: &str, open: usize, opens: u8, closes: u8) -> Range<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        if byte == opens {
            depth += 1;
        } else if byte == closes {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return open..at + 1;
            }
        }
    }
    open..code.len()
}

/// A file's text.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether there is such a file or folder.
pub(crate) fn exists(path: impl AsRef<Path>) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// All files below a folder, or the file itself, whose names end so.
pub(crate) fn paths(folder: &str, ending: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(place) = open.pop() {
        if place.is_dir() {
            open.extend(
                fs::read_dir(&place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if let Some(path) = place
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .filter(|path| path.ends_with(ending))
        {
            found.push(path.to_owned());
        }
    }
    found.sort();
    found
}

/// The Rust files below these folders.
pub(crate) fn rust(folders: &[&str]) -> Vec<File> {
    let all = folders
        .iter()
        .filter(|folder| exists(folder))
        .flat_map(|folder| paths(folder, ".rs"));
    all.map(|path| File::new(&path, &read(&path))).collect()
}

/// Fails with all complaints at once.
#[track_caller]
pub(crate) fn holds(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Fails unless a rule finds fault with this, and says so.
#[track_caller]
pub(crate) fn breaks(complaints: &[String], saying: &str) {
    assert!(
        complaints
            .iter()
            .any(|complaint| complaint.contains(saying)),
        "no complaint says '{saying}': {complaints:?}"
    );
}

/// Blanks in place of comments and of what stands in quotes; line ends stay.
fn without_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = word_end(bytes, at);
        out[at..end.max(at)]
            .iter_mut()
            .filter(|byte| **byte != b'\n')
            .for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8(out).unwrap()
}

/// Where the comment or quoted text ends that begins here; here itself if none does.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let until = |found: Option<usize>| found.map_or(bytes.len(), |found| at + found);
    match rest {
        [b'/', b'/', ..] => until(rest.iter().position(|byte| *byte == b'\n')),
        [b'/', b'*', ..] => until(
            rest.windows(2)
                .position(|pair| pair == b"*/")
                .map(|found| found + 2),
        ),
        [b'r', ..] | [_, b'r', ..] if raw(bytes, at).is_some() => raw(bytes, at).unwrap_or(at),
        [b'"', ..] => until(quoted(rest)),
        // A character, not a lifetime.
        [b'\'', b'\\', ..] => until(
            rest.iter()
                .skip(3)
                .position(|byte| *byte == b'\'')
                .map(|found| found + 4),
        ),
        [b'\'', ..] => {
            let length = std::str::from_utf8(&rest[1..rest.len().min(5)])
                .or_else(|error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]));
            let wide = length
                .ok()
                .and_then(|text| text.chars().next())
                .map_or(1, char::len_utf8);
            if rest.get(1 + wide) == Some(&b'\'') {
                at + wide + 2
            } else {
                at
            }
        }
        _ => at,
    }
}

/// The end of a raw string that begins here, with or without `b` or `c` before its `r`.
fn raw(bytes: &[u8], at: usize) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = if bytes[at] == b'r' {
        at
    } else if matches!(bytes[at], b'b' | b'c') {
        at + 1
    } else {
        return None;
    };
    if bytes.get(start) != Some(&b'r')
        || at
            .checked_sub(1)
            .is_some_and(|before| is_part(&bytes[before]))
    {
        return None;
    }
    let hashes = bytes[start + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    if bytes.get(start + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = start + 2 + hashes;
    bytes[body..]
        .windows(close.len())
        .position(|window| window == close)
        .map(|found| body + found + close.len())
}

/// How long a string is, with its quotes.
fn quoted(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in rest.iter().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return Some(at + 1),
            _ => escaped = *byte == b'\\' && !escaped,
        }
    }
    None
}

mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_words() {
        let table = [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x\ny */ b", "a     \n     b"),
            (
                r#"a("unsafe \" x", 'c', '\'', '\n')"#,
                "a(             ,    ,     ,     )",
            ),
            (
                "r#\"un\"safe\"# b\"x\" fn f<'a>(x: &'a str)",
                "             b    fn f<'a>(x: &'a str)",
            ),
            ("'é' 'x'", "         "),
        ];
        for (text, code) in table {
            assert_eq!(
                File::new("x.rs", text).code.trim_end(),
                code.trim_end(),
                "{text}"
            );
        }
    }

    #[test]
    fn own_tests_are_told_from_code() {
        let file = File::new(
            "x.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n",
        );
        let [tests] = &file.tests()[..] else {
            panic!("one")
        };
        assert!(
            file.text[tests.clone()].contains("fn b") && !file.text[tests.clone()].contains("fn c")
        );
    }
}
