//! Windows that have passed the horizon. They are not processed any more, so operators have to know
//! which of them were never summed.

use std::collections::BTreeSet;
use tallybox_model::extensions::Mode;
use tallybox_model::time::Window;

use super::{AggregationAssessor, Assessment};
use crate::inventory::{Started, StartedAt, window_name};

impl AggregationAssessor<'_> {
    /// Adds the windows that have passed the horizon and are not done.
    pub(super) fn passed(&self, all: &mut Assessment) {
        let given_up = &self.aggregation.given_up;
        let open = given_up.iter().filter(|(_, acknowledged)| !**acknowledged);
        all.given_up
            .extend(open.map(|(window, _)| window_name(self.name, *window)));
        let new = self
            .passed_windows()
            .into_iter()
            .filter(|window| !given_up.contains_key(window));
        all.passed
            .extend(new.map(|window| window_name(self.name, window)));
    }

    /// Returns the windows that have passed the horizon, contain something, and are not done.
    fn passed_windows(&self) -> BTreeSet<Window> {
        let (from, until) = (self.inventory.scope.passed, self.inventory.scope.windows.0);
        let holds_something = self.aggregation.batches.iter();
        let holds_something = holds_something
            .filter(|(_, batch)| batch.signature || batch.prepared || batch.validated);
        let batch_windows =
            holds_something.filter_map(|((date, _), _)| self.policy.window_of(*date));
        let state_windows = self.aggregation.windows.iter();
        let state_windows = state_windows
            .filter(|(window, state)| state.fixed.is_some() || self.mode(**window) == Mode::Roster);
        // Tasks of ENPA's workflow manager leave no outcome, so a started one counts as done.
        let is_done = |window: &Window| {
            let state = self.aggregation.windows.get(window);
            state.is_some_and(|state| {
                state.done
                    || state
                        .started
                        .values()
                        .any(|started| started_by_predecessor(*started))
            })
        };
        batch_windows
            .chain(state_windows.map(|(window, _)| *window))
            .filter(|window| self.policy.window_of(window.start()) == Some(*window))
            .filter(|window| from <= window.start() && window.start() < until && !is_done(window))
            .collect()
    }
}

/// Returns whether ENPA's workflow manager started the task. Such a task leaves no visible outcome.
fn started_by_predecessor(started: Started) -> bool {
    started.at == StartedAt::Predecessor
}
