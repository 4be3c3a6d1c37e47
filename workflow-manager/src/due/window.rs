//! The next step of one window, and what it waits for.

use std::collections::BTreeSet;
use tallybox_model::extensions::Mode;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{TaskName, WindowBatches, WindowKind};
use tallybox_model::time::{BatchTime, Window};

use super::report::{BatchCounts, WindowReport, WindowStage};
use super::{AggregationAssessor, Assessment, Turn};
use crate::inventory::{Aggregation, WindowState, batch_name, window_name};
use crate::work::{Due, Why};

/// The next step of a window.
enum Step {
    /// A task to start, unless an earlier start may still be running; without rosters, with the
    /// batches to sum.
    Task(WindowKind, Option<WindowBatches>, Why),
    /// No task can be started.
    Wait(WindowStage),
}

impl AggregationAssessor<'_> {
    /// Returns whether a roster task is this window's next step. The task of a window includes all
    /// windows before it, because rosters are written and agreed on in order.
    pub(super) fn needs_rosters(&self, window: Window) -> bool {
        let state = self.aggregation.windows.get(&window);
        let task = state.map_or(Some(WindowKind::Roster), roster_task);
        task.is_some() && self.mode(window) == Mode::Roster && self.is_closed(window)
    }

    fn is_closed(&self, window: Window) -> bool {
        self.policy.closes(window) <= self.now
    }

    /// Assesses a window; `last` is the last window that needs rosters.
    pub(super) fn window(&self, window: Window, last: Option<Window>, all: &mut Assessment) {
        let nothing = WindowState::default();
        let state = self.aggregation.windows.get(&window).unwrap_or(&nothing);
        let name = window_name(self.name, window);
        let (mode, closed) = (self.mode(window), self.is_closed(window));
        let (mut skipped, mut late) = (Vec::new(), Vec::new());
        if mode == Mode::Enpa {
            late = self.late(window, state);
            if closed && !state.done {
                skipped = self.skipped(&name, state);
            }
        }
        let step = match (self.step(&name, state, mode, closed, skipped.len()), last) {
            (Step::Task(task @ (WindowKind::Roster | WindowKind::Agree), ..), Some(last))
                if window < last =>
            {
                Step::Wait(WindowStage::WithLater { task, window: last })
            }
            (step, _) => step,
        };
        let (stage, attempt) = self.apply(&name, step, state, all);
        all.windows.push(WindowReport {
            name,
            mode,
            stage,
            attempt,
            closes: self.policy.closes(window),
            counts: self.counts(window),
            named: state.fixed.as_ref().map(|fixed| fixed.batches.len()),
            skipped: skipped.clone(),
            late: late.clone(),
        });
        all.skipped.extend(skipped);
        all.late.extend(late);
    }

    fn step(
        &self,
        name: &WindowName,
        state: &WindowState,
        mode: Mode,
        closed: bool,
        skipped: usize,
    ) -> Step {
        if state.done {
            return Step::Wait(WindowStage::Done);
        }
        if !closed {
            let ended = name.window.end() <= self.now;
            return Step::Wait(if ended {
                WindowStage::Grace
            } else {
                WindowStage::Collecting
            });
        }
        // Before any task: a held window waits for an operator.
        if state.held && !state.released {
            return Step::Wait(WindowStage::Held);
        }
        match mode {
            Mode::Undecided => Step::Wait(WindowStage::Undecided),
            Mode::Roster => match roster_task(state) {
                Some(WindowKind::Agree) => Step::Task(WindowKind::Agree, None, Why::BothRosters),
                Some(task) => Step::Task(task, None, Why::NoRoster),
                None if state.agreed => Step::Task(WindowKind::Aggregate, None, Why::Agreed),
                None => Step::Wait(WindowStage::PeerRoster),
            },
            Mode::Enpa => self.enpa(name, state, skipped),
        }
    }

    /// Returns the step of a window without rosters, as in ENPA: sum once the batches that are
    /// complete here and validated by the peer. The first task fixes the set of batches.
    fn enpa(&self, name: &WindowName, state: &WindowState, skipped: usize) -> Step {
        let waits_until = self.policy.waits_until(name.window);
        let batches = match &state.fixed {
            Some(fixed) => fixed.clone(),
            // The missing side may still follow. Waiting makes it more likely that both processors
            // name the same batches.
            None if self.now < waits_until && self.counts(name.window).one_sided > 0 => {
                return Step::Wait(WindowStage::OneSided { until: waits_until });
            }
            None => choose(self.aggregation, name, self.now),
        };
        if batches.batches.is_empty() {
            return Step::Wait(match skipped {
                0 => WindowStage::Empty,
                _ => WindowStage::PeerValidations,
            });
        }
        let why = Why::Closed {
            named: batches.batches.len(),
            skipped: batches.skipped.len(),
        };
        Step::Task(WindowKind::Aggregate, Some(batches), why)
    }

    fn apply(
        &self,
        name: &WindowName,
        step: Step,
        state: &WindowState,
        all: &mut Assessment,
    ) -> (WindowStage, u32) {
        match step {
            Step::Wait(stage) => (stage, 0),
            Step::Task(kind, batches, why) => match self.turn(state.started.get(&kind).copied()) {
                Turn::Now { attempt, last } => {
                    all.due.push(Due {
                        task: TaskName::Window(kind, name.clone()),
                        batches,
                        attempt,
                        why,
                        last,
                    });
                    (WindowStage::Due { task: kind }, attempt)
                }
                Turn::Running { attempt, at } => (WindowStage::Started { task: kind, at }, attempt),
            },
        }
    }

    /// Returns complete batches that the peer has not validated: those missing when the window's
    /// batches were fixed, or those missing now.
    fn skipped(&self, name: &WindowName, state: &WindowState) -> Vec<BatchName> {
        match &state.fixed {
            Some(fixed) => fixed.skipped.clone(),
            None => choose(self.aggregation, name, self.now).skipped,
        }
    }

    /// Returns complete batches that are neither in the window's task nor had been skipped by the
    /// peer when the task was fixed. They arrived later, or our intake was not done by then.
    fn late(&self, window: Window, state: &WindowState) -> Vec<BatchName> {
        let Some(fixed) = &state.fixed else {
            return Vec::new();
        };
        let named = fixed.batches.iter().chain(&fixed.skipped);
        let named: BTreeSet<(BatchTime, BatchId)> =
            named.map(|batch| (batch.date, batch.id)).collect();
        self.aggregation
            .batches_in(window)
            .filter(|(date, id, batch)| batch.ready() && !named.contains(&(*date, *id)))
            .map(|(date, id, _)| batch_name(self.name, date, id))
            .collect()
    }

    fn counts(&self, window: Window) -> BatchCounts {
        let mut counts = BatchCounts::default();
        for (_, _, batch) in self.aggregation.batches_in(window) {
            counts.complete += u64::from(batch.ready());
            counts.incomplete += u64::from(!batch.ready());
            counts.taken_in += u64::from(batch.prepared);
            counts.validated += u64::from(batch.validated);
            counts.one_sided += u64::from(batch.ready() && !(batch.prepared && batch.validated));
        }
        counts
    }
}

/// Returns the roster task that a closed window still needs and that can be started.
fn roster_task(state: &WindowState) -> Option<WindowKind> {
    match (
        state.done || state.agreed,
        state.our_roster,
        state.peer_roster,
    ) {
        (false, false, _) => Some(WindowKind::Roster),
        (false, true, true) => Some(WindowKind::Agree),
        (true, ..) | (false, true, false) => None,
    }
}

/// Returns the batches that a window's task would name now: complete, processed by our intake, and
/// validated by the peer.
///
/// Without our intake there is no validation from us, so the peer cannot sum the batch. Naming it
/// would give sum parts over different batches, or no sum part at all if no key of ours opens it.
pub(super) fn choose(
    aggregation: &Aggregation,
    name: &WindowName,
    now: BatchTime,
) -> WindowBatches {
    let mut chosen = WindowBatches {
        fixed: now,
        batches: Vec::new(),
        skipped: Vec::new(),
    };
    for (date, id, batch) in aggregation.batches_in(name.window) {
        let list = match (batch.ready(), batch.validated) {
            (true, true) if batch.prepared => &mut chosen.batches,
            (true, false) => &mut chosen.skipped,
            _ => continue,
        };
        list.push(batch_name(&name.aggregation, date, id));
    }
    chosen
}
