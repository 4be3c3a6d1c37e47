//! Runs many seeds on all cores, and collects the failing runs and the event counts of all runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::counts::Counts;
use crate::run::{Outcome, run};
use crate::scenario::Cuts;
use crate::shrink::shrink;

/// A run that takes longer than this, in real time, is reported as hanging.
const HANG_TIMEOUT: Duration = Duration::from_secs(120);

/// The seeds to run, and the options for running them.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub first: u64,
    /// The number of seeds.
    pub seeds: u64,
    /// The reductions that apply to every seed.
    pub cuts: Cuts,
    /// Prints every event to stderr; meant for a single seed.
    pub trace: bool,
    /// Every N-th seed is run twice, and both digests have to be equal; 0 for none.
    pub twice_every: u64,
    /// Stops at the first failing seed.
    pub stop_at_first: bool,
    /// The number of threads; each runs one seed at a time.
    pub threads: usize,
}

/// The result of a campaign, which is the last line of the program's output.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The number of seeds that were run.
    pub seeds: u64,
    /// The number of seeds whose run violated a property.
    pub failed: u64,
    /// The first seed.
    pub first_seed: u64,
    /// The planted fault that was switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    /// The number of seeds that were run twice to verify that runs are deterministic.
    pub run_twice: u64,
    /// The duration of the campaign in real time, in seconds.
    pub seconds: f64,
    /// Seeds per second of real time.
    pub seeds_per_second: f64,
    /// The event counts of all runs.
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
    /// Runs all seeds. Calls `progress` after each run with the number of completed runs and the
    /// number of failed ones.
    pub fn run(&self, progress: impl Fn(u64, u64) + Sync) -> (Report, Vec<Outcome>) {
        let (begun, next, stop) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    // A run needs a single-threaded runtime, so each thread has its own.
                    let runtime = runtime();
                    while !stop.load(Ordering::SeqCst) {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= self.seeds {
                            return;
                        }
                        let (outcome, twice) = self.run_seed(&runtime, number);
                        let failed = !outcome.problems.is_empty();
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        tally.counts.merge(&outcome.counts);
                        tally.done += 1;
                        tally.twice += u64::from(twice);
                        if failed {
                            tally.failures.push(outcome);
                            stop.fetch_or(self.stop_at_first, Ordering::SeqCst);
                        }
                        progress(tally.done, tally.failures.len() as u64);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Threads complete seeds in any order.
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

    fn run_seed(&self, runtime: &Runtime, number: u64) -> (Outcome, bool) {
        let seed = self.first + number;
        let mut outcome = self.run_once(runtime, seed, &self.cuts);
        let twice = self.twice_every > 0 && number.is_multiple_of(self.twice_every);
        if twice && self.run_once(runtime, seed, &self.cuts).digest != outcome.digest {
            let problem =
                "two runs of this seed differ: something in them is not deterministic".to_owned();
            outcome.problems.push(problem);
        }
        (outcome, twice)
    }

    fn run_once(&self, runtime: &Runtime, seed: u64, cuts: &Cuts) -> Outcome {
        let trace = self.trace;
        runtime.block_on(async {
            let done = tokio::time::timeout(HANG_TIMEOUT, run(seed, cuts, trace)).await;
            done.unwrap_or_else(|_| Outcome {
                seed,
                cuts: cuts.clone(),
                world: String::new(),
                problems: vec![format!(
                    "the run hangs: it has not ended after {} s",
                    HANG_TIMEOUT.as_secs()
                )],
                counts: Counts::default(),
                digest: 0,
            })
        })
    }

    /// Shrinks a failing run, and returns the smallest run found that still fails.
    #[must_use]
    pub fn shrink(&self, failed: &Outcome) -> Outcome {
        let runtime = runtime();
        shrink(failed.clone(), |cuts| {
            self.run_once(&runtime, failed.seed, cuts)
        })
    }
}

fn runtime() -> Runtime {
    // Only the real-time limit of a run needs the timer; nothing in a run sleeps.
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}
