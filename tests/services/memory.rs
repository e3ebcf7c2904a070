//! Memory: no answer makes the process larger by four MiB, neither while it is read nor after it,
//! and the whole table doesn't either.
//!
//! The process that is measured holds the sessions alone. The sandboxes, whose bodies take memory
//! too, are in the process that starts it; one byte over a socket says when a fault is wanted, and
//! one when it is to go.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use keyferry_sandbox::{Sandbox, Service};

use crate::checks;
use crate::faults::{self, Column};
use crate::rows::{self, Row};
use crate::table;
use keyferry_testing::own_process::run_in_own_process;
use keyferry_testing::settings::ServiceUrls;

const MAX_GROWTH_BYTES: usize = 4 << 20;

/// What the process holds in memory.
#[expect(unsafe_code, reason = "system calls")]
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    // SAFETY: takes a number and gives one.
    pages * usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap()
}

/// Gives free memory back to the system, so that it doesn't hide what is taken next, and lets the
/// kernel forget the peak. Returns what the process holds now.
#[expect(unsafe_code, reason = "system calls")]
fn reset_peak() -> usize {
    // SAFETY: takes a number and gives one.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    resident_bytes()
}

/// The most that the process has held since the reset.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<usize>().unwrap() * 1024
}

/// The cells of a row. What has a read repeated costs time and no memory, so it stands here for
/// requests that are not.
fn columns(row: &Row) -> Vec<(Column, Outcome)> {
    let as_in_the_table = |column| (column, Outcome::AsInTheTable);
    let any = |column| (column, Outcome::Any);
    table_columns(row)
        .into_iter()
        .map(as_in_the_table)
        .chain(faults::large_documents().into_iter().map(any))
        .collect()
}

/// What an answer ends in.
#[derive(Clone, Copy)]
enum Outcome {
    AsInTheTable,
    Any,
}

fn table_columns(row: &Row) -> Vec<Column> {
    let documents = faults::documents().into_iter().chain(faults::statuses(row));
    let tokens = faults::tokens().into_iter().filter(|_| row.has_token);
    let transient = faults::no_responses()
        .into_iter()
        .chain(faults::outages())
        .chain(faults::throttles());
    documents
        .chain(tokens)
        .chain(transient.filter(|_| row.method == "POST"))
        .collect()
}

fn send_signal(peer: &mut TcpStream) {
    peer.write_all(b".").unwrap();
}

fn wait_for_signal(peer: &mut TcpStream) {
    peer.read_exact(&mut [0]).unwrap();
}

/// Plays the services for the process that is measured.
fn serve(listener: &TcpListener, all: &[(Row, Sandbox)]) {
    let (mut peer, _) = listener.accept().unwrap();
    for (row, sandbox) in all {
        (row.set_up)(sandbox);
    }
    send_signal(&mut peer);
    for (row, sandbox) in all {
        for (column, _) in columns(row) {
            wait_for_signal(&mut peer);
            (row.set_up)(sandbox);
            sandbox.fault(column.fault(row));
            send_signal(&mut peer);
            wait_for_signal(&mut peer);
            sandbox.clear_faults();
            send_signal(&mut peer);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_whole_table_costs_less_than_four_mebibytes() {
    let all: Vec<_> = rows::all()
        .into_iter()
        .map(|row| (row, checks::sandbox()))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let urls: Vec<_> = all
        .iter()
        .flat_map(|(_, sandbox)| SERVICES.map(|service| sandbox.url_of(service).to_owned()))
        .collect();
    let urls = urls.join(" ");
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, &all));
        let variables = [("TABLE_AT", address.as_str()), ("TABLE_PLACES", &urls)];
        run_in_own_process("memory::the_table_in_a_process_of_its_own", &variables);
    });
}

const SERVICES: [Service; 3] = [Service::Masv, Service::Agent, Service::FileVerbs];

struct RemoteUrls([String; 3]);

impl ServiceUrls for RemoteUrls {
    fn url_of(&self, service: Service) -> &str {
        &self.0[SERVICES.iter().position(|other| *other == service).unwrap()]
    }
}

#[test]
#[ignore = "the test above runs it in a process of its own"]
fn the_table_in_a_process_of_its_own() {
    let urls = std::env::var("TABLE_PLACES").unwrap();
    let urls: Vec<_> = urls.split(' ').map(str::to_owned).collect();
    let remotes = urls
        .as_chunks::<3>()
        .0
        .iter()
        .map(|urls| RemoteUrls(urls.clone()));
    let all: Vec<_> = rows::all().into_iter().zip(remotes).collect();
    let mut services = TcpStream::connect(std::env::var("TABLE_AT").unwrap()).unwrap();
    wait_for_signal(&mut services);
    for (row, at) in &all {
        let session = (row.config)(at).open();
        (row.prepare)(&session);
        table::succeed(row, at, &session, "before the table");
    }
    let before = resident_bytes();
    let mut too_large = Vec::new();
    for (row, at) in &all {
        for (column, outcome) in columns(row) {
            let session = (row.config)(at).open();
            (row.prepare)(&session);
            send_signal(&mut services);
            wait_for_signal(&mut services);
            let start = reset_peak();
            match outcome {
                Outcome::AsInTheTable => table::fail(row, &column, &session),
                Outcome::Any => drop((row.acquire)(&session, checks::AMPLE_TIMEOUT_MS)),
            }
            let grown = peak_bytes().saturating_sub(start);
            if grown >= MAX_GROWTH_BYTES {
                too_large.push(format!("{}, {}: {grown} bytes", row.name, column.name));
            }
            send_signal(&mut services);
            wait_for_signal(&mut services);
            table::recover(row, &column, &session, at);
        }
    }
    assert!(too_large.is_empty(), "{too_large:#?}");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < MAX_GROWTH_BYTES, "{grown} bytes more than before");
}
