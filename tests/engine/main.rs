//! The engine against an opponent: how it behaves when services fail, callers crowd and time
//! passes.
//!
//! What C can express goes through the C ABI's own functions ([`c`]); where time matters, session
//! and sandbox share one manual clock ([`world`]). Nothing sleeps to wait for something.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails where it stands"
)]
#![expect(
    clippy::print_stderr,
    reason = "figures for those who look, with --nocapture"
)]

mod c;
mod chaos;
mod flights;
mod harness;
mod json;
mod life;
mod logins;
mod peek;
mod persistence;
mod rejects;
mod retries;
mod skew;
mod waits;
mod windows;
