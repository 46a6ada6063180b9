//! Why the program fails: one line, and an exit status.

use std::fmt::{self, Display, Formatter};

use offheap::error::ConfigError;
use offheap_operators::{OperatorError, sort::SortError};

/// What ended the program early.
#[derive(Debug)]
pub enum Failure {
    /// An argument that breaks a rule.
    Value(String),
    /// The world did not do what it was asked to, or the answer was wrong.
    World(String),
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Failure {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::World(_) => 1,
            Self::Value(_) => 2,
            Self::Interrupted => 130, // 128 and the number of the signal, as shells count
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(line) | Self::World(line) => f.write_str(line),
            Self::Interrupted => f.write_str("interrupted; nothing was written"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Region { .. } => Self::World(error.to_string()),
            ConfigError::PageSize { .. } => Self::Value(format!("--page-size: {error}")),
            _ => Self::Value(format!("--memory: {error}")),
        }
    }
}

impl From<SortError> for Failure {
    fn from(error: SortError) -> Self {
        match error {
            SortError::Interrupted => Self::Interrupted,
            _ => Self::World(error.to_string()),
        }
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Interrupted => Self::Interrupted,
            _ => Self::World(error.to_string()),
        }
    }
}
