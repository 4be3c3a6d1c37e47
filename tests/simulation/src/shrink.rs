//! Shrinks a failing run to a smaller one that still fails.

use crate::run::Outcome;
use crate::scenario::{Cuts, Scenario};

/// Removes aggregations, windows and faults one by one, as long as the run still fails. `run` runs
/// the seed with the given reductions.
pub fn shrink(failed: Outcome, mut run: impl FnMut(&Cuts) -> Outcome) -> Outcome {
    let mut least = failed;
    loop {
        let mut smaller = None;
        for cuts in candidates(&least) {
            let outcome = run(&cuts);
            if !outcome.problems.is_empty() {
                smaller = Some(outcome);
                break;
            }
        }
        match smaller {
            Some(outcome) => least = outcome,
            None => return least,
        }
    }
}

/// Returns all reductions that remove one thing more than the given run.
fn candidates(outcome: &Outcome) -> Vec<Cuts> {
    let scenario = Scenario::new(outcome.seed, &outcome.cuts);
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Cuts)| {
        let mut cuts = outcome.cuts.clone();
        change(&mut cuts);
        all.push(cuts);
    };
    if scenario.metrics > 1 {
        with(&|cuts| cuts.metrics = Some(1));
    }
    if scenario.windows > 1 {
        with(&|cuts| cuts.windows = Some(scenario.windows / 2));
        with(&|cuts| cuts.windows = Some(scenario.windows - 1));
    }
    for trouble in &scenario.troubles {
        with(&|cuts| {
            cuts.without.insert(*trouble);
        });
    }
    all
}
