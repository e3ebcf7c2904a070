//! Secrets from files: those the configuration names have to be private, mounted ones are as the orchestrator makes them.

use crate::config::{Environment, Setting};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::{self, Privacy};

const LONGEST_BYTES: usize = 64 * 1024;

pub(super) fn get(setting: &Setting, _environment: &Environment) -> Option<Result<Secret>> {
    let (path, privacy) = match setting {
        Setting::File(path) => (path, Privacy::Private),
        Setting::Mounted(path) => (path, Privacy::Mounted),
        _ => return None,
    };
    let read = private_file::read(path, privacy, LONGEST_BYTES).and_then(|mut bytes| {
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
        Secret::from_bytes(bytes).ok_or_else(|| Error::new(ErrorKind::SecretSource, format!("{} is not UTF-8", path.display())))
    });
    Some(read)
}
