//! Determines the work that is due: a pure function of the inventory, the time and the policy.
//!
//! No window is skipped. Work that was missed while the program was down is due when it runs again,
//! oldest first, up to the horizon. One task, that of the newest window, writes the rosters of all
//! windows that need one.

mod batch;
mod passed;
mod report;
mod restart;
mod window;

pub(crate) use report::mode_name;
pub use report::{BatchCounts, BatchReport, BatchStage, WindowReport, WindowStage};
pub use restart::{plan_batch_restart, plan_window_restart};

use std::collections::BTreeSet;
use tallybox_model::extensions::Mode;
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::time::{BatchTime, Window};

use crate::inventory::{Aggregation, Inventory, Started, StartedAt};
use crate::policy::Policy;
use crate::work::Due;

/// The complete assessment of an inventory.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    /// Work that is due now, in the order in which to start it.
    pub due: Vec<Due>,
    /// Every window of the scope with any record or batch, by aggregation, oldest first.
    pub windows: Vec<WindowReport>,
    /// Every batch that was seen, by aggregation, oldest first.
    pub batches: Vec<BatchReport>,
    /// Complete batches of closed, unsummed windows that the peer has not validated; without
    /// rosters only.
    pub skipped: Vec<BatchName>,
    /// Complete batches that arrived after their window's task was fixed; without rosters only.
    pub late: Vec<BatchName>,
    /// Windows that have passed the horizon without being done, and are not recorded as given up
    /// yet.
    pub passed: Vec<WindowName>,
    /// Windows that were given up and that no operator has acknowledged.
    pub given_up: Vec<WindowName>,
}

/// Assesses every batch and every window.
#[must_use]
pub fn assess(inventory: &Inventory, now: BatchTime, policy: &Policy) -> Assessment {
    let mut all = Assessment::default();
    for (name, aggregation) in &inventory.aggregations {
        let assessor = AggregationAssessor {
            inventory,
            name,
            aggregation,
            now,
            policy,
        };
        for ((date, id), batch) in &aggregation.batches {
            if assessor.is_in_scope(*date) {
                assessor.batch(*date, *id, batch, &mut all);
            }
        }
        let windows = assessor.windows();
        // The roster task of the last window includes the earlier ones.
        let last = windows
            .iter()
            .rev()
            .copied()
            .find(|window| assessor.needs_rosters(*window));
        for window in windows {
            assessor.window(window, last, &mut all);
        }
        assessor.passed(&mut all);
    }
    all.due
        .sort_by_cached_key(|due| (due.task.queue(), due.task.start(), due.task.clone()));
    all
}

/// One aggregation and the inputs of its assessment.
struct AggregationAssessor<'a> {
    inventory: &'a Inventory,
    name: &'a AggregationId,
    aggregation: &'a Aggregation,
    now: BatchTime,
    policy: &'a Policy,
}

impl AggregationAssessor<'_> {
    /// Returns the windows with any record or batch, oldest first. With rosters, the windows
    /// between them are included, because no roster is skipped.
    fn windows(&self) -> Vec<Window> {
        let (from, until) = self.inventory.scope.windows;
        let batch_windows = self.aggregation.batches.keys();
        let batch_windows = batch_windows.filter_map(|(date, _)| self.policy.window_of(*date));
        let state_windows = self.aggregation.windows.keys().copied();
        let mut windows: BTreeSet<Window> = batch_windows
            .chain(state_windows)
            // Windows of another length date from before a change of the setting and were completed
            // then.
            .filter(|window| self.policy.window_of(window.start()) == Some(*window))
            .filter(|window| from <= window.start() && window.start() < until)
            .collect();
        if let Some(first) = windows.first() {
            let between = self.policy.windows(first.start(), until);
            let between = between.take_while(|window| self.policy.closes(*window) <= self.now);
            windows.extend(between.filter(|window| self.mode(*window) != Mode::Enpa));
        }
        windows.into_iter().collect()
    }

    /// Returns whether a batch is assessed for its own sake, and not only because its window has
    /// passed the horizon.
    fn is_in_scope(&self, date: BatchTime) -> bool {
        let scope = &self.inventory.scope;
        let window = self.policy.window_of(date);
        date >= scope.batches.0 || window.is_none_or(|window| window.start() >= scope.windows.0)
    }

    fn mode(&self, window: Window) -> Mode {
        self.inventory.rosters.mode(window.start())
    }

    /// Determines from the last marker whether a task may be started.
    fn turn(&self, started: Option<Started>) -> Turn {
        match started {
            None => Turn::Now {
                attempt: 1,
                last: None,
            },
            Some(Started { attempt, at }) => match at {
                StartedAt::Time(at) | StartedAt::Since(at)
                    if self.policy.restarts(at) > self.now =>
                {
                    Turn::Running {
                        attempt,
                        at: Some(at),
                    }
                }
                // Never started again, because its outcome is not visible.
                StartedAt::Predecessor => Turn::Running { attempt, at: None },
                StartedAt::Time(at) | StartedAt::Since(at) => Turn::Now {
                    attempt: attempt.saturating_add(1),
                    last: Some(at),
                },
            },
        }
    }
}

/// Whether a task may be started.
enum Turn {
    /// The task may be started.
    Now {
        attempt: u32,
        last: Option<BatchTime>,
    },
    /// The task has been started and may still run. Without a time, ENPA's workflow manager started
    /// it.
    Running { attempt: u32, at: Option<BatchTime> },
}

#[cfg(test)]
mod tests;
