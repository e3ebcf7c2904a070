//! Random faults, clocks, rejects and callers: whatever happens, no ended token, no wrong one, and
//! no storm of logins.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyferry::model::request::Request;
use keyferry::model::token::Token;
use keyferry_sandbox::{BodyKind, Fault, FaultAction, credentials as made};
use keyferry_testing::c_api;
use keyferry_testing::http::claims;
use parking_lot::RwLock;

use crate::sessions::{self, SECOND, TimedSession, assert_is_for, package};

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % end
    }
}

fn resource(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => "user".into(),
        1 => "fileverbs:bearer".into(),
        2 => format!("links/{}?secret={}", made::LINK_ID, made::LINK_SECRET),
        3 => format!("{}/transfers/{}", package(1), made::TRANSFER_ID),
        _ => package(1 + dice.below(6) as usize),
    }
}

fn fault(dice: &mut Dice) -> Fault {
    let act = match dice.below(12) {
        0 => FaultAction::Status {
            status: 503,
            body: BodyKind::Html,
        },
        1 => FaultAction::Status {
            status: 500,
            body: BodyKind::Json,
        },
        2 => FaultAction::Status {
            status: 429,
            body: BodyKind::Empty,
        },
        3 => FaultAction::Status {
            status: 401,
            body: BodyKind::Json,
        },
        4 => FaultAction::Lost,
        5 => FaultAction::Close,
        6 => FaultAction::Half,
        7 => FaultAction::WrongTypes,
        8 => FaultAction::Token("a\r\nb".into()),
        9 => FaultAction::Null,
        10 => FaultAction::Redirect {
            status: 302,
            to: "/redirect-target".into(),
        },
        _ => FaultAction::Reset,
    };
    let path = [
        "/v1/auth",
        "/v1.1/",
        "/v1/links",
        "/v1/packages",
        "/api/v1/accounts",
        "/",
    ][dice.below(6) as usize];
    let fault = Fault::new(act)
        .path(path)
        .times(1 + dice.below(4))
        .latency(Duration::from_millis(dice.below(3)));
    if dice.below(4) == 0 {
        fault.retry_after("30")
    } else {
        fault
    }
}

/// When a token ends by what the sandbox wrote into it, in seconds.
fn ends_s(token: &Token) -> i64 {
    claims(token.value())["exp"].as_i64().unwrap()
}

/// A caller: looks at its clock, asks, and judges what it got by the clock before.
fn call(timed: &TimedSession, time: &RwLock<()>, dice: &mut Dice) -> bool {
    let resource = resource(dice);
    // The clock stands while a caller asks: a token must be good at the moment that it is handed
    // out.
    let _stands = time.read();
    if dice.below(4) == 0 {
        let Ok(line) = timed.peek(&resource) else {
            return false;
        };
        let (name, value) = line.split_once(": ").unwrap();
        assert_is_for(&resource, name, value);
        assert!(
            timed.now_s()
                < claims(value.trim_start_matches("Bearer "))["exp"]
                    .as_i64()
                    .unwrap(),
            "an ended token of {resource}"
        );
        return true;
    }
    let min_valid = Duration::from_secs(if dice.below(5) == 0 {
        dice.below(1000)
    } else {
        0
    });
    let Ok(token) = timed.session.token_for(&Request {
        min_valid,
        ..Request::new(resource.as_str())
    }) else {
        return false;
    };
    let (name, _) = token.headers().next().unwrap();
    assert_is_for(&resource, name, token.value());
    assert!(
        timed.now_s() < ends_s(&token),
        "an ended token of {resource}"
    );
    assert_eq!(token.meta().expires_us, ends_s(&token) * SECOND);
    match dice.below(60) {
        0 => timed.session.reject(&token).unwrap(),
        1 => timed.session.forget(Some(&resource)).unwrap(),
        _ => {}
    }
    true
}

fn storm(seed: u64, length: Duration) {
    let timed = TimedSession::new();
    [
        ("user", 600),
        ("package", 240),
        ("transfer", 240),
        ("bearer", 120),
    ]
    .iter()
    .for_each(|(kind, life)| timed.sandbox().set_life(kind, *life));
    let (time, over) = (RwLock::new(()), AtomicBool::new(false));
    let (served, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun_s = timed.now_s();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (timed, time, over, served, failed) = (&timed, &time, &over, &served, &failed);
            scope.spawn(move || {
                let mut dice = Dice(seed * 100 + number);
                while !over.load(Ordering::Relaxed) {
                    let count = if call(timed, time, &mut dice) {
                        served
                    } else {
                        failed
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (end, mut dice) = (Instant::now() + length, Dice(seed));
        while Instant::now() < end {
            match dice.below(8) {
                0 => timed.sandbox().fault(fault(&mut dice)),
                1 => timed.sandbox().clear_faults(),
                _ => {}
            }
            // Some calls for each step of the clock: it must not outrun them.
            let calls = || served.load(Ordering::Relaxed) + failed.load(Ordering::Relaxed);
            let before = calls();
            while calls() < before + 25 && Instant::now() < end {
                std::thread::yield_now();
            }
            let _nobody_asks = time.write();
            timed
                .clock()
                .advance_us(dice.below(12 * SECOND as u64) as i64);
        }
        over.store(true, Ordering::Relaxed);
    });
    let (seconds, logins) = (
        (timed.now_s() - begun_s) as u64,
        timed.sandbox().count("login"),
    );
    let (served, failed) = (served.into_inner(), failed.into_inner());
    eprintln!(
        "seed {seed}: {served} served, {failed} failed, {logins} logins in {seconds} s of the virtual clock"
    );
    assert!(served > 100);
    // One in its life of 600 s at the best; one in ten seconds where callers reject it, and they
    // forget it now and then.
    assert!(logins < 10 + seconds / 5, "{logins} logins in {seconds} s");
    assert_eq!(
        (
            timed.sandbox().count("redirect_target"),
            timed.sandbox().count("two_credentials")
        ),
        (0, 0)
    );
    assert_eq!(timed.sandbox().count("foreign_token"), 0);
    recovers(&timed);
}

/// After the storm everything works again within the longest pause.
fn recovers(timed: &TimedSession) {
    timed.sandbox().clear_faults();
    timed.landed();
    timed.pass_s(3600);
    for resource in ["user", "fileverbs:bearer", &package(1)] {
        assert!(
            timed.token(resource).is_ok(),
            "{resource}: {:?}",
            timed.token(resource)
        );
    }
}

#[test]
fn no_ended_and_no_wrong_token_is_handed_out_whatever_fails() {
    (1..=4).for_each(|seed| storm(seed, Duration::from_millis(1500)));
}

#[test]
fn a_failed_refresh_never_replaces_a_good_token() {
    let acts = [
        FaultAction::Status {
            status: 500,
            body: BodyKind::Html,
        },
        FaultAction::Status {
            status: 403,
            body: BodyKind::Json,
        },
        FaultAction::Null,
        FaultAction::Half,
        FaultAction::Empty,
        FaultAction::WrongTypes,
        FaultAction::Token("undefined".into()),
        FaultAction::Token("a\r\nb".into()),
        FaultAction::Token(String::new()),
        FaultAction::Deep(100_000),
        FaultAction::Lost,
    ];
    for act in acts {
        for pass_s in [830, 960] {
            let timed = TimedSession::new();
            ["user", "package", "bearer"]
                .iter()
                .for_each(|kind| timed.sandbox().set_life(kind, 1000));
            let resources = ["user".to_owned(), "fileverbs:bearer".to_owned(), package(1)];
            let before = resources
                .clone()
                .map(|resource| timed.token(&resource).unwrap().meta().generation);
            timed.sandbox().fault(Fault::new(act.clone()).forever());
            timed.pass_s(pass_s);
            for _ in 0..3 {
                let after = resources
                    .clone()
                    .map(|resource| timed.token(&resource).unwrap().meta().generation);
                assert_eq!(after, before, "{act:?}");
                timed.landed();
                timed.pass_s(2);
            }
        }
    }
}

#[test]
fn eight_threads_of_everything_never_get_another_s_token() {
    let sandbox = sessions::sandbox();
    [("user", 8), ("package", 6), ("transfer", 6), ("bearer", 4)]
        .iter()
        .for_each(|(kind, life)| sandbox.set_life(kind, *life));
    let session = sessions::open(&sandbox);
    let end = Instant::now() + Duration::from_secs(6);
    let served: u64 = sessions::together(8, |number| {
        let (mut dice, mut served) = (Dice(number as u64 + 77), 0);
        while Instant::now() < end {
            let resource = resource(&mut dice);
            let (status, _, line) = session.peek_into(&resource, 4096);
            if status == 0 {
                let (name, value) = line.split_once(": ").unwrap();
                assert_is_for(&resource, name, value);
            }
            let outcome = session.token_for(&c_api::Request::new(&resource));
            let Ok(token) = outcome else {
                // A refusal is remembered for longer than this test takes.
                if dice.below(100) == 0 {
                    session.forget(None).unwrap();
                }
                continue;
            };
            served += 1;
            assert_is_for(&resource, token.header().0, token.header().1);
            match dice.below(400) {
                0 => session.reject(&token).unwrap(),
                1 => session.reject_value(&resource, token.value()).unwrap(),
                2 => session.forget(Some(&resource)).unwrap(),
                3 => drop((session.explain(&resource), session.list(), session.stats())),
                4 => sandbox.fault(fault(&mut dice).times(1)),
                _ => {}
            }
        }
        served
    })
    .into_iter()
    .sum();
    eprintln!("{served} tokens, {:?}", sandbox.counts());
    assert!(served > 500, "{served}");
    assert_eq!(
        (
            sandbox.count("foreign_token"),
            sandbox.count("two_credentials"),
            sandbox.count("redirect_target")
        ),
        (0, 0, 0)
    );
}
