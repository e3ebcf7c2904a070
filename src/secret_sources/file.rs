//! Secrets in files.
//!
//! Other users must not be able to access a file that the configuration names. They may be able to
//! access a mounted file, because the orchestrator sets its permissions.

use crate::config::{Environment, Setting};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::{self, Privacy};
use crate::text::without_last_line_break;

const MAX_BYTES: usize = 64 * 1024;

/// Returns the secret of a setting. `None` if the setting names no file.
pub(super) fn get(setting: &Setting, _environment: &Environment) -> Option<Result<Secret>> {
    let (path, privacy) = match setting {
        Setting::File(path) => (path, Privacy::Private),
        Setting::Mounted(path) => (path, Privacy::Mounted),
        _ => return None,
    };
    let read = private_file::read(path, privacy, MAX_BYTES).and_then(|mut bytes| {
        bytes.truncate(without_last_line_break(&bytes).len());
        Secret::from_bytes(bytes).ok_or_else(|| {
            Error::new(
                ErrorKind::SecretSource,
                format!("{} is not UTF-8; save it as UTF-8", path.display()),
            )
        })
    });
    Some(read)
}
