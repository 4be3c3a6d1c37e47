//! The result of a run: one document for people and machines.

use std::path::PathBuf;

use serde::Serialize;
use tallybox_estimate::Debiased;

use crate::hostile::{Attack, Ending, PacketStatus, Sent};
use crate::ingestor_server::PostAnswer;

/// The result of a run. Its JSON keys are in kebab case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunOutcome {
    /// Always `done`: a run whose self-check fails returns an error instead.
    pub outcome: &'static str,
    /// The sandbox directory.
    pub directory: PathBuf,
    /// True if the directory still exists.
    pub kept: bool,
    /// The seed, if one was given.
    pub seed: Option<u64>,
    /// Number of honest packets.
    pub honest_packets: u64,
    /// Number of hostile packets.
    pub hostile_packets: u64,
    /// The metrics, in the order of the command line.
    pub metrics: Vec<MetricOutcome>,
    /// The ingestor's answers to hostile posts.
    pub door: Vec<AdmissionOutcome>,
    /// The outcomes of the hostile packets in the lying ingestor's batches.
    pub hostile: Vec<HostileOutcome>,
    /// The duration of each stage.
    pub stages: Vec<StageTiming>,
}

/// The result of one metric.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetricOutcome {
    /// Its name.
    pub name: &'static str,
    /// The meaning of its bins.
    pub meaning: &'static str,
    /// Number of bins.
    pub bins: usize,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// Number of ingestion batches for each processor.
    pub batches: usize,
    /// Number of packets in them.
    pub packets_sent: u64,
    /// Number of packets that both processors counted.
    pub packets_accepted: u64,
    /// For each bin, the number of counted clients whose answer has it set. Only a sandbox can know
    /// this.
    pub true_counts: Vec<u64>,
    /// The sum parts of the two processors.
    pub parts: [Vec<i64>; 2],
    /// The sum parts, added modulo the prime.
    pub sums: Vec<u64>,
    /// The sums with the expected noise removed.
    pub estimates: Vec<Debiased>,
    /// The headers of both sum parts, as paths relative to the sandbox directory.
    pub sum_parts: [String; 2],
    /// For metrics whose bins are the digits of a number: the sum of all numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberOutcome>,
}

/// The sum of the numbers of all clients.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NumberOutcome {
    /// The true sum.
    pub truth: u64,
    /// The portal's estimate.
    pub estimate: Debiased,
}

/// Hostile posts of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdmissionOutcome {
    /// The kind.
    pub kind: String,
    /// Number of posts.
    pub reports: u64,
    /// The ingestor's answer. Accepted reports are left to the batch job and the processors.
    pub answer: PostAnswer,
}

/// Hostile packets of one kind with the same outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostileOutcome {
    /// The kind.
    pub kind: String,
    /// The party that would send such a packet: `client` or `ingestor`.
    pub by: &'static str,
    /// Number of packets.
    pub packets: u64,
    /// The first processor's result of intake: `message`, or the reason for rejecting the packet.
    pub first: String,
    /// The second processor's result of intake.
    pub second: String,
    /// The final outcome.
    pub ending: Ending,
    /// The final outcome in a few words.
    pub verdict: String,
}

/// One stage of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StageTiming {
    /// The name of the stage.
    pub stage: &'static str,
    /// Number of packets that it processed.
    pub packets: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

impl AdmissionOutcome {
    /// Returns what happens after the ingestor's answer, in a few words.
    #[must_use]
    pub fn then(&self) -> &'static str {
        match self.answer {
            PostAnswer::AlreadyAccepted => "counted once",
            PostAnswer::Rejected(_) => "",
            PostAnswer::Accepted if self.kind.starts_with("copied") => "the batch job drops it",
            PostAnswer::Accepted => "the processors reject it",
        }
    }
}

impl RunOutcome {
    /// Records the outcome of one hostile packet.
    pub(crate) fn add_hostile(&mut self, sent: &Sent, status: &PacketStatus) {
        let [first, second] = status.intake.map(|side| side.to_string());
        let row = HostileOutcome {
            kind: sent.attack.to_string(),
            by: sent.attack.by(),
            packets: 1,
            first,
            second,
            ending: status.ending,
            verdict: status.to_string(),
        };
        let same = |other: &&mut HostileOutcome| {
            HostileOutcome {
                packets: 1,
                ..(**other).clone()
            } == row
        };
        match self.hostile.iter_mut().find(same) {
            Some(existing) => existing.packets += 1,
            None => self.hostile.push(row),
        }
    }

    /// Records the ingestor's answers to hostile posts.
    pub(crate) fn add_admissions(&mut self, answered: Vec<AdmissionOutcome>) {
        for row in answered {
            let same = |other: &&mut AdmissionOutcome| {
                other.kind == row.kind && other.answer == row.answer
            };
            match self.door.iter_mut().find(same) {
                Some(existing) => existing.reports += row.reports,
                None => self.door.push(row),
            }
        }
    }

    /// Sorts the hostile packets by kind, in the order of [`Attack::every`].
    pub(crate) fn sort_hostile(&mut self) {
        let kinds: Vec<String> = Attack::every(0, 0)
            .iter()
            .map(ToString::to_string)
            .collect();
        self.hostile
            .sort_by_key(|row| kinds.iter().position(|kind| *kind == row.kind));
    }

    /// Returns the duration of the whole run in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }
}
