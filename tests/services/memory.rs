//! Memory: the whole table, one cell after the other, makes the process no larger than four MiB.

use crate::faults;
use crate::process;
use crate::rows;
use crate::stage;
use crate::table;

const MOST_BYTES: usize = 4 << 20;

/// What the process holds in memory.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    // SAFETY: takes a number and gives one.
    pages * usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn the_whole_table_costs_less_than_four_mebibytes() {
    process::alone("memory::the_table_in_a_process_of_its_own", &[]);
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn the_table_in_a_process_of_its_own() {
    let sandbox = stage::sandbox();
    let rows = rows::all();
    for row in &rows {
        let session = (row.open)(&sandbox).open();
        (row.prepare)(&sandbox, &session);
        table::succeed(row, &sandbox, &session, "before the table");
        sandbox.clear_faults();
    }
    let before = resident_bytes();
    for row in &rows {
        let columns = faults::documents().into_iter().chain(faults::statuses(row));
        let columns = columns.chain(faults::tokens().into_iter().filter(|_| row.has_token));
        let columns = columns.chain(faults::silences().into_iter().chain(faults::throttles()).filter(|_| row.method == "POST"));
        columns.for_each(|column| table::cell(row, &column, &sandbox));
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MOST_BYTES, "{grown} bytes more than before");
}
