//! The encodings in which a secret could leak.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

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
