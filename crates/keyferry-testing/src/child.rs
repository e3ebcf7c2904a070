//! Runs programs with a time limit and captures their output.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The exit status and the output of a program.
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Returns the status and all output, for the message of a failed assertion.
    pub fn said(&self) -> String {
        format!("{}\n{}{}", self.status, self.out, self.err)
    }
}

/// Runs a program until it closes its outputs. Panics if that takes longer than `limit`. Waiting
/// for the outputs to close needs no polling.
pub fn run(command: &mut Command, limit: Duration) -> Ended {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
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
