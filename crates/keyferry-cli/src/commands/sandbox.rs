//! `keyferry sandbox`: runs fakes of MASV, the MASV Agent and FileVerbs until the process receives
//! a signal.
//!
//! The printed variables select a file store in a temporary directory, so that the programs of one
//! shell share the sandbox's tokens and the user's own store stays as it is.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::exit_code::EXIT_OK;
use crate::shell::{export, quote};
use crate::streams::Streams;
use crate::temp_dir::TempDir;
use keyferry::error::{Error, ErrorKind, Result};
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::signals::ShutdownSignals;
use keyferry::text::is_printable_line;
use keyferry_sandbox::{Options, Sandbox, credentials as c};

/// Prefix of a variable that is printed as a comment and not set.
const ALTERNATIVE_PREFIX: &str = "# ";

/// The variable that selects the store.
const STORE_VARIABLE: &str = "KEYFERRY_STORE";

/// The options of `keyferry sandbox`.
#[derive(Args, Default)]
pub struct SandboxOptions {
    /// Use four consecutive ports, starting at this one, for MASV, MASV Agent, FileVerbs and the storage [default: free ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65532))]
    pub port_base: Option<u16>,
    /// Port of MASV; 0 selects a free port
    #[arg(long, value_name = "PORT")]
    pub masv_port: Option<u16>,
    /// Port of the MASV Agent; 0 selects a free port
    #[arg(long, value_name = "PORT")]
    pub agent_port: Option<u16>,
    /// Port of FileVerbs; 0 selects a free port
    #[arg(long, value_name = "PORT")]
    pub fileverbs_port: Option<u16>,
    /// Port of the object storage behind MASV; 0 selects a free port
    #[arg(long, value_name = "PORT")]
    pub storage_port: Option<u16>,
    /// Serve https with a temporary certificate
    ///
    /// The path of its CA certificate is printed as `KEYFERRY_HTTP_CA_FILE`. The file is deleted
    /// when the sandbox ends.
    #[arg(long)]
    pub tls: bool,
    /// Print JSON instead of `export` lines
    #[arg(long)]
    pub json: bool,
}

/// Serves until the process receives a signal. Creates the directory for the store and the CA file in
/// `parent`.
pub fn run(options: &SandboxOptions, parent: &Path, streams: &mut Streams<'_>) -> u8 {
    match serve(options, parent, streams) {
        Ok(()) => EXIT_OK,
        Err(error) => streams.fail_with(&error),
    }
}

fn serve(options: &SandboxOptions, parent: &Path, streams: &mut Streams<'_>) -> Result<()> {
    let signal_error = |error: io::Error| {
        Error::new(
            ErrorKind::Unsupported,
            format!("cannot wait for signals: {}", io_cause::reason(&error)),
        )
    };
    // Block signals before any thread starts. Otherwise a thread without the block could receive
    // one, and the process would end without deleting the directory.
    let shutdown_signals = ShutdownSignals::block().map_err(signal_error)?;
    let sandbox = start(options)?;
    let temp_dir = TempDir::create_in(parent)?;
    let store = printable_path(&temp_dir.path().join("store"))?;
    let ca_file = match sandbox.ca_pem() {
        Some(pem) => Some(printable_path(&temp_dir.write_file("ca.pem", pem)?)?),
        None => None,
    };
    let info = SandboxInfo::new(&sandbox, &store, ca_file);
    info.write(options.json, streams).map_err(write_error)?;
    shutdown_signals.wait().map_err(signal_error)
}

fn start(options: &SandboxOptions) -> Result<Sandbox> {
    let SandboxOptions {
        port_base,
        masv_port,
        agent_port,
        fileverbs_port,
        storage_port,
        tls,
        json: _,
    } = options;
    let port = |given: &Option<u16>, offset: u16| {
        given
            .or_else(|| port_base.map(|base| base + offset))
            .unwrap_or(0)
    };
    let defaults = Options::default();
    let started = Sandbox::start(Options {
        masv_port: port(masv_port, 0),
        agent_port: port(agent_port, 1),
        fileverbs_port: port(fileverbs_port, 2),
        storage_port: port(storage_port, 3),
        tls: *tls,
        clock: defaults.clock,
    });
    started.map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "cannot start the sandbox: a port is in use; choose others with --port-base, or omit the port options to use free ports"
                    .into()
            }
            io::ErrorKind::PermissionDenied => {
                "cannot start the sandbox: permission denied for a port; choose ports above 1023".into()
            }
            _ => format!(
                "cannot start the sandbox: {}",
                io_cause::explain(&error, Subject::Service)
            ),
        };
        Error::new(ErrorKind::Config, what)
    })
}

fn printable_path(path: &Path) -> Result<String> {
    let what = "cannot print the path of the temporary directory: it contains control characters or is not UTF-8; set TMPDIR to another directory";
    path.to_str()
        .filter(|text| is_printable_line(text))
        .map(str::to_owned)
        .ok_or_else(|| Error::new(ErrorKind::Config, what))
}

fn write_error(error: io::Error) -> Error {
    let what = match error.kind() {
        io::ErrorKind::BrokenPipe => {
            "cannot print the variables: the reader closed the pipe; read all of the output".into()
        }
        _ => format!(
            "cannot print the variables: {}",
            io_cause::explain(&error, Subject::Stream)
        ),
    };
    Error::new(ErrorKind::Unsupported, what)
}

/// The information to print about a running sandbox.
struct SandboxInfo {
    variables: Vec<(String, String)>,
    alternatives: Vec<(String, String)>,
    masv_url: String,
    storage_url: String,
    ca_file: Option<String>,
}

impl SandboxInfo {
    fn new(sandbox: &Sandbox, store: &str, ca_file: Option<String>) -> Self {
        let (alternatives, mut variables): (Vec<_>, Vec<_>) = sandbox
            .variables()
            .into_iter()
            .partition(|(name, _)| name.starts_with(ALTERNATIVE_PREFIX));
        variables.retain(|(name, _)| name != STORE_VARIABLE);
        variables.push((STORE_VARIABLE.to_owned(), format!("file:{store}")));
        variables.extend(
            ca_file
                .iter()
                .map(|path| ("KEYFERRY_HTTP_CA_FILE".to_owned(), path.clone())),
        );
        variables.push((
            "KEYFERRY_SANDBOX_PID".to_owned(),
            std::process::id().to_string(),
        ));
        let bare = |(name, value): (String, String)| {
            (
                name.trim_start_matches(ALTERNATIVE_PREFIX).to_owned(),
                value,
            )
        };
        let alternatives = alternatives.into_iter().map(bare).collect();
        Self {
            variables,
            alternatives,
            masv_url: sandbox.masv_url().to_owned(),
            storage_url: sandbox.storage_url().to_owned(),
            ca_file,
        }
    }

    /// Writes all information to a terminal. To a pipe, writes only what a program evaluates or
    /// parses, and then closes it.
    fn write(&self, as_json: bool, streams: &mut Streams<'_>) -> io::Result<()> {
        let is_terminal = streams.stdout.caps().is_terminal;
        if as_json {
            streams.write_json(&self.json())?;
        } else {
            streams.stdout.write_text(&self.export_lines())?;
        }
        if !as_json && is_terminal {
            streams
                .stdout
                .write_text(&self.comments("press Ctrl-C here"))?;
        }
        if is_terminal {
            return Ok(());
        }
        if streams.stderr.caps().is_terminal && !as_json {
            // A failed write is ignored: the variables were already printed.
            let _ = streams
                .stderr
                .write_text(&self.comments("kill \"$KEYFERRY_SANDBOX_PID\""));
        }
        (streams.detach_stdout)()
    }

    fn export_lines(&self) -> String {
        self.variables
            .iter()
            .map(|(name, value)| export(name, value) + "\n")
            .collect()
    }

    /// Returns further information as shell comments, so that the whole output can be pasted into a
    /// shell.
    fn comments(&self, stop: &str) -> String {
        let mut text = String::from("\n# to use MASV with an API key instead of a password:\n");
        for (name, value) in &self.alternatives {
            let _ = writeln!(text, "# {}", export(name, value));
        }
        let _ = write!(text, "\n# test data:");
        let data = self.sample_data();
        let width = data.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in data {
            let _ = write!(text, "\n#   {name:width$}  {value}");
        }
        let _ = writeln!(
            text,
            "\n\n# try:   {}\n# stop:  {stop}",
            self.curl_example()
        );
        text
    }

    /// Returns a curl command for a shell that has set the variables. No credential is passed in an
    /// argument, as in a command for the real MASV.
    fn curl_example(&self) -> String {
        let ca = self
            .ca_file
            .iter()
            .map(|path| format!("--cacert {} ", quote(path)))
            .collect::<String>();
        let url = format!("{}/v1/teams", self.masv_url);
        format!("keyferry header {url} | curl -sS {ca}-H @- {url}")
    }

    fn json(&self) -> Value {
        let object = |pairs: &[(String, String)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect::<Map<_, _>>()
        };
        json!({
            "pid": std::process::id(), "variables": object(&self.variables), "alternatives": object(&self.alternatives),
            "made_up": self.sample_data().iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>(),
            "ca_file": self.ca_file, "try": self.curl_example(),
        })
    }

    /// The test data other than the credentials in the variables.
    fn sample_data(&self) -> [(&'static str, String); 8] {
        [
            ("team", format!("{} ({})", c::TEAM_ID, c::TEAM_SUBDOMAIN)),
            ("package", c::PACKAGE_ID.to_owned()),
            ("package in the inbox", c::INBOX_PACKAGE_ID.to_owned()),
            (
                "link",
                format!(
                    "https://get.massive.io/{}?secret={}",
                    c::LINK_ID,
                    c::LINK_SECRET
                ),
            ),
            (
                "link with password",
                format!(
                    "links/{}?secret={}  password {}",
                    c::PROTECTED_LINK_ID,
                    c::PROTECTED_LINK_SECRET,
                    c::LINK_PASSWORD
                ),
            ),
            ("portal", c::PORTAL_ID.to_owned()),
            ("FileVerbs job", c::JOB_ID.to_owned()),
            ("storage", self.storage_url.clone()),
        ]
    }
}
