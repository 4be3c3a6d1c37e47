//! Layout of a sandbox directory: directories that serve as buckets, and the configuration files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tallybox_client::traffic::Metric;
use tallybox_facilitator::config::Points;
use tallybox_model::role::Role;
use tallybox_transport::{LocalBucket, SharedBucket};

use crate::config_files::{Served, config_text, ingestor_text, registry_text};
use crate::error::Error;
use crate::keys;

/// Instance of every sandbox: locality and ingestor.
pub const INSTANCE: &str = "sandbox-ingestor";
/// Locality of every sandbox.
pub const LOCALITY: &str = "sandbox";

/// A sandbox directory.
///
/// ```text
/// first.yaml  second.yaml       the processors' configurations, with relative paths
/// ROLE-manager.yaml             the workflow managers' configurations
/// ingestor.yaml registry.yaml   the ingestor's configuration, and the metrics
/// keys/                         all keys of all parties
/// buckets/spool                 the ingestor's own: reports before they are batched
/// buckets/ingestion-ROLE        the ingestor writes, ROLE reads
/// buckets/own-ROLE              ROLE's own
/// buckets/validation-for-ROLE   ROLE's peer writes, ROLE reads
/// buckets/sum-ROLE              ROLE writes, the portal reads
/// queues/ROLE-KIND              tasks
/// logs/                         logs of the child processes, with --chaos
/// ledger.jsonl                  the posted reports and the status of each
/// ```
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Creates the directories. `root` must be new or empty.
    ///
    /// # Errors
    /// [`Error::Occupied`] if the directory is not empty, [`Error::File`] if a directory cannot be
    /// created.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let layout = Self::at(root);
        let root = &layout.root;
        fs::create_dir_all(root).map_err(Error::file(root))?;
        let mut entries = fs::read_dir(root).map_err(Error::file(root))?;
        if entries.next().is_some() {
            return Err(Error::Occupied {
                directory: root.clone(),
            });
        }
        let buckets = Role::ALL.iter().flat_map(|role| {
            let kinds = [
                BucketKind::Ingestion,
                BucketKind::Own,
                BucketKind::ValidationFor,
                BucketKind::Sum,
            ];
            kinds.map(|kind| layout.directory(kind, *role))
        });
        for directory in buckets.chain([layout.keys()]) {
            fs::create_dir_all(&directory).map_err(Error::file(directory))?;
        }
        Ok(layout)
    }

    /// Returns the layout of an existing sandbox.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the sandbox directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory of the keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Returns the path of a processor's configuration file.
    #[must_use]
    pub fn config(&self, role: Role) -> PathBuf {
        self.root.join(format!("{role}.yaml"))
    }

    /// Returns the path of a workflow manager's configuration file.
    #[must_use]
    pub fn manager_config(&self, role: Role) -> PathBuf {
        self.root.join(format!("{role}-manager.yaml"))
    }

    /// Returns the directory of the child processes' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Returns the path of the file that lists the posted reports.
    #[must_use]
    pub fn posted_reports(&self) -> PathBuf {
        self.root.join("ledger.jsonl")
    }

    /// Returns the path of the ingestor's configuration file.
    #[must_use]
    pub fn ingestor_config(&self) -> PathBuf {
        self.root.join("ingestor.yaml")
    }

    /// Writes the ingestor's configuration file and the registry with these metrics.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    pub fn write_ingestor(
        &self,
        metrics: &[Metric],
        epsilon: Option<f64>,
        served: &Served,
    ) -> Result<(), Error> {
        for (path, text) in [
            (
                self.ingestor_config(),
                ingestor_text(served, &keys::bins_of(metrics)),
            ),
            (
                self.root.join("registry.yaml"),
                registry_text(metrics, epsilon),
            ),
        ] {
            fs::write(&path, text).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    /// Returns the path of the summary that [`generate`](crate::generate::generate) writes.
    #[must_use]
    pub fn generated(&self) -> PathBuf {
        self.root.join("generated.json")
    }

    /// Returns the directory of a bucket.
    #[must_use]
    pub fn directory(&self, kind: BucketKind, role: Role) -> PathBuf {
        self.root.join(kind.path(role))
    }

    /// Opens a bucket.
    #[must_use]
    pub fn bucket(&self, kind: BucketKind, role: Role) -> SharedBucket {
        Arc::new(LocalBucket::new(self.directory(kind, role)))
    }

    /// Writes both processors' configuration files, with packet keys for these numbers of bins.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    pub fn write_configs(&self, points: Points, bins: &[usize]) -> Result<(), Error> {
        for role in Role::ALL {
            let path = self.config(role);
            fs::write(&path, config_text(role, points, 1, bins)).map_err(Error::file(&path))?;
        }
        Ok(())
    }
}

/// The purpose of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketKind {
    /// The ingestor's batches for a processor.
    Ingestion,
    /// A processor's own bucket.
    Own,
    /// The peer's validation batches for a processor.
    ValidationFor,
    /// A processor's sum parts for the portal.
    Sum,
}

impl BucketKind {
    /// Returns the path of the bucket, relative to the sandbox directory.
    #[must_use]
    pub fn path(self, role: Role) -> String {
        let name = match self {
            Self::Ingestion => "ingestion",
            Self::Own => "own",
            Self::ValidationFor => "validation-for",
            Self::Sum => "sum",
        };
        format!("buckets/{name}-{role}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
        let error = Layout::create(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Occupied { .. }), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
