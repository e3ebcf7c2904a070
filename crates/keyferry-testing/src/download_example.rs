//! Checks of the programs in `examples` that download the files of a MASV link. They are the same
//! for each language.

use std::fs;
use std::path::Path;
use std::process::Command;

use keyferry_sandbox::{Fault, FaultAction, Sandbox, credentials as c};

use crate::child::{self, ProgramOutput};
use crate::harness::{CommandBuilder, Harness};
use crate::masv_packages::{self, Files};

/// An example of a download, which reads the link from standard input.
pub struct DownloadExample {
    /// Returns the command without the directory.
    pub command: CommandBuilder,
}

/// A failure: its name, how to cause it, the exit code, and a part of the message.
type Failure = (&'static str, fn(&Sandbox, &mut Command), i32, &'static str);

const FAILURES: [Failure; 7] = [
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
        |sandbox, _| sandbox.fault(literal(503, "").path("/v1/packages/").forever()),
        4,
        "retry later",
    ),
    (
        "a web page instead of JSON",
        |sandbox, _| sandbox.fault(literal(200, "<html>hotel</html>").path("/v1/packages/")),
        1,
        "not JSON",
    ),
    (
        "an object instead of the list of files",
        |sandbox, _| sandbox.fault(literal(200, r#"{"files": 1}"#).path("/v1/packages/")),
        1,
        "update this program",
    ),
    (
        "expired download URL",
        |sandbox, _| sandbox.fault(literal(403, "<Error/>").path("/keyferry-sandbox/")),
        1,
        "download URL has expired",
    ),
    (
        "storage down",
        |sandbox, _| {
            sandbox.fault(
                Fault::new(FaultAction::Close)
                    .path("/keyferry-sandbox/")
                    .forever(),
            )
        },
        4,
        "check the network",
    ),
    (
        "a connection that ends in the middle of a file",
        |sandbox, _| {
            sandbox.fault(
                Fault::new(FaultAction::Half)
                    .path("/keyferry-sandbox/")
                    .forever(),
            )
        },
        4,
        "check the network",
    ),
];

fn literal(status: u16, body: &str) -> Fault {
    Fault::new(FaultAction::Literal {
        status,
        media_type: "text/plain".to_owned(),
        body: body.to_owned(),
    })
}

/// Returns the files below a directory.
fn files_in(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(next) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                files.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

impl DownloadExample {
    fn run(
        &self,
        harness: &Harness,
        link: &str,
        prepare: impl Fn(&Sandbox, &mut Command),
    ) -> ProgramOutput {
        let mut command = (self.command)(harness);
        // A link needs no login.
        for name in ["KEYFERRY_MASV_EMAIL", "KEYFERRY_MASV_PASSWORD"] {
            command.env_remove(name);
        }
        command.arg(harness.path("files"));
        prepare(harness.sandbox(), &mut command);
        child::run_with_input(&mut command, &format!("{link}\n"))
    }

    /// Checks that every byte is saved, that the storage gets no credential, and that the output in
    /// a pipe is the paths of the files.
    pub fn check_success(&self) {
        let harness = Harness::with_library();
        let long: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
        let expected = [("a reel.mov", &long[..]), ("day 1/empty", b"")];
        let link = masv_packages::upload(harness.sandbox(), &expected);
        let ended = self.run(&harness, &link, |_, _| {});
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{}",
            ended.out
        );
        let folder = harness.path("files");
        let paths = expected.map(|(name, _)| format!("{}\n", folder.join(name).display()));
        assert_eq!(ended.out, paths.concat());
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
        assert!(
            files_in(&folder) == Files::from(expected),
            "other bytes are saved"
        );
        for name in [
            "storage_credential",
            "two_credentials",
            "missing_credential",
        ] {
            assert_eq!(harness.sandbox().count(name), 0, "{name}");
        }
    }

    /// Checks that a token that is rejected during the download is replaced once.
    pub fn check_rejected_token(&self) {
        let harness = Harness::with_library();
        let link = masv_packages::upload(harness.sandbox(), &[("a.mov", &[7; 50_000])]);
        let next = harness.sandbox().issued("package") + 1;
        harness.sandbox().reject_generation("package", next);
        let ended = self.run(&harness, &link, |_, _| {});
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        assert_eq!(files_in(&harness.path("files"))["a.mov"], [7; 50_000]);
        assert_eq!(harness.sandbox().count("rejected_token"), 1);
    }

    /// Checks a link with a password, whose first token is rejected.
    pub fn check_password(&self) {
        let harness = Harness::with_library();
        harness.sandbox().reject_generation("package", 1);
        let link = format!(
            "links/{}?secret={}",
            c::PROTECTED_LINK_ID,
            c::PROTECTED_LINK_SECRET
        );
        let ended = self.run(&harness, &link, |_, command| {
            command.env("LINK_PASSWORD", c::LINK_PASSWORD);
        });
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        let saved = files_in(&harness.path("files"));
        assert!(!saved.is_empty() && saved.values().all(|content| !content.is_empty()));
    }

    /// Checks that each failure is reported with its cause and the remedy, and with the right exit
    /// code, and that no incomplete file has the name of a complete one.
    pub fn check_failures(&self) {
        for (name, cause, code, hint) in FAILURES {
            let harness = Harness::with_library();
            let link = masv_packages::upload(harness.sandbox(), &[("a.mov", &[7; 50_000])]);
            let ended = self.run(&harness, &link, cause);
            assert_failed(&ended, name, code, hint);
            assert!(!harness.path("files/a.mov").exists(), "{name}");
        }
        let harness = Harness::with_library();
        let link = format!("links/{}?secret=wrong", c::LINK_ID);
        assert_failed(
            &self.run(&harness, &link, |_, _| {}),
            "wrong link",
            3,
            "rejected",
        );
    }

    /// Checks that a sender cannot choose a path outside of the directory.
    pub fn check_paths(&self) {
        for name in [
            "../outside",
            "a/../../outside",
            "/tmp/keyferry-outside",
            "a\u{1b}[2J",
        ] {
            let harness = Harness::with_library();
            let link = masv_packages::upload(harness.sandbox(), &[(name, b"x")]);
            let ended = self.run(&harness, &link, |_, _| {});
            assert_failed(&ended, name, 1, "inside the directory");
            assert!(
                !harness.path("outside").exists() && !Path::new("/tmp/keyferry-outside").exists()
            );
        }
    }
}

#[track_caller]
fn assert_failed(ended: &ProgramOutput, name: &str, code: i32, hint: &str) {
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(code), ""),
        "{name}: {}",
        ended.err
    );
    assert!(
        ended.err.contains(hint) && ended.err.lines().count() == 1,
        "{name}: {}",
        ended.err
    );
    assert!(!ended.err.contains("ignature="), "{name}: {}", ended.err);
    ended.assert_no_secrets();
}
