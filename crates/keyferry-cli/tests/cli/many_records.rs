//! Commands that read every record of a store with many of them: they keep little of each.

use std::sync::Arc;

use keyferry::config::Config;
use keyferry::model::key::{Access, ResourceKind, Scope};
use keyferry::model::token::{NewToken, Token, TokenKind, TokenMeta};
use keyferry::ports::store::{Record, Store};
use keyferry::secret::Secret;
use keyferry::session::Session;
use keyferry::stores::file::FileStore;
use serde_json::Value;

use crate::programs::KEYFERRY;
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;

/// When the tokens expire, in seconds since 1970.
const EXPIRES_S: i64 = 4_102_444_800;

/// The setting `store` of [`store_tokens`].
pub(crate) fn store_setting(harness: &Harness) -> String {
    format!("file:{}", harness.path("store").display())
}

/// Stores tokens of packages whose values have `value_len` bytes. `skew_us` is called with the number
/// of each record, from 1 on, which is also its generation.
pub(crate) fn store_tokens(
    harness: &Harness,
    count: u64,
    value_len: usize,
    skew_us: impl Fn(u64) -> Option<i64>,
) {
    let store = FileStore::new(&store_setting(harness), &(Arc::new(|_: &str| None) as _));
    let url = harness.sandbox().masv_url().trim_end_matches('/');
    let scope = Arc::new(Scope::new("masv", url, "default"));
    let header = "X-Package-Token";
    let value = Secret::new("x".repeat(value_len));
    let new_token = NewToken::new(TokenKind::Package, header, value, Some(EXPIRES_S));
    for number in 1..=count {
        let key = scope.key(
            ResourceKind::Package,
            &format!("01{number:08}"),
            Access::Manage,
        );
        let meta = TokenMeta {
            scope: scope.fingerprint(),
            resource_kind: key.resource_kind,
            access: key.access,
            kind: TokenKind::Package,
            generation: number,
            expires_us: EXPIRES_S * 1_000_000,
            acquired_us: 0,
        };
        let record = Record {
            generation: number,
            token: Some(Token::new(&new_token, "masv", &key.id, meta).unwrap()),
            skew_us: skew_us(number),
            ..Record::default()
        };
        store.save(&key, &record).unwrap();
    }
}

/// Runs `keyferry` with at most 6 MiB of data.
fn run_in_6_mib(harness: &Harness, arguments: &[&str]) -> ProgramOutput {
    let limited = ["-c", "ulimit -d 6144 && exec \"$@\"", "sh", KEYFERRY];
    let mut command = harness.program_without_secrets("/bin/sh", &[&limited, arguments].concat());
    run_with_input(command.env("KEYFERRY_STORE", store_setting(harness)), "")
}

#[test]
fn commands_that_read_8_mib_of_tokens_need_less_than_6_mib() {
    const COUNT: u64 = 500;
    let harness = Harness::new();
    store_tokens(&harness, COUNT, 16 * 1024, |_| None);
    let run = |arguments: &[&str], code| {
        let output = run_in_6_mib(&harness, arguments);
        assert_eq!(output.code, Some(code), "{arguments:?}: {}", output.err);
        output
    };
    run(&["status"], 0);
    let status: Value = serde_json::from_str(&run(&["status", "--json"], 0).out).unwrap();
    let tokens = status["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), COUNT as usize);
    run(&["doctor"], 0);
    // This searches the stored tokens for the service.
    let unknown = run(&["logout", "unknown"], 2);
    assert!(unknown.err.contains("masv"), "{}", unknown.err);
    let other = run(&["logout", "fileverbs"], 0);
    assert!(other.out.contains("0 tokens deleted"), "{}", other.out);
    let all = run(&["logout"], 0);
    assert!(all.out.contains("500 tokens deleted"), "{}", all.out);
}

/// The newest record says how far the service's clock is ahead. The expiry of every token depends on
/// it, also of tokens that were read before that record.
#[test]
fn the_expiry_of_every_token_follows_the_newest_record() {
    const COUNT: u64 = 30;
    let harness = Harness::new();
    let ahead_s = 1800;
    store_tokens(&harness, COUNT, 100, |number| {
        Some(if number == COUNT {
            ahead_s * 1_000_000
        } else {
            0
        })
    });
    let mut command = harness.program(KEYFERRY, &["status", "--json"]);
    let output = run_with_input(command.env("KEYFERRY_STORE", store_setting(&harness)), "");
    let status: Value = serde_json::from_str(&output.out).unwrap();
    let tokens = status["tokens"].as_array().unwrap();
    let here = tokens
        .iter()
        .map(|token| token["expires_here_unix_s"].as_i64());
    assert_eq!(
        here.collect::<Vec<_>>(),
        vec![Some(EXPIRES_S - ahead_s); COUNT as usize]
    );

    let mut config = Config::new();
    let url = harness.sandbox().masv_url();
    config.set("masv.url", url.into()).unwrap();
    config
        .set("store", Secret::new(store_setting(&harness)))
        .unwrap();
    let listed = Session::open(config).unwrap().list().unwrap();
    let here = listed.iter().map(|token| token.expires_here_unix_s);
    assert_eq!(
        here.collect::<Vec<_>>(),
        vec![Some(EXPIRES_S - ahead_s); COUNT as usize]
    );
}
