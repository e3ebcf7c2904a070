//! The rules for names of accounts and profiles.

use crate::error::{Error, ErrorKind, Result};

/// The name of the account that has no profile.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The end of an error message for an invalid account name.
pub const ACCOUNT_RULE: &str =
    "is not an account name; use 1 to 64 letters, digits, dots, dashes and underscores";

/// Returns whether a string is a valid account name.
pub fn is_account(name: &str) -> bool {
    matches!(name.len(), 1..=64)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Rejects an invalid profile name. The error message begins with `subject`.
pub(super) fn check_profile_name(name: &str, subject: &str) -> Result<()> {
    if !is_account(name) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{subject} {ACCOUNT_RULE}"),
        ));
    }
    if name == DEFAULT_ACCOUNT {
        let message = format!(
            "{subject} is `default`, the account that has no profile; write its settings without `profile.default`"
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(())
}
