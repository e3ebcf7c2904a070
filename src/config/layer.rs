//! The layers of the configuration: file, environment, program.

use std::fmt;
use std::path::PathBuf;

/// The source of a setting. A later layer wins over an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The program.
    Program,
}

impl Layer {
    /// The precedence of the layer: the higher one wins.
    pub(super) fn precedence(&self) -> u8 {
        match self {
            Self::File(_) => 0,
            Self::Environment(_) => 1,
            Self::Program => 2,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
            Self::Program => f.write_str("the program"),
        }
    }
}
