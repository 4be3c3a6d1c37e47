//! The command line of the simulation.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bugs;
use crate::campaign::{Campaign, Report};
use crate::run::Outcome;
use crate::scenario::Cuts;
use crate::trouble::Trouble;

/// Runs the whole pipeline under injected faults in virtual time, once per seed.
///
/// The ingestor's batcher, the workflow managers and workers of both processors, and the portal's
/// reader are the real code. They use simulated buckets and queues in memory that delay, fail, lose
/// and repeat operations and report wrong results. After each run an audit verifies that every
/// accepted report is counted exactly once or is reported with a reason, that both sum parts of a
/// window name the same batches and counts and add up to the expected sum, and that no window is
/// stuck once the faults have stopped.
///
/// The last line of output is one JSON object. Exit code 0: all properties held in all runs; 1: a
/// property was violated; 2: --bug names no planted fault of this build.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
pub struct Cli {
    /// Number of seeds to run
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,
    /// First seed
    #[arg(long, value_name = "K", default_value_t = 1)]
    first_seed: u64,
    /// Switch on a planted fault, which the audit has to find; requires the build of
    /// scripts/planted-faults
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Print the names and descriptions of all planted faults
    #[arg(long)]
    list_bugs: bool,
    /// Switch on one planted fault after another; each has to be found within 200 seeds; requires
    /// the build of scripts/planted-faults
    #[arg(long)]
    all_bugs: bool,
    /// Faults to leave out, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    without: Vec<Trouble>,
    /// Maximum number of windows with reports
    #[arg(long, value_name = "N")]
    windows: Option<usize>,
    /// Maximum number of aggregations
    #[arg(long, value_name = "N")]
    metrics: Option<usize>,
    /// Print every event of every seed to stderr
    #[arg(long)]
    trace: bool,
    /// Run every N-th seed twice and compare the digests of both runs; 0 for none
    #[arg(long, value_name = "N", default_value_t = 25)]
    twice_every: u64,
    /// Do not shrink failing runs
    #[arg(long)]
    no_shrink: bool,
    /// Number of threads; each runs one seed at a time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  make simulate SEEDS=10000
      run ten thousand seeds
  make simulate SEEDS=1 FIRST_SEED=4711 TRACE=1
      run one of them and print every event
  make simulate SEEDS=1 FIRST_SEED=4711 WITHOUT=crashes,messages WINDOWS=2
      run it without two faults and with two windows only; a failing seed prints such a command
      after it was shrunk
  make simulate BUG=lost-carry
      run with a planted fault, which has to fail
  make simulate-bugs
      print the names of all planted faults";

/// The number of failing seeds that are shrunk and printed in full.
const MAX_SHOWN_FAILURES: usize = 3;
/// The number of seeds within which each planted fault has to be found.
const BUG_SEEDS: u64 = 200;

impl Cli {
    /// Executes the command.
    #[must_use]
    pub fn run(self) -> ExitCode {
        if self.list_bugs {
            for bug in bugs::ALL {
                println!("{:<28} {}", bug.name, bug.meaning);
            }
            return ExitCode::SUCCESS;
        }
        if self.all_bugs {
            return self.hunt_all();
        }
        if let Some(name) = &self.bug
            && let Err(problem) = bugs::switch(name)
        {
            eprintln!("simulate: {problem}");
            return ExitCode::from(2);
        }
        let campaign = self.campaign();
        let (mut report, failures) = campaign.run(watch(campaign.seeds));
        report.bug.clone_from(&self.bug);
        self.show(&campaign, &failures);
        self.table(&report);
        println!("{}", json(&report));
        ExitCode::from(u8::from(report.failed > 0))
    }

    fn campaign(&self) -> Campaign {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Campaign {
            first: self.first_seed,
            seeds: self.seeds,
            cuts: Cuts {
                without: self.without.iter().copied().collect(),
                with: self.bug.as_deref().map(bugs::needs).unwrap_or_default(),
                windows: self.windows,
                metrics: self.metrics,
            },
            trace: self.trace,
            // A second run would print every event of the trace twice.
            twice_every: if self.trace { 0 } else { self.twice_every },
            // A planted fault has to be found only once.
            stop_at_first: self.bug.is_some(),
            // The traces of concurrent runs would be mixed.
            threads: if self.trace {
                1
            } else {
                self.threads.unwrap_or(cores)
            },
        }
    }

    /// Prints the violated properties of the first failing seeds, and the commands that repeat
    /// them.
    fn show(&self, campaign: &Campaign, failures: &[Outcome]) {
        for failed in failures.iter().take(MAX_SHOWN_FAILURES) {
            println!("seed {} fails:", failed.seed);
            list(failed);
            if self.no_shrink || self.trace {
                continue;
            }
            let least = campaign.shrink(failed);
            if least.cuts != failed.cuts {
                println!("  shrunk, the run still fails:");
                list(&least);
            }
            println!("  to repeat: {}", self.replay(&least));
        }
        if let Some(more) = failures
            .len()
            .checked_sub(MAX_SHOWN_FAILURES)
            .filter(|more| *more > 0)
        {
            let seeds: Vec<String> = failures
                .iter()
                .skip(MAX_SHOWN_FAILURES)
                .take(20)
                .map(|failed| failed.seed.to_string())
                .collect();
            println!("{more} further seeds fail: {}", seeds.join(" "));
        }
    }

    /// Returns the command that repeats a run.
    fn replay(&self, outcome: &Outcome) -> String {
        let mut command = format!("make simulate SEEDS=1 FIRST_SEED={}", outcome.seed);
        let cuts = &outcome.cuts;
        if !cuts.without.is_empty() {
            let names: Vec<String> = cuts.without.iter().map(ToString::to_string).collect();
            command += &format!(" WITHOUT={}", names.join(","));
        }
        if let Some(windows) = cuts.windows {
            command += &format!(" WINDOWS={windows}");
        }
        if let Some(metrics) = cuts.metrics {
            command += &format!(" METRICS={metrics}");
        }
        if let Some(bug) = &self.bug {
            command += &format!(" BUG={bug}");
        }
        command
    }

    fn table(&self, report: &Report) {
        println!(
            "{} seeds, {} failed, {:.1} seeds/s, {} run twice",
            report.seeds, report.failed, report.seeds_per_second, report.run_twice
        );
        for (what, times) in report.counts.iter() {
            println!("  {what:<24} {times:>12}");
        }
    }

    fn hunt_all(&self) -> ExitCode {
        let mut missed = Vec::new();
        let mut found = std::collections::BTreeMap::new();
        for bug in bugs::ALL {
            if let Err(problem) = bugs::switch(bug.name) {
                eprintln!("simulate: {problem}");
                return ExitCode::from(2);
            }
            let mut campaign = Campaign {
                seeds: BUG_SEEDS,
                stop_at_first: true,
                twice_every: 0,
                ..self.campaign()
            };
            campaign.cuts.with = bugs::needs(bug.name);
            let (report, failures) = campaign.run(|_, _| {});
            match failures.first() {
                Some(failed) => {
                    let problem = failed.problems.first().cloned().unwrap_or_default();
                    println!(
                        "{:<28} found after {:>3} seeds, by seed {}: {problem}",
                        bug.name, report.seeds, failed.seed
                    );
                    found.insert(bug.name, report.seeds);
                }
                None => {
                    println!("{:<28} NOT FOUND in {} seeds", bug.name, report.seeds);
                    missed.push(bug.name);
                }
            }
        }
        println!(
            "{}",
            serde_json::json!({ "bugs": bugs::ALL.len(), "found": found, "missed": missed })
        );
        ExitCode::from(u8::from(!missed.is_empty()))
    }
}

fn list(outcome: &Outcome) {
    println!("  {}", outcome.world);
    for problem in outcome.problems.iter().take(8) {
        println!("  - {problem}");
    }
    if outcome.problems.len() > 8 {
        println!("  - and {} more", outcome.problems.len() - 8);
    }
}

fn json(report: &Report) -> String {
    serde_json::to_string(report).expect("numbers and names")
}

/// Returns a callback that draws a progress bar if stderr is a terminal.
fn watch(seeds: u64) -> impl Fn(u64, u64) + Sync {
    let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr_with_hz(4));
    let style =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds  {per_sec}  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    move |done, failed| {
        bar.set_position(done);
        bar.set_message(format!("{failed} failed"));
        if done == seeds {
            bar.finish_and_clear();
        }
    }
}
