//! Measures how long a user waits for a token that is not cached, beside libcurl and reqwest in the
//! same run. Run
//! `cargo bench --package keyferry-testing --bench misses -- [ROW]...`; without a row, it measures
//! all of them. It needs a C compiler, libcurl, pkg-config, and strace to count opened files.
//!
//! The server is the sandbox, over TLS. In the rows with a round trip of 40 ms, a relay (`relay.c`)
//! stands in front of it. A round trip is what libcurl takes for a request on a kept connection, in
//! the same row. Each client is a process of its own that looks packages up when it is told to (see
//! `turn.h`); the clients take turns, and of each the best turn counts, because noise only adds
//! time.
//!
//! `KEYFERRY_BENCH_BASE` names an older `libkeyferry.so` to measure beside the new one.
//! `KEYFERRY_BENCH_FOLDER` names a directory for the store on disk; the default is that of temporary
//! files. On a terminal, the output is a table for each row, else lines of values between tabs.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use keyferry_sandbox::{Options, Sandbox, credentials as c};
use keyferry_testing::bench::{self, Failure};
use keyferry_testing::files::beside;
use keyferry_testing::harness::Harness;
use serde_json::json;

const ROUND_TRIP_MS: u32 = 40;
const THREADS: usize = 64;
/// More packages than one client looks up in all turns of a row.
const PACKAGES: usize = 40_000;
const CROWD: usize = 10_000;
/// The argument that makes this program a client of itself.
const REQWEST: &str = "--reqwest";

/// A row: its name, what it measures, and the function that measures it.
type Row = (&'static str, &'static str, fn(&Stage) -> Measured);
type Measured = Result<Table, Failure>;

const ROWS: [Row; 6] = [
    (
        "warm",
        "the look-up of a package, round trip of 40 ms",
        |stage| warm(stage),
    ),
    (
        "first",
        "the first package of a new process that logs in, round trip of 40 ms",
        |stage| first(stage),
    ),
    (
        "loopback",
        "the look-up of a package on this machine",
        |stage| loopback(stage),
    ),
    (
        "crowd",
        "10,000 packages, 64 threads, round trip of 40 ms, store in memory",
        |stage| crowd(stage, false),
    ),
    (
        "crowd-file",
        "10,000 packages, 64 threads, round trip of 40 ms, store on disk",
        |stage| crowd(stage, true),
    ),
    (
        "tls",
        "the first package of a new process with an API key, on this machine",
        |stage| first_tls(stage),
    ),
];

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == REQWEST) {
        return match serve_with_reqwest() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "misses: reqwest: {error}");
                ExitCode::FAILURE
            }
        };
    }
    bench::run("misses", run)
}

fn run() -> Result<(), Failure> {
    let rows = chosen_rows()?;
    let stage = Stage::set_up()?;
    for (name, about, measure) in rows {
        measure(&stage)?.print(name, about)?;
    }
    Ok(())
}

/// Returns the rows that the arguments name. Cargo adds an option.
fn chosen_rows() -> Result<Vec<Row>, Failure> {
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let Some(unknown) = arguments
        .iter()
        .find(|argument| ROWS.iter().all(|(name, ..)| name != argument))
    {
        let names: Vec<_> = ROWS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("there is no row {unknown}; use {}", names.join(", ")).into());
    }
    let is_chosen = |row: &Row| arguments.is_empty() || arguments.iter().any(|name| name == row.0);
    Ok(ROWS.into_iter().filter(is_chosen).collect())
}

/// The server, the compiled clients and the program of the relay. All rows use them.
struct Stage {
    harness: Harness,
    relay: PathBuf,
    miss: PathBuf,
    curl: PathBuf,
    /// The libraries to measure, each with its name in the tables.
    libraries: Vec<(&'static str, PathBuf)>,
    ca_file: PathBuf,
}

/// The credentials that a client logs in with.
#[derive(Clone, Copy)]
enum Login {
    ApiKey,
    Password,
    /// With a password, and the team is not configured.
    PasswordOnly,
}

impl Stage {
    fn set_up() -> Result<Self, Failure> {
        let harness = Harness::with_sandbox(Options {
            tls: true,
            ..Options::default()
        });
        let sandbox = harness.sandbox();
        sandbox.configure("packages", json!(PACKAGES));
        // The login's response names no team, so the client has to ask if none is configured.
        sandbox.configure("preferred_team", json!(false));
        sandbox.configure("login_teams", json!(false));
        let certificate = sandbox.ca_pem().ok_or("the sandbox has no certificate")?;
        let ca_file = harness.write_private_file("ca.pem", certificate);
        let mut libraries = vec![("keyferry", beside("libkeyferry.so"))];
        if let Some(base) = std::env::var_os("KEYFERRY_BENCH_BASE") {
            let base = PathBuf::from(base);
            let path = base.canonicalize().map_err(|error| {
                format!(
                    "KEYFERRY_BENCH_BASE: cannot find {}: {error}",
                    base.display()
                )
            })?;
            libraries.push(("keyferry, base", path));
        }
        Ok(Self {
            relay: bench::client("relay", &[], &harness)?,
            miss: bench::client("miss", &[], &harness)?,
            curl: bench::client("miss_curl", &["libcurl"], &harness)?,
            libraries,
            ca_file,
            harness,
        })
    }

    fn sandbox(&self) -> &Sandbox {
        self.harness.sandbox()
    }

    /// Returns the command of a client that reaches the server at this URL.
    fn command(&self, program: &Path, url: &str, login: Login) -> Command {
        let mut command = self.harness.isolated_program(program, &[]);
        command
            .env("KEYFERRY_MASV_URL", url)
            .env("KEYFERRY_HTTP_CA_FILE", &self.ca_file);
        match login {
            Login::ApiKey => command.env("KEYFERRY_MASV_API_KEY", c::API_KEY),
            Login::Password | Login::PasswordOnly => command
                .env("KEYFERRY_MASV_EMAIL", c::EMAIL)
                .env("KEYFERRY_MASV_PASSWORD", c::PASSWORD),
        };
        if !matches!(login, Login::PasswordOnly) {
            command.env("KEYFERRY_MASV_TEAM", c::TEAM_ID);
        }
        command
    }

    fn curl(&self, url: &str) -> Command {
        self.command(&self.curl, url, Login::ApiKey)
    }

    fn reqwest(&self, url: &str) -> Result<Command, Failure> {
        let mut command = self.command(&std::env::current_exe()?, url, Login::ApiKey);
        command.arg(REQWEST);
        Ok(command)
    }

    /// Returns a client for each library.
    fn libraries<'a>(&'a self, url: &'a str, login: Login) -> impl Iterator<Item = Client> + 'a {
        self.libraries.iter().map(move |(name, library)| {
            let mut command = self.command(&self.miss, url, login);
            command.env("MISS_LIBRARY", library);
            Client::new(name, command)
        })
    }

    fn relay(&self) -> Result<Relay, Failure> {
        let (_, port) = self
            .sandbox()
            .masv_url()
            .rsplit_once(':')
            .ok_or("the sandbox has no port")?;
        let mut command = Command::new(&self.relay);
        command.arg(port).arg(ROUND_TRIP_MS.to_string());
        let mut process = Process::start(&mut command)?;
        let url = format!("https://127.0.0.1:{}", process.read_line()?);
        Ok(Relay { process, url })
    }
}

/// A client or a relay, which answers lines of its standard input. It ends when this is dropped.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
        let output = child.stdout.take().ok_or("the client has no output")?;
        Ok(Self {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        })
    }

    fn read_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("a client ended: {}", self.child.wait()?).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Sends a line, and returns the numbers of the response.
    fn ask<const N: usize>(&mut self, line: &str) -> Result<[f64; N], Failure> {
        let input = self.input.as_mut().ok_or("the client has no input")?;
        input.write_all(format!("{line}\n").as_bytes())?;
        let response = self.read_line()?;
        let numbers: Result<Vec<f64>, _> = response.split(' ').map(str::parse).collect();
        numbers?
            .try_into()
            .map_err(|_| format!("a client printed {response}").into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        // The process ends with its input. If waiting fails, it has ended already.
        let _ = self.child.wait();
    }
}

struct Relay {
    process: Process,
    url: String,
}

impl Relay {
    /// Returns how many connections and round trips there were.
    fn counts(&mut self) -> Result<[f64; 2], Failure> {
        self.process.ask("counts")
    }
}

/// The times of one turn.
#[derive(Clone, Copy)]
struct Turn {
    total_us: f64,
    median_us: f64,
    late_us: f64,
    longest_us: f64,
}

/// A client, the best of its turns, and what the relay counted in all turns.
struct Client {
    name: String,
    command: Command,
    process: Option<Process>,
    next_package: usize,
    best: Option<Turn>,
    counted: [f64; 2],
    counted_look_ups: usize,
}

impl Client {
    fn new(name: &str, command: Command) -> Self {
        Self {
            name: name.to_owned(),
            command,
            process: None,
            next_package: 1,
            best: None,
            counted: [0.0; 2],
            counted_look_ups: 0,
        }
    }

    fn named(mut self, addition: &str) -> Self {
        self.name.push_str(addition);
        self
    }

    /// Looks up packages that this client has not looked up yet. Starts the process if there is none.
    fn look_up(&mut self, threads: usize, count: usize) -> Result<Turn, Failure> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&mut self.command)?,
        };
        let line = format!("{threads} {count} {}", self.next_package);
        self.next_package += count;
        let [total_us, median_us, late_us, longest_us] = process.ask(&line)?;
        self.process = Some(process);
        Ok(Turn {
            total_us,
            median_us,
            late_us,
            longest_us,
        })
    }

    /// Looks up packages, and remembers the turn if it is the best by `time`.
    fn take_turn(
        &mut self,
        (threads, count): (usize, usize),
        time: fn(&Turn) -> f64,
        relay: Option<&mut Relay>,
    ) -> Result<(), Failure> {
        let turn = match relay {
            None => self.look_up(threads, count)?,
            Some(relay) => {
                let before = relay.counts()?;
                let turn = self.look_up(threads, count)?;
                let after = relay.counts()?;
                self.counted[0] += after[0] - before[0];
                self.counted[1] += after[1] - before[1];
                self.counted_look_ups += count;
                turn
            }
        };
        if self.best.is_none_or(|best| time(&turn) < time(&best)) {
            self.best = Some(turn);
        }
        Ok(())
    }

    /// Like [`take_turn`](Self::take_turn) with one look-up in a new process.
    fn take_first_turn(&mut self, relay: Option<&mut Relay>) -> Result<(), Failure> {
        self.process = None;
        self.take_turn((1, 1), |turn| turn.total_us, relay)?;
        self.process = None;
        Ok(())
    }

    fn best(&self) -> Result<Turn, Failure> {
        self.best
            .ok_or_else(|| format!("{} took no turn", self.name).into())
    }

    /// Returns what the relay counted for one look-up: round trips and connections.
    fn counted(&self) -> [String; 2] {
        #[expect(clippy::cast_precision_loss, reason = "the number is small")]
        let each = |count: f64| format!("{:.2}", count / self.counted_look_ups as f64);
        [each(self.counted[1]), each(self.counted[0])]
    }
}

fn warm(stage: &Stage) -> Measured {
    const TURNS: usize = 10;
    const LOOK_UPS: usize = 5;
    let mut relay = stage.relay()?;
    let url = relay.url.clone();
    let mut closing = stage.curl(&url);
    closing.env("MISS_CLOSE", "1");
    let mut clients = vec![
        Client::new("libcurl, kept", stage.curl(&url)),
        Client::new("libcurl, new connection", closing),
        Client::new("reqwest, kept", stage.reqwest(&url)?),
    ];
    clients.extend(stage.libraries(&url, Login::ApiKey));
    for client in &mut clients {
        client.look_up(1, 1)?;
    }
    for _ in 0..TURNS {
        for client in &mut clients {
            client.take_turn((1, LOOK_UPS), |turn| turn.median_us, Some(&mut relay))?;
        }
    }
    let timed: Result<Vec<_>, Failure> = clients
        .iter()
        .map(|client| Ok((client, client.best()?.median_us)))
        .collect();
    Ok(in_round_trips(&timed?))
}

fn first(stage: &Stage) -> Measured {
    const TURNS: usize = 10;
    let mut relay = stage.relay()?;
    let url = relay.url.clone();
    let mut kept = Client::new("libcurl, kept", stage.curl(&url));
    kept.look_up(1, 1)?;
    let mut clients: Vec<_> = stage.libraries(&url, Login::Password).collect();
    let asking = stage.libraries(&url, Login::PasswordOnly);
    clients.extend(asking.map(|client| client.named(", team unknown")));
    for _ in 0..TURNS {
        kept.take_turn((1, 5), |turn| turn.median_us, Some(&mut relay))?;
        for client in &mut clients {
            client.take_first_turn(Some(&mut relay))?;
        }
    }
    let mut timed = vec![(&kept, kept.best()?.median_us)];
    for client in &clients {
        timed.push((client, client.best()?.total_us));
    }
    Ok(in_round_trips(&timed))
}

/// Returns the table of clients with their times. The time of the first client is a round trip.
fn in_round_trips(timed: &[(&Client, f64)]) -> Table {
    let mut table = Table::new(&[
        "client",
        "ms",
        "round trips",
        "relay's count",
        "connections",
    ]);
    let (_, round_trip_us) = timed[0];
    for (client, us) in timed {
        let [round_trips, connections] = client.counted();
        table.add([
            client.name.clone(),
            format!("{:.2}", us / 1e3),
            format!("{:.2}", us / round_trip_us),
            round_trips,
            connections,
        ]);
    }
    table
}

fn loopback(stage: &Stage) -> Measured {
    const TURNS: usize = 20;
    const LOOK_UPS: usize = 100;
    let url = stage.sandbox().masv_url();
    let mut clients = vec![
        Client::new("reqwest, kept", stage.reqwest(url)?),
        Client::new("libcurl, kept", stage.curl(url)),
    ];
    clients.extend(stage.libraries(url, Login::ApiKey));
    for client in &mut clients {
        client.look_up(1, LOOK_UPS)?;
    }
    for _ in 0..TURNS {
        for client in &mut clients {
            client.take_turn((1, LOOK_UPS), |turn| turn.median_us, None)?;
        }
    }
    let mut table = Table::new(&["client", "us", "99 % us", "times reqwest"]);
    let reqwest_us = clients[0].best()?.median_us;
    for client in &clients {
        let best = client.best()?;
        table.add([
            client.name.clone(),
            format!("{:.0}", best.median_us),
            format!("{:.0}", best.late_us),
            format!("{:.2}", best.median_us / reqwest_us),
        ]);
    }
    Ok(table)
}

fn crowd(stage: &Stage, on_disk: bool) -> Measured {
    const TURNS: usize = 3;
    let mut relay = stage.relay()?;
    let folder = match std::env::var_os("KEYFERRY_BENCH_FOLDER") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let mut clients = vec![Client::new("libcurl, 64 kept", stage.curl(&relay.url))];
    clients.extend(stage.libraries(&relay.url, Login::ApiKey));
    for (number, client) in clients.iter_mut().enumerate().filter(|_| on_disk) {
        let store = format!("file:{}/{number}", folder.path().display());
        client.command.env("KEYFERRY_STORE", store);
    }
    for client in &mut clients {
        client.look_up(THREADS, THREADS)?;
    }
    for _ in 0..TURNS {
        for client in &mut clients {
            client.take_turn((THREADS, CROWD), |turn| turn.total_us, Some(&mut relay))?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "the number is small")]
    let rate = |turn: &Turn| CROWD as f64 / turn.total_us * 1e6;
    let mut table = Table::new(&[
        "client",
        "tokens/s",
        "of libcurl",
        "median ms",
        "99 % ms",
        "max ms",
        "connections",
    ]);
    let limit = rate(&clients[0].best()?);
    for client in &clients {
        let best = client.best()?;
        table.add([
            client.name.clone(),
            format!("{:.0}", rate(&best)),
            format!("{:.2}", rate(&best) / limit),
            format!("{:.1}", best.median_us / 1e3),
            format!("{:.1}", best.late_us / 1e3),
            format!("{:.1}", best.longest_us / 1e3),
            client.counted()[1].clone(),
        ]);
    }
    Ok(table)
}

fn first_tls(stage: &Stage) -> Measured {
    const TURNS: usize = 40;
    let url = stage.sandbox().masv_url();
    let mut clients = vec![Client::new("reqwest", stage.reqwest(url)?)];
    clients.extend(stage.libraries(url, Login::ApiKey));
    for _ in 0..TURNS {
        for client in &mut clients {
            client.take_first_turn(None)?;
        }
    }
    let mut table = Table::new(&["client", "ms", "times reqwest", "opened files"]);
    let reqwest_us = clients[0].best()?.total_us;
    for client in &clients {
        let us = client.best()?.total_us;
        let opened = opened_files(&client.command, stage.harness.folder())?;
        table.add([
            client.name.clone(),
            format!("{:.2}", us / 1e3),
            format!("{:.2}", us / reqwest_us),
            opened.map_or_else(String::new, |count| count.to_string()),
        ]);
    }
    Ok(table)
}

/// Returns how many files the first look-up of a client opens, or tries to open. `None` if strace is
/// not installed or may not trace.
fn opened_files(client: &Command, folder: &Path) -> Result<Option<usize>, Failure> {
    let log = folder.join("strace");
    let mut opened = [0, 0];
    for (count, opened) in opened.iter_mut().enumerate() {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-e", "trace=open,openat", "-o"])
            .arg(&log)
            .arg(client.get_program())
            .args(client.get_args())
            .env_clear()
            .stderr(Stdio::null());
        for (name, value) in client.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let Ok(mut process) = Process::start(&mut command) else {
            return Ok(None);
        };
        if count == 1 && process.ask::<4>("1 1 1").is_err() {
            return Ok(None);
        }
        drop(process);
        let Ok(log) = std::fs::read_to_string(&log) else {
            return Ok(None);
        };
        *opened = log.lines().filter(|line| line.contains(" open")).count();
    }
    Ok(opened[1].checked_sub(opened[0]))
}

/// The cells of a row's table. The first line has the names of the columns.
struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    fn new(columns: &[&str]) -> Self {
        Self {
            lines: vec![columns.iter().map(|&column| column.to_owned()).collect()],
        }
    }

    fn add<const N: usize>(&mut self, cells: [String; N]) {
        self.lines.push(cells.into());
    }

    fn print(&self, row: &str, about: &str) -> Result<(), Failure> {
        let mut output = std::io::stdout().lock();
        if !output.is_terminal() {
            for (number, line) in self.lines.iter().enumerate() {
                let row = if number == 0 { "row" } else { row };
                writeln!(output, "{row}\t{}", line.join("\t"))?;
            }
            return Ok(());
        }
        writeln!(output, "\n{row}: {about}")?;
        for line in &self.lines {
            for (column, cell) in line.iter().enumerate() {
                let cells = self.lines.iter().map(|line| line[column].chars().count());
                let width = cells.max().unwrap_or_default();
                if column == 0 {
                    write!(output, "{cell:width$}")?;
                } else {
                    write!(output, "  {cell:>width$}")?;
                }
            }
            writeln!(output)?;
        }
        Ok(())
    }
}

/// reqwest as a client (see `turn.h`), with one thread. Like the blocking client of reqwest, it runs
/// HTTP on a thread of its own.
fn serve_with_reqwest() -> Result<(), Failure> {
    let variable = |name| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let url = format!(
        "{}/v1.1/teams/{}/packages/01J0SANDB0XPACKAGE",
        variable("KEYFERRY_MASV_URL")?,
        variable("KEYFERRY_MASV_TEAM")?
    );
    let (ca_file, key) = (
        variable("KEYFERRY_HTTP_CA_FILE")?,
        variable("KEYFERRY_MASV_API_KEY")?,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    let mut opened = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let numbers: Result<Vec<usize>, _> = line.split(' ').map(str::parse).collect();
        let [_, count, first_package] = numbers?[..] else {
            return Err(format!("cannot read {line}").into());
        };
        let began = Instant::now();
        let client = match opened.take() {
            Some(client) => client,
            None => reqwest_client(&ca_file)?,
        };
        let mut times = Vec::new();
        for package in first_package..first_package + count {
            let look_up_began = Instant::now();
            let request = client
                .get(format!("{url}{package:08}"))
                .header("X-API-KEY", &key);
            let (sender, receiver) = std::sync::mpsc::channel();
            handle.spawn(async move {
                let response = async { request.send().await?.error_for_status()?.bytes().await };
                // The receiver waits, unless this process ends.
                let _ = sender.send(response.await);
            });
            receiver.recv()??;
            times.push(look_up_began.elapsed());
        }
        let total = began.elapsed();
        opened = Some(client);
        times.sort_unstable();
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        writeln!(
            std::io::stdout(),
            "{:.1} {:.1} {:.1} {:.1}",
            us(total),
            us(times[count / 2]),
            us(times[count * 99 / 100]),
            us(times[count - 1])
        )?;
    }
    Ok(())
}

fn reqwest_client(ca_file: &str) -> Result<reqwest::Client, Failure> {
    // This fails if the provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(ca_file)?)?;
    let client = reqwest::Client::builder()
        .tls_certs_merge([certificate])
        .http1_only()
        .no_proxy()
        .build()?;
    Ok(client)
}
