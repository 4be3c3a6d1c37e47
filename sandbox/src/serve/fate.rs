//! What became of one report, as it is told to a client developer.

use serde::Serialize;
use tallybox_facilitator::reason::PacketReason;
use tallybox_facilitator::roster::{BatchView, Outcome};
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::report::Problem;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};

/// How far a report has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// No report with this id was accepted.
    #[default]
    Unknown,
    /// The ingestor refused it, and keeps nothing of it.
    Refused,
    /// It stands in a slab.
    Spooled,
    /// It stands in a batch for each processor.
    Batched,
    /// Both processors have looked at it.
    Checked,
    /// Its window is summed, with it or without it.
    Summed,
    /// Its batch is in no sum, and never will be.
    GivenUp,
    /// The batcher did not batch it.
    Dropped,
}

/// What became of a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    /// The report's id.
    pub id: String,
    /// How far it has come.
    pub stage: Stage,
    /// Why the ingestor refused it the last time, if it was never kept.
    pub problem: Option<Problem>,
    /// The slab that it was kept in; the first of them, if it came again.
    pub slab: Option<String>,
    /// How often it was kept. It counts once.
    pub kept: usize,
    /// Its metric.
    pub metric: Option<String>,
    /// The ingestor's window that it is batched in, once that is planned.
    pub window: Option<Window>,
    /// The batch that it is in, for both processors.
    pub batch: Option<BatchFate>,
    /// The id that the processors know it by.
    pub packet_id: Option<String>,
    /// What the first processor found.
    pub first: ProcessorFate,
    /// What the second processor found.
    pub second: ProcessorFate,
    /// What the rosters of each window say of its batch, until one settles it.
    pub rosters: RosterFate,
    /// Whether it is in the sum.
    pub sum: SumFate,
    /// What happens next, or what to do.
    pub next: String,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchFate {
    /// What it counts for.
    pub aggregation: AggregationId,
    /// Its date.
    pub date: BatchTime,
    /// Its id.
    pub id: BatchId,
}

/// What a processor may find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// It opened its share and told its peer.
    #[serde(rename = "message")]
    Message,
    /// It told its peer nothing.
    #[serde(rename = "rejected")]
    Rejected,
    /// It has not looked.
    #[default]
    #[serde(rename = "not yet")]
    NotYet,
}

/// What a processor found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ProcessorFate {
    /// What it did.
    pub verdict: Verdict,
    /// Why it rejected the report.
    pub reason: Option<PacketReason>,
}

/// What rosters say of a batch, window by window, as each processor has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RosterFate {
    /// As the first processor has them.
    pub first: Vec<BatchView>,
    /// As the second processor has them.
    pub second: Vec<BatchView>,
}

impl RosterFate {
    /// The window that settled it, as soon as one side knows: both come to the same.
    pub(super) fn settled(&self) -> Option<(Outcome, Window)> {
        let views = self.first.iter().chain(&self.second);
        let settled = |view: &&BatchView| !matches!(view.outcome, Outcome::Open | Outcome::Waiting);
        views.into_iter().find(settled).map(|view| (view.outcome, view.window))
    }
}

/// What the sum says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SumFate {
    /// Whether the report is in it; nobody knows before there is one.
    pub counted: Option<bool>,
    /// The window whose sum it is.
    pub window: Option<Window>,
    /// Why, or why not.
    pub why: Option<String>,
}

impl From<&BatchName> for BatchFate {
    fn from(name: &BatchName) -> Self {
        Self {
            aggregation: name.aggregation.clone(),
            date: name.date,
            id: name.id,
        }
    }
}

impl From<Option<PacketReason>> for ProcessorFate {
    fn from(reason: Option<PacketReason>) -> Self {
        let verdict = reason.map_or(Verdict::Message, |_| Verdict::Rejected);
        Self { verdict, reason }
    }
}

impl Fate {
    /// Of an id that is in no slab.
    pub(super) fn unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            next: "no report with this id is kept: was it rejected at the door? the answer to its post says why; or \
                   it was deleted, two days after it was summed"
                .to_owned(),
            ..Self::default()
        }
    }

    /// Of a report that the ingestor refused.
    pub(super) fn refused(id: &str, problem: Problem) -> Self {
        Self {
            id: id.to_owned(),
            stage: Stage::Refused,
            next: problem.next.clone(),
            problem: Some(problem),
            ..Self::default()
        }
    }

    /// The batcher found that another report had its shares, or its place.
    pub(super) fn drop(&mut self, why: String) {
        self.stage = Stage::Dropped;
        self.sum = SumFate {
            counted: Some(false),
            window: None,
            why: Some(why),
        };
        "split and seal every answer afresh: a sealed share counts once, under whatever id".clone_into(&mut self.next);
    }

    /// What both processors found.
    pub(super) fn check(&mut self, found: [ProcessorFate; 2]) {
        [self.first, self.second] = found;
        if found.iter().any(|found| found.verdict == Verdict::NotYet) {
            "both processors take the batch in, in a moment".clone_into(&mut self.next);
            return;
        }
        self.stage = Stage::Checked;
        "when the window and its grace are over, both processors agree which batches they sum"
            .clone_into(&mut self.next);
    }

    /// No window has settled its batch.
    pub(super) fn wait(&mut self) {
        let stood = self.rosters.first.iter().any(|view| view.outcome == Outcome::Open);
        if self.stage == Stage::Checked && stood {
            "a window has passed without it: too few good packets, or one side could not sum it then; it is listed again \
             in the next one"
                .clone_into(&mut self.next);
        }
    }

    /// Both sides have agreed to sum it.
    pub(super) fn agree(&mut self, window: Window) {
        self.sum.window = Some(window);
        "both processors have agreed to sum its batch, and write their parts in a moment".clone_into(&mut self.next);
    }

    /// Both sides have agreed never to sum its batch.
    pub(super) fn give_up(&mut self, outcome: Outcome, window: Window) {
        self.stage = Stage::GivenUp;
        let why = match outcome {
            Outcome::Expired => format!("its batch could not be summed by {window}, its last window"),
            _ => format!("the processors found different packets of its batch good, in {window}"),
        };
        let rejected = self.rejection();
        let why = match rejected {
            Some((role, reason)) => format!(
                "{why}; the {role} processor rejected the report itself: {}",
                word(reason)
            ),
            None => why,
        };
        self.sum = SumFate {
            counted: Some(false),
            window: None,
            why: Some(why),
        };
        rejected
            .map_or("nothing: it is never counted", |(_, reason)| advice(reason))
            .clone_into(&mut self.next);
    }

    /// What the sum says of it.
    pub(super) fn sum(&mut self, window: Window, counted: bool) {
        self.stage = Stage::Summed;
        self.sum.window = Some(window);
        self.sum.counted = Some(counted);
        let (why, next) = match (counted, self.rejection()) {
            (true, _) => (
                "both processors found the proof good".to_owned(),
                "nothing: it is in the sum",
            ),
            (false, Some((role, reason))) => (
                format!("the {role} processor rejected it: {}", word(reason)),
                advice(reason),
            ),
            (false, None) => (
                "both processors opened it, and both messages together say that the proof is wrong: invalid-proof"
                    .to_owned(),
                "look at how bits, shares and proof are made; docs/clients.md has test vectors",
            ),
        };
        self.sum.why = Some(why);
        next.clone_into(&mut self.next);
    }

    fn rejection(&self) -> Option<(Role, PacketReason)> {
        let found = [(Role::First, self.first.reason), (Role::Second, self.second.reason)];
        found.into_iter().find_map(|(role, reason)| Some((role, reason?)))
    }
}

/// The word that the processors' own summaries have for a reason.
fn word(reason: PacketReason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What a client developer looks at first.
fn advice(reason: PacketReason) -> &'static str {
    match reason {
        PacketReason::BadCiphertext => {
            "a sealed share begins with a point of P-256, 65 bytes, uncompressed: look at how it is sealed"
        }
        PacketReason::Undecryptable => {
            "its key does not open it: look at which share is sealed to which key, and at the key derivation"
        }
        PacketReason::BadShare => "it opens, but holds no share of this length: look at how shares are written down",
        _ => "docs/operating.md says what this reason means",
    }
}
