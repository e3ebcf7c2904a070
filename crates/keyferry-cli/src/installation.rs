//! Where the programs are.
//!
//! | program | where `make install` puts it | what it does |
//! |---|---|---|
//! | the small program | `bin/keyferry` and `bin/git-credential-keyferry` | answers from the store, and starts the full program for everything else |
//! | the full program | `libexec/keyferry/keyferry` | runs every command |
//!
//! cargo builds the full program as `keyferry` and the small one as `git-credential-keyferry`, in
//! one directory. There, the full program needs no other one.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sys::process::started_as;
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::process::this_program;

/// The path of the full program, from the directory of the small one.
const FULL_PROGRAM: &str = "../libexec/keyferry/keyferry";
/// The names of the small program under which it is git's credential helper.
const HELPER_PREFIX: &str = "git-credential-";

/// The two programs that the small program is, depending on the name of its file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SmallProgram {
    /// The credential helper that git starts.
    GitHelper,
    /// `keyferry`.
    Keyferry,
}

impl SmallProgram {
    /// Returns which of them this process runs.
    pub fn of_process() -> Self {
        let path = started_as().unwrap_or_default();
        let name = path.file_name().unwrap_or_default();
        if name
            .as_encoded_bytes()
            .starts_with(HELPER_PREFIX.as_bytes())
        {
            Self::GitHelper
        } else {
            Self::Keyferry
        }
    }

    /// Returns the path of the full program.
    ///
    /// # Errors
    /// The reason and the remedy if this program's path is unknown, if there is no full program, or
    /// if it belongs to another user than this program, and not to root.
    ///
    /// Rationale for the last one: a small program that was copied to `/tmp/x` would otherwise run
    /// what another user put into `/tmp/libexec`.
    pub fn full_program(self) -> Result<PathBuf, String> {
        let explain = |error: io::Error| io_cause::explain(&error, Subject::Program);
        // Without /proc, the path that this program was started with has to do.
        let started_as = || started_as().filter(|path| path.is_absolute());
        let own_path = this_program().or_else(|error| started_as().ok_or(error));
        let own_path = own_path.map_err(explain)?;
        let path = own_path.with_file_name(FULL_PROGRAM);
        let Ok(facts) = path.metadata() else {
            return match self {
                Self::GitHelper => Ok(own_path.with_file_name("keyferry")),
                Self::Keyferry => Err(format!(
                    "{} does not exist; install keyferry again, or copy libexec/keyferry together with bin",
                    path.display()
                )),
            };
        };
        let own_facts = own_path.metadata().map_err(explain)?;
        if facts.uid() == 0 || facts.uid() == own_facts.uid() {
            Ok(path)
        } else {
            Err(format!(
                "{} and {} belong to different users; install keyferry again",
                path.display(),
                own_path.display()
            ))
        }
    }
}

/// Returns the directory of the programs that users start. The full program finds it by the path
/// that the small one started it with.
///
/// # Errors
/// Returns the system's error if this program's path is unknown.
pub fn programs_dir() -> io::Result<PathBuf> {
    let started_as = started_as().filter(|path| path.ends_with(FULL_PROGRAM));
    let levels = Path::new(FULL_PROGRAM).components().count();
    match started_as
        .as_deref()
        .and_then(|path| path.ancestors().nth(levels))
    {
        Some(dir) => Ok(dir.to_owned()),
        None => Ok(this_program()?
            .parent()
            .unwrap_or(Path::new("/"))
            .to_owned()),
    }
}
