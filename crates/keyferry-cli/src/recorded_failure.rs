//! The message of an error that keyferry recorded earlier: when the failure happened, and when the
//! service is contacted again.

use crate::time_format::format_duration;
use keyferry::error::{Error, ErrorKind};

/// Returns the message of an error, with the times of a recorded failure.
pub fn with_times(error: &Error, now_s: i64) -> String {
    let what = match error.kind {
        ErrorKind::BadCredentials => "refused",
        ErrorKind::Throttled => "asked to pause",
        _ => "failed",
    };
    let since = (error.since_unix_s)
        .map(|since_s| format!("{what} {} ago", format_duration(now_s - since_s)));
    let again = error.retry_after_s().map(|left_s| {
        let left_s = i64::try_from(left_s).unwrap_or(i64::MAX);
        format!("tried again in {}", format_duration(left_s))
    });
    let times: Vec<_> = since.into_iter().chain(again).collect();
    if times.is_empty() {
        return error.message().to_owned();
    }
    format!("{} ({})", error.message(), times.join("; "))
}
