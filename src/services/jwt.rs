//! Reads the expiry of a JWT. The signature is not verified, and no other claim is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::clock::LATEST_UNIX_S;

/// Returns the `exp` claim in seconds since 1970. `None` if the token is not a JWT or the claim is
/// not a valid time.
pub fn expiry(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let exp = claims.get("exp")?;
    let exp = exp
        .as_i64()
        .or_else(|| exp.as_f64().map(|seconds| seconds as i64))?;
    (1..=LATEST_UNIX_S).contains(&exp).then_some(exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn exp_is_read_and_nothing_else_is() {
        assert_eq!(
            expiry(&token(r#"{"exp":1800000000,"sub":"x"}"#)),
            Some(1_800_000_000)
        );
        assert_eq!(
            expiry(&token(r#"{"exp":1800000000.5}"#)),
            Some(1_800_000_000)
        );
        for odd in [
            r#"{"exp":"soon"}"#,
            "{}",
            r#"{"exp":0}"#,
            r#"{"exp":-5}"#,
            r#"{"exp":1e300}"#,
            "null",
            "[",
            "",
        ] {
            assert_eq!(expiry(&token(odd)), None, "{odd}");
        }
        for opaque in ["", "abc", "a.b", "a.!.c", "a.b.c"] {
            assert_eq!(expiry(opaque), None, "{opaque}");
        }
    }
}
