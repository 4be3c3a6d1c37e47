//! Checks of packet keys: each key belongs to one locality and one number of bins, and each metric
//! has a key pair.

use std::collections::BTreeMap;

use tallybox_model::id::AggregationId;
use tallybox_model::packet_keys::{ListedPacketKey, PacketKeyList};
use tallybox_model::registry::{MetricState, Registry};
use tallybox_model::role::Role;

use crate::error::Error;
use crate::ingestor::Locality;

/// Checks the packet keys of all localities against each other.
///
/// # Errors
/// [`Error::Setting`] that names the locality and the keys.
pub(crate) fn check_keys(localities: &BTreeMap<String, Locality>) -> Result<(), Error> {
    // A processor pins one evaluation point per key and instance. A key of two instances would get
    // two points, and the same ciphertext could then be evaluated at both, which reveals the
    // answer.
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (name, locality) in localities {
        let refuse =
            |problem: String| Error::Setting(format!("localities.{name}.packet-keys: {problem}"));
        let mut list = PacketKeyList::default();
        for pair in &locality.key_pairs {
            for (role, key) in Role::ALL.into_iter().zip(&pair.keys) {
                let listed = ListedPacketKey {
                    role,
                    id: key.id.clone(),
                    public: key.public.to_x962_base64(),
                    bins: pair.bins,
                };
                list.add(listed)
                    .map_err(|conflict| refuse(conflict.to_string()))?;
            }
        }
        for public in list.public_keys() {
            if let Some(owner) = owners.insert(public.to_owned(), name) {
                let problem = format!(
                    "key {public} is also a packet key of locality {owner}: give each its own keys"
                );
                return Err(refuse(problem));
            }
        }
    }
    Ok(())
}

/// Checks that every locality has a key pair for each metric whose reports are accepted.
///
/// # Errors
/// [`Error::Setting`] that names the locality and the metric.
pub(crate) fn check_registry(
    localities: &BTreeMap<String, Locality>,
    registry: &Registry,
) -> Result<(), Error> {
    for (name, locality) in localities {
        let has_pair = |bins| locality.key_pair(bins).is_some();
        if let Some(missing) = metrics_without_pair(registry, has_pair).next() {
            let metric = missing.metric;
            let problem = missing.message(name);
            return Err(Error::Setting(format!("metric {metric}: {problem}")));
        }
    }
    Ok(())
}

/// A metric whose reports are accepted although a locality has no key pair for its number of bins.
pub(crate) struct MissingPair<'r> {
    pub(crate) metric: &'r AggregationId,
    bins: u32,
}

impl MissingPair<'_> {
    /// Returns a message that states the problem of a locality and the next step.
    pub(crate) fn message(&self, locality: &str) -> String {
        let bins = self.bins;
        format!(
            "localities.{locality}.packet-keys has no pair with {bins} bins: ask both processors for packet keys of \
             {bins} bins and list them, or close the metric"
        )
    }
}

/// Returns the metrics whose reports are accepted and that have no key pair.
pub(crate) fn metrics_without_pair(
    registry: &Registry,
    has_pair: impl Fn(u32) -> bool,
) -> impl Iterator<Item = MissingPair<'_>> {
    let accepted = registry
        .metrics
        .iter()
        .filter(|(_, entry)| entry.state != MetricState::Closed);
    accepted.filter_map(move |(metric, entry)| {
        let bins = entry.encoding.bins;
        (!has_pair(bins)).then_some(MissingPair { metric, bins })
    })
}
