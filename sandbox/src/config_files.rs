//! The configuration files of the ingestor and the processors, and the registry of metrics.

use std::net::SocketAddr;

use tallybox_client::Encoding;
use tallybox_client::traffic::{Cadence, Metric};
use tallybox_facilitator::config::Points;
use tallybox_model::role::Role;

use crate::keys;
use crate::layout::{BucketKind, INSTANCE, LOCALITY};

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
pub(crate) fn ingestor_text(served: &Served, bins: &[usize]) -> String {
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
pub(crate) fn registry_text(metrics: &[Metric], epsilon: Option<f64>) -> String {
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
