//! Finds files of the repository and files that cargo built.

use std::path::{Path, PathBuf};

/// Returns the path of a file of the repository.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// Returns the path of a file in the directory of this test's executable. A file of the same name
/// in `target/debug` may be older.
pub fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
