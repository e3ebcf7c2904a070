//! What the host's slots share: their errors, and the limits on their arguments.

use super::abi;
use super::foreign_memory::Fault;
use crate::config::DeclaredSetting;
use crate::error::{Error, ErrorKind};

/// The maximum length of the name of a setting or of a header.
pub(super) const MAX_NAME_BYTES: usize = 64;
/// The maximum length of any other string argument.
pub(super) const MAX_TEXT_BYTES: usize = abi::KEYFERRY_PLUGIN_MAX_TEXT_BYTES as usize;

/// The reason why a slot fails.
pub(super) enum SlotError {
    /// The plugin broke the contract. The string says what the plugin did.
    Fault(String),
    /// The host failed. The plugin may return the code of this error.
    Error(Error),
    /// The call was cancelled.
    Cancelled,
}

impl From<Error> for SlotError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Returns the error for a setting that the user has not set.
pub(super) fn not_set(declared: &DeclaredSetting) -> Error {
    let (key, variable) = (&declared.full_key, &declared.variable);
    let about = declared.about.trim_end_matches('.');
    let what = format!("`{key}` (\"{about}\") is not set; set it or `{variable}`");
    Error::new(ErrorKind::NotConfigured, what)
}

/// Returns the error for an invalid argument. `what` names the argument.
pub(super) fn bad_argument(slot: &str, what: &str) -> impl Fn(Fault) -> SlotError {
    move |fault| SlotError::Fault(format!("it called `{slot}` with a {what} that {fault}"))
}
