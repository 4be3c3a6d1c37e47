//! A report that is being posted, and the effect of responses on it.

use std::time::Duration;

use tallybox_model::report::{Problem, ReportResult, ReportStatus};

use super::decision::{Decision, decide};
use super::reply::Reply;
use super::{Cause, PostOutcome, Prepared};
use crate::config::TrustedConfig;

/// A report that is being posted.
pub(super) struct Slot {
    pub(super) report: Prepared,
    pub(super) state: State,
    renewed: bool,
}

pub(super) enum State {
    /// To be posted; the cause is that of the last failure.
    Open(Cause),
    /// To be made again, because of this problem.
    Stale(Problem),
    Done(PostOutcome),
}

/// Applies the response to a post to each of its reports.
pub(super) fn apply(slots: &mut [Slot], group: &[usize], reply: Reply) {
    match reply {
        Reply::Results(results) => {
            for (&index, result) in group.iter().zip(results) {
                slots[index].set_result(result);
            }
        }
        Reply::Problem(problem) => {
            for &index in group {
                slots[index].refuse(problem.clone());
            }
        }
        Reply::Nothing(cause) => {
            for &index in group {
                slots[index].state = State::Open(cause.clone());
            }
        }
    }
}

impl Slot {
    pub(super) fn new(report: Prepared) -> Self {
        Self {
            report,
            state: State::Open(Cause::Unreachable),
            renewed: false,
        }
    }

    /// Applies the ingestor's result for this report.
    fn set_result(&mut self, result: ReportResult) {
        // A result with another id does not belong to this report.
        if result.uuid != self.report.upload().id {
            self.state = State::Open(Cause::Answer);
            return;
        }
        match (result.status, result.problem) {
            (ReportStatus::Accepted, _) => self.state = State::Done(PostOutcome::Accepted),
            (ReportStatus::AlreadyAccepted, _) => {
                self.state = State::Done(PostOutcome::AlreadyAccepted)
            }
            (ReportStatus::Rejected, Some(problem)) => self.refuse(problem),
            (ReportStatus::Rejected, None) => self.state = State::Open(Cause::Answer),
        }
    }

    fn refuse(&mut self, problem: Problem) {
        self.state = match decide(&problem) {
            Decision::Retry => State::Open(Cause::Problem(problem)),
            Decision::Renew if !self.renewed => State::Stale(problem),
            Decision::Postpone => State::Done(self.later(Duration::ZERO, Cause::Problem(problem))),
            // Includes a report that was made again already, and a single report that is too large.
            Decision::Renew | Decision::Halve | Decision::Drop => {
                State::Done(PostOutcome::Dropped(problem))
            }
        };
    }

    /// Makes an outdated report again, once.
    pub(super) fn renew(
        &mut self,
        config: Option<&TrustedConfig>,
        make: impl FnOnce(&TrustedConfig, &Prepared) -> Option<Prepared>,
    ) {
        let State::Stale(problem) = &self.state else {
            return;
        };
        let Some(config) = config else {
            self.state = State::Open(Cause::Problem(problem.clone()));
            return;
        };
        // Set whatever the result, so that a report is made again at most once.
        self.renewed = true;
        self.state = match make(config, &self.report) {
            Some(report) => {
                self.report = report;
                State::Open(Cause::Problem(problem.clone()))
            }
            None => State::Done(PostOutcome::Dropped(problem.clone())),
        };
    }

    fn later(&self, after: Duration, cause: Cause) -> PostOutcome {
        PostOutcome::TryLater {
            after,
            report: Box::new(self.report.clone()),
            cause,
        }
    }

    pub(super) fn finish(mut self, after: Duration) -> PostOutcome {
        match std::mem::replace(&mut self.state, State::Open(Cause::Answer)) {
            State::Done(outcome) => outcome,
            State::Open(cause) => self.later(after, cause),
            State::Stale(problem) => self.later(after, Cause::Problem(problem)),
        }
    }
}
