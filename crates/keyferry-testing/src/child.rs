//! Runs a program with a time limit and keeps what it said.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A program that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// All that it said, for a failed check.
    pub fn said(&self) -> String {
        format!("{}\n{}{}", self.status, self.out, self.err)
    }
}

/// Runs it to its end. The end is seen at its closed outputs, so no turn of a loop waits for it.
pub fn run(command: &mut Command, limit: Duration) -> Ended {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
    let (said, heard) = mpsc::channel();
    let pipes: [(bool, Box<dyn Read + Send>); 2] = [
        (true, Box::new(child.stdout.take().unwrap())),
        (false, Box::new(child.stderr.take().unwrap())),
    ];
    for (is_out, mut pipe) in pipes {
        let said = said.clone();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            let _ = said.send((is_out, String::from_utf8_lossy(&bytes).into_owned()));
        });
    }
    let mut texts = [String::new(), String::new()];
    for _ in 0..2 {
        let Ok((is_out, text)) = heard.recv_timeout(limit) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} did not end within {limit:?}: {texts:?}");
        };
        texts[usize::from(!is_out)] = text;
    }
    let [out, err] = texts;
    Ended {
        status: child.wait().unwrap(),
        out,
        err,
    }
}

/// Whether a tool is there. Says so loudly where it isn't: continuous integration installs it.
pub fn has(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        // Past the test's captured output, so that it is seen in a run that is green.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("\n*** SKIPPED: {tool} is not installed ***\n").as_bytes(),
        );
    }
    found
}
