//! `keyferry demo`: the whole main job against the sandbox, in one process and within a second.
//!
//! It gets tokens through [`keyferry::session`], which the C ABI wraps: C functions take no clock,
//! and tokens have to expire here without a wait of three days. It reads and writes no file,
//! variable or configuration of the user.
//!
//! A row counts as worked when the engine sent exactly the requests that the row claims, handed out
//! the header that it names, and the service took that header, as it was handed out, for the call
//! that it is for.

mod agent;
mod client;
mod demo_run;
mod fileverbs;
mod masv;
mod report;
mod table;

use std::io;

use clap::Args;

use crate::exit_code::EXIT_OK;
use crate::streams::Streams;
use demo_run::DemoRun;
use keyferry::error::Result;
use report::Report;

/// How `keyferry demo` runs.
#[derive(Args)]
pub struct DemoOptions {
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo and prints its report: [`EXIT_OK`] only if every row worked.
pub fn run(options: &DemoOptions, streams: &mut Streams<'_>) -> u8 {
    let report = match run_demo() {
        Ok(report) => report,
        Err(error) => return streams.fail(error.message()),
    };
    let output = &mut streams.stdout;
    let written = if options.json {
        output.write_line(&report.to_json().to_string())
    } else {
        output.write_styled_lines(&table::render(&report, output.caps()))
    };
    match written {
        // `demo | head` has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            streams.fail(&format!("the table can't be written: {}", error.kind()))
        }
        _ if report.all_ok() => EXIT_OK,
        _ => streams.fail("not every row worked: the table says which, and why"),
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
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

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
}
