//! Signs and verifies the JSON web tokens of the sandbox (HS256).
//!
//! The key is made anew for each sandbox, so the tokens of another one are foreign here, as they
//! would be between two real servers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

pub(crate) struct Signer {
    key: hmac::Key,
}

/// What a token with a good signature says.
pub(crate) struct Read {
    pub(crate) key_id: String,
    pub(crate) claims: Value,
}

impl Signer {
    pub(crate) fn new() -> std::io::Result<Signer> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Signer { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// `key_id` goes into the header: the documented claims have no field that differs between two tokens of the
    /// same second, and two generations must not be the same text.
    pub(crate) fn sign(&self, key_id: &str, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "kid": key_id, "typ": "JWT"});
        let head = URL_SAFE_NO_PAD.encode(header.to_string());
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{head}.{body}");
        let tag = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// `None` for anything that this signer didn't sign.
    pub(crate) fn read(&self, token: &str) -> Option<Read> {
        let (signed, tag) = token.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &tag).ok()?;
        let (head, body) = signed.split_once('.')?;
        let head = document(head)?;
        Some(Read { key_id: head.get("kid")?.as_str()?.to_owned(), claims: document(body)? })
    }
}

fn document(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_foreign_token_is_not_read() {
        let signer = Signer::new().expect("random bytes are there");
        let token = signer.sign("user-1", &json!({"sub": "a"}));
        assert_eq!(signer.read(&token).expect("own token").claims, json!({"sub": "a"}));
        assert!(signer.read(&token.replacen('.', ".e", 1)).is_none());
        assert!(Signer::new().expect("random bytes are there").read(&token).is_none());
        assert!(signer.read("undefined").is_none());
    }
}
