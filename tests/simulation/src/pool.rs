//! The reports of all runs, which are sealed once: real shares, real keys, known answers.

use std::sync::LazyLock;

use tallybox_client::traffic::{ExpectedOutcome, Generated, Hostility, Metric, Traffic};
use tallybox_model::header::PRIME;
use tallybox_model::report::StoredReport;
use tallybox_model::role::Role;

use crate::keyring::{BINS, EPOCHS, Keyring};

/// The aggregations of a run.
pub const METRICS: [&str; 2] = ["CodeVerified-v1", "PeriodicExposureNotification-v1"];
/// The number of honest reports of each aggregation and key epoch.
const HONEST_REPORTS: u64 = 150;
/// The number of hostile reports of each kind.
const HOSTILE_REPORTS: u64 = 2;
/// The first index of reports that are posted for another metric than the one they were generated
/// for.
const FIRST_MOVED_INDEX: u64 = 1000;

/// A sealed report and its plain content.
#[derive(Debug)]
pub struct Sealed {
    /// The index of its metric in [`METRICS`].
    pub metric: usize,
    /// The epoch of the keys to which its shares are sealed.
    pub epoch: usize,
    /// The identifier that the client chose.
    pub id: String,
    /// The sealed shares, by processor.
    pub payloads: [Vec<u8>; 2],
    /// The ids of the keys to which the shares are sealed, by processor.
    pub key_ids: [String; 2],
    /// The values of its bins, after the client's noise.
    pub bits: Vec<bool>,
    /// True if the report has to be counted.
    pub counts: bool,
    /// True if both shares can be decrypted, but the proof fails.
    pub false_proof: bool,
}

/// All reports of all runs.
#[derive(Debug)]
pub struct Pool {
    /// The reports in order of aggregation and epoch, the honest ones of each first. Reports that
    /// were generated for another metric are at the end.
    reports: Vec<Sealed>,
}

impl Pool {
    /// Returns the pool, which is generated on first use.
    pub fn get() -> &'static Self {
        static POOL: LazyLock<Pool> = LazyLock::new(Pool::make);
        &POOL
    }

    /// Returns the report with this number.
    #[must_use]
    pub fn report(&self, number: usize) -> &Sealed {
        &self.reports[number]
    }

    /// Returns all reports, in order of their numbers.
    #[must_use]
    pub fn all(&self) -> &[Sealed] {
        &self.reports
    }

    /// Returns the numbers of the reports of an aggregation and an epoch: those that count, or
    /// those that do not.
    #[must_use]
    pub fn numbers(&self, metric: usize, epoch: usize, counts: bool) -> Vec<usize> {
        let wanted = |report: &&Sealed| {
            report.metric == metric && report.epoch == epoch && report.counts == counts
        };
        let numbered = self.reports.iter().enumerate();
        numbered
            .filter(|(_, report)| wanted(report))
            .map(|(number, _)| number)
            .collect()
    }

    fn make() -> Self {
        let kinds = [
            Hostility::InvalidProof,
            Hostility::Undecryptable(Role::First),
            Hostility::Undecryptable(Role::Second),
            Hostility::SwappedShares,
            Hostility::ShortShare(Role::First),
        ];
        let mut reports = Vec::new();
        for (number, metric) in METRICS.iter().enumerate() {
            let metric = Metric::named(metric).expect("a metric");
            for epoch in 0..EPOCHS {
                let processors = Keyring::get().clients(number, epoch);
                let traffic =
                    Traffic::new(epoch as u64, metric, processors, None).expect("traffic");
                let mut add = |generated: Generated, counts, false_proof| {
                    reports.push(Sealed {
                        false_proof,
                        ..Sealed::from_generated(number, epoch, &generated, counts)
                    });
                };
                for index in 0..HONEST_REPORTS {
                    add(traffic.packet(index).expect("a packet"), true, false);
                }
                let mut index = HONEST_REPORTS;
                for kind in kinds {
                    for _ in 0..HOSTILE_REPORTS {
                        let counts = kind.expected_outcome() == ExpectedOutcome::Counted;
                        let false_proof = matches!(kind, Hostility::InvalidProof);
                        add(
                            traffic.hostile(index, kind).expect("a packet"),
                            counts,
                            false_proof,
                        );
                        index += 1;
                    }
                }
            }
        }
        for epoch in 0..EPOCHS {
            for number in 0..METRICS.len() {
                for index in FIRST_MOVED_INDEX..FIRST_MOVED_INDEX + HOSTILE_REPORTS {
                    reports.push(Sealed::under_other_keys(number, epoch, index));
                }
            }
        }
        Self { reports }
    }
}

/// Generates a report of a metric that no client posts for this metric.
fn made_for(metric: usize, epoch: usize, index: u64) -> Generated {
    let described = Metric::named(METRICS[metric]).expect("a metric");
    let processors = Keyring::get().clients(metric, epoch);
    let traffic = Traffic::new(epoch as u64, described, processors, None).expect("traffic");
    traffic.packet(index).expect("a packet")
}

impl Sealed {
    fn from_generated(metric: usize, epoch: usize, generated: &Generated, counts: bool) -> Self {
        let shares = &generated.report.shares;
        let pair = |side: usize| {
            (
                shares[side].payload.clone(),
                shares[side].key_id.clone().unwrap_or_default(),
            )
        };
        let ((first, first_id), (second, second_id)) = (pair(0), pair(1));
        Self {
            metric,
            epoch,
            id: generated.report.id.to_string(),
            payloads: [first, second],
            key_ids: [first_id, second_id],
            bits: generated.noisy_bits.clone(),
            counts,
            false_proof: false,
        }
    }

    /// Returns a report of the other metric that is posted for this one, under the ids of the keys
    /// to which it is sealed. The ingestor's server refuses such reports; its batcher must not put
    /// one into a batch, either.
    fn under_other_keys(metric: usize, epoch: usize, index: u64) -> Self {
        let other = METRICS.len() - 1 - metric;
        Self {
            bits: vec![false; BINS[metric]],
            ..Self::from_generated(metric, epoch, &made_for(other, epoch, index), false)
        }
    }

    /// Returns the report as a slab contains it.
    #[must_use]
    pub fn stored(&self) -> StoredReport<'_> {
        StoredReport {
            id: &self.id,
            metric: METRICS[self.metric],
            bins: i32::try_from(self.bits.len()).unwrap_or(0),
            epsilon: 8.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: &self.key_ids[0],
            key_id_second: &self.key_ids[1],
            payload_first: &self.payloads[0],
            payload_second: &self.payloads[1],
            carried_since: None,
        }
    }
}
