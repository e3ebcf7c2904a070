//! Quoting for POSIX shells.
//!
//! Values that hold a line break or another control character are no business of it: who prints
//! them knows.

/// A word that every POSIX shell reads back as exactly this text, whatever `$ ! ( )` and quotes it holds.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A line that sets a variable for everything that the shell starts.
pub fn export(name: &str, value: &str) -> String {
    format!("export {name}={}", quote(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_end_and_begin_again_around_a_quote() {
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $HOME `x` \\ !\""), r#"'it'\''s $HOME `x` \ !"'"#);
        assert_eq!(export("A", "b c"), "export A='b c'");
    }
}
