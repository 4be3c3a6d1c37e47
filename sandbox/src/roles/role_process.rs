//! The programs of a sandbox, and their configuration files.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tallybox_model::role::Role;

use crate::layout::Layout;

/// A program of a sandbox. Its name is that of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleProcess {
    /// The ingestor's server.
    Ingestor,
    /// The ingestor's batch job.
    Batcher,
    /// A processor's workflow manager.
    Manager(Role),
    /// A processor's worker.
    Worker(Role),
}

impl RoleProcess {
    const ALL: [Self; 6] = [
        Self::Ingestor,
        Self::Batcher,
        Self::Manager(Role::First),
        Self::Worker(Role::First),
        Self::Manager(Role::Second),
        Self::Worker(Role::Second),
    ];

    /// Returns the path of its configuration file.
    #[must_use]
    pub fn config(self, layout: &Layout) -> PathBuf {
        match self {
            Self::Ingestor | Self::Batcher => layout.ingestor_config(),
            Self::Manager(role) => layout.manager_config(role),
            Self::Worker(role) => layout.config(role),
        }
    }
}

impl fmt::Display for RoleProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingestor => f.write_str("ingestor"),
            Self::Batcher => f.write_str("batcher"),
            Self::Manager(role) => write!(f, "{role}-manager"),
            Self::Worker(role) => write!(f, "{role}-worker"),
        }
    }
}

impl FromStr for RoleProcess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL
            .into_iter()
            .find(|process| process.to_string() == text);
        named.ok_or_else(|| format!("{text} is no program of a sandbox"))
    }
}
