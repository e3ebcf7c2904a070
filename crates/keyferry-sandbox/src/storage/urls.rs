//! The signed URLs of the storage. They have the shape of S3's: whoever has one may send the one
//! request that it is for, until it expires.

use ring::hmac;

use crate::request::SandboxRequest;

/// How long a URL is valid: 1 hour.
const LIFETIME_S: i64 = 3600;

/// The end of a signed URL's query, before the signature.
const SIGNATURE_FIELD: &str = "&signature=";

/// Signs and verifies URLs, with a key that only this sandbox has.
pub(crate) struct UrlSigner {
    key: hmac::Key,
}

/// The reason why a URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// It isn't signed, it was changed, or it is for another method or another sandbox.
    NotSigned,
    Expired,
}

impl UrlSigner {
    pub(crate) fn new() -> std::io::Result<UrlSigner> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(UrlSigner {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    /// Returns the path and query of a signed URL. `fields` is the beginning of the query.
    pub(crate) fn sign(&self, method: &str, path: &str, fields: &str, now_ms: i64) -> String {
        let expires_s = now_ms.div_euclid(1000).saturating_add(LIFETIME_S);
        let query = format!("{fields}&expires={expires_s}");
        let signature = hmac::sign(&self.key, signed_text(method, path, &query).as_bytes());
        let signature: String = signature
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{path}?{query}{SIGNATURE_FIELD}{signature}")
    }

    /// Verifies that this signer signed the URL for the request's method, and that it is valid now.
    pub(crate) fn verify(&self, request: &SandboxRequest) -> Result<(), UrlError> {
        let (query, signature) = request
            .query
            .rsplit_once(SIGNATURE_FIELD)
            .ok_or(UrlError::NotSigned)?;
        let signature = hex_bytes(signature).ok_or(UrlError::NotSigned)?;
        let text = signed_text(&request.method, &request.path, query);
        hmac::verify(&self.key, text.as_bytes(), &signature).map_err(|_| UrlError::NotSigned)?;
        let expires_s = request
            .query_value("expires")
            .and_then(|value| value.parse::<i64>().ok())
            .ok_or(UrlError::NotSigned)?;
        if request.now_ms >= expires_s.saturating_mul(1000) {
            return Err(UrlError::Expired);
        }
        Ok(())
    }
}

fn signed_text(method: &str, path: &str, query: &str) -> String {
    format!("{method} {path}?{query}")
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}
