//! Secrets in files.
//!
//! Other users must not be able to access a file that the configuration names. They may be able to
//! access a mounted file, because the orchestrator sets its permissions.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::secret::{Extent, Secret};
use crate::sys::private_file::{self, Privacy};

const MAX_BYTES: usize = 64 * 1024;

/// Returns the content of a file.
pub(super) fn get(path: &Path, privacy: Privacy) -> Result<Secret> {
    let bytes = Zeroizing::new(private_file::read(path, privacy, MAX_BYTES)?);
    Secret::decode(&bytes, Extent::Whole, &path.display().to_string())
}
