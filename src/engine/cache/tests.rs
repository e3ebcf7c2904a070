//! Tests that the cache returns every token whole, also while a writer changes it.

use super::*;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NO_EXPIRY, NewToken, TokenKind, TokenMeta};
use crate::secret::Secret;

fn token(id: &str, value: &str, generation: u64) -> Token {
    let meta = TokenMeta {
        scope: 9,
        resource_kind: ResourceKind::Package,
        access: Access::Manage,
        kind: TokenKind::Package,
        generation,
        expires_us: NO_EXPIRY,
        acquired_us: 0,
    };
    Token::new(
        &NewToken::new(
            TokenKind::Package,
            "X-Package-Token",
            Secret::from(value),
            None,
        ),
        "masv",
        id,
        meta,
    )
    .unwrap()
}

fn key(id: &str) -> TokenKeyRef<'_> {
    TokenKeyRef {
        scope: 9,
        resource_kind: ResourceKind::Package,
        id,
        access: Access::Manage,
    }
}

const ALWAYS: RefreshTimes = RefreshTimes {
    advisory_us: NO_EXPIRY,
    mandatory_us: NO_EXPIRY,
};

#[expect(unsafe_code, reason = "reads back what a peek has written")]
fn line(cache: &Cache, id: &str, now_us: i64) -> (Peek, String) {
    let mut out = [MaybeUninit::new(0); 200];
    let peek = cache.peek(
        &key(id).prefix(),
        &[key(id).access],
        now_us,
        &mut out,
        |_, _| false,
    );
    // SAFETY: every byte was initialised above.
    let bytes = out.map(|byte| unsafe { byte.assume_init() });
    (
        peek,
        bytes
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| char::from(*byte))
            .collect(),
    )
}

#[test]
fn a_token_comes_back_as_it_went_in() {
    let cache = Cache::new(1);
    for id in ["", "a", "01234567", "0123456789abcdef0"] {
        assert!(cache.publish(&token(id, "value", 1), &ALWAYS, 0));
        let hit = cache.get(&key(id)).unwrap();
        assert_eq!(
            (
                hit.token.id(),
                hit.token.value(),
                hit.token.details(),
                hit.token.service()
            ),
            (id, "value", "{}", "masv")
        );
        assert_eq!(
            line(&cache, id, 0),
            (Peek::Line(22), "X-Package-Token: value".into())
        );
    }
    assert!(cache.get(&key("b")).is_none());
    assert!(
        cache
            .get(&TokenKeyRef {
                scope: 8,
                ..key("a")
            })
            .is_none()
    );
    assert!(
        cache
            .get(&TokenKeyRef {
                access: Access::Read,
                ..key("a")
            })
            .is_none()
    );
}

#[test]
fn a_later_generation_is_not_replaced_while_it_lives() {
    let cache = Cache::new(1);
    cache.publish(&token("a", "new", 2), &ALWAYS, 0);
    assert!(!cache.publish(&token("a", "old", 1), &ALWAYS, 0));
    assert!(!cache.remove(&key("a"), 1));
    assert_eq!(cache.get(&key("a")).unwrap().token.value(), "new");
    assert!(cache.remove(&key("a"), 2));
    assert!(cache.get(&key("a")).is_none());
}

#[test]
fn the_advisory_point_is_told_once() {
    let cache = Cache::new(1);
    cache.publish(
        &token("a", "v", 1),
        &RefreshTimes {
            advisory_us: 100,
            mandatory_us: 200,
        },
        0,
    );
    assert_eq!(line(&cache, "a", 99).0, Peek::Line(18));
    assert_eq!(line(&cache, "a", 100).0, Peek::RefreshDue);
    assert_eq!(line(&cache, "a", 100).0, Peek::Line(18));
    assert_eq!(line(&cache, "a", 200).0, Peek::Miss);
    let times = cache.get(&key("a")).unwrap().times;
    assert!(cache.postpone(&key("a"), &times, 150));
    assert!(!cache.postpone(&key("a"), &times, 150));
    assert_eq!(line(&cache, "a", 149).0, Peek::Line(18));
    assert_eq!(line(&cache, "a", 150).0, Peek::RefreshDue);
}

#[test]
fn a_later_access_serves_where_an_earlier_one_has_nothing_left() {
    let (cache, prefix) = (Cache::new(1), key("a").prefix());
    let published = |access, value: &str, expires_us| {
        let manage = token("a", value, 1);
        let meta = TokenMeta {
            access,
            expires_us,
            ..*manage.meta()
        };
        let token = Token::from_parts(meta, *manage.layout(), manage.text().into());
        cache.publish(
            &token,
            &RefreshTimes {
                advisory_us: expires_us - 200,
                mandatory_us: expires_us - 100,
            },
            0,
        );
    };
    published(Access::Manage, "manage", 1000);
    published(Access::Write, "write", 5000);
    let value = |now_us| {
        cache
            .fresh(&prefix, &[Access::Manage, Access::Write], now_us)
            .map(|token| token.value().to_owned())
    };
    let peek = |now_us| {
        cache.peek(
            &prefix,
            &[Access::Manage, Access::Write],
            now_us,
            &mut [MaybeUninit::new(0); 99],
            |_, _| false,
        )
    };
    let [manage, write] =
        ["X-Package-Token: manage", "X-Package-Token: write"].map(|line| Peek::Line(line.len()));
    assert_eq!((value(0).as_deref(), peek(0)), (Some("manage"), manage));
    assert_eq!(
        (value(800), peek(800)),
        (None, Peek::RefreshDue),
        "somebody is to renew it"
    );
    assert_eq!(
        (value(900), peek(900)),
        (None, Peek::Miss),
        "its callers wait for that"
    );
    assert_eq!((value(1000).as_deref(), peek(1000)), (Some("write"), write));
}

#[test]
fn many_tokens_come_and_go() {
    let cache = Cache::new(1);
    for round in 0..20 {
        for n in 0..500 {
            cache.publish(&token(&format!("{round}-{n}"), "v", 1), &ALWAYS, 0);
        }
        for n in 0..490 {
            assert!(cache.remove(&key(&format!("{round}-{n}")), 1));
        }
    }
    assert_eq!(cache.choose(|_| Some(())).len(), 200);
    assert!(cache.get(&key("3-495")).is_some() && cache.get(&key("3-5")).is_none());
    cache.clear();
    assert!(cache.choose(|_| Some(())).is_empty() && cache.get(&key("3-495")).is_none());
}

#[test]
fn readers_see_whole_tokens_while_writers_change_them() {
    let cache = Cache::new(1);
    cache.publish(&token("a", &"0".repeat(300), 1), &ALWAYS, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..20_000_u64 {
                let digit = (n % 10).to_string();
                cache.publish(
                    &token("a", &digit.repeat(300 + n as usize % 2 * 100), n),
                    &ALWAYS,
                    0,
                );
                cache.publish(
                    &token(&format!("b{}", n % 50), &"x".repeat(300), n),
                    &ALWAYS,
                    0,
                );
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let hit = cache.get(&key("a")).unwrap();
                    let value = hit.token.value().as_bytes();
                    assert!(
                        value.iter().all(|byte| *byte == value[0])
                            && matches!(value.len(), 300 | 400),
                        "torn"
                    );
                }
            });
        }
    });
}

#[test]
fn a_token_is_not_missed_while_the_table_grows_or_is_rebuilt() {
    for _ in 0..200 {
        let cache = Cache::new(1);
        let done = std::sync::atomic::AtomicBool::new(false);
        cache.publish(&token("a", "v", 1), &ALWAYS, 0);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(cache.get(&key("a")).is_some(), "missed");
                }
            });
            for n in 2..120 {
                cache.publish(&token(&format!("b{n}"), "v", n), &ALWAYS, 0);
                cache.publish(&token("a", "v", n), &ALWAYS, 0);
                cache.remove(&key(&format!("b{}", n / 2)), u64::MAX);
            }
            done.store(true, Ordering::Relaxed);
            let _ = reader
                .join()
                .map_err(|fault| std::panic::resume_unwind(fault));
        });
    }
}
