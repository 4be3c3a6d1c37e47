//! What a run came to: one document for people and machines.

use std::path::PathBuf;

use serde::Serialize;
use tallybox_client::Estimate;

use crate::door::DoorAnswer;
use crate::hostile::{Answer, Attack, Ending, Fate, Sent};

/// The whole run. As JSON, keys are in kebab case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Always `done`: a run whose self-check fails has no outcome but an error.
    pub outcome: &'static str,
    /// Where everything was written.
    pub directory: PathBuf,
    /// Whether it is still there.
    pub kept: bool,
    /// The seed, if there was one.
    pub seed: Option<u64>,
    /// Packets of honest clients.
    pub honest_packets: u64,
    /// Hostile packets.
    pub hostile_packets: u64,
    /// The metrics, in the order asked for.
    pub metrics: Vec<MetricOutcome>,
    /// What the door answered to hostile posts.
    pub door: Vec<DoorOutcome>,
    /// What became of the hostile packets that a lying ingestor let through, or made.
    pub hostile: Vec<HostileOutcome>,
    /// What took how long.
    pub stages: Vec<Stage>,
}

/// One metric.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MetricOutcome {
    /// Its name.
    pub name: &'static str,
    /// What its bins stand for.
    pub meaning: &'static str,
    /// Number of bins.
    pub bins: usize,
    /// Parameter of the randomised response.
    pub epsilon: f64,
    /// Ingestion batches, for each processor.
    pub batches: usize,
    /// Packets in them.
    pub packets_sent: u64,
    /// Packets that both processors counted.
    pub packets_accepted: u64,
    /// For each bin, how many of the counted clients' answers have it set. Nobody but a sandbox knows this.
    pub true_counts: Vec<u64>,
    /// Each processor's part of the sums.
    pub parts: [Vec<i64>; 2],
    /// The parts added modulo the prime.
    pub sums: Vec<u64>,
    /// The sums without the noise.
    pub estimates: Vec<Estimate>,
    /// The headers of both sum parts, relative to the sandbox's directory.
    pub sum_parts: [String; 2],
    /// For metrics whose bins are the digits of a number: the sum of all numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberOutcome>,
}

/// The sum of all clients' numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NumberOutcome {
    /// As the clients know it.
    pub truth: u64,
    /// As the portal sees it.
    pub estimate: Estimate,
}

/// Hostile posts of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DoorOutcome {
    /// The kind.
    pub kind: String,
    /// How many there were.
    pub reports: u64,
    /// What each was answered; one that was accepted is left to the batcher and the processors.
    pub answer: DoorAnswer,
}

/// Hostile packets of one kind with one fate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostileOutcome {
    /// The kind.
    pub kind: String,
    /// Who would do it: `client` or `ingestor`.
    pub by: &'static str,
    /// How many there were.
    pub packets: u64,
    /// What the first processor did at intake: `message`, or its reason to send none.
    pub first: Answer,
    /// What the second processor did.
    pub second: Answer,
    /// What came of it.
    pub ending: Ending,
    /// The same in a few words.
    pub verdict: String,
}

/// A part of the run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    /// What was done.
    pub stage: &'static str,
    /// Packets that went through.
    pub packets: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl DoorOutcome {
    /// What becomes of it behind the door, in a few words.
    #[must_use]
    pub fn then(&self) -> &'static str {
        match self.answer {
            DoorAnswer::AlreadyAccepted => "counted once",
            DoorAnswer::Rejected(_) => "",
            DoorAnswer::Accepted if self.kind.starts_with("copied") => "the batcher drops it",
            DoorAnswer::Accepted => "the processors reject it",
        }
    }
}

impl Outcome {
    /// Notes one hostile packet and what became of it.
    pub(crate) fn add_hostile(&mut self, sent: &Sent, fate: &Fate) {
        let [first, second] = fate.intake;
        let row = HostileOutcome {
            kind: sent.attack.to_string(),
            by: sent.attack.by(),
            packets: 1,
            first,
            second,
            ending: fate.ending,
            verdict: fate.to_string(),
        };
        let same = |other: &&mut HostileOutcome| {
            HostileOutcome {
                packets: 1,
                ..(**other).clone()
            } == row
        };
        match self.hostile.iter_mut().find(same) {
            Some(known) => known.packets += 1,
            None => self.hostile.push(row),
        }
    }

    /// Notes what the door answered.
    pub(crate) fn add_door(&mut self, answered: Vec<DoorOutcome>) {
        for row in answered {
            let same = |other: &&mut DoorOutcome| other.kind == row.kind && other.answer == row.answer;
            match self.door.iter_mut().find(same) {
                Some(known) => known.reports += row.reports,
                None => self.door.push(row),
            }
        }
    }

    /// Brings the kinds of hostile packets into the order of [`Attack::every`].
    pub(crate) fn sort_hostile(&mut self) {
        let kinds: Vec<String> = Attack::every(0, 0).iter().map(ToString::to_string).collect();
        self.hostile
            .sort_by_key(|row| kinds.iter().position(|kind| *kind == row.kind));
    }

    /// Time of the whole run, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }
}
