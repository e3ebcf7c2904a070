//! Quoting for POSIX shells.
//!
//! It doesn't check for line breaks and control characters; the caller does.

/// Quotes a text as one word that every POSIX shell reads back exactly, including `$ ! ( )` and
/// quotes.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A line that exports a variable.
pub fn export(name: &str, value: &str) -> String {
    format!("export {name}={}", quote(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_and_begin_again_around_a_quote() {
        assert_eq!(quote(""), "''");
        assert_eq!(
            quote("it's $HOME `x` \\ !\""),
            r#"'it'\''s $HOME `x` \ !"'"#
        );
        assert_eq!(export("A", "b c"), "export A='b c'");
    }
}
