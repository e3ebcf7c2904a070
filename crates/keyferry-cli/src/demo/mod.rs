//! `keyferry demo`: a tour of keyferry against the sandbox, in one process and within a second.
//!
//! The demo gets tokens through [`keyferry::session`], which the C ABI wraps. It cannot use the C
//! functions, because they take no clock: the demo moves the clock forward by three days so that
//! tokens expire. It reads and writes no files, environment variables or configuration of the user.
//!
//! A row succeeds if the engine sent exactly the expected requests and returned the expected
//! header, and the service accepted that header for the call in the row.

mod agent;
mod client;
mod demo_run;
mod fileverbs;
mod masv;
mod render;
mod report;

use std::io;

use clap::Args;

use crate::exit_code::EXIT_OK;
use crate::streams::Streams;
use demo_run::DemoRun;
use keyferry::error::Result;
use keyferry::sys::io_cause::{self, Subject};
use report::Report;

/// The options of `keyferry demo`.
#[derive(Args)]
pub struct DemoOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo and prints its report. Returns [`EXIT_OK`] only if every row succeeded.
pub fn run(options: &DemoOptions, streams: &mut Streams<'_>) -> u8 {
    let report = match run_demo() {
        Ok(report) => report,
        Err(error) => return streams.fail_with(&error),
    };
    let written = if options.json {
        streams.write_json(&report.to_json())
    } else {
        let lines = render::render(&report, streams.stdout.caps());
        streams.stdout.write_styled_lines(&lines)
    };
    match written {
        // A closed pipe is not an error, as in `keyferry demo | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => streams.fail(&format!(
            "cannot write the table: {}",
            io_cause::explain(&error, Subject::Stream)
        )),
        _ if report.all_ok() => EXIT_OK,
        _ => streams.fail("some rows failed; the table shows which and why"),
    }
}

fn run_demo() -> Result<Report> {
    let mut demo = DemoRun::start()?;
    masv::add_rows(&mut demo);
    agent::add_rows(&mut demo);
    fileverbs::add_rows(&mut demo);
    Ok(demo.finish())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;
    use crate::terminal::{StyledLine, TerminalCaps};

    #[test]
    fn every_row_works() {
        let report = run_demo().unwrap();
        let failed: Vec<_> = report
            .rows
            .iter()
            .filter(|row| !row.ok)
            .map(|row| (&row.resource, &row.note))
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(report.all_ok(), "{}", report.to_json());
    }

    #[test]
    fn the_table_fits_the_terminal_and_keeps_every_row() {
        let report = run_demo().unwrap();
        for (width, columns) in [
            (80, "resource header access life left from response"),
            (96, "resource header access life left from time response"),
            (120, "resource header access life left from time response"),
        ] {
            let caps = TerminalCaps {
                is_terminal: true,
                unicode: true,
                width,
                ..TerminalCaps::PLAIN
            };
            let join =
                |line: StyledLine| -> String { line.into_iter().map(|(_, part)| part).collect() };
            let lines: Vec<_> = render::render(&report, caps)
                .into_iter()
                .map(join)
                .collect();
            let wide = lines.iter().find(|line| line.chars().count() > width);
            assert_eq!(wide, None, "{width}");
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(lines.iter().any(|line| words(line) == columns), "{width}");
            let results = lines.iter().filter(|line| line.contains("  ✓ ")).count();
            assert_eq!(results, report.rows.len(), "{width}");
            let notes = lines.iter().filter(|line| line.starts_with("  └ ")).count();
            let has_note = |row: &&report::Row| row.note.is_some();
            assert_eq!(
                notes,
                report.rows.iter().filter(has_note).count(),
                "{width}"
            );
        }
    }
}
