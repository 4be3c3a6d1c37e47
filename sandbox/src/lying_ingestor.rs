//! The lying ingestor of a run. Its batches hold a few honest packets and hostile packets of every
//! kind, which it does not check, and some that it made itself.

use tallybox_client::traffic::GeneratedAnswer;
use tallybox_model::digest::Digest;
use tallybox_model::id::AggregationId;
use tallybox_service::progress::Progress;

use crate::error::Error;
use crate::hostile::{Attack, Sent};
use crate::ingest::{self, BatchSpec};
use crate::plan::{BatchPlan, Made, packet_bytes, write_batch};
use crate::schedule;
use crate::serve::{ClientTraffic, Posted};
use crate::world::World;

/// Number of batches for each metric.
const BATCHES_PER_METRIC: u64 = 3;
/// Number of such batches in eight hours: all batches of a metric lie in the first hour.
const BATCHES_PER_DAY_PART: u64 = 8 * BATCHES_PER_METRIC;
/// Honest packets in each batch, as templates for the hostile packets.
const HONEST_PER_BATCH: u64 = 3;
/// Honest packets in the batches of a metric. They have the first traffic indices.
pub(crate) const HONEST_PER_METRIC: u64 = HONEST_PER_BATCH * BATCHES_PER_METRIC;
/// Minimum number of hostile packets of each kind in a run.
const MIN_HOSTILE_PER_KIND: u64 = 3;

/// Writes the batches of a metric, and records their packets among the posted reports. Returns the
/// hostile packets. `metrics` is the number of metrics in the run.
pub(crate) async fn write_batches(
    world: &World,
    clients: &std::sync::Arc<ClientTraffic>,
    flow: usize,
    metrics: u64,
    bar: &Progress,
) -> Result<Vec<Sent>, Error> {
    let ingestor = world.ingestor();
    let aggregation = &clients.flows[flow].aggregation;
    let copies = MIN_HOSTILE_PER_KIND.div_ceil(metrics);
    let mut sent = Vec::new();
    for plan in plan(clients.seed, aggregation, copies)? {
        let pair = ingestor.begin(spec(clients, flow, &plan)?).await?;
        let clients = std::sync::Arc::clone(clients);
        let bar = bar.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut sent = Vec::new();
            let traffic = &clients.flows[flow].traffic;
            let bytes = packet_bytes(traffic.metric().bins(), tallybox_model::role::Role::First);
            write_batch(&plan, traffic, pair, |made| {
                record(&clients, flow, made);
                sent.extend(made.attack.map(|attack| Sent {
                    attack,
                    id: made.generated.report.id,
                    batch: plan.name.clone(),
                }));
                bar.advance(1, bytes);
            })?;
            Ok::<_, Error>(sent)
        });
        let written = writing.await;
        sent.extend(written.map_err(|error| Error::Internal(format!("lying ingestor: {error}")))??);
    }
    Ok(sent)
}

fn spec(clients: &ClientTraffic, flow: usize, plan: &BatchPlan) -> Result<BatchSpec, Error> {
    let metric = &clients.flows[flow].metric;
    let bins = clients.flows[flow].traffic.metric().bins();
    let origin = format!("sandbox {} {} {}", clients.seed, plan.name, plan.packets());
    Ok(BatchSpec {
        name: plan.name.clone(),
        parameters: ingest::parameters(&metric.name, bins, metric.epsilon)?,
        interval: plan.interval,
        origin: Digest::sha256(origin.as_bytes()),
    })
}

/// Records a packet among the posted reports, so that the audit knows whether it has to be counted.
fn record(clients: &ClientTraffic, flow: usize, made: &Made) {
    let honest = made.attack.is_none_or(Attack::is_counted);
    // The id of such a packet is recorded already, for the packet that used it first.
    if made.attack.is_some_and(Attack::repeats_an_id) {
        return;
    }
    let packet = made.generated.report.id;
    let mut posted_reports = clients.posted_reports.lock();
    let number = posted_reports.post(Posted {
        metric: clients.flows[flow].aggregation.clone(),
        answer: GeneratedAnswer {
            true_bits: made.generated.true_bits.clone(),
            noisy_bits: made.generated.noisy_bits.clone(),
        },
        honest,
        id: packet.to_string(),
        packet,
    });
    // A packet in a signed batch is as certain to be counted as an acknowledged report.
    posted_reports.acknowledge(number);
}

/// Plans the batches of one metric. Honest packets are consecutive, hostile ones are distributed in
/// turn, and replays are in the last batch.
fn plan(seed: u64, aggregation: &AggregationId, copies: u64) -> Result<Vec<BatchPlan>, Error> {
    let mut batches = Vec::new();
    for ordinal in 0..BATCHES_PER_METRIC {
        let (name, interval) = schedule::batch(seed, aggregation, ordinal, BATCHES_PER_DAY_PART)?;
        let honest = HONEST_PER_BATCH;
        let first = ordinal * honest;
        let mut attacks = Vec::new();
        for copy in 0..copies {
            // A packet that copies an id copies the id of the batch's first packet. That packet
            // precedes all others, so it is the one that counts.
            for (turn, attack) in (0..).zip(Attack::every(first, copy)) {
                let batch = if matches!(attack, Attack::Replay { .. }) {
                    BATCHES_PER_METRIC - 1
                } else {
                    turn % BATCHES_PER_METRIC
                };
                if batch == ordinal {
                    attacks.push(attack);
                }
            }
        }
        batches.push(BatchPlan {
            name,
            interval,
            first,
            honest,
            attacks,
            ordinal,
        });
    }
    Ok(batches)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_hostile_packet_is_dealt_out() {
        let batches = plan(1, &"a".parse().unwrap(), 3).unwrap();
        let dealt: usize = batches.iter().map(|batch| batch.attacks.len()).sum();
        assert_eq!(dealt, 3 * Attack::every(0, 0).len());
        let replays = |batch: &BatchPlan| {
            batch
                .attacks
                .iter()
                .any(|attack| matches!(attack, Attack::Replay { .. }))
        };
        assert_eq!(
            batches.iter().map(replays).collect::<Vec<_>>(),
            [false, false, true]
        );
        assert_eq!(
            batches
                .iter()
                .map(|batch| (batch.first, batch.honest))
                .collect::<Vec<_>>(),
            [(0, 3), (3, 3), (6, 3)]
        );
    }
}
