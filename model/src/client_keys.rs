//! Compares the packet keys that an ingestor gives to its clients with those that a processor
//! holds.
//!
//! If clients encrypt to a key that the processor does not hold, the processor rejects every
//! packet. If the ingestor has swapped the keys of the two processors, both reject everything, and
//! only this comparison reveals the cause.

use std::fmt;

use crate::client_config::{ClientConfig, ClientKey};
use crate::id::KeyId;
use crate::role::Role;

/// The public half of a packet key that a processor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPacketKey {
    /// The id that packets name.
    pub id: KeyId,
    /// Base64 of the uncompressed P-256 point, 65 bytes.
    pub public: String,
    /// The number of bins bound to the key. `None` for keys generated before keys had a number of
    /// bins.
    pub bins: Option<u32>,
}

/// A mismatch between the configuration of the clients and the keys of a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMismatch {
    /// The metric.
    pub metric: String,
    /// The id of the key in the configuration of the clients.
    pub id: KeyId,
    /// The kind of mismatch.
    pub kind: MismatchKind,
}

/// The kind of mismatch between a key in the clients' configuration and the keys that a processor
/// holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchKind {
    /// This processor holds the key that clients use for the other processor, but not the one they
    /// use for this processor: the ingestor has swapped the two processors' keys.
    Swapped,
    /// The processor does not hold the key under any id.
    NotHeld,
    /// The processor holds another key under this id.
    OtherKey,
    /// The processor holds the key under another id.
    OtherId {
        /// The processor's id of the key.
        ours: KeyId,
    },
    /// The clients' number of bins differs from the one bound to the key.
    OtherBins {
        /// The number of bins in the clients' configuration.
        announced: u32,
        /// The number of bins bound to the key.
        ours: u32,
    },
}

/// Compares the configuration of clients with the packet keys of the processor with this role. Keys
/// that the processor holds but no client uses are not a mismatch, because they may be older or
/// newer than the configuration.
#[must_use]
pub fn compare(config: &ClientConfig, role: Role, held: &[HeldPacketKey]) -> Vec<KeyMismatch> {
    let mut mismatches = Vec::new();
    for metric in &config.metrics {
        let announced = &metric.processors[role.index()];
        let peers = &metric.processors[role.peer().index()];
        let mismatch = |kind| KeyMismatch {
            metric: metric.name.clone(),
            id: announced.encryption_key_id.clone(),
            kind,
        };
        mismatches.extend(find_mismatch(announced, peers, held).map(mismatch));
    }
    mismatches
}

fn find_mismatch(
    announced: &ClientKey,
    peers: &ClientKey,
    held: &[HeldPacketKey],
) -> Option<MismatchKind> {
    let holds = |key: &ClientKey| held.iter().find(|held| held.public == key.public_key);
    let Some(ours) = holds(announced) else {
        let same_id = held
            .iter()
            .any(|held| held.id == announced.encryption_key_id);
        return Some(match holds(peers) {
            Some(_) => MismatchKind::Swapped,
            None if same_id => MismatchKind::OtherKey,
            None => MismatchKind::NotHeld,
        });
    };
    match ours.bins {
        Some(bins) if bins != announced.bins => Some(MismatchKind::OtherBins {
            announced: announced.bins,
            ours: bins,
        }),
        _ if ours.id != announced.encryption_key_id => Some(MismatchKind::OtherId {
            ours: ours.id.clone(),
        }),
        _ => None,
    }
}

impl fmt::Display for KeyMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, id, kind } = self;
        write!(f, "metric {metric}: clients use packet key {id}, ")?;
        match kind {
            MismatchKind::Swapped => f.write_str(
                "which this processor does not hold, and its key for the other processor: the ingestor has \
                 swapped first and second in its packet-keys",
            ),
            MismatchKind::NotHeld => f.write_str(
                "which this processor does not hold: add its private half, or give the ingestor one of its public keys",
            ),
            MismatchKind::OtherKey => f.write_str(
                "but this processor's key with this id has another public half: give that half to the ingestor",
            ),
            MismatchKind::OtherId { ours } => {
                write!(f, "which this processor holds as {ours}: use the same id on both sides")
            }
            MismatchKind::OtherBins { announced, ours } => write!(
                f,
                "for {announced} bins, but the key belongs to {ours} bins: give the ingestor a key for {announced} bins"
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
            groups: Vec::new(),
            bits: None,
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
        let announced = [("f", "F", 5), ("s", "S", 5)];
        let kinds = |role, keys: &[HeldPacketKey]| -> Vec<MismatchKind> {
            let found = compare(&config(announced), role, keys);
            assert!(
                found
                    .iter()
                    .all(|found| found.to_string().starts_with("metric a-v1: "))
            );
            found.into_iter().map(|found| found.kind).collect()
        };
        let ours = [held("f", "F", Some(5)), held("older", "O", Some(5))];
        assert_eq!(kinds(Role::First, &ours), []);
        assert_eq!(kinds(Role::First, &[held("f", "F", None)]), []);
        // The same keys at the other processor: clients use its key for the peer.
        assert_eq!(kinds(Role::Second, &ours), [MismatchKind::Swapped]);
        assert_eq!(kinds(Role::First, &ours[1..]), [MismatchKind::NotHeld]);
        assert_eq!(
            kinds(Role::First, &[held("f", "X", Some(5))]),
            [MismatchKind::OtherKey]
        );
        let other = [held("g", "F", Some(5))];
        assert_eq!(
            kinds(Role::First, &other),
            [MismatchKind::OtherId {
                ours: "g".to_owned()
            }]
        );
        let other = [held("f", "F", Some(9))];
        assert_eq!(
            kinds(Role::First, &other),
            [MismatchKind::OtherBins {
                announced: 5,
                ours: 9
            }]
        );
    }
}
