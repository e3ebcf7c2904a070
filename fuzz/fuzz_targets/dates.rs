//! Fuzzes the parsers of dates: the headers `Date` and `Retry-After`, the expiry in a JWT, and the
//! expiry in a service's response. A result must lie in the range that the rest of the library
//! relies on.
//!
//! The first input byte chooses the parser. The rest is the text of the date.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyferry::clock::LATEST_UNIX_S;
use keyferry::engine::service_context::retry_after_ms;
use keyferry::model::timestamp;
use keyferry::model::token::Expiry;
use keyferry::secret::Secret;
use keyferry::services::{jwt, response};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const MAX_RETRY_AFTER_MS: u64 = 15 * 60 * 1000;
/// The present, the earliest and the latest time.
const CLOCKS_US: [i64; 3] = [1_800_000_000_000_000, i64::MIN, i64::MAX];

fn assert_expiry(expiry: Expiry) {
    if let Expiry::At(at) = expiry {
        assert!((1..=LATEST_UNIX_S).contains(&at), "{at}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [which, text @ ..] = bytes else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match which % 4 {
        0 => {
            let date = timestamp::parse(text);
            assert!(date.is_none_or(|at| at.abs() <= LATEST_UNIX_S + 86_400), "{date:?}");
        }
        1 => {
            for now_us in CLOCKS_US {
                let delay = retry_after_ms(text, now_us);
                assert!(delay.is_none_or(|ms| ms <= MAX_RETRY_AFTER_MS), "{delay:?}");
            }
        }
        2 => {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(text));
            assert_expiry(jwt::expiry(&token));
        }
        _ => {
            let Ok(date) = serde_json::from_str::<Value>(text) else { return };
            let document = serde_json::json!({ "expiry": date });
            assert_expiry(response::expiry(&Secret::from("opaque"), &document, &["expiry"]));
        }
    }
});
