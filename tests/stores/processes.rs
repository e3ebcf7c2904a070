//! The store of a harness, and worker processes that use it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use keyferry::config::Environment;
use keyferry::stores::file::FileStore;
use keyferry_testing::harness::Harness;

/// 2026-07-01T00:00:00Z: the time of the sandbox and the workers.
pub(crate) const START_MS: i64 = 1_782_864_000_000;
/// The longest that a worker may run.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Creates a harness at [`START_MS`].
pub(crate) fn new_harness() -> Harness {
    Harness::at(START_MS * 1000)
}

/// A process that runs a task of [`worker`](crate::worker).
pub(crate) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// A store below the harness, and processes that share it.
pub(crate) trait StoreProcesses {
    /// The store, opened by this process.
    fn store(&self) -> FileStore;

    fn setting(&self) -> String;

    /// The files in a directory of the store.
    fn names(&self, folder: &str) -> Vec<String>;

    /// The file of the only token in the store.
    fn token_file(&self) -> PathBuf;

    /// Gives a program its task and the harness's environment, and no other variable.
    fn set_environment<'a>(&self, command: &'a mut Command, task: &str) -> &'a mut Command;

    /// The command of a worker that is not started yet.
    fn command(&self, task: &str) -> Command;

    fn worker(&self, task: &str) -> Worker;

    /// Runs a worker to its end, and gives its output.
    fn run(&self, task: &str) -> Vec<String>;

    /// Runs many workers that begin at the same moment, and gives the output of each.
    fn run_together(&self, count: usize, task: &str) -> Vec<Vec<String>>;
}

impl StoreProcesses for Harness {
    fn store(&self) -> FileStore {
        FileStore::new(&self.setting(), &empty_environment())
    }

    fn setting(&self) -> String {
        format!("file:{}", self.path("store").display())
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("store").join(folder))
            .into_iter()
            .flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn token_file(&self) -> PathBuf {
        let names = self.names("tokens");
        assert_eq!(names.len(), 1, "{names:?}");
        self.path("store/tokens").join(&names[0])
    }

    fn set_environment<'a>(&self, command: &'a mut Command, task: &str) -> &'a mut Command {
        let now_us = self.sandbox().clock().now_unix_ms() * 1000;
        self.isolate(command)
            .envs(self.variables())
            .env("KEYFERRY_STORE", self.setting())
            .env("KEYFERRY_ACT", task)
            .env("KEYFERRY_ACT_NOW_US", now_us.to_string())
    }

    fn command(&self, task: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(ARGUMENTS);
        self.set_environment(&mut command, task);
        command
    }

    fn worker(&self, task: &str) -> Worker {
        Worker::start(&mut self.command(task))
    }

    fn run(&self, task: &str) -> Vec<String> {
        self.worker(task).finish()
    }

    fn run_together(&self, count: usize, task: &str) -> Vec<Vec<String>> {
        let mut workers: Vec<_> = (0..count).map(|_| self.worker(task)).collect();
        workers
            .iter_mut()
            .for_each(|worker| assert_eq!(worker.line(), "ready"));
        workers.iter_mut().for_each(Worker::go);
        workers.into_iter().map(Worker::finish).collect()
    }
}

/// The arguments with which this program is a worker.
pub(crate) const ARGUMENTS: [&str; 4] = [
    "--exact",
    "worker::runs_its_task",
    "--nocapture",
    "--test-threads=1",
];

pub(crate) fn empty_environment() -> Environment {
    std::sync::Arc::new(|_| None)
}

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (output, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The test runner writes its own text before the worker's on one line.
                let Some((_, line)) = line.split_once("@ ") else {
                    continue;
                };
                if output.send(line.to_owned()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            lines,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of output.
    pub(crate) fn line(&mut self) -> String {
        self.lines
            .recv_timeout(LIMIT)
            .expect("a worker reports in time")
    }

    /// Lets the worker begin.
    pub(crate) fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Lets the worker begin, if it still runs.
    pub(crate) fn try_go(&mut self) {
        let _ = self.stdin.as_mut().map(|stdin| stdin.write_all(b"go\n"));
    }

    #[expect(unsafe_code, reason = "system calls")]
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child was not waited for yet, so its number is its own.
        assert_eq!(
            // SAFETY: as above.
            unsafe { libc::kill(i32::try_from(self.pid()).unwrap(), signal) },
            0
        );
    }

    /// All output until the worker exits, which must be with success.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let (lines, status) = self.end();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }

    /// Waits for the worker alone, though another process may still hold its output.
    pub(crate) fn end_of_process(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// All output until the worker exits, and how it exited.
    pub(crate) fn end(&mut self) -> (Vec<String>, ExitStatus) {
        let deadline = Instant::now() + LIMIT;
        let mut lines = Vec::new();
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return (lines, self.child.wait().unwrap());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("a worker does not end: {lines:?}"),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
