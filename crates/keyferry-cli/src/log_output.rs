//! Writes the library's log to standard error.
//!
//! Without `KEYFERRY_LOG` and `-v`, only warnings and errors are written, as messages for people. With
//! one of them, each line has a time and a level.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use crate::terminal::sanitize;
use crate::time_format::rfc3339_ms;
use keyferry::clock::Clock;
use keyferry::log::{self, Level};
use keyferry::model::nearest::{did_you_mean, nearest_name};

/// The environment variable that sets the level.
pub const VARIABLE: &str = "KEYFERRY_LOG";

const LEVELS: [(&str, Level); 4] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

/// The option of commands that contact a service.
#[derive(Args, Clone, Copy, Default)]
#[cfg_attr(test, derive(Debug))]
pub struct LogOptions {
    /// Print each request to a service, and where each token came from, on standard error
    ///
    /// The same as KEYFERRY_LOG=debug. The lines contain no secrets.
    #[arg(short, long)]
    pub verbose: bool,
}

/// Starts to write the log to standard error. `value` is the value of [`VARIABLE`].
///
/// A wrong value has no effect but a warning, so that a command never fails because of its log.
pub fn install(value: Option<&OsStr>, options: LogOptions) {
    let parsed = value.filter(|value| !value.is_empty()).map(parse);
    let level = if options.verbose {
        Some(Level::Debug)
    } else {
        parsed.clone().and_then(Result::ok)
    };
    let write = move |line_level, text: &str| {
        if line_level <= Level::Warn && collect(text) {
            return;
        }
        let line = match level {
            Some(_) => timed_line(line_level, text),
            None => format!("keyferry: warning: {}", sanitize(text)),
        };
        // If standard error is closed, the line is lost.
        let _ = writeln!(io::stderr(), "{line}");
    };
    log::install(Some(level.unwrap_or(Level::Warn)), Some(Box::new(write)))
        .expect("log::install fails only inside a log callback, and none is installed yet");
    if let Some(Err(warning)) = parsed {
        log::write(Level::Warn, format_args!("{warning}"));
    }
}

/// Whether a message was logged since [`detect`].
static DETECTED: AtomicBool = AtomicBool::new(false);

/// Starts to notice warnings and errors, without writing them.
pub fn detect() {
    let notice = |_: Level, _: &str| DETECTED.store(true, Ordering::Relaxed);
    log::install(Some(Level::Warn), Some(Box::new(notice)))
        .expect("log::install fails only inside a log callback, and none is installed yet");
}

/// Whether a warning or an error was logged since [`detect`].
pub fn was_detected() -> bool {
    DETECTED.load(Ordering::Relaxed)
}

/// The warnings that are collected instead of being written. `None` if they are written.
static COLLECTED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Runs a function, and returns the warnings that it logs instead of writing them to standard error.
/// Each warning is returned once.
pub fn collect_warnings<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    let set = |value| {
        COLLECTED
            .lock()
            .map(|mut it| std::mem::replace(&mut *it, value))
    };
    let _ = set(Some(Vec::new()));
    let outcome = run();
    (outcome, set(None).ok().flatten().unwrap_or_default())
}

/// Collects a warning. Returns false if warnings are written now.
fn collect(text: &str) -> bool {
    let mut collected = COLLECTED.lock().ok();
    let Some(warnings) = collected.as_deref_mut().and_then(Option::as_mut) else {
        return false;
    };
    if !warnings.iter().any(|warning| warning == text) {
        warnings.push(text.to_owned());
    }
    true
}

/// Returns the level that a value names, or a warning.
fn parse(value: &OsStr) -> Result<Level, String> {
    let value = value.to_string_lossy().to_ascii_lowercase();
    let found = LEVELS.iter().find(|(name, _)| *name == value);
    if let Some((_, level)) = found {
        return Ok(*level);
    }
    let hint = did_you_mean(nearest_name(&value, &LEVELS.map(|(name, _)| name)));
    Err(format!(
        "the value of {VARIABLE} is not a level; {hint}use error, warn, info or debug"
    ))
}

fn timed_line(level: Level, text: &str) -> String {
    let name = LEVELS
        .iter()
        .find(|(_, known)| *known == level)
        .map_or("", |(name, _)| *name);
    let now_ms = Clock::system().now_us().div_euclid(1000);
    let time = rfc3339_ms(now_ms).unwrap_or_default();
    format!("keyferry: {time} {name}: {}", sanitize(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_told_with_the_nearest_one() {
        let parse = |value: &str| parse(OsStr::new(value));
        assert_eq!(parse("debug"), Ok(Level::Debug));
        assert_eq!(parse("WARN"), Ok(Level::Warn));
        assert_eq!(
            parse("debgu"),
            Err("the value of KEYFERRY_LOG is not a level; did you mean debug? use error, warn, info or debug".into())
        );
        assert_eq!(
            parse("9"),
            Err("the value of KEYFERRY_LOG is not a level; use error, warn, info or debug".into())
        );
    }
}
