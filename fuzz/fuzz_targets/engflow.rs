//! Fuzzes the parser of EngFlow's credential helper protocol. The URI that it returns must be
//! absolute. If another JSON parser accepts the same input, it must find the same URI.
#![no_main]

use keyferry_cli::commands::get::read_uri;
use libfuzzer_sys::fuzz_target;
use serde_json::{Deserializer, Value};

fuzz_target!(|bytes: &[u8]| {
    match read_uri(&mut &bytes[..]) {
        Ok(uri) => {
            // `read_uri` ignores other values, so they may hold what the other parser rejects.
            let text = String::from_utf8_lossy(bytes);
            if let Some(Ok(object)) = Deserializer::from_str(&text).into_iter::<Value>().next() {
                assert_eq!(object["uri"], uri.as_str());
            }
            assert!(uri.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()), "no scheme");
        }
        Err(error) => assert!(!error.message().chars().any(char::is_control), "{}", error.message()),
    }
});
