//! The programs of a sandbox, and their configuration files.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use tallybox_model::role::Role;

use crate::layout::Layout;

/// A program of a sandbox.
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

/// A program in the hidden subcommand `role`. Its configuration file determines the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// `ingestor serve`
    IngestorServe,
    /// `ingestor batch`, repeatedly
    IngestorBatch,
    /// `facilitator worker all`
    Worker,
    /// `workflow-manager serve`
    WorkflowManager,
}

impl RoleProcess {
    /// Returns the program of this process.
    #[must_use]
    pub fn program(self) -> Program {
        match self {
            Self::Ingestor => Program::IngestorServe,
            Self::Batcher => Program::IngestorBatch,
            Self::Manager(_) => Program::WorkflowManager,
            Self::Worker(_) => Program::Worker,
        }
    }

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

impl Program {
    /// Returns the name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IngestorServe => "ingestor-serve",
            Self::IngestorBatch => "ingestor-batch",
            Self::Worker => "worker",
            Self::WorkflowManager => "workflow-manager",
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
