//! The environment variables that replace the system's certificates: `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`. Their files are read here only to explain a failure.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::sys::{io_cause, privilege};

/// A variable that is set.
struct CertVariable {
    name: &'static str,
    /// Why no certificates can be read from it.
    fault: Option<String>,
}

/// Returns whether a variable is set. Opens no file.
pub(super) fn are_set() -> bool {
    env::var_os("SSL_CERT_FILE").is_some() || directories().is_some()
}

/// Returns the names of the variables that are set. `None` if none is set.
pub(super) fn names() -> Option<String> {
    let names: Vec<_> = find().iter().map(|variable| variable.name).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

/// Returns what is wrong with the variables, and the remedy. `None` if nothing is.
pub(super) fn faults() -> Option<String> {
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    for CertVariable { name, fault } in find() {
        if let Some(fault) = fault {
            names.push(name);
            faults.push(fault);
        }
    }
    let (names, faults) = (names.join(" and "), faults.join(", and "));
    (!names.is_empty()).then(|| format!("{faults}; correct or unset {names}"))
}

/// Returns the variables that are set. In a process with raised privilege there are none: they
/// belong to the caller, and such a process must not open the files that they name.
fn find() -> Vec<CertVariable> {
    if privilege::is_raised() {
        return Vec::new();
    }
    let file = env::var_os("SSL_CERT_FILE").map(|path| CertVariable {
        name: "SSL_CERT_FILE",
        fault: fault("SSL_CERT_FILE", [Path::new(&path)], read_file),
    });
    let dirs = directories().map(|paths| {
        let paths: Vec<_> = env::split_paths(&paths).collect();
        let paths = paths.iter().map(|path| &**path);
        CertVariable {
            name: "SSL_CERT_DIR",
            fault: fault("SSL_CERT_DIR", paths, read_dir),
        }
    });
    file.into_iter().chain(dirs).collect()
}

/// Returns the value of `SSL_CERT_DIR`. `None` if it is empty: an empty list of directories replaces
/// nothing.
fn directories() -> Option<OsString> {
    env::var_os("SSL_CERT_DIR").filter(|paths| !paths.is_empty())
}

/// Returns the fault of the first path. `None` if one of the paths has certificates.
fn fault<'a>(
    name: &str,
    paths: impl IntoIterator<Item = &'a Path>,
    read: fn(&Path) -> io::Result<bool>,
) -> Option<String> {
    let mut first = None;
    for path in paths.into_iter() {
        let why = match read(path) {
            Ok(true) => return None,
            Ok(false) => "which contains no PEM certificates".to_owned(),
            Err(error) => format!("which cannot be read ({})", io_cause::reason(&error)),
        };
        first.get_or_insert_with(|| {
            if path.as_os_str().is_empty() {
                format!("{name} is empty")
            } else {
                format!("{name} names {}, {why}", path.display())
            }
        });
    }
    first
}

/// Returns whether a file contains certificates.
fn read_file(path: &Path) -> io::Result<bool> {
    let certificates = match CertificateDer::pem_file_iter(path) {
        Err(pem::Error::Io(error)) => return Err(error),
        Err(_) => return Ok(false),
        Ok(certificates) => certificates,
    };
    for certificate in certificates {
        match certificate {
            Ok(_) => return Ok(true),
            Err(pem::Error::Io(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(false)
}

/// Returns whether a file in a directory contains certificates.
fn read_dir(path: &Path) -> io::Result<bool> {
    let mut entries = fs::read_dir(path)?.filter_map(Result::ok);
    Ok(entries.any(|entry| entry.path().is_file() && read_file(&entry.path()).unwrap_or(false)))
}
