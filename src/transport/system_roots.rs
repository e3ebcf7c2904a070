//! The certificates that the system trusts.
//!
//! They come from the system's bundle: one file with all of them. A system without one has a
//! directory with a file for each certificate. The directory of a system with a bundle is not read:
//! its files repeat the bundle's certificates, and reading them takes three times as long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::cert_variables;
use crate::sys::file_facts::{FileFacts, FileId};
use crate::sys::fork::PerProcess;
use crate::sys::sync::Mutex;

/// The files in which systems keep their bundle. The list is that of the crate openssl-probe.
const BUNDLES: [&str; 9] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/opt/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The bundle of this process.
static BUNDLE: PerProcess<Bundle> = PerProcess::new();

/// Returns the certificates that the system trusts. If the environment variables of
/// [`cert_variables`] are set, returns the certificates that they name instead, unless
/// `ignores_environment`. The result may be empty.
pub(super) fn load(ignores_environment: bool) -> Arc<RootCertStore> {
    let is_replaced = !ignores_environment && cert_variables::are_set();
    let bundle = if is_replaced {
        None
    } else {
        let bundle = BUNDLE.get_or_init(|| Bundle::new(BUNDLES.map(PathBuf::from).into()));
        bundle.roots()
    };
    match bundle {
        Some(roots) => roots,
        // The crate for directories reads the variables.
        None if ignores_environment => Arc::new(RootCertStore::empty()),
        None => to_roots(rustls_native_certs::load_native_certs().certs).into(),
    }
}

fn to_roots(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}

/// The certificates of the first file that contains any.
///
/// They are parsed once, and again after one of the files has changed.
///
/// Rationale: parsing takes about 1 ms, and each configuration for TLS needs the certificates. A
/// process that runs for weeks must notice that the system's certificates were updated.
struct Bundle {
    paths: Vec<PathBuf>,
    parsed: Mutex<Option<Parsed>>,
}

struct Parsed {
    /// The versions of the files, from before they were read.
    versions: Vec<Option<Version>>,
    /// `None` if no file contains a certificate.
    roots: Option<Arc<RootCertStore>>,
}

/// The properties of a file that change if its content changes.
#[derive(PartialEq, Eq)]
struct Version {
    id: FileId,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Bundle {
    fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            parsed: Mutex::new(None),
        }
    }

    /// Returns the certificates. `None` if there are none. Other threads wait while one parses.
    fn roots(&self) -> Option<Arc<RootCertStore>> {
        let mut parsed = self.parsed.lock();
        let versions: Vec<_> = self.paths.iter().map(|path| version(path)).collect();
        match &*parsed {
            Some(current) if current.versions == versions => current.roots.clone(),
            _ => {
                let roots = self.paths.iter().find_map(|path| parse(path));
                let roots = roots.map(Arc::new);
                *parsed = Some(Parsed {
                    versions,
                    roots: roots.clone(),
                });
                roots
            }
        }
    }
}

/// Returns the version of a file. `None` if it can't be read.
fn version(path: &Path) -> Option<Version> {
    let facts = FileFacts::at(path).ok()?;
    Some(Version {
        id: facts.id(),
        bytes: facts.len(),
        modified: facts.modified().ok(),
    })
}

/// Returns the certificates of a file, without those that are invalid. `None` if none is left.
fn parse(path: &Path) -> Option<RootCertStore> {
    let certificates = CertificateDer::pem_file_iter(path).ok()?;
    let roots = to_roots(certificates.filter_map(Result::ok));
    (!roots.is_empty()).then_some(roots)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn certificate() -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    /// A directory with an empty file, a file without certificates, an invalid certificate, a
    /// directory, a link to nothing, and a path for the bundle.
    fn paths(dir: &TempDir) -> Vec<PathBuf> {
        let path = |name: &str| dir.path().join(name);
        let invalid = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
        fs::write(path("empty"), "").unwrap();
        fs::write(path("text"), "no certificate\n").unwrap();
        fs::write(path("invalid"), invalid).unwrap();
        fs::create_dir(path("directory")).unwrap();
        std::os::unix::fs::symlink("nothing", path("link")).unwrap();
        [
            "empty",
            "text",
            "invalid",
            "directory",
            "link",
            "missing",
            "bundle",
        ]
        .map(path)
        .into()
    }

    #[test]
    fn the_first_file_with_a_certificate_is_the_bundle() {
        let dir = TempDir::new().unwrap();
        let mut paths = paths(&dir);
        let bundle = paths[6].clone();
        let count = |paths: &[PathBuf]| Bundle::new(paths.into()).roots().map(|roots| roots.len());
        assert_eq!(count(&paths), None);
        assert_eq!(count(&[]), None);
        let invalid = fs::read_to_string(&paths[2]).unwrap();
        fs::write(
            &bundle,
            format!("{}{invalid}{}", certificate(), certificate()),
        )
        .unwrap();
        assert_eq!(count(&paths), Some(2));
        let later = dir.path().join("later");
        fs::write(&later, certificate()).unwrap();
        paths.push(later.clone());
        assert_eq!(count(&paths), Some(2));
        paths.insert(0, later);
        assert_eq!(count(&paths), Some(1));
    }

    #[test]
    fn a_bundle_is_parsed_again_only_after_it_has_changed() {
        let dir = TempDir::new().unwrap();
        let paths = paths(&dir);
        let (first, path) = (paths[0].clone(), paths[6].clone());
        let bundle = Bundle::new(paths);
        assert!(bundle.roots().is_none());

        fs::write(&path, certificate()).unwrap();
        let parsed = bundle.roots().unwrap();
        assert!(Arc::ptr_eq(&parsed, &bundle.roots().unwrap()));

        // Tools for certificates write a new file and rename it.
        let new = dir.path().join("new");
        fs::write(&new, certificate()).unwrap();
        fs::rename(&new, &path).unwrap();
        let renamed = bundle.roots().unwrap();
        assert_ne!(parsed.roots, renamed.roots);
        assert!(Arc::ptr_eq(&renamed, &bundle.roots().unwrap()));

        fs::write(&path, certificate() + &certificate()).unwrap();
        assert_eq!(bundle.roots().unwrap().len(), 2);
        fs::write(&first, certificate()).unwrap();
        assert_eq!(bundle.roots().unwrap().len(), 1);
        fs::remove_file(&first).unwrap();
        assert_eq!(bundle.roots().unwrap().len(), 2);
        fs::remove_file(&path).unwrap();
        assert!(bundle.roots().is_none());
    }
}
