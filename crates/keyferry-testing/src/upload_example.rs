//! Checks of the programs in `examples` that upload files to MASV. They are the same for each
//! language.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keyferry_sandbox::{Fault, FaultAction, Sandbox};
use serde_json::json;

use crate::child::{self, ProgramOutput};
use crate::harness::{CommandBuilder, Harness};
use crate::masv_packages::{self, Files};

const LIMIT: Duration = Duration::from_secs(180);

/// The arguments that an example takes.
#[derive(Clone, Copy, PartialEq)]
pub enum Input {
    File,
    Files,
    Directory,
}

/// An example of an upload.
pub struct UploadExample {
    /// Returns the command without the files.
    pub command: CommandBuilder,
    pub input: Input,
}

/// A failure: its name, how to cause it, the exit code, and a part of the message.
type Failure = (&'static str, fn(&Sandbox, &mut Command), i32, &'static str);

const FAILURES: [Failure; 12] = [
    (
        "wrong password",
        |_, command| {
            command.env("KEYFERRY_MASV_PASSWORD", "wrong");
        },
        3,
        "rejected",
    ),
    (
        "no login",
        |_, command| {
            command.env_remove("KEYFERRY_MASV_PASSWORD");
        },
        3,
        "masv.password",
    ),
    (
        "MASV down",
        |_, command| {
            command.env("KEYFERRY_MASV_URL", "http://127.0.0.1:1");
        },
        4,
        "127.0.0.1",
    ),
    (
        "MASV unavailable",
        |sandbox, _| sandbox.fault(Fault::status(503).path("/v1/teams/").forever()),
        4,
        "retry later",
    ),
    (
        "no right to upload",
        |sandbox, _| sandbox.fault(Fault::status(403).path("/v1/teams/").forever()),
        1,
        "rights of your account",
    ),
    (
        "a web page instead of JSON",
        |sandbox, _| sandbox.fault(literal(200, "<html>hotel</html>").path("/v1/teams/")),
        1,
        "not JSON",
    ),
    (
        "a response without the request for the storage",
        |sandbox, _| {
            sandbox.fault(literal(200, r#"{"file": {"id": "01F"}}"#).path("/v1/packages/"))
        },
        1,
        "create_blueprint",
    ),
    (
        "no URLs for the parts",
        |sandbox, _| sandbox.fault(literal(200, "[]").path("/v1/packages/").skip(1)),
        1,
        "update this",
    ),
    (
        "expired upload URL",
        |sandbox, _| sandbox.fault(literal(403, EXPIRED).method("PUT")),
        1,
        "upload URL has expired",
    ),
    (
        "full storage",
        |sandbox, _| sandbox.configure("storage_limit_bytes", json!(10)),
        1,
        "storage is full",
    ),
    (
        "a storage that loses the ETag",
        |sandbox, _| sandbox.fault(literal(200, "").method("PUT")),
        1,
        "no ETag",
    ),
    (
        "storage down",
        |sandbox, _| sandbox.fault(Fault::new(FaultAction::Close).method("PUT").forever()),
        4,
        "check the network",
    ),
];

const EXPIRED: &str =
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

fn literal(status: u16, body: &str) -> Fault {
    Fault::new(FaultAction::Literal {
        status,
        media_type: "text/plain".to_owned(),
        body: body.to_owned(),
    })
}

/// The files to upload. One is empty, and one has every byte.
fn files(input: Input) -> Files {
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let mut files = Files::from([("a reel.mov".to_owned(), bytes)]);
    if input != Input::File {
        files.insert("empty".to_owned(), Vec::new());
    }
    if input == Input::Directory {
        files.insert(
            "day 1/sound/a\u{e9}.wav".to_owned(),
            b"RIFF\r\n\0".repeat(9),
        );
    }
    files
}

/// Writes the files, and adds them to the arguments of the command.
fn add_files(input: Input, files: &Files, folder: &Path, command: &mut Command) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        if input != Input::Directory {
            command.arg(path);
        }
    }
    if input == Input::Directory {
        command.arg(folder);
    }
}

impl UploadExample {
    /// Runs the example in this harness with these files.
    fn run(
        &self,
        harness: &Harness,
        files: &Files,
        prepare: impl Fn(&Sandbox, &mut Command),
    ) -> ProgramOutput {
        let mut command = (self.command)(harness);
        add_files(self.input, files, &harness.path("files"), &mut command);
        prepare(harness.sandbox(), &mut command);
        child::run(&mut command, LIMIT)
    }

    /// Checks that every byte arrives, that the storage gets no credential, and that the output in
    /// a pipe is the package alone.
    pub fn check_success(&self) {
        let harness = Harness::with_library();
        self.check_upload(&harness, &files(self.input));
        assert_eq!(harness.sandbox().count("rejected_token"), 0);
    }

    /// Checks that a token that is rejected during the upload is replaced once.
    pub fn check_rejected_tokens(&self) {
        let harness = Harness::with_library();
        // MASV returns one token with the new package, and keyferry fetches the next one.
        for (kind, generation) in [("user", 1), ("package", 1), ("package", 2)] {
            harness.sandbox().reject_generation(kind, generation);
        }
        self.check_upload(&harness, &files(self.input));
        assert!(harness.sandbox().count("rejected_token") >= 2);
    }

    /// Checks a file of more than one part.
    pub fn check_parts(&self) {
        let harness = Harness::with_library();
        let size = 100 * 1024 * 1024 + 12_345;
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        self.check_upload(&harness, &Files::from([("long.mov".to_owned(), content)]));
        assert_eq!(harness.sandbox().count("part_upload"), 2);
    }

    fn check_upload(&self, harness: &Harness, files: &Files) {
        let ended = self.run(harness, files, |_, _| {});
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{}",
            ended.out
        );
        let package = ended.out.strip_prefix("packages/").map(str::trim_end);
        let package = package.unwrap_or_else(|| panic!("{}", ended.said()));
        assert_eq!(ended.out, format!("packages/{package}\n"));
        let sandbox = harness.sandbox();
        let stored = masv_packages::download(sandbox, package);
        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&stored), names(files));
        assert!(stored == *files, "other bytes are stored");
        for name in [
            "storage_credential",
            "two_credentials",
            "missing_credential",
            "foreign_credential",
        ] {
            assert_eq!(sandbox.count(name), 0, "{name}");
        }
    }

    /// Checks that each failure is reported with its cause and the remedy, and with the right exit
    /// code, that nothing on standard output claims a success, and that the package stays open.
    /// `notices` is how many lines other programs may add to the message. `wrong_password` is the
    /// exit code for a wrong password.
    pub fn check_failures(&self, notices: usize, wrong_password: i32) {
        for (name, cause, code, hint) in FAILURES {
            let harness = Harness::with_library();
            let ended = self.run(&harness, &files(self.input), cause);
            let code = match name {
                "wrong password" => wrong_password,
                _ => code,
            };
            assert_eq!(
                (ended.code, ended.out.as_str()),
                (Some(code), ""),
                "{name}: {}",
                ended.err
            );
            let lines = ended.err.lines().count();
            assert!(ended.err.contains(hint), "{name}: {}", ended.err);
            assert!((1..=1 + notices).contains(&lines), "{name}: {}", ended.err);
            assert!(!ended.err.contains("ignature="), "{name}: {}", ended.err);
            ended.assert_no_secrets();
            let requests = harness.sandbox().requests();
            let is_finalized = requests.iter().any(|request| {
                request.path.ends_with("/finalize") && !request.path.contains("/files/")
            });
            assert!(!is_finalized, "{name}: the package was finalized");
        }
    }

    /// Checks that the progress is shown on a terminal. Needs Python, which has a terminal.
    pub fn check_terminal(&self) {
        let harness = Harness::with_library();
        let mut command = (self.command)(&harness);
        add_files(
            self.input,
            &files(self.input),
            &harness.path("files"),
            &mut command,
        );
        let mut terminal = Command::new("python3");
        terminal
            .args([
                "-c",
                "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
            ])
            .arg(command.get_program())
            .args(command.get_args());
        harness.isolate(&mut terminal);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => terminal.env(name, value),
                None => terminal.env_remove(name),
            };
        }
        let ended = child::run(&mut terminal, LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.said());
        assert!(ended.out.contains("\r100 %"), "{:?}", ended.out);
        assert!(ended.out.contains("packages/"), "{:?}", ended.out);
    }
}
