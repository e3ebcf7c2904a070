//! The harness: a sandbox, an empty home, the built programs without the tester's environment, and
//! a watch on argument lists.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use keyferry_sandbox::{Options, Sandbox, credentials as c};

pub(crate) const KEYFERRY: &str = env!("CARGO_BIN_EXE_keyferry");
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_git-credential-keyferry");

/// Everything that a token or secret of the sandbox would be known by.
pub(crate) const SECRETS: [&str; 10] = [
    "eyJ",
    c::API_KEY,
    c::SECOND_API_KEY,
    c::PASSWORD,
    c::SECOND_PASSWORD,
    c::SECRET_KEY,
    c::FV_API_KEY,
    c::LINK_SECRET,
    c::PROTECTED_LINK_SECRET,
    c::LINK_PASSWORD,
];

/// The output and exit code of a program.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl ProgramOutput {
    /// The value of a line of the git protocol.
    pub(crate) fn line(&self, key: &str) -> Option<&str> {
        self.out
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    /// Nothing on both streams, and exit code 0.
    #[track_caller]
    pub(crate) fn assert_silent(&self) {
        assert_eq!(
            (self.code, self.out.as_str(), self.err.as_str()),
            (Some(0), "", "")
        );
    }

    /// Nothing on standard output, one sentence on standard error, no secret and no control
    /// character in it.
    #[track_caller]
    pub(crate) fn assert_error(&self, code: i32, hint: &str) {
        assert_eq!(
            (self.code, self.out.as_str()),
            (Some(code), ""),
            "{}",
            self.err
        );
        assert!(
            self.err.contains(hint)
                && self.err.lines().count() == 1
                && self.err.starts_with("keyferry: "),
            "{}",
            self.err
        );
        self.assert_no_secrets();
    }

    /// No secret and no control character on either stream.
    #[track_caller]
    pub(crate) fn assert_no_secrets(&self) {
        for text in [&self.out, &self.err] {
            SECRETS
                .iter()
                .for_each(|secret| assert!(!text.contains(secret), "{secret} was printed: {text}"));
            assert!(
                !text
                    .chars()
                    .any(|symbol| symbol.is_control() && symbol != '\n'),
                "a control character was printed: {text:?}"
            );
        }
    }
}

/// A sandbox, an empty home, and a current folder.
pub(crate) struct Harness {
    pub(crate) sandbox: Sandbox,
    folder: tempfile::TempDir,
    watch: ArgvWatch,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        ["home", "work"]
            .iter()
            .for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
        Self {
            sandbox: Sandbox::start(Options::default()).unwrap(),
            folder,
            watch: ArgvWatch::start(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that only its owner can read.
    pub(crate) fn write_private_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("home/.config/keyferry/config.toml")
    }

    /// A program with the sandbox's variables, and none of the tester's.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.isolated_program(program, arguments);
        command.envs(
            self.sandbox
                .variables()
                .into_iter()
                .filter(|(name, _)| !name.starts_with('#')),
        );
        command
    }

    /// A program that knows where the sandbox is, and no secret.
    pub(crate) fn program_without_secrets(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.isolated_program(program, arguments);
        command.envs(
            self.sandbox
                .variables()
                .into_iter()
                .filter(|(name, _)| name.ends_with("_URL")),
        );
        command
    }

    fn isolated_program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .current_dir(self.path("work"))
            .env("HOME", self.path("home"));
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("KEYFERRY_STORE", "memory")
            .env("LC_ALL", "C.UTF-8");
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    pub(crate) fn keyferry(&self, arguments: &[&str]) -> ProgramOutput {
        run_with_input(&mut self.program(KEYFERRY, arguments), "")
    }

    /// Calls the helper as git does.
    pub(crate) fn helper(&self, word: &str, input: &str) -> ProgramOutput {
        run_with_input(&mut self.program(HELPER, &[word]), input)
    }

    /// The lines that name a service's host.
    pub(crate) fn protocol_and_host(&self, url: &str) -> String {
        format!(
            "protocol=http\nhost={}\n",
            url.strip_prefix("http://").unwrap()
        )
    }

    /// The commands of all programs that ran since, with everything that they ran.
    pub(crate) fn assert_no_secret_in_argv(&self) {
        self.watch.check();
    }
}

/// Runs a program with this at its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> ProgramOutput {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that doesn't read is no failure.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    ProgramOutput {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Reads the argument lists of all that this process starts, over and over.
struct ArgvWatch {
    stop: Arc<AtomicBool>,
    found: Arc<parking_lot::Mutex<HashSet<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl ArgvWatch {
    fn start() -> Self {
        let (stop, found) = (
            Arc::<AtomicBool>::default(),
            Arc::<parking_lot::Mutex<HashSet<String>>>::default(),
        );
        let (until, seen) = (Arc::clone(&stop), Arc::clone(&found));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                seen.lock().extend(
                    descendants()
                        .into_iter()
                        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()),
                );
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        Self {
            stop,
            found,
            thread: Some(thread),
        }
    }

    fn check(&self) {
        for line in self.found.lock().iter() {
            SECRETS.iter().for_each(|secret| {
                assert!(
                    !line.contains(secret),
                    "{secret} in an argument list: {line:?}"
                )
            });
        }
    }
}

impl Drop for ArgvWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        if !std::thread::panicking() {
            self.check();
        }
    }
}

fn descendants() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    let mut at = 0;
    while at < found.len() {
        for task in fs::read_dir(format!("/proc/{}/task", found[at]))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    found.split_off(1)
}

/// Whether a file holds none of the secrets.
pub(crate) fn assert_no_secret_in_file(path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    SECRETS
        .iter()
        .for_each(|secret| assert!(!text.contains(secret), "{secret} in {}", path.display()));
}
