//! A soak: 8 threads and a helper program get tokens that expire after 2 s from a sandbox that
//! spoils every fifth response.
//!
//! `cargo run --example soak -- --seconds 60`. Needs the programs: run `cargo build` or `cargo test`
//! before. Fails if a token was wrong or expired, if an error was not one of a failing service, if
//! there were too few tokens, or if memory, descriptors or threads grew.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the soak")]
#![expect(clippy::print_stdout, reason = "the program reports its numbers")]

mod growth;
mod sandbox;
mod targets;
mod workers;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyferry_testing::harness::Harness;

use growth::Growth;
use sandbox::SandboxProgram;
use workers::Tally;

/// The threads that use one session.
const THREADS: usize = 8;
/// The lifetime of the tokens.
const LIFETIME_S: u64 = 2;
/// Each resource gets a new token about every 2 s. Fewer than this number of different tokens in a
/// second mean that the threads waited for each other, not for the services.
const LEAST_TOKENS_PER_S: f64 = 1.0;

fn main() -> ExitCode {
    let Some(duration) = duration() else {
        println!("usage: soak [--seconds N]");
        return ExitCode::from(2);
    };
    let failures = soak(duration);
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    ExitCode::from(u8::from(!failures.is_empty()))
}

fn duration() -> Option<Duration> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Some(Duration::from_secs(60)),
        [name, seconds] if name == "--seconds" => seconds.parse().ok().map(Duration::from_secs),
        _ => None,
    }
}

/// Runs the soak, prints what it measures, and returns what is wrong.
fn soak(duration: Duration) -> Vec<String> {
    let harness = Harness::new();
    let sandbox = SandboxProgram::start(&harness, LIFETIME_S);
    let tally = Arc::new(Tally::default());
    let threads = workers::start(THREADS, &harness, &sandbox, &tally);
    let (started, mut growth) = (Instant::now(), Growth::default());
    while started.elapsed() < duration {
        std::thread::sleep(Duration::from_millis(500));
        growth.sample(started.elapsed());
    }
    tally.stop();
    let panicked = threads
        .into_iter()
        .filter_map(|thread| thread.join().err())
        .count();
    let counts = sandbox.counts();
    let mut failures = tally.failures();
    if panicked > 0 {
        failures.push(format!("{panicked} threads panicked"));
    }
    tally.print();
    failures.extend(sandbox::failures(&counts));
    failures.extend(growth.failures());
    let tokens_per_s = tally.tokens() as f64 / duration.as_secs_f64();
    if tokens_per_s < LEAST_TOKENS_PER_S || tally.helper_tokens() == 0 {
        failures.push(format!(
            "too few tokens: {tokens_per_s:.1} in a second, and {} from the helper",
            tally.helper_tokens()
        ));
    }
    failures
}
