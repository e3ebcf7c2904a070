//! The engine against an opponent: how it behaves when services fail, callers crowd and time
//! passes.
//!
//! What C can express goes through the C ABI. Where time matters, session and sandbox share one
//! manual clock ([`sessions::TimedSession`]). Nothing sleeps to wait for something.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::print_stderr,
    reason = "figures for those who look, with --nocapture"
)]

mod chaos;
mod clock_skew;
mod freshness;
mod json;
mod negative_cache;
mod open_ahead;
mod peek;
mod persistence;
mod prepared;
mod rejections;
mod retries;
mod sessions;
mod shutdown;
mod single_flight;
mod slow_saves;
mod timeouts;
