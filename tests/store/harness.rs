//! The stage: a sandbox, a folder with store and home, and actors in it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use keyferry::config::Environment;
use keyferry::stores::file::FileStore;
use keyferry_sandbox::{Clock, Options, Sandbox};
use tempfile::TempDir;

/// 2026-07-01T00:00:00Z, where the clock of sandbox and actors stands.
pub(crate) const START_MS: i64 = 1_782_864_000_000;
/// No actor is given more time.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) sandbox: Sandbox,
}

pub(crate) struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let sandbox = Sandbox::start(Options { clock: Clock::manual(START_MS), ..Options::default() }).unwrap();
        Self { folder, sandbox }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its store, opened by this process.
    pub(crate) fn files(&self) -> FileStore {
        FileStore::new(&self.setting(), &none())
    }

    pub(crate) fn setting(&self) -> String {
        format!("file:{}", self.path("store").display())
    }

    /// The files in a folder of the store.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("store").join(folder)).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The one token in the store.
    pub(crate) fn token_file(&self) -> PathBuf {
        let names = self.names("tokens");
        assert_eq!(names.len(), 1, "{names:?}");
        self.path("store/tokens").join(&names[0])
    }

    /// Gives a program the part that it plays, this environment and no other.
    pub(crate) fn dress<'a>(&self, command: &'a mut Command, act: &str) -> &'a mut Command {
        command.env_clear().current_dir(self.folder.path()).envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.sandbox.variables().into_iter().filter(|(name, _)| !name.starts_with('#')));
        let now_us = self.sandbox.clock().now_unix_ms() * 1000;
        command.env("HOME", self.path("home")).env("KEYFERRY_STORE", self.setting());
        command.env("KEYFERRY_ACT", act).env("KEYFERRY_ACT_NOW_US", now_us.to_string())
    }

    /// An actor that has not begun.
    pub(crate) fn command(&self, act: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(ARGUMENTS);
        self.dress(&mut command, act);
        command
    }

    pub(crate) fn actor(&self, act: &str) -> Actor {
        Actor::start(&mut self.command(act))
    }

    /// An actor's whole play.
    pub(crate) fn play(&self, act: &str) -> Vec<String> {
        self.actor(act).finish()
    }

    /// Many actors that begin at the same moment, and what each said.
    pub(crate) fn crowd(&self, count: usize, act: &str) -> Vec<Vec<String>> {
        let mut actors: Vec<_> = (0..count).map(|_| self.actor(act)).collect();
        actors.iter_mut().for_each(|actor| assert_eq!(actor.line(), "ready"));
        actors.iter_mut().for_each(Actor::go);
        actors.into_iter().map(Actor::finish).collect()
    }
}

/// How this program is to be called to play a part.
pub(crate) const ARGUMENTS: [&str; 4] = ["--exact", "worker::plays_its_part", "--nocapture", "--test-threads=1"];

pub(crate) fn none() -> Environment {
    std::sync::Arc::new(|_| None)
}

impl Actor {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (said, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The harness writes its own words before ours on one line.
                let Some((_, line)) = line.split_once("@ ") else { continue };
                if said.send(line.to_owned()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing it says.
    pub(crate) fn line(&mut self) -> String {
        self.lines.recv_timeout(LIMIT).expect("an actor says in time what it has to say")
    }

    /// Lets it begin.
    pub(crate) fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Lets it begin, if it has come so far.
    pub(crate) fn try_go(&mut self) {
        let _ = self.stdin.as_mut().map(|stdin| stdin.write_all(b"go\n"));
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child was not waited for yet, so its number is its own.
        assert_eq!(unsafe { libc::kill(i32::try_from(self.pid()).unwrap(), signal) }, 0);
    }

    /// All that it says until its end, which has to be a good one.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let (lines, status) = self.end();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }

    /// Its end, whoever may still hold its output.
    pub(crate) fn end_of_process(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// All that it says until its end.
    pub(crate) fn end(&mut self) -> (Vec<String>, ExitStatus) {
        let deadline = Instant::now() + LIMIT;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return (lines, self.child.wait().unwrap()),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("an actor does not end: {lines:?}"),
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
