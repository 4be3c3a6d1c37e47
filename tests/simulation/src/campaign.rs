//! Many seeds on all cores: which fail, and what happened in all of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::counts::Counts;
use crate::run::{Outcome, run};
use crate::scenario::Cuts;
use crate::shrink::shrink;

/// A run that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// What is taken away from all of them.
    pub cuts: Cuts,
    /// Prints every event; for one seed.
    pub trace: bool,
    /// Every so many seeds one is run twice and has to come to the same bytes; 0 for none.
    pub twice_every: u64,
    /// Stops at the first failure.
    pub stop_at_first: bool,
    /// Threads that run seeds.
    pub threads: usize,
}

/// What came of a campaign: the last line of output.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds in which a property did not hold.
    pub failed: u64,
    /// The first seed.
    pub first_seed: u64,
    /// The fault that was switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// Seeds that were run twice to see whether they are the same each time.
    pub run_twice: u64,
    /// Time, in seconds.
    pub seconds: f64,
    /// Seeds a second.
    pub seeds_per_second: f64,
    /// What happened.
    pub counts: Counts,
}

#[derive(Debug, Default)]
struct Tally {
    counts: Counts,
    failures: Vec<Outcome>,
    done: u64,
    twice: u64,
}

impl Campaign {
    /// Runs all seeds. `told` hears of each that is done: how many are, and how many failed.
    pub fn run(&self, told: impl Fn(u64, u64) + Sync) -> (Report, Vec<Outcome>) {
        let (begun, next, stop) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    let runtime = runtime();
                    while !stop.load(Ordering::SeqCst) {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= self.seeds {
                            return;
                        }
                        let (outcome, twice) = self.one(&runtime, number);
                        let failed = !outcome.problems.is_empty();
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        tally.counts.merge(&outcome.counts);
                        tally.done += 1;
                        tally.twice += u64::from(twice);
                        if failed {
                            tally.failures.push(outcome);
                            stop.fetch_or(self.stop_at_first, Ordering::SeqCst);
                        }
                        told(tally.done, tally.failures.len() as u64);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally.failures.sort_by_key(|outcome| outcome.seed);
        let seconds = begun.elapsed().as_secs_f64();
        let report = Report {
            seeds: tally.done,
            failed: tally.failures.len() as u64,
            first_seed: self.first,
            bug: None,
            run_twice: tally.twice,
            seconds,
            seeds_per_second: tally.done as f64 / seconds.max(1e-9),
            counts: tally.counts,
        };
        (report, tally.failures)
    }

    fn one(&self, runtime: &Runtime, number: u64) -> (Outcome, bool) {
        let seed = self.first + number;
        let mut outcome = self.once(runtime, seed, &self.cuts);
        let twice = self.twice_every > 0 && number.is_multiple_of(self.twice_every);
        if twice && self.once(runtime, seed, &self.cuts).digest != outcome.digest {
            let problem = "two runs of this seed are not the same: something is not deterministic".to_owned();
            outcome.problems.push(problem);
        }
        (outcome, twice)
    }

    fn once(&self, runtime: &Runtime, seed: u64, cuts: &Cuts) -> Outcome {
        let trace = self.trace;
        runtime.block_on(async {
            let done = tokio::time::timeout(PATIENCE, run(seed, cuts, trace)).await;
            done.unwrap_or_else(|_| Outcome {
                seed,
                cuts: cuts.clone(),
                world: String::new(),
                problems: vec![format!("it hangs: nothing happens for {} s", PATIENCE.as_secs())],
                counts: Counts::default(),
                digest: 0,
            })
        })
    }

    /// The least of a seed that still fails.
    #[must_use]
    pub fn shrink(&self, failed: &Outcome) -> Outcome {
        let runtime = runtime();
        shrink(failed.clone(), |cuts| self.once(&runtime, failed.seed, cuts))
    }
}

fn runtime() -> Runtime {
    // Time is for the patience above; nothing in a run sleeps.
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}
