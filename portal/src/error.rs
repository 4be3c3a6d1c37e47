//! Errors of the portal: whose fault each one is, and the exit code.

use tallybox_service::exit::Exit;
use tallybox_service::key_file::FileError;
use tallybox_service::shell::CommandError;
use tallybox_service::{ConfigError, OutputError};
use tallybox_transport::{BucketError, Disposition};

use crate::pair::Findings;

/// Reasons why a command of the portal fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file cannot be read. The operator's fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The result of a command cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The command line is contradictory or incomplete. The operator's fault.
    #[error("{0}")]
    Usage(String),
    /// A key file or another file cannot be used. The operator's fault.
    #[error(transparent)]
    File(#[from] FileError),
    /// A bucket request failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A thread that verifies sum parts has failed: a bug in this program.
    #[error("a verification ended early")]
    Thread(#[from] tokio::task::JoinError),
    /// The database cannot be reached, or refuses an operation. The operator's fault; nothing is
    /// lost, because `portal rebuild` recreates it.
    #[error("database: cannot {operation}")]
    Database {
        /// The operation.
        operation: &'static str,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The database contains a row that the portal did not write like this.
    #[error("database: damaged row: {0}; run `portal rebuild`")]
    Row(String),
    /// The parameters of a window allow no estimate. The fault of whoever configured the metric.
    #[error(transparent)]
    Estimate(#[from] tallybox_estimate::EstimateError),
    /// A result cannot be written as CSV.
    #[error("cannot write CSV")]
    Csv(#[from] csv::Error),
    /// A file of published sums cannot be read. The fault of whoever made the file.
    #[error("{file}: not a CSV file of sums")]
    Published {
        /// The file.
        file: String,
        /// The cause.
        #[source]
        source: csv::Error,
    },
    /// The sum contains too few packets to be shown. A larger window may contain enough.
    #[error(
        "the window counts {count} packets, fewer than the minimum of {minimum}: it is not shown; add up a longer period"
    )]
    BelowMinimum {
        /// Number of packets.
        count: u64,
        /// The minimum.
        minimum: u64,
    },
    /// The address of the pages is in use or not available. The operator's fault.
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The program's own demo data is faulty. A bug.
    #[error("the demo's metric registry is faulty; report this as a bug")]
    Demo(#[source] serde_json::Error),
    /// Two sum parts cannot be added. The fault of a processor, or of whoever replaced a file.
    #[error(transparent)]
    Findings(#[from] Findings),
}

impl Error {
    /// Returns whether a retry can succeed.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Bucket(error) => error.disposition(),
            Self::Findings(findings) => findings.disposition(),
            Self::File(_)
            | Self::Config(_)
            | Self::Output(_)
            | Self::Listen { .. }
            | Self::Database { .. }
            | Self::Thread(_) => Disposition::Retry,
            Self::Usage(_)
            | Self::BelowMinimum { .. }
            | Self::Estimate(_)
            | Self::Demo(_)
            | Self::Row(_)
            | Self::Published { .. }
            | Self::Csv(_) => Disposition::Reject,
        }
    }
}

impl CommandError for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::File(_) | Self::Published { .. } => {
                Exit::Usage
            }
            Self::BelowMinimum { .. } => Exit::BelowMinimum,
            _ => match self.disposition() {
                Disposition::Retry => Exit::Retry,
                Disposition::Reject => Exit::Rejected,
            },
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::File(_) => "config",
            Self::Bucket(_) => "bucket",
            Self::Database { .. } | Self::Row(_) => "database",
            Self::Output(_) => "output",
            Self::Thread(_) => "thread",
            Self::BelowMinimum { .. } => "below-minimum",
            Self::Estimate(_) => "estimate",
            Self::Csv(_) => "output",
            Self::Listen { .. } => "listen",
            Self::Demo(_) => "demo",
            Self::Published { .. } => "published",
            Self::Findings(findings) => findings.reason(),
        }
        .to_owned()
    }
}
