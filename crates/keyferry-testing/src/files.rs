//! Files of the repository, and files that cargo built.

use std::path::{Path, PathBuf};

/// A file of the repository.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// A file that cargo put beside this test: the one in `target/debug` itself may be older.
pub fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
