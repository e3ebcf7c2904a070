//! The rules for a process with raised privilege (`AT_SECURE`): its program has the setuid or
//! setgid bit or file capabilities.
//!
//! The user who starts such a process has fewer rights than the process, and chooses its
//! environment, its home directory and its working directory. So keyferry takes nothing from them:
//!
//! - It does not load the user's configuration. Each setting comes from the program.
//! - It reads no environment variable, neither its own nor those of proxies and certificates.
//! - It caches tokens in memory only. It loads no plugin, uses no keyring and starts no program.
//!
//! Rationale: a caller's `KEYFERRY_MASV_PASSWORD_FILE` and `KEYFERRY_MASV_URL` sent a file that only
//! root can read to the caller's server. `HTTPS_PROXY` and `SSL_CERT_FILE` took the program's own
//! password to the caller's proxy.

use super::entry::{Entry, Setting};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::privilege;

/// The reason in every error message of these rules.
const REASON: &str =
    "this process has raised privilege (AT_SECURE: setuid, setgid or file capabilities)";

/// Returns whether keyferry may read the environment of this process, and files that the
/// environment names.
pub fn trusts_environment() -> bool {
    !privilege::is_raised()
}

/// Refuses to load the user's configuration in a process with raised privilege.
///
/// # Errors
/// [`ErrorKind::Config`] with the remedy.
pub(super) fn check_user_configuration() -> Result<()> {
    if trusts_environment() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        format!(
            "cannot load the user's configuration: {REASON}, and the user who started it controls its environment; create a configuration in the program with keyferry_config_new and keyferry_config_set"
        ),
    ))
}

/// Refuses settings that a process with raised privilege must not use.
///
/// # Errors
/// [`ErrorKind::Config`] with the setting and the remedy.
pub(super) fn check_entries(entries: &[Entry]) -> Result<()> {
    if trusts_environment() {
        return Ok(());
    }
    match entries
        .iter()
        .find_map(|entry| refusal(entry).zip(Some(entry)))
    {
        None => Ok(()),
        Some((remedy, entry)) => Err(Error::new(
            ErrorKind::Config,
            format!("cannot use `{}`: {REASON}; {remedy}", entry.full_key()),
        )),
    }
}

/// Returns what to do about a setting that a process with raised privilege must not use. `None` if
/// the process may use it.
#[expect(
    clippy::disallowed_methods,
    reason = "the setting `store` is no secret"
)]
fn refusal(entry: &Entry) -> Option<&'static str> {
    match (&*entry.key, &entry.setting) {
        ("plugins", _) => Some("remove the setting, because keyferry loads no plugin there"),
        ("store", Setting::Literal(store)) if store.expose() != "memory" => {
            Some("set it to memory, because keyferry stores no token there")
        }
        (_, Setting::Literal(_) | Setting::File(_)) => None,
        (_, Setting::Env(_) | Setting::Mounted(_) | Setting::NonUtf8(_)) => {
            Some("write { file = \"/PATH\" }, because keyferry reads no environment variable there")
        }
        (_, Setting::Keyring(..)) => {
            Some("write { file = \"/PATH\" }, because keyferry uses no keyring there")
        }
        (_, Setting::Command(_)) => {
            Some("write { file = \"/PATH\" }, because keyferry starts no program there")
        }
        (_, Setting::Plugin(..)) => {
            Some("write { file = \"/PATH\" }, because keyferry loads no plugin there")
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::config::layer::Layer;
    use crate::config::settings::SettingDefinition;

    // The tests with a setuid program are in tests/c_abi/privilege.rs.

    #[test]
    fn only_literal_values_files_and_the_memory_store_are_allowed() {
        let text = |value: &str| Setting::Literal(value.into());
        for (key, setting, hint) in [
            ("masv.password", text("made-up"), None),
            ("masv.password", Setting::File("/f".into()), None),
            ("store", text("memory"), None),
            ("http.ca_file", text("/f"), None),
            ("http.proxy", text("http://proxy.example"), None),
            ("store", text("file"), Some("memory")),
            ("store", text("file:/f"), Some("memory")),
            ("plugins", text("/f.so"), Some("no plugin")),
            (
                "masv.password",
                Setting::Env("X".into()),
                Some("no environment"),
            ),
            (
                "masv.password",
                Setting::Mounted("/f".into()),
                Some("no environment"),
            ),
            (
                "masv.password",
                Setting::Keyring("a".into(), "b".into()),
                Some("no keyring"),
            ),
            (
                "masv.password",
                Setting::Command(vec!["/f".into()]),
                Some("no program"),
            ),
            (
                "masv.password",
                Setting::Plugin("a".into(), "b".into()),
                Some("no plugin"),
            ),
        ] {
            let field = SettingDefinition::find(key).unwrap();
            let entry = Entry::new(None, field, Layer::Program, setting);
            let remedy = refusal(&entry);
            match hint {
                None => assert_eq!(remedy, None, "{key}"),
                Some(hint) => assert!(remedy.unwrap().contains(hint), "{key}: {remedy:?}"),
            }
        }
    }
}
