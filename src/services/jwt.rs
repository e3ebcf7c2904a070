//! Reads the expiry of a JWT. The signature is not verified, and no other claim is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::model::json::unix_seconds;
use crate::model::token::Expiry;

/// Returns the time of the `exp` claim. [`Expiry::Never`] if the token is not a JWT or its claims
/// have no `exp`. [`Expiry::Unreadable`] if the claims cannot be read or `exp` is not a time.
pub fn expiry(token: &str) -> Expiry {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Expiry::Never;
    };
    // Other tokens may contain dots, but only a JWT begins with a JSON object.
    if decode(header).is_none() {
        return Expiry::Never;
    }
    match decode(claims) {
        None => Expiry::Unreadable,
        Some(claims) => claims.get("exp").map_or(Expiry::Never, |exp| {
            unix_seconds(exp).map_or(Expiry::Unreadable, Expiry::At)
        }),
    }
}

/// Returns the JSON object in a part of a JWT.
fn decode(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn exp_is_read_in_every_form_and_nothing_else_is() {
        for (claims, expected) in [
            (r#"{"exp":1800000000,"sub":"x"}"#, Expiry::At(1_800_000_000)),
            (r#"{"exp":1800000000.5}"#, Expiry::At(1_800_000_000)),
            (r#"{"exp":1800000000500}"#, Expiry::At(1_800_000_000)),
            (r#"{"exp":"1800000000"}"#, Expiry::At(1_800_000_000)),
            (
                r#"{"exp":"2027-01-15T08:00:00Z"}"#,
                Expiry::At(1_800_000_000),
            ),
            (r#"{"exp":"soon"}"#, Expiry::Unreadable),
            (r#"{"exp":null}"#, Expiry::Unreadable),
            (r#"{"exp":0}"#, Expiry::Unreadable),
            (r#"{"exp":-5}"#, Expiry::Unreadable),
            (r#"{"exp":1e300}"#, Expiry::Unreadable),
            (r#"{"exp":[1800000000]}"#, Expiry::Unreadable),
            ("null", Expiry::Unreadable),
            ("[", Expiry::Unreadable),
            ("", Expiry::Unreadable),
            ("{}", Expiry::Never),
            (r#"{"EXP":1800000000}"#, Expiry::Never),
        ] {
            assert_eq!(expiry(&token(claims)), expected, "{claims}");
        }
        assert_eq!(expiry("e30.!.c2ln"), Expiry::Unreadable);
        for opaque in ["", "abc", "a.b", "a.!.c", "a.b.c", "e30.e30"] {
            assert_eq!(expiry(opaque), Expiry::Never, "{opaque}");
        }
    }
}
