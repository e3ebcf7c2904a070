//! The layers of the configuration: file, environment, program.

use std::fmt;
use std::path::PathBuf;

/// The source of a setting. Each layer overrides the layers before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The configuration file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
    /// The program.
    Program,
}

impl Layer {
    /// Returns the precedence of the layer. The higher value wins.
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
