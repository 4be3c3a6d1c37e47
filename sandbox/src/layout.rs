//! Layout of a sandbox directory: directories that serve as buckets, and the configuration files.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tallybox_client::Encoding;
use tallybox_client::traffic::{Cadence, Metric};
use tallybox_facilitator::config::Points;
use tallybox_model::role::Role;
use tallybox_transport::{LocalBucket, SharedBucket};

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

/// Configuration lines of a locality without attestation.
const NO_ATTESTATION: &str = "    attestation: none\n";

/// Settings of the ingestor of a sandbox.
#[derive(Debug, Clone)]
pub struct Served {
    /// Address for reports.
    pub listen: SocketAddr,
    /// Address for health checks and metrics.
    pub operations: SocketAddr,
    /// Length of a window in minutes.
    pub window_minutes: u32,
    /// Time in seconds from the end of a window until it is batched.
    pub settle_secs: u64,
    /// Time in milliseconds for which reports are collected in a slab.
    pub slab_millis: u64,
    /// Interval in seconds at which `serve` scans for windows to batch.
    pub poll_secs: u64,
    /// Minimum number of packets of a batch.
    pub min_packets: u64,
    /// Number of windows for which reports that are too few for a batch are carried over.
    pub max_carry_windows: u32,
    /// Retention in hours of slabs after their window is done.
    pub keep_slabs_hours: u32,
    /// Maximum age of a report in hours.
    pub max_age_hours: u32,
    /// Configuration lines of a locality that state the attestation policy and the verifier.
    pub attestation: String,
}

impl Default for Served {
    /// Returns settings with free ports and windows of an hour.
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: free,
            operations: free,
            window_minutes: 60,
            settle_secs: 60,
            slab_millis: 20,
            poll_secs: 10,
            min_packets: 1,
            max_carry_windows: 24,
            keep_slabs_hours: 48,
            max_age_hours: 48,
            attestation: NO_ATTESTATION.to_owned(),
        }
    }
}

/// Returns the ingestor's configuration file.
fn ingestor_text(served: &Served, bins: &[usize]) -> String {
    let Served {
        listen,
        operations,
        window_minutes,
        settle_secs,
        slab_millis,
        poll_secs,
        min_packets,
        max_carry_windows,
        keep_slabs_hours,
        max_age_hours,
        attestation,
    } = served;
    let key = |role: Role, bins: usize| {
        let (id, file) = (
            keys::packet_key_id(role, bins),
            keys::packet_public_file(role, bins),
        );
        format!("{{ id: {id}, file: keys/{file} }}")
    };
    let pair = |bins: &usize| {
        let [first, second] = Role::ALL.map(|role| key(role, *bins));
        format!("      - {{ bins: {bins}, first: {first}, second: {second} }}\n")
    };
    let pairs: String = bins.iter().map(pair).collect();
    format!(
        "# The ingestor of a sandbox; written by tallybox-sandbox. Paths are relative to this file.
ingestor: ingestor
serve: {{ listen: '{listen}', operations: '{operations}', slab-millis: {slab_millis} }}
spool: buckets/spool
registry: registry.yaml
batch-signing-key: {{ id: {ingestor_id}, file: keys/{ingestor_id}.pkcs8.b64 }}
client-config-key: {{ id: {config_id}, file: keys/{config_id}.pkcs8.b64 }}
secrets: [ {{ file: keys/{secret} }} ]
batches:
  window-minutes: {window_minutes}
  settle-secs: {settle_secs}
  poll-secs: {poll_secs}
  max-carry-windows: {max_carry_windows}
  keep-slabs-hours: {keep_slabs_hours}
  min-packets: {min_packets}
acceptance:
  max-age-hours: {max_age_hours}
  per-network-per-minute: 0   # all clients of a sandbox come from one address
localities:
  {LOCALITY}:
{attestation}    packet-keys:
{pairs}    first-mailbox: {first_mailbox}
    second-mailbox: {second_mailbox}
",
        ingestor_id = keys::INGESTOR_KEY_ID,
        config_id = keys::CLIENT_CONFIG_KEY_ID,
        secret = keys::SECRET_FILE,
        first_mailbox = BucketKind::Ingestion.path(Role::First),
        second_mailbox = BucketKind::Ingestion.path(Role::Second),
    )
}

/// Returns the registry file with these metrics.
fn registry_text(metrics: &[Metric], epsilon: Option<f64>) -> String {
    let mut text =
        "# The metrics of a sandbox; written by tallybox-sandbox.\nversion: 1\nmetrics:\n"
            .to_owned();
    for metric in metrics {
        let kind = match metric.encoding {
            Encoding::Histogram { .. } => "histogram",
            Encoding::BoundedInteger { .. } => "bounded-integer",
            _ => "bit-vector",
        };
        let hours = match metric.cadence {
            Cadence::Biweekly => 14 * 24,
            _ => 24,
        };
        let (name, meaning, bins) = (metric.name, metric.meaning, metric.bins());
        let epsilon = epsilon.unwrap_or(metric.epsilon);
        text += &format!(
            "  {name}:\n    meaning: {meaning:?}\n    state: accept\n    encoding: {{ kind: {kind}, bins: {bins} }}\n    \
             epsilon: {epsilon:?}\n    cadence-hours: {hours}\n"
        );
    }
    text
}

/// Returns a processor's configuration file.
pub(crate) fn config_text(role: Role, points: Points, minimum: u64, bins: &[usize]) -> String {
    let peer = role.peer();
    let points = match points {
        Points::Pinned => "pinned      # one evaluation point for all packets under a packet key",
        Points::PerPacket => {
            "per-packet  # this ingestor draws a point for each packet\naccept-replay-risk: true"
        }
    };
    let packet_key = |bins: &usize| {
        let (id, file) = (
            keys::packet_key_id(role, *bins),
            keys::packet_key_file(role, *bins),
        );
        format!("  - {{ id: {id}, file: keys/{file} }}\n")
    };
    let packet_keys: String = bins.iter().map(packet_key).collect();
    format!(
        "# The {role} processor of a sandbox; written by tallybox-sandbox. Paths are relative to this file.
instance: {INSTANCE}
role: {role}
packet-decryption-keys:
{packet_keys}batch-signing-key: {{ id: {signing_id}, file: keys/{signing} }}
prepared-sealing-key: {{ file: keys/{sealing} }}
buckets:
  ingestion: {ingestion}
  own: {own}
  peer-validation-in: {validation_in}
  peer-validation-out: {validation_out}
  sum-parts: {sum}
ingestor-public-keys: {{ {ingestor_id}: keys/{ingestor} }}
peer-public-keys: {{ {peer_id}: keys/{peer_key} }}
points: {points}
minimum-contributions: {minimum}
",
        signing_id = keys::signing_key_id(role),
        signing = keys::signing_key_file(role),
        sealing = keys::sealing_key_file(role),
        ingestion = BucketKind::Ingestion.path(role),
        own = BucketKind::Own.path(role),
        validation_in = BucketKind::ValidationFor.path(role),
        validation_out = BucketKind::ValidationFor.path(peer),
        sum = BucketKind::Sum.path(role),
        ingestor_id = keys::INGESTOR_KEY_ID,
        ingestor = keys::ingestor_verifying_key_file(),
        peer_id = keys::signing_key_id(peer),
        peer_key = keys::verifying_key_file(peer),
    )
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

    #[test]
    fn what_one_processor_writes_its_peer_reads() {
        for role in Role::ALL {
            let (own, peer) = (
                config_text(role, Points::Pinned, 1, &[5]),
                config_text(role.peer(), Points::Pinned, 1, &[5]),
            );
            let value_of = |text: &str, key: &str| {
                let found = text.lines().find_map(|line| line.trim().strip_prefix(key));
                found.unwrap().to_owned()
            };
            assert_eq!(
                value_of(&own, "peer-validation-out:"),
                value_of(&peer, "peer-validation-in:")
            );
        }
    }
}
