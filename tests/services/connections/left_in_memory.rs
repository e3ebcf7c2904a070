//! Searches the memory for secrets that passed through a connection. None is found after `forget`,
//! after a rejection, after the end of the session, and once an idle connection was closed after 5 s.
//!
//! The services run in the process that starts the one that is searched.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use keyferry_testing::c_api::{Request, Session};
use keyferry_testing::own_process::run_in_own_process;

use super::requests::{self, EMAIL, PASSWORD};
use super::service::{FILLER, Services, TEAM, Trait};

/// How the tokens of the services begin.
const MARK: &str = "made-up-mark";
/// The end of the idle time is 5 s. This is long enough on a loaded machine.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// How soon connections are closed that must not wait for the end of the idle time.
const SOON: Duration = Duration::from_secs(3);

/// A part of this process's memory.
struct Region {
    start: u64,
    end: u64,
}

/// Returns the regions that can be written, except the one of `buffer`.
fn regions(buffer: &[u8]) -> Vec<Region> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let own = buffer.as_ptr() as u64;
    maps.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (start, end) = words.next()?.split_once('-')?;
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let region = Region {
                start: number(start),
                end: number(end),
            };
            let is_own = (region.start..region.end).contains(&own);
            (words.next()?.starts_with("rw") && !is_own).then_some(region)
        })
        .collect()
}

/// Counts how often a text is found in memory that can be written. The text must be a constant, so
/// that it is itself in memory that can't be written.
///
/// The buffer is so large that the allocator maps it on its own. Otherwise the search would find its
/// own copies.
fn count(text: &'static str) -> usize {
    let mut buffer = vec![0_u8; 4 << 20];
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for region in regions(&buffer) {
        let mut at = region.start;
        while at < region.end {
            let length = usize::try_from(region.end - at).unwrap().min(buffer.len());
            // A region may be gone by now.
            let Ok(length) = memory.read_at(&mut buffer[..length], at) else {
                break;
            };
            found += count_in(&buffer[..length], text.as_bytes());
            if length < text.len() || at + length as u64 == region.end {
                break;
            }
            // The text may stand on the border of two parts.
            at += (length - text.len() + 1) as u64;
        }
    }
    found
}

fn count_in(bytes: &[u8], text: &[u8]) -> usize {
    let mut found = 0;
    let mut rest = bytes;
    while let Some(at) = position(rest, text) {
        found += 1;
        rest = &rest[at + text.len()..];
    }
    found
}

/// Returns where the text is found first. The C library searches much faster than code that is
/// compiled for tests.
#[expect(unsafe_code, reason = "a function of the C library")]
fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let start = bytes.as_ptr();
    // SAFETY: both slices have the lengths that are passed.
    let at = unsafe { libc::memmem(start.cast(), bytes.len(), text.as_ptr().cast(), text.len()) };
    (!at.is_null()).then(|| at.addr() - start.addr())
}

/// Waits until a text is no longer found. Connections are closed by another thread.
#[track_caller]
fn is_gone_within(limit: Duration, text: &'static str, after: &str) {
    let deadline = Instant::now() + limit;
    loop {
        let found = count(text);
        if found == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{found} times in memory after {after}: {}",
            text.len()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[track_caller]
fn is_gone(text: &'static str, after: &str) {
    is_gone_within(SOON, text, after);
}

/// The secrets that the searched process sends. It has them as constants only.
const LINK_SECRET: &str = "made-up-secret-of-a-link";
const LINK_PASSWORD: &str = "made-up-password-of-a-link";
/// A part of the token of the user who logs in first.
const REPLACED_TOKEN: &str = ".user-first.";

/// Opens a session without credentials: it would have those of a configuration in memory.
fn open(url: &str) -> Session {
    requests::config(&[("masv.url", url), ("masv.team", TEAM)]).open()
}

fn log_in(session: &Session, email: &str) {
    drop(session.login(Some(email), Some(PASSWORD)).unwrap());
}

fn read_link(session: &Session) {
    let resource = ["links/L1?secret=", LINK_SECRET].concat();
    let request = Request::new(&resource).link_password(LINK_PASSWORD);
    drop(session.token_for(&request).unwrap());
}

/// Reads, so that the service sends tokens over connections that are kept.
fn read_packages(session: &Session) {
    for number in 0..3 {
        requests::ask_package(session, number).unwrap();
    }
}

/// Reads with a token of the user, which another token then replaces in the cache. From then on only the
/// connections of the reads can have it.
fn read_as_replaced_user(session: &Session) {
    log_in(session, "first@example.com");
    read_link(session);
    read_packages(session);
    log_in(session, "second@example.com");
}

#[test]
fn connections_leave_no_secret_in_memory() {
    let services = Services::start(MARK, Trait::None);
    run_in_own_process(
        "connections::left_in_memory::in_a_process_of_its_own",
        &[("SERVICES_AT", services.url())],
    );
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn in_a_process_of_its_own() {
    let url = std::env::var("SERVICES_AT").unwrap();
    let session = open(&url);
    // A token that is cached is found, so the search works.
    log_in(&session, EMAIL);
    read_packages(&session);
    assert!(count(MARK) > 0, "the search finds nothing");
    session.forget(None).unwrap();
    is_gone(MARK, "forget");
    is_gone(FILLER, "forget");
    a_password_is_gone_at_once(&url);
    a_refresh_leaves_no_renewal_secret(&url);
    read_as_replaced_user(&session);
    // These are cached nowhere. Only connections have seen them.
    for text in [REPLACED_TOKEN, FILLER, LINK_SECRET, LINK_PASSWORD] {
        is_gone_within(IDLE_LIMIT, text, "the idle time");
    }
    session.forget(None).unwrap();
    is_gone(MARK, "the idle time and forget");
    a_rejection_drops_connections(&session);
    session.forget(None).unwrap();
    read_as_replaced_user(&session);
    drop(session);
    for text in [
        REPLACED_TOKEN,
        MARK,
        FILLER,
        LINK_SECRET,
        LINK_PASSWORD,
        PASSWORD,
        EMAIL,
    ] {
        is_gone(text, "the end of the session");
    }
}

fn a_password_is_gone_at_once(url: &str) {
    let session = open(url);
    log_in(&session, EMAIL);
    assert_eq!(count(PASSWORD), 0, "a password after its login");
    drop(session);
    is_gone(MARK, "the end of a session with a login");
}

fn a_refresh_leaves_no_renewal_secret(url: &str) {
    let session = requests::fileverbs(url).open();
    let bearer = session.bearer().unwrap();
    session.reject(&bearer).unwrap();
    drop(bearer);
    drop(session.bearer().unwrap());
    assert!(count(".renewal.") > 0, "the session has a renewal secret");
    session.forget(None).unwrap();
    is_gone(".renewal.", "forget of a refreshed token");
    is_gone(MARK, "forget of a refreshed token");
}

/// A rejection drops the idle connections at once, long before the idle time.
fn a_rejection_drops_connections(session: &Session) {
    read_as_replaced_user(session);
    session.reject(&session.token("user").unwrap()).unwrap();
    for text in [REPLACED_TOKEN, FILLER, LINK_SECRET, LINK_PASSWORD] {
        is_gone(text, "a rejection");
    }
}
