//! Fuzzes the parser of git's credential protocol. A message that was read and written again must
//! not change. A request's URL must have a scheme and a host, and no space or control character.
#![no_main]

use keyferry_cli::commands::git::request::{CredentialRequest, USED_KEYS};
use keyferry_cli::git_protocol::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::read(&mut &bytes[..], USED_KEYS) else { return };
    let mut written = Vec::new();
    message.write(&mut written).expect("what was read can be written");
    let again = Message::read(&mut written.as_slice(), USED_KEYS).expect("what was written can be read");
    let mut twice = Vec::new();
    again.write(&mut twice).expect("what was read can be written");
    assert_eq!(written, twice);
    if let Ok(Some(request)) = CredentialRequest::read(&message) {
        let rest = request.url.split_once("://").map(|(scheme, rest)| (!scheme.is_empty(), rest));
        assert!(rest.is_some_and(|(has_scheme, rest)| has_scheme && !rest.is_empty() && !rest.starts_with('/')), "no scheme or host");
        assert!(request.url.bytes().all(|byte| byte > b' ' && byte != 0x7f), "a control character");
    }
});
