//! Secret sources: what is read, what is refused, and in which words.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use keyferry::config::{Environment, Setting};
use keyferry::error::ErrorKind;
use keyferry::secret_sources::resolve;

use keyferry_testing::harness::Harness;
use keyferry_testing::settings::environment;

#[test]
fn a_reference_that_leads_nowhere_says_which() {
    let nothing: Environment = Arc::new(|name| match name {
        "ODD" => Some(OsString::from_vec(b"a\xffb".to_vec())),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    });
    for (setting, hint) in [
        (Setting::Env("GONE".into()), "GONE is not set; export it"),
        (Setting::Env("EMPTY".into()), "EMPTY is not set"),
        (Setting::Env("ODD".into()), "not UTF-8"),
        (
            Setting::File("/nonexistent/canary".into()),
            "does not exist",
        ),
        (
            Setting::Command(vec!["/bin/false".into()]),
            "/bin/false failed with exit code 1",
        ),
    ] {
        let error = resolve(&setting, "masv.password", &nothing).unwrap_err();
        assert_eq!(error.kind, ErrorKind::SecretSource);
        assert!(
            error.message().starts_with("masv.password: ") && error.message().contains(hint),
            "{error}"
        );
    }
}

#[test]
fn files_with_secrets_have_to_be_private_regular_small_text() {
    let folder = Harness::new();
    let get = |path: &Path| {
        resolve(
            &Setting::File(path.into()),
            "masv.password",
            &environment(&[]),
        )
        .map(|secret| secret.expose().to_owned())
    };
    assert_eq!(
        get(&folder.write_file("crlf", "a b\r\n", 0o400)).unwrap(),
        "a b"
    );
    assert_eq!(get(&folder.write_file("bare", "a", 0o600)).unwrap(), "a");
    for (name, text, mode, kind) in [
        ("public", "canary", 0o644, ErrorKind::UnsafeFile),
        ("writable", "canary", 0o620, ErrorKind::UnsafeFile),
        ("empty", "", 0o600, ErrorKind::SecretSource),
        ("newline", "\n", 0o600, ErrorKind::SecretSource),
        ("two", "canary\ncanary\n", 0o600, ErrorKind::SecretSource),
        ("blank", "canary\n\n", 0o600, ErrorKind::SecretSource),
        ("tab", "can\tary", 0o600, ErrorKind::SecretSource),
        (
            "long",
            &"canary ".repeat(10_000),
            0o600,
            ErrorKind::SecretSource,
        ),
    ] {
        let error = get(&folder.write_file(name, text, mode)).unwrap_err();
        assert_eq!(error.kind, kind, "{name}");
        assert!(
            error.message().starts_with("masv.password") && !error.message().contains("canary"),
            "{error}"
        );
    }
    let binary = folder.path("binary");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(get(&binary).unwrap_err().message().contains("not UTF-8"));
    let link = folder.path("link");
    symlink(folder.path("bare"), &link).unwrap();
    assert_eq!(get(&link).unwrap_err().kind, ErrorKind::UnsafeFile);
    assert_eq!(
        get(folder.folder()).unwrap_err().kind,
        ErrorKind::UnsafeFile
    );
}
