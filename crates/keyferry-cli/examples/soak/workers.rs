//! The threads of the soak: some that share a session, and one that runs the helper program.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use keyferry::ffi::status;
use keyferry_cli::exit_code::{EXIT_FAILED, EXIT_RETRY_LATER};
use keyferry_sandbox::credentials as c;
use keyferry_testing::c_api::{Config, Request, Session};
use keyferry_testing::child::{self, ProgramOutput};
use keyferry_testing::harness::Harness;

use crate::sandbox::{SandboxProgram, program};
use crate::targets::{self, SECOND, Target, now_us};

/// The errors that a failing service causes.
const SERVICE_FAILURES: [i32; 7] = [
    status::KEYFERRY_E_TIMEOUT,
    status::KEYFERRY_E_BUSY,
    status::KEYFERRY_E_UNREACHABLE,
    status::KEYFERRY_E_NO_RESPONSE,
    status::KEYFERRY_E_THROTTLED,
    status::KEYFERRY_E_UNAVAILABLE,
    status::KEYFERRY_E_BAD_RESPONSE,
];
/// The pause of a thread between two calls.
const PAUSE: Duration = Duration::from_millis(1);
/// The pause between two runs of the helper.
const HELPER_PAUSE: Duration = Duration::from_millis(200);

/// The results of all threads, and the sign for them to stop.
#[derive(Default)]
pub(crate) struct Tally {
    stopped: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: u64,
    helper_tokens: u64,
    helper_failures: u64,
    /// The signatures of the latest tokens.
    recent: HashSet<String>,
    tokens: u64,
    errors: BTreeMap<i32, u64>,
    faults: BTreeSet<String>,
    fault_count: u64,
}

impl Tally {
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Checks and counts a token.
    fn token(&self, target: &Target, header: &str, value: &str, asked_us: i64) {
        let fault = target.fault(header, value, asked_us);
        let signature = value.rsplit('.').next().unwrap_or_default();
        let mut seen = self.seen.lock().unwrap();
        seen.calls += 1;
        seen.count_fault(fault);
        if !seen.recent.contains(signature) {
            // The tokens live for 2 s, so this forgets only expired ones.
            if seen.recent.len() >= 512 {
                seen.recent.clear();
            }
            seen.recent.insert(signature.to_owned());
            seen.tokens += 1;
        }
    }

    fn error(&self, status: i32, message: &str) {
        let mut seen = self.seen.lock().unwrap();
        seen.calls += 1;
        *seen.errors.entry(status).or_default() += 1;
        let is_expected = SERVICE_FAILURES.contains(&status);
        seen.count_fault((!is_expected).then(|| format!("error {status}: {message}")));
    }

    /// Counts a failed run of the helper. A failing service is no fault; a crash is one.
    fn helper_failure(&self, ended: &ProgramOutput) {
        let mut seen = self.seen.lock().unwrap();
        seen.helper_failures += 1;
        let is_expected = ended.code == Some(i32::from(EXIT_RETRY_LATER))
            || ended.code == Some(i32::from(EXIT_FAILED));
        seen.count_fault((!is_expected).then(|| format!("the helper failed: {}", ended.said())));
    }

    fn helper_token(&self) {
        self.seen.lock().unwrap().helper_tokens += 1;
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.seen.lock().unwrap().tokens
    }

    pub(crate) fn helper_tokens(&self) -> u64 {
        self.seen.lock().unwrap().helper_tokens
    }

    pub(crate) fn print(&self) {
        let seen = self.seen.lock().unwrap();
        println!(
            "{} calls, {} different tokens, {} from the helper, {} wrong, expired or unexpected; \
             errors by status: {:?}, {} of the helper",
            seen.calls,
            seen.tokens,
            seen.helper_tokens,
            seen.fault_count,
            seen.errors,
            seen.helper_failures
        );
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.seen.lock().unwrap().faults.iter().cloned().collect()
    }
}

impl Seen {
    /// Counts a fault, and keeps the first few.
    fn count_fault(&mut self, fault: Option<String>) {
        let Some(fault) = fault else { return };
        self.fault_count += 1;
        if self.faults.len() < 10 {
            self.faults.insert(fault);
        }
    }
}

/// Starts the threads. They end after [`Tally::stop`].
pub(crate) fn start(
    count: usize,
    harness: &Harness,
    sandbox: &SandboxProgram,
    tally: &Arc<Tally>,
) -> Vec<JoinHandle<()>> {
    let store = format!("file:{}", harness.path("store").display());
    let session = Arc::new(open_session(sandbox, &store));
    let mut threads: Vec<_> = (0..count)
        .map(|number| {
            let (session, tally) = (Arc::clone(&session), Arc::clone(tally));
            std::thread::spawn(move || use_session(&session, number, &tally))
        })
        .collect();
    let helpers = [
        (c::PACKAGE_ID, helper(harness, sandbox, &store)),
        (c::OTHER_PACKAGE_ID, helper(harness, sandbox, &store)),
    ];
    let (host, tally) = (
        sandbox.variable("KEYFERRY_MASV_URL").replace("http://", ""),
        Arc::clone(tally),
    );
    threads.push(std::thread::spawn(move || {
        run_helpers(helpers, &host, &tally)
    }));
    threads
}

fn open_session(sandbox: &SandboxProgram, store: &str) -> Session {
    let url = sandbox.variable("KEYFERRY_MASV_URL");
    Config::new()
        .set("masv.url", url)
        .set("masv.email", c::EMAIL)
        .set("masv.password", c::PASSWORD)
        .set("masv.team", c::TEAM_ID)
        .set("fileverbs.url", sandbox.variable("KEYFERRY_FILEVERBS_URL"))
        .set("fileverbs.secret_key", c::SECRET_KEY)
        .set("fileverbs.api_key", c::FV_API_KEY)
        .set(&format!("profile.{SECOND}.masv.email"), c::SECOND_EMAIL)
        .set(
            &format!("profile.{SECOND}.masv.password"),
            c::SECOND_PASSWORD,
        )
        .set(&format!("profile.{SECOND}.masv.team"), c::SECOND_TEAM_ID)
        .set("store", store)
        .set("http.timeout_ms", "5000")
        .open()
}

fn use_session(session: &Session, number: usize, tally: &Tally) {
    let targets = targets::all();
    let mut turn = number as u64;
    while !tally.is_stopped() {
        turn += 1;
        let target = &targets[turn as usize % targets.len()];
        let asked_us = now_us();
        match session.token_for(&request(target)) {
            Ok(token) => {
                let (header, value) = token.header();
                tally.token(target, header, value, asked_us);
            }
            Err(error) => tally.error(error.status, &error.message),
        }
        if target.account.is_none() {
            peek(session, target, tally);
        }
        std::thread::sleep(PAUSE);
    }
}

fn request(target: &Target) -> Request {
    let request = Request::new(&target.resource);
    match target.account {
        Some(account) => request.account(account),
        None => request,
    }
}

fn peek(session: &Session, target: &Target, tally: &Tally) {
    let asked_us = now_us();
    if let Ok(line) = session.peek(&target.resource) {
        let (header, value) = line.split_once(": ").unwrap();
        tally.token(target, header, value, asked_us);
    }
}

/// Returns the command for one run of the helper.
fn helper(harness: &Harness, sandbox: &SandboxProgram, store: &str) -> Command {
    let mut command = Command::new(program("git-credential-keyferry"));
    let variables = sandbox.variables.iter();
    harness
        .isolate(command.arg("get"))
        .envs(variables.map(|(name, value)| (name, value.as_str().unwrap())))
        .env("KEYFERRY_STORE", store);
    command
}

fn run_helpers(mut helpers: [(&str, Command); 2], host: &str, tally: &Tally) {
    let targets = targets::all();
    while !tally.is_stopped() {
        for (package, command) in &mut helpers {
            let resource = format!("packages/{package}");
            let is_of_package =
                |target: &&Target| target.resource == resource && target.account.is_none();
            let target = targets.iter().find(is_of_package).unwrap();
            let input = format!(
                "capability[]=authtype\nprotocol=http\nhost={host}\npath=v1/{resource}\n\n"
            );
            run_helper(command, &input, target, tally);
            std::thread::sleep(HELPER_PAUSE);
        }
    }
}

fn run_helper(command: &mut Command, input: &str, target: &Target, tally: &Tally) {
    let asked_us = now_us();
    let ended = child::run_with_input(command, input);
    if !ended.status.success() {
        return tally.helper_failure(&ended);
    }
    let (header, value) = (ended.line("username"), ended.line("password"));
    if let Some((header, value)) = header.zip(value) {
        tally.token(target, header, value, asked_us);
        tally.helper_token();
    }
}
