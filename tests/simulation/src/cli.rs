//! The command line of the simulation.

use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bugs;
use crate::campaign::{Campaign, Report};
use crate::run::Outcome;
use crate::scenario::Cuts;
use crate::trouble::Trouble;

/// Runs the whole pipeline under every fault, a world for each seed, in virtual time.
///
/// Ingestor, both processors' schedulers and workers, and the portal's reader run as they are, over buckets and queues
/// in memory that delay, fail, lose, double and lie. After each run every accepted report has to be counted exactly
/// once or be reported with a reason, both sum parts of a window have to name the same batches and counts and add up
/// to the truth, and no window may be stuck once the faults have stopped.
///
/// The last line of output is one line of JSON. Exit code 0: everything held; 1: something did not.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
pub struct Cli {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "K", default_value_t = 1)]
    first_seed: u64,
    /// Switch on a known fault in the product, which has to be found: a build with --features faults
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
    /// Print the names of all known faults
    #[arg(long)]
    list_bugs: bool,
    /// Switch on one known fault after another; each has to be found within 200 seeds
    #[arg(long)]
    all_bugs: bool,
    /// Troubles that do not happen, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    without: Vec<Trouble>,
    /// At most so many windows with reports
    #[arg(long, value_name = "N")]
    windows: Option<usize>,
    /// At most so many aggregations
    #[arg(long, value_name = "N")]
    metrics: Option<usize>,
    /// Print every event of every seed on stderr
    #[arg(long)]
    trace: bool,
    /// Run every N-th seed twice, to see that it is the same each time; 0 for none
    #[arg(long, value_name = "N", default_value_t = 25)]
    twice_every: u64,
    /// Do not shrink seeds that fail
    #[arg(long)]
    no_shrink: bool,
    /// Threads that run seeds
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  make simulate SEEDS=10000
      ten thousand worlds
  make simulate SEEDS=1 FIRST_SEED=4711 TRACE=1
      one of them, event by event
  make simulate SEEDS=1 FIRST_SEED=4711 WITHOUT=crashes,messages WINDOWS=2
      the same, less what does not matter: what a failing seed prints after it was shrunk
  make simulate BUG=lost-carry
      with a known fault in the product: this one has to fail
  make simulate-bugs
      the names of all known faults";

/// How many seeds that fail are shrunk and shown in full.
const SHOWN: usize = 3;
/// Within how many seeds a known fault has to be found.
const BUG_SEEDS: u64 = 200;

impl Cli {
    /// Does what the command line says.
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
                windows: self.windows,
                metrics: self.metrics,
            },
            trace: self.trace,
            twice_every: if self.trace { 0 } else { self.twice_every },
            stop_at_first: self.bug.is_some(),
            threads: if self.trace { 1 } else { self.threads.unwrap_or(cores) },
        }
    }

    /// What is wrong with the first seeds that fail, and how to see it again.
    fn show(&self, campaign: &Campaign, failures: &[Outcome]) {
        for failed in failures.iter().take(SHOWN) {
            println!("seed {} fails:", failed.seed);
            list(failed);
            if self.no_shrink || self.trace {
                continue;
            }
            let least = campaign.shrink(failed);
            if least.cuts != failed.cuts {
                println!("  shrunk, it still fails:");
                list(&least);
            }
            println!("  again: {}", self.replay(&least));
        }
        if let Some(more) = failures.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let seeds: Vec<String> = failures
                .iter()
                .skip(SHOWN)
                .take(20)
                .map(|failed| failed.seed.to_string())
                .collect();
            println!("{more} more seeds fail: {}", seeds.join(" "));
        }
    }

    /// The command that runs it again.
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
            let campaign = Campaign {
                seeds: BUG_SEEDS,
                stop_at_first: true,
                twice_every: 0,
                ..self.campaign()
            };
            let (report, failures) = campaign.run(|_, _| {});
            match failures.first() {
                Some(failed) => {
                    let problem = failed.problems.first().cloned().unwrap_or_default();
                    println!(
                        "{:<28} found after {:>3} seeds, by {}: {problem}",
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

/// A bar on a terminal, nothing elsewhere.
fn watch(seeds: u64) -> impl Fn(u64, u64) + Sync {
    let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr_with_hz(4));
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds  {per_sec}  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    move |done, failed| {
        bar.set_position(done);
        bar.set_message(format!("{failed} failed"));
        if done == seeds {
            bar.finish_and_clear();
        }
    }
}
