//! Fuzzes the parsers of resources. The fast parser of `peek` and the full parser must agree, a URL
//! must never get a token for another origin, and a misspelt short form must never get a token.
#![no_main]

use std::cell::OnceCell;
use std::mem::MaybeUninit;

use keyferry::config::Config;
use keyferry::error::ErrorKind;
use keyferry::model::request::Request;
use keyferry::model::resource::is_url;
use keyferry::session::Session;
use libfuzzer_sys::fuzz_target;
use url::Url;

thread_local! {
    static SESSION: OnceCell<Session> = const { OnceCell::new() };
}

const HOST: &str = "api.massive.app";
const LINKS: [&str; 2] = ["get.massive.io", "get.massive.app"];

fn open() -> Session {
    let mut config = Config::new();
    config.set("masv.api_key", "canary".into()).expect("a setting");
    let session = Session::open(config).expect("a session");
    session.adopt("packages/P", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".into(), None).expect("a token");
    session
}

fuzz_target!(|text: &str| {
    SESSION.with(|session| {
        let session = session.get_or_init(open);
        let mut room = [MaybeUninit::uninit(); 256];
        let peeked = session.peek(text, &mut room).map(drop);
        let cached = session.cached(&Request::new(text)).map(drop).map_err(|error| error.kind);
        // The only intended difference: `cached` returns a configured API key, which `peek` doesn't
        // find because it is not in the cache.
        if cached != Ok(()) || peeked != Err(ErrorKind::NotCached) {
            assert_eq!(peeked, cached);
        }
        if cached.is_ok() && !is_url(text) {
            let form = text.strip_prefix("masv:").unwrap_or(text);
            let is_path = text.starts_with("masv:/");
            assert!(is_path || matches!(form, "user" | "packages/P"), "a token for a misspelt short form");
        }
        if cached.is_ok() && is_url(text) {
            let url = Url::parse(text).expect("a URL that got a token");
            let host = url.host_str().unwrap_or_default();
            assert!(url.scheme() == "https" && (host == HOST || LINKS.contains(&host)) && url.port().is_none(), "a token for another origin");
        }
    });
});
