//! Signs and verifies the sandbox's JSON web tokens (HS256).
//!
//! Each sandbox has its own random key, so it refuses the tokens of another sandbox, as two real
//! servers would.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

/// The key that signs and verifies tokens.
pub(crate) struct Signer {
    key: hmac::Key,
}

/// The contents of a token whose signature is valid.
pub(crate) struct VerifiedToken {
    pub(crate) key_id: String,
    pub(crate) claims: Value,
}

impl Signer {
    pub(crate) fn new() -> std::io::Result<Signer> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Signer {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    /// Signs the claims, with `key_id` in the header. Two tokens must never be equal, but two
    /// tokens that are issued in the same second may have equal claims. `key_id` makes the tokens
    /// differ.
    pub(crate) fn sign(&self, key_id: &str, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "kid": key_id, "typ": "JWT"});
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signing_input = format!("{header}.{payload}");
        let signature = hmac::sign(&self.key, signing_input.as_bytes());
        format!(
            "{signing_input}.{}",
            URL_SAFE_NO_PAD.encode(signature.as_ref())
        )
    }

    /// Verifies a token. Returns `None` if this signer didn't sign it.
    pub(crate) fn verify(&self, token: &str) -> Option<VerifiedToken> {
        let (signing_input, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signing_input.as_bytes(), &signature).ok()?;
        let (header, payload) = signing_input.split_once('.')?;
        let header = decode_json(header)?;
        Some(VerifiedToken {
            key_id: header.get("kid")?.as_str()?.to_owned(),
            claims: decode_json(payload)?,
        })
    }
}

fn decode_json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_foreign_token_is_not_read() {
        let signer = Signer::new().expect("random bytes are there");
        let token = signer.sign("user-1", &json!({"sub": "a"}));
        assert_eq!(
            signer.verify(&token).expect("own token").claims,
            json!({"sub": "a"})
        );
        assert!(signer.verify(&token.replacen('.', ".e", 1)).is_none());
        assert!(
            Signer::new()
                .expect("random bytes are there")
                .verify(&token)
                .is_none()
        );
        assert!(signer.verify("undefined").is_none());
    }
}
