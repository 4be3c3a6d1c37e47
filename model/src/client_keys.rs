//! Compares the packet keys that an ingestor tells its clients with those that a processor holds.
//!
//! A processor that holds another key than clients seal to rejects every packet. Where the ingestor has swapped the two
//! processors' keys, each rejects everything, and nothing but this comparison says why.

use std::fmt;

use crate::client_config::{ClientConfig, ClientKey};
use crate::id::KeyId;
use crate::role::Role;

/// A packet key that a processor holds: its public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPacketKey {
    /// The id that packets name.
    pub id: KeyId,
    /// Base64 of the uncompressed P-256 point, 65 bytes.
    pub public: String,
    /// The number of bins that the key belongs to; none for keys from before keys belonged to one.
    pub bins: Option<u32>,
}

/// One thing in a configuration of clients that does not fit the keys of a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMismatch {
    /// The metric.
    pub metric: String,
    /// The key, as clients are told.
    pub id: KeyId,
    /// What does not fit.
    pub kind: MismatchKind,
}

/// What does not fit between a key that clients are told and the keys that a processor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchKind {
    /// The key that clients are told for the other processor is ours, and the one for us is not: the ingestor has
    /// exchanged the two processors' keys.
    Swapped,
    /// We do not hold the key, under any id.
    NotHeld,
    /// We hold another key under this id.
    OtherKey,
    /// We hold the key under another id.
    OtherId {
        /// Our id of it.
        ours: KeyId,
    },
    /// Clients are told another number of bins than the key belongs to.
    OtherBins {
        /// What clients are told.
        told: u32,
        /// What the key belongs to.
        ours: u32,
    },
}

/// Compares a configuration of clients with the packet keys that the processor with this role holds. Keys that the
/// processor holds and no client is told are no mismatch: they may be older or newer than the configuration.
#[must_use]
pub fn compare(config: &ClientConfig, role: Role, held: &[HeldPacketKey]) -> Vec<KeyMismatch> {
    let mut mismatches = Vec::new();
    for metric in &config.metrics {
        let told = &metric.processors[role.index()];
        let peers = &metric.processors[role.peer().index()];
        let mismatch = |kind| KeyMismatch {
            metric: metric.name.clone(),
            id: told.encryption_key_id.clone(),
            kind,
        };
        mismatches.extend(look_at(told, peers, held).map(mismatch));
    }
    mismatches
}

fn look_at(told: &ClientKey, peers: &ClientKey, held: &[HeldPacketKey]) -> Option<MismatchKind> {
    let holds = |key: &ClientKey| held.iter().find(|held| held.public == key.public_key);
    let Some(ours) = holds(told) else {
        let same_id = held.iter().any(|held| held.id == told.encryption_key_id);
        return Some(match holds(peers) {
            Some(_) => MismatchKind::Swapped,
            None if same_id => MismatchKind::OtherKey,
            None => MismatchKind::NotHeld,
        });
    };
    match ours.bins {
        Some(bins) if bins != told.bins => Some(MismatchKind::OtherBins {
            told: told.bins,
            ours: bins,
        }),
        _ if ours.id != told.encryption_key_id => Some(MismatchKind::OtherId { ours: ours.id.clone() }),
        _ => None,
    }
}

impl fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, id, kind } = self;
        write!(f, "metric {metric}: clients are told packet key {id}, ")?;
        match kind {
            MismatchKind::Swapped => f.write_str(
                "which is not ours, and our key for the other processor: the ingestor has exchanged first and second in \
                 its packet-keys",
            ),
            MismatchKind::NotHeld => f.write_str(
                "which is not among our packet keys: add its private half, or give the ingestor one of our public keys",
            ),
            MismatchKind::OtherKey => f.write_str(
                "but our key with this id has another public half: give the ingestor the public half of our key",
            ),
            MismatchKind::OtherId { ours } => write!(f, "which we hold as {ours}: use one id for one key"),
            MismatchKind::OtherBins { told, ours } => write!(
                f,
                "for {told} bins, but it belongs to {ours} bins: give the ingestor a key for {told} bins"
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::client_config::{AttestationPolicy, ClientLimits, ClientMetric};
    use crate::header::PRIME;
    use crate::registry::{EncodingKind, MetricEncoding};

    fn config(keys: [(&str, &str, u32); 2]) -> ClientConfig {
        let processors = keys.map(|(id, public, bins)| ClientKey {
            encryption_key_id: id.to_owned(),
            public_key: public.to_owned(),
            bins,
        });
        let encoding = MetricEncoding {
            kind: EncodingKind::BitVector,
            bins: 5,
            labels: Vec::new(),
        };
        ClientConfig {
            format: ClientConfig::FORMAT,
            locality: "us-ca".to_owned(),
            ingestor: "example".to_owned(),
            issued: String::new(),
            expires: String::new(),
            registry_version: 1,
            schema_version: 2,
            metrics: vec![ClientMetric {
                name: "a-v1".to_owned(),
                encoding,
                epsilon: 8.0,
                prime: PRIME,
                number_servers: 2,
                hamming_weight: None,
                cadence_hours: 24,
                sampling: 1.0,
                processors,
            }],
            limits: ClientLimits {
                max_body_bytes: 1,
                max_reports: 1,
                max_age_seconds: 1,
                max_ahead_seconds: 1,
            },
            attestation: AttestationPolicy::None,
        }
    }

    fn held(id: &str, public: &str, bins: Option<u32>) -> HeldPacketKey {
        HeldPacketKey {
            id: id.to_owned(),
            public: public.to_owned(),
            bins,
        }
    }

    #[test]
    fn each_mismatch_is_named() {
        let told = [("f", "F", 5), ("s", "S", 5)];
        let kinds = |role, keys: &[HeldPacketKey]| -> Vec<MismatchKind> {
            let found = compare(&config(told), role, keys);
            assert!(found.iter().all(|found| found.to_string().starts_with("metric a-v1: ")));
            found.into_iter().map(|found| found.kind).collect()
        };
        let ours = [held("f", "F", Some(5)), held("older", "O", Some(5))];
        assert_eq!(kinds(Role::First, &ours), []);
        assert_eq!(kinds(Role::First, &[held("f", "F", None)]), []);
        // The same keys at the other processor: its own is told for the peer.
        assert_eq!(kinds(Role::Second, &ours), [MismatchKind::Swapped]);
        assert_eq!(kinds(Role::First, &ours[1..]), [MismatchKind::NotHeld]);
        assert_eq!(kinds(Role::First, &[held("f", "X", Some(5))]), [MismatchKind::OtherKey]);
        let other = [held("g", "F", Some(5))];
        assert_eq!(
            kinds(Role::First, &other),
            [MismatchKind::OtherId { ours: "g".to_owned() }]
        );
        let other = [held("f", "F", Some(9))];
        assert_eq!(
            kinds(Role::First, &other),
            [MismatchKind::OtherBins { told: 5, ours: 9 }]
        );
    }
}
