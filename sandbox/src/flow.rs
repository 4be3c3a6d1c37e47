//! The state of one metric during a run: its clients, its batches, and the expected sum.

use std::ops::Range;

use tallybox_client::traffic::{Metric, Tally, Traffic};
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

use crate::error::Error;
use crate::hostile::{Attack, Sent};
use crate::plan::{BatchPlan, packet_bytes};
use crate::run::RunOptions;
use crate::schedule;
use crate::world::World;

/// Number of batches that the lying ingestor writes for each metric.
const BATCHES_PER_METRIC: u64 = 3;
/// Honest packets in these batches: three per batch, as templates for the hostile packets.
const HONEST_BATCH_PACKETS: u64 = 3 * BATCHES_PER_METRIC;
/// Minimum number of honest packets of each metric, so that some are left to be posted to the real
/// ingestor.
pub(crate) const MIN_PACKETS_PER_METRIC: u64 = HONEST_BATCH_PACKETS + 3;
/// Minimum number of hostile packets of each kind in a run.
const MIN_HOSTILE_PER_KIND: u64 = 3;

/// One metric in a run.
pub(crate) struct Flow {
    /// Generator of its packets.
    pub(crate) traffic: Traffic,
    /// Its name at the processors.
    pub(crate) aggregation: AggregationId,
    /// Epsilon of the randomised response.
    pub(crate) epsilon: f64,
    /// Traffic indices of the honest reports that are posted.
    pub(crate) posted: Range<u64>,
    /// Number of reports that the ingestor accepted and must batch, including hostile ones, and
    /// number of those that it must drop.
    pub(crate) accepted: [u64; 2],
    /// The batches that the ingestor wrote, with their number of packets.
    pub(crate) ingested: Vec<(BatchName, u64)>,
    /// The batches that the lying ingestor writes.
    pub(crate) batches: Vec<BatchPlan>,
    /// The expected sum.
    pub(crate) expected: Tally,
    /// The hostile packets that were sent.
    pub(crate) hostile: Vec<Sent>,
}

impl Flow {
    /// Returns the number of packets, including hostile ones.
    pub(crate) fn packets(&self) -> u64 {
        self.lying() + self.posted.end - self.posted.start
    }

    /// Returns the number of packets in the lying ingestor's batches.
    pub(crate) fn lying(&self) -> u64 {
        self.batches.iter().map(BatchPlan::packets).sum()
    }

    /// Returns the names of the batches of both ingestors.
    pub(crate) fn names(&self) -> impl Iterator<Item = &BatchName> {
        let planned = self.batches.iter().map(|batch| &batch.name);
        planned.chain(self.ingested.iter().map(|(name, _)| name))
    }

    /// Returns the approximate size of its packets in a processor's batches, in bytes.
    pub(crate) fn bytes(&self, role: Role) -> u64 {
        self.packets() * packet_bytes(self.traffic.metric().bins(), role)
    }

    /// Returns the number of hostile packets.
    pub(crate) fn attacks(&self) -> u64 {
        self.batches
            .iter()
            .map(|batch| batch.attacks.len() as u64)
            .sum()
    }
}

/// Divides the packets among metrics and batches.
pub(crate) fn flows(world: &World, options: &RunOptions, seed: u64) -> Result<Vec<Flow>, Error> {
    let metrics = options.metrics.len() as u64;
    let copies = MIN_HOSTILE_PER_KIND.div_ceil(metrics);
    let flow = |(index, metric): (u64, &Metric)| {
        let epsilon = options.epsilon.unwrap_or(metric.epsilon);
        let traffic = Traffic::new(
            seed,
            metric,
            world.keys.for_clients(metric.bins())?,
            Some(epsilon),
        )?;
        let aggregation: AggregationId = metric
            .name
            .parse()
            .map_err(|error| Error::Internal(format!("metric {}: {error}", metric.name)))?;
        let honest = share(options.packets, index, metrics);
        let batched = honest.min(HONEST_BATCH_PACKETS);
        let batches = plan(seed, &aggregation, batched, copies)?;
        Ok(Flow {
            traffic,
            aggregation,
            epsilon,
            posted: batched..honest,
            accepted: [0; 2],
            ingested: Vec::new(),
            batches,
            expected: Tally::new(metric.bins()),
            hostile: Vec::new(),
        })
    };
    (0..).zip(&options.metrics).map(flow).collect()
}

/// Returns part `place` when `whole` is divided into `parts` as evenly as possible.
fn share(whole: u64, index: u64, parts: u64) -> u64 {
    whole / parts + u64::from(index < whole % parts)
}

/// Plans the batches of one metric. Honest packets are consecutive, hostile ones are distributed in
/// turn, and replays are in the last batch.
fn plan(
    seed: u64,
    aggregation: &AggregationId,
    honest: u64,
    copies: u64,
) -> Result<Vec<BatchPlan>, Error> {
    let mut batches = Vec::new();
    let mut first = 0;
    for ordinal in 0..BATCHES_PER_METRIC {
        let (name, interval) = schedule::batch(seed, aggregation, ordinal, BATCHES_PER_METRIC)?;
        let honest = share(honest, ordinal, BATCHES_PER_METRIC);
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
        first += honest;
    }
    Ok(batches)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_divided_without_loss() {
        for (whole, parts) in [(10, 3), (12, 3), (1, 4), (10_000, 7)] {
            let shares: Vec<u64> = (0..parts).map(|index| share(whole, index, parts)).collect();
            assert_eq!(shares.iter().sum::<u64>(), whole);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn every_kind_of_hostile_packet_is_dealt_out() {
        let batches = plan(1, &"a".parse().unwrap(), 9, 3).unwrap();
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
