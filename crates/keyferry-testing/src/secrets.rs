//! The secrets of the sandbox, and every encoding in which they could leak.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use keyferry_sandbox::credentials as c;

/// The beginning of each JWT. All tokens of the sandbox are JWTs, unless a test configures others.
pub const JWT_START: &str = "eyJ";

/// The beginning of a JWT, long enough not to occur in random bytes.
const LONG_JWT_START: &str = "eyJhbGci";

/// Every value that the sandbox accepts as a credential.
pub const SECRETS: [&str; 12] = [
    c::PASSWORD,
    c::SECOND_PASSWORD,
    c::API_KEY,
    c::SECOND_API_KEY,
    c::SECRET_KEY,
    c::FV_API_KEY,
    c::LINK_SECRET,
    c::PROTECTED_LINK_SECRET,
    c::LINK_PASSWORD,
    c::ENCODED_LINK_SECRET,
    c::ENCODED_LINK_SECRET_IN_URL,
    c::ARCHIVED_LINK_SECRET,
];

/// The secrets, each with its forms in lower case.
static LOWER_FORMS: LazyLock<Vec<(&str, Vec<String>)>> = LazyLock::new(|| {
    SECRETS
        .iter()
        .map(|secret| (*secret, lower_forms(secret)))
        .collect()
});

/// Returns the secrets that a text contains in any form and letter case. A JWT of the sandbox is
/// reported as [`JWT_START`].
pub fn secrets_in(text: &str) -> Vec<&'static str> {
    let mut found = stored_secrets_in(text);
    if text.contains(JWT_START) {
        found.push(JWT_START);
    }
    found
}

/// Like [`secrets_in`], for files that may contain random bytes: three letters occur in them by
/// chance, so only a longer beginning of a JWT counts.
pub fn stored_secrets_in(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    let mut found: Vec<_> = LOWER_FORMS
        .iter()
        .filter(|(_, forms)| forms.iter().any(|form| lower.contains(form)))
        .map(|(secret, _)| *secret)
        .collect();
    if text.contains(LONG_JWT_START) {
        found.push(LONG_JWT_START);
    }
    found
}

/// Returns whether a text contains a secret of the sandbox or one of `others` in any form.
pub fn leaks(text: &str, others: &[&str]) -> bool {
    let lower = text.to_lowercase();
    let has_other = |secret: &&str| {
        secret.len() >= 6 && lower_forms(secret).iter().any(|form| lower.contains(form))
    };
    !secrets_in(text).is_empty() || others.iter().any(has_other)
}

/// Panics if a text contains a secret in any form.
#[track_caller]
pub fn assert_no_secrets(text: &str) {
    let found = secrets_in(text);
    assert!(found.is_empty(), "{found:?} in: {text}");
}

/// Panics if a file contains a secret in any form. A file that does not exist contains none.
#[track_caller]
pub fn assert_no_secret_in_file(path: &Path) {
    assert_no_secrets(&std::fs::read_to_string(path).unwrap_or_default());
}

/// Panics if a file in a directory or below it contains a secret in any form. Directories named
/// `except` are left out. The message of the failure begins with `context`.
#[track_caller]
pub fn assert_sealed(directory: &Path, except: Option<&str>, context: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name() != except.map(OsStr::new) {
                assert_sealed(&path, except, context);
            }
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = stored_secrets_in(&String::from_utf8_lossy(&bytes));
        assert!(
            found.is_empty(),
            "{context}: {found:?} in {}",
            path.display()
        );
    }
}

fn lower_forms(secret: &str) -> Vec<String> {
    let forms = forms(secret);
    forms.iter().map(|form| form.to_lowercase()).collect()
}

/// Returns a secret in every form in which it could leak: unchanged, percent-encoded, in base64, in
/// hexadecimal, and escaped for JSON.
pub fn forms(secret: &str) -> Vec<String> {
    let percent = |keep: fn(u8) -> bool| {
        secret
            .bytes()
            .map(|byte| {
                if keep(byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect::<String>()
    };
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secret.to_owned(),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
        percent(|byte| byte.is_ascii_graphic() && !b"%\"#<>?`{}".contains(&byte)),
        secret.replace(' ', "+"),
        STANDARD.encode(secret).trim_end_matches('=').to_owned(),
        URL_SAFE.encode(secret).trim_end_matches('=').to_owned(),
        hex.to_uppercase(),
        hex,
        serde_json::Value::from(secret)
            .to_string()
            .trim_matches('"')
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_each_of_its_forms() {
        for secret in SECRETS {
            for form in forms(secret) {
                assert!(leaks(&format!("it says: {form}!"), &[]), "{form}");
            }
        }
        assert!(
            leaks("a eyJhbGciOi", &[])
                && leaks("x opaque-1 y", &["opaque-1"])
                && !leaks("check `masv.password`", &[])
        );
    }
}
