//! A reader of `include/keyferry.h`: what it declares, with the comments. It knows the shapes that
//! the build writes, and no more of C.

use std::fs;

use keyferry_testing::files;

/// The whole header, in its order.
#[derive(Default)]
pub(crate) struct Header {
    /// The handles: `keyferry_session`.
    pub(crate) handles: Vec<String>,
    pub(crate) constants: Vec<Constant>,
    /// The types of functions that a caller hands in: `keyferry_log_callback`.
    pub(crate) callbacks: Vec<Function>,
    pub(crate) functions: Vec<Function>,
}

/// A `#define`.
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) number: i64,
    /// Its comment in one line; of a status: `What it is. Remedy: what helps.`
    pub(crate) text: String,
}

/// A function or the type of one.
pub(crate) struct Function {
    pub(crate) name: String,
    /// `void`, `keyferry_status`, `const char *`: one blank before the stars.
    pub(crate) result: String,
    pub(crate) parameters: Vec<Parameter>,
    /// As in the header, in one line and without its comment: `const char *keyferry_version(void);`
    pub(crate) prototype: String,
}

pub(crate) struct Parameter {
    pub(crate) name: String,
    /// `const char *`, `keyferry_token **`, `uint32_t`.
    pub(crate) kind: String,
}

impl Header {
    /// The one that is committed.
    pub(crate) fn read() -> Self {
        Self::parse(&fs::read_to_string(files::file("include/keyferry.h")).unwrap())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut header = Self::default();
        for part in text.split("/**").skip(1) {
            let (comment, rest) = part.split_once("*/").unwrap();
            header.add(&one_line(comment), rest.trim_start());
        }
        header
    }

    fn add(&mut self, comment: &str, declaration: &str) {
        if let Some(define) = declaration.strip_prefix("#define ") {
            let (name, value) = define.lines().next().unwrap().split_once(' ').unwrap();
            self.constants.push(Constant {
                name: name.into(),
                number: number(value),
                text: comment.into(),
            });
            return;
        }
        let line = declaration
            .split(';')
            .next()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if let Some(handle) = line.strip_prefix("typedef struct ") {
            self.handles.push(handle.split(' ').next().unwrap().into());
        } else if let Some(callback) = line.strip_prefix("typedef void (*") {
            self.callbacks
                .push(function(&format!("void {}", callback.replacen(')', "", 1))));
        } else if !line.starts_with("typedef ") {
            self.functions.push(function(&line));
        }
    }

    /// The status numbers among the constants, `KEYFERRY_OK` first.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = &Constant> {
        self.constants.iter().filter(|constant| {
            constant.name == "KEYFERRY_OK" || constant.name.starts_with("KEYFERRY_E_")
        })
    }
}

/// A comment without its stars and line ends.
fn one_line(comment: &str) -> String {
    comment
        .lines()
        .map(|line| line.trim().trim_start_matches('*').trim())
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

fn number(value: &str) -> i64 {
    if value == "INT64_MAX" {
        i64::MAX
    } else {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{value} is no number that is known here"))
    }
}

fn function(line: &str) -> Function {
    let (before, inside) = line.split_once('(').unwrap();
    let Parameter { name, kind: result } = parameter(before);
    let inside = inside.trim_end_matches(')');
    let parameters = if inside == "void" {
        Vec::new()
    } else {
        inside.split(", ").map(parameter).collect()
    };
    Function {
        name,
        result,
        parameters,
        prototype: format!("{line};"),
    }
}

/// Type and name: `const char *resource`.
fn parameter(text: &str) -> Parameter {
    let at = text.rfind([' ', '*']).unwrap() + 1;
    Parameter {
        name: text[at..].into(),
        kind: text[..at].trim_end().into(),
    }
}

mod tests {
    use super::*;

    #[test]
    fn the_reader_sees_all_that_the_header_declares() {
        let header = Header::read();
        let names: Vec<_> = header
            .functions
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        let listed = fs::read_to_string(files::file("c-tests/symbols.txt")).unwrap();
        let mut listed: Vec<_> = listed
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let order = |name: &&str| names.iter().position(|there| there == name);
        listed.sort_by_key(order);
        assert_eq!(names, listed);
        assert_eq!(
            header.statuses().count(),
            keyferry::ffi::status::TABLE.len()
        );
        assert_eq!(header.callbacks.len(), 2);
        assert_eq!(header.handles.len(), 5);
    }

    #[test]
    fn a_declaration_is_taken_apart() {
        let header = Header::parse(
            "/* x */\n/**\n * Does.\n *\n * Errors: none\n */\nconst char *keyferry_a(const keyferry_session *session,\n                char **text_out,\n \
             size_t n);\n/**\n * A. Remedy:\n * b.\n */\n#define KEYFERRY_E_A 101\n/** */\n#define KEYFERRY_N INT64_MAX\n/** */\nvoid b(void);\n\
             /** */\ntypedef void (*keyferry_f)(int32_t level, void *data);\n/** */\ntypedef struct keyferry_s keyferry_s;\n",
        );
        let a = &header.functions[0];
        assert_eq!(
            (a.name.as_str(), a.result.as_str()),
            ("keyferry_a", "const char *")
        );
        assert_eq!(
            a.prototype,
            "const char *keyferry_a(const keyferry_session *session, char **text_out, size_t n);"
        );
        let parameters: Vec<_> = a
            .parameters
            .iter()
            .map(|one| (one.kind.as_str(), one.name.as_str()))
            .collect();
        assert_eq!(
            parameters,
            [
                ("const keyferry_session *", "session"),
                ("char **", "text_out"),
                ("size_t", "n")
            ]
        );
        assert!(header.functions[1].parameters.is_empty());
        let status = header.statuses().next().unwrap();
        assert_eq!(
            (status.name.as_str(), status.number, status.text.as_str()),
            ("KEYFERRY_E_A", 101, "A. Remedy: b.")
        );
        assert_eq!(header.constants[1].number, i64::MAX);
        assert_eq!(
            (
                header.callbacks[0].name.as_str(),
                header.callbacks[0].parameters.len()
            ),
            ("keyferry_f", 2)
        );
        assert_eq!(header.handles, ["keyferry_s"]);
    }
}
