//! An example request for the OpenAPI description, which this ingestor accepts.

use rand::Rng as _;
use serde_json::Value;
use tallybox_crypto::ecies;
use tallybox_crypto::prio2::{Prio2, Randomness};
use tallybox_model::registry::MetricState;
use tallybox_model::report::json::JsonReport;
use tallybox_model::report::{ReportUpload, SCHEMA_VERSIONS};
use uuid::Builder;

use crate::ingestor::Ingestor;

/// Returns a report of the accepted metric with the fewest bins, with no bin set, or `None` if
/// there is no such metric.
///
/// Each start of the server creates a new report. A locality that requires attestation rejects it,
/// since it has none.
pub(super) fn report(ingestor: &Ingestor) -> Option<Value> {
    let registry = ingestor.registry.current();
    let accepted = registry
        .metrics
        .iter()
        .filter(|(_, entry)| entry.state == MetricState::Accept);
    let (name, entry) = accepted.min_by_key(|(_, entry)| entry.encoding.bins)?;
    let locality = ingestor.localities.values().next()?;
    let [first, second] = &locality.key_pair(entry.encoding.bins)?.keys;
    let parameters = entry.parameters(name);
    let bins = vec![false; usize::try_from(parameters.bins).ok()?];
    let rng = &mut rand::rng();
    let shares = Prio2::new(bins.len())
        .ok()?
        .split(&bins, &Randomness::draw(rng))
        .ok()?;
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let upload = ReportUpload {
        metric: name.to_string(),
        id: Builder::from_random_bytes(id).into_uuid().to_string(),
        created: None,
        schema_version: *SCHEMA_VERSIONS.end(),
        bins: parameters.bins,
        epsilon: parameters.epsilon,
        prime: parameters.prime,
        number_of_servers: parameters.number_of_servers,
        hamming_weight: parameters.hamming_weight,
        key_id_first: first.id.clone(),
        payload_first: ecies::seal(&first.public, &shares.first, rng).ok()?,
        key_id_second: second.id.clone(),
        payload_second: ecies::seal(&second.public, &shares.second, rng).ok()?,
        signature: None,
        certificate_chain: Vec::new(),
    };
    serde_json::to_value(JsonReport::from(upload)).ok()
}
