//! The environment of the test programs in C, C++, Python and Node, which use the shared library.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use keyferry::ffi::version::KEYFERRY_ABI_VERSION;
use keyferry_sandbox::credentials as c;

use crate::files::beside;
use crate::harness::Harness;

impl Harness {
    /// Creates a harness with a directory `lib`, which has links to the shared library under its
    /// name and its soname.
    pub fn with_library() -> Self {
        Self::with_library_at(&beside("libkeyferry.so"))
    }

    /// Like [`with_library`](Self::with_library), with the shared library at this path.
    pub fn with_library_at(library: &Path) -> Self {
        let harness = Self::new();
        let lib = harness.path("lib");
        std::fs::create_dir(&lib).unwrap();
        for name in [
            "libkeyferry.so".to_owned(),
            format!("libkeyferry.so.{KEYFERRY_ABI_VERSION}"),
        ] {
            symlink(library, lib.join(name)).unwrap();
        }
        harness
    }

    /// Replaces the environment of a test program: that of [`program`](Self::program), and the
    /// sandbox's data in variables that begin with `TEST_`.
    pub fn set_test_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.isolate(command)
            .envs(self.variables())
            .envs(self.test_variables())
            .env("TEST_FOLDER", self.folder())
            .env("TEST_VERSION", env!("CARGO_PKG_VERSION"))
    }

    /// Returns variables with the sandbox's made-up data, which the test programs need in addition
    /// to the settings.
    fn test_variables(&self) -> [(&'static str, String); 10] {
        let link = |id: &str, secret: &str| format!("links/{id}?secret={secret}");
        [
            ("TEST_CONTROL_URL", self.sandbox().masv_url().to_owned()),
            ("TEST_API_KEY", c::API_KEY.to_owned()),
            ("TEST_PACKAGE", format!("packages/{}", c::PACKAGE_ID)),
            (
                "TEST_OTHER_PACKAGE",
                format!("packages/{}", c::OTHER_PACKAGE_ID),
            ),
            ("TEST_TRANSFER", format!("transfers/{}", c::TRANSFER_ID)),
            ("TEST_FILE", c::FILE_ID.to_owned()),
            ("TEST_LINK", link(c::LINK_ID, c::LINK_SECRET)),
            ("TEST_LINK_WITH_WRONG_SECRET", link(c::LINK_ID, "wrong")),
            (
                "TEST_PROTECTED_LINK",
                link(c::PROTECTED_LINK_ID, c::PROTECTED_LINK_SECRET),
            ),
            ("TEST_LINK_PASSWORD", c::LINK_PASSWORD.to_owned()),
        ]
    }
}
