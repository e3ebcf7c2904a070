//! Functions of the host's table ("slots"): why one fails, and the limits on what it takes.

use super::abi;
use super::foreign_memory::Fault;
use crate::error::Error;

/// The longest name: of a setting, or of a header.
pub(super) const MAX_NAME_BYTES: usize = 64;
/// The longest text.
pub(super) const MAX_TEXT_BYTES: usize = abi::KEYFERRY_PLUGIN_MAX_TEXT_BYTES as usize;

/// Why a slot fails.
pub(super) enum SlotError {
    /// The plugin broke the contract: what it did.
    Fault(String),
    /// The host can't do it. The plugin may return the code of this error.
    Error(Error),
    /// The call is cancelled.
    Cancelled,
}

impl From<Error> for SlotError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The error for an argument that can't be read.
pub(super) fn bad_argument(slot: &str, what: &str) -> impl Fn(Fault) -> SlotError {
    move |fault| SlotError::Fault(format!("it called `{slot}` with a {what} that {fault}"))
}
