//! Quoting for POSIX shells.
//!
//! The caller has to check for line breaks and control characters.

/// Quotes a string as one word that every POSIX shell reads back unchanged, including `$ ! ( )` and
/// quotes.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a shell command that exports a variable.
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
