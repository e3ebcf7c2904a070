//! Secrets that a program prints: `{ command = ["/usr/bin/pass", "masv"] }`.
//!
//! keyferry runs the program by its absolute path, without a shell. The secret is the first line of
//! its output. Its standard error is discarded, because it may contain secrets.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::config::without_secrets;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{Extent, Secret};
use crate::sys::io_cause::{self, Subject};
use crate::sys::process::{Limits, RunOutcome, run};
use crate::text;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    bytes: 64 * 1024,
    own_group: true,
};

/// Returns the first line of a program's output.
pub(super) fn get(words: &[String]) -> Result<Secret> {
    output_line(words, LIMITS)
}

fn output_line(words: &[String], limits: Limits) -> Result<Secret> {
    let fail = |what: String| Err(Error::new(ErrorKind::SecretSource, what));
    let Some((program, arguments)) = words
        .split_first()
        .filter(|(program, _)| Path::new(program).is_absolute())
    else {
        return fail("the command's program has no absolute path; start it with a slash".into());
    };
    let (output, outcome) = match run(
        without_secrets(Command::new(program).args(arguments)),
        None,
        limits,
    ) {
        Ok(output) => output,
        Err(error) => {
            return fail(format!(
                "cannot run {program}: {}",
                io_cause::explain(&error, Subject::Program)
            ));
        }
    };
    match outcome {
        RunOutcome::Exited(Some(0)) => {}
        // The exit code is lost if the application ignores SIGCHLD or waits for all children.
        // Accept a non-empty first line then: a program that fails usually prints nothing.
        // Otherwise every command would fail in such an application.
        RunOutcome::StatusLost if !text::first_line(&output).is_empty() => {}
        RunOutcome::StatusLost => {
            let why = "its exit code was lost, because this process ignores SIGCHLD or waits for all children";
            return fail(format!(
                "{program} printed nothing, and {why}; run it by hand to see why it printed nothing"
            ));
        }
        RunOutcome::Exited(Some(code)) => {
            return fail(format!(
                "{program} failed with exit code {code}; run it by hand to see why"
            ));
        }
        RunOutcome::Exited(None) => {
            return fail(format!(
                "{program} was killed by a signal; run it by hand to see why"
            ));
        }
        RunOutcome::TimedOut => {
            return fail(format!(
                "{program} took longer than {} s and was killed; run it by hand to see why",
                limits.time.as_secs()
            ));
        }
        RunOutcome::OutputTooLong => {
            return fail(format!(
                "{program} printed more than {} KiB and was killed; make it print only the secret",
                limits.bytes / 1024
            ));
        }
    }
    Secret::decode(
        &output,
        Extent::FirstLine,
        &format!("the output of {program}"),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, limits: Limits) -> Result<Secret> {
        output_line(&["/bin/sh".into(), "-c".into(), script.into()], limits)
    }

    #[test]
    fn the_first_line_counts_and_standard_input_is_empty() {
        let get = |script| shell(script, LIMITS).unwrap().expose().to_owned();
        assert_eq!(get("printf 'a b=$\\r\\nsecond\\n'"), "a b=$");
        assert_eq!(get("printf bare"), "bare");
        assert_eq!(get("cat; echo behind"), "behind");
        assert_eq!(get("head -c 300000 /dev/zero >&2; echo kept"), "kept");
        assert_eq!(
            output_line(&["/bin/echo".into(), "$HOME;`x`".into()], LIMITS)
                .unwrap()
                .expose(),
            "$HOME;`x`"
        );
    }

    #[test]
    fn a_program_that_stays_behind_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(
            shell("sleep 20 & echo here", LIMITS).unwrap().expose(),
            "here"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn the_group_ends_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", pid.display());
        let error = shell(
            &script,
            Limits {
                time: Duration::from_millis(700),
                ..LIMITS
            },
        )
        .unwrap_err();
        assert!(
            error.message().contains("took longer") && error.message().contains("run it by hand"),
            "{error}"
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        let stat =
            || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Its parent is dead too. If no process reaps it, it remains a zombie. On a busy machine it
        // may take a moment to die.
        let is_over =
            |stat: String| stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ");
        let started = Instant::now();
        while !is_over(stat()) {
            assert!(started.elapsed() < Duration::from_secs(10), "{}", stat());
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_failure_names_the_program_and_nothing_of_its_output() {
        for (script, hint) in [
            ("echo canary >&2; echo canary; exit 3", "exit code 3"),
            ("kill -9 $$", "signal"),
            (
                "head -c 70000 /dev/zero",
                "64 KiB and was killed; make it print only the secret",
            ),
            ("printf '\\377\\376\\n'", "UTF-8"),
        ] {
            let error = shell(script, LIMITS).unwrap_err();
            assert_eq!(error.kind, ErrorKind::SecretSource);
            assert!(
                error.message().contains(hint)
                    && error.message().contains("/bin/sh")
                    && !error.message().contains("canary"),
                "{error}"
            );
        }
        let error = output_line(&["/nonexistent/x".into()], LIMITS).unwrap_err();
        assert!(
            error.message().contains("cannot run /nonexistent/x"),
            "{error}"
        );
        assert!(
            output_line(&["true".into()], LIMITS).is_err() && output_line(&[], LIMITS).is_err()
        );
    }
}
