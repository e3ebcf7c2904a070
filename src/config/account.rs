//! Names of accounts and profiles.

use crate::error::{Error, ErrorKind, Result};

/// The name of the account that has no profile.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The rule for account names, as the end of an error message.
pub const ACCOUNT_RULE: &str =
    "is not the name of an account: use 1 to 64 letters, digits, dots, dashes and underscores";

/// Whether a text is a valid account name.
pub fn is_account(name: &str) -> bool {
    matches!(name.len(), 1..=64)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Rejects a name that no profile can have. `subject` begins the message.
pub(super) fn check_profile_name(name: &str, subject: &str) -> Result<()> {
    if !is_account(name) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{subject} {ACCOUNT_RULE}"),
        ));
    }
    if name == DEFAULT_ACCOUNT {
        let message = format!(
            "{subject}: `default` is the account without a profile: give its settings without `profile.default`"
        );
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(())
}
