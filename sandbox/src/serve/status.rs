//! The status of one report, as the debug pages show it to a client developer.

use std::fmt;

use serde::Serialize;
use tallybox_facilitator::reason::PacketReason;
use tallybox_facilitator::roster::{AgreementOutcome, BatchView};
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::report::Problem;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};

/// The progress of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportStage {
    /// The ingestor has accepted no report with this id.
    #[default]
    Unknown,
    /// The ingestor refused the report and stored nothing of it.
    Refused,
    /// The report is in a slab.
    Spooled,
    /// The report is in a batch for each processor.
    Batched,
    /// Both processors have done the intake of its batch.
    Checked,
    /// Its window is summed; the report may or may not be counted.
    Summed,
    /// Its batch is in no sum, and never will be.
    GivenUp,
    /// The batch job dropped the report.
    Dropped,
}

/// The trace of a report through all roles: its status, and what each of them stores about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportTrace {
    /// The report's id.
    pub id: String,
    /// Its progress.
    pub stage: ReportStage,
    /// The ingestor's last refusal, if the report was never stored.
    pub problem: Option<Problem>,
    /// The slab that stores it; the first one if it was stored several times.
    pub slab: Option<String>,
    /// How often it was stored. It is counted at most once.
    pub kept: usize,
    /// Its metric.
    pub metric: Option<String>,
    /// The ingestor's window in which it is batched, once the window is planned.
    pub window: Option<Window>,
    /// The batch that contains it, at both processors.
    pub batch: Option<ReportBatch>,
    /// The packet id that the processors use for it.
    pub packet_id: Option<String>,
    /// The first processor's result of intake.
    pub first: ProcessorStatus,
    /// The second processor's result of intake.
    pub second: ProcessorStatus,
    /// The entries of its batch in the rosters of each window, up to the window that decides it.
    pub rosters: RosterStatus,
    /// Its place in the sum.
    pub sum: SumStatus,
    /// What happens next, or what the developer should do.
    pub next: String,
}

/// The batch that contains a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportBatch {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// Its date.
    pub date: BatchTime,
    /// Its id.
    pub id: BatchId,
}

/// The result of a packet's intake at one processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum IntakeStatus {
    /// The processor opened its share and sent a verification message to its peer.
    #[serde(rename = "message")]
    Message,
    /// The processor sent no verification message.
    #[serde(rename = "rejected")]
    Rejected,
    /// The processor has not done the intake yet.
    #[default]
    #[serde(rename = "not yet")]
    NotYet,
}

/// A packet's intake at one processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ProcessorStatus {
    /// The result.
    pub verdict: IntakeStatus,
    /// The reason for a rejection.
    pub reason: Option<PacketReason>,
}

/// A batch in the rosters, window by window, as each processor stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RosterStatus {
    /// As stored by the first processor.
    pub first: Vec<BatchView>,
    /// As stored by the second processor.
    pub second: Vec<BatchView>,
}

impl RosterStatus {
    /// Returns the window that decided the batch. One side's view is sufficient, because both
    /// decide alike.
    pub(super) fn decided(&self) -> Option<(AgreementOutcome, Window)> {
        let views = self.first.iter().chain(&self.second);
        let decided = |view: &&BatchView| {
            !matches!(
                view.outcome,
                AgreementOutcome::Open | AgreementOutcome::Waiting
            )
        };
        views
            .into_iter()
            .find(decided)
            .map(|view| (view.outcome, view.window))
    }
}

/// A report's place in the sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SumStatus {
    /// True if the report is counted; `None` before its window is summed or its batch is decided.
    pub counted: Option<bool>,
    /// The window of the sum.
    pub window: Option<Window>,
    /// The reason.
    pub why: Option<String>,
}

impl From<&BatchName> for ReportBatch {
    fn from(name: &BatchName) -> Self {
        Self {
            aggregation: name.aggregation.clone(),
            date: name.date,
            id: name.id,
        }
    }
}

impl From<Option<PacketReason>> for ProcessorStatus {
    fn from(reason: Option<PacketReason>) -> Self {
        let result = reason.map_or(IntakeStatus::Message, |_| IntakeStatus::Rejected);
        Self {
            verdict: result,
            reason,
        }
    }
}

impl fmt::Display for ProcessorStatus {
    /// Writes the reason of a rejection as in the processors' own summaries, or `message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => f.write_str(&reason_text(reason)),
            None => f.write_str("message"),
        }
    }
}

impl ReportTrace {
    /// The status of an id that is in no slab.
    pub(super) fn unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            next: "no report with this id is stored: the ingestor refused it, see the answer to its post; or its \
                   slab was deleted some time after its batch was written"
                .to_owned(),
            ..Self::default()
        }
    }

    /// The status of a report that the ingestor refused.
    pub(super) fn refused(id: &str, problem: Problem) -> Self {
        Self {
            id: id.to_owned(),
            stage: ReportStage::Refused,
            next: problem.next.clone(),
            problem: Some(problem),
            ..Self::default()
        }
    }

    /// Marks the report as dropped by the batch job: another report has its shares.
    pub(super) fn drop(&mut self, why: String) {
        self.stage = ReportStage::Dropped;
        self.sum = SumStatus {
            counted: Some(false),
            window: None,
            why: Some(why),
        };
        "split and encrypt the answer of each report separately: an encrypted share is counted once"
            .clone_into(&mut self.next);
    }

    /// Records the intake results of both processors.
    pub(super) fn check(&mut self, found: [ProcessorStatus; 2]) {
        [self.first, self.second] = found;
        if found
            .iter()
            .any(|found| found.verdict == IntakeStatus::NotYet)
        {
            "the intake of the batch at both processors follows shortly".clone_into(&mut self.next);
            return;
        }
        self.stage = ReportStage::Checked;
        "when the window and its grace period are over, both processors agree which batches they sum"
            .clone_into(&mut self.next);
    }

    /// Updates the hint of a report whose batch is not decided yet.
    pub(super) fn wait(&mut self) {
        let was_listed = self
            .rosters
            .first
            .iter()
            .any(|view| view.outcome == AgreementOutcome::Open);
        if self.stage == ReportStage::Checked && was_listed {
            "a window ended without it: too few valid packets, or one side could not sum the batch; the next \
             window lists it again"
                .clone_into(&mut self.next);
        }
    }

    /// Records that both sides have agreed to sum the batch in a window.
    pub(super) fn agree(&mut self, window: Window) {
        self.sum.window = Some(window);
        "both processors have agreed to sum its batch, and write their sum parts shortly"
            .clone_into(&mut self.next);
    }

    /// Records that both sides have agreed never to sum the batch.
    pub(super) fn give_up(&mut self, outcome: AgreementOutcome, window: Window) {
        self.stage = ReportStage::GivenUp;
        let why = match outcome {
            AgreementOutcome::Expired => {
                format!("its batch could not be summed by {window}, its last window")
            }
            _ => format!("the processors accepted different packets of its batch, in {window}"),
        };
        let rejected = self.rejection();
        let why = match rejected {
            Some((role, reason)) => format!(
                "{why}; the {role} processor rejected the report itself: {}",
                reason_text(reason)
            ),
            None => why,
        };
        self.sum = SumStatus {
            counted: Some(false),
            window: None,
            why: Some(why),
        };
        rejected
            .map_or("nothing: it is never counted", |(_, reason)| advice(reason))
            .clone_into(&mut self.next);
    }

    /// Records whether the sum of a window contains the report.
    pub(super) fn sum(&mut self, window: Window, counted: bool) {
        self.stage = ReportStage::Summed;
        self.sum.window = Some(window);
        self.sum.counted = Some(counted);
        let (why, next) = match (counted, self.rejection()) {
            (true, _) => (
                "both processors accepted the proof".to_owned(),
                "nothing: it is in the sum",
            ),
            (false, Some((role, reason))) => (
                format!("the {role} processor rejected it: {}", reason_text(reason)),
                advice(reason),
            ),
            (false, None) => (
                "both processors decrypted it, but their messages show an invalid proof: invalid-proof".to_owned(),
                "check how bits, shares and proof are made; docs/clients.md has test vectors",
            ),
        };
        self.sum.why = Some(why);
        next.clone_into(&mut self.next);
    }

    fn rejection(&self) -> Option<(Role, PacketReason)> {
        let found = [
            (Role::First, self.first.reason),
            (Role::Second, self.second.reason),
        ];
        found
            .into_iter()
            .find_map(|(role, reason)| Some((role, reason?)))
    }
}

/// Returns the name of a reason as in the processors' own summaries.
fn reason_text(reason: PacketReason) -> String {
    let name = serde_json::to_value(reason).ok();
    name.and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Returns what a client developer should check first for a reason.
fn advice(reason: PacketReason) -> &'static str {
    match reason {
        PacketReason::BadCiphertext => {
            "the encrypted share must begin with an uncompressed P-256 point of 65 bytes"
        }
        PacketReason::Undecryptable => {
            "decryption fails: check which share is encrypted to which key, and the key derivation"
        }
        PacketReason::BadShare => {
            "the decrypted bytes are not a valid share: check length and encoding"
        }
        _ => "docs/operating.md explains this reason",
    }
}
