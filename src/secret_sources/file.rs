//! Secrets in files.
//!
//! Other users must not be able to access a file that the configuration names. They may be able to
//! access a mounted file, because the orchestrator sets its permissions.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::{self, Privacy};
use crate::text::without_last_line_break;

const MAX_BYTES: usize = 64 * 1024;

/// Returns the content of a file without its last line break.
pub(super) fn get(path: &Path, privacy: Privacy) -> Result<Secret> {
    let mut bytes = private_file::read(path, privacy, MAX_BYTES)?;
    bytes.truncate(without_last_line_break(&bytes).len());
    Secret::from_bytes(bytes).ok_or_else(|| {
        Error::new(
            ErrorKind::SecretSource,
            format!("{} is not UTF-8; save it as UTF-8", path.display()),
        )
    })
}
