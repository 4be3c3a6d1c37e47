//! A few dozen simulation runs for every run of the tests; `scripts/check simulate` executes
//! thousands.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use tallybox_simulation::campaign::Campaign;
use tallybox_simulation::scenario::{Cuts, Scenario};
use tallybox_simulation::trouble::Trouble;

fn campaign(first: u64, seeds: u64) -> Campaign {
    Campaign {
        first,
        seeds,
        cuts: Cuts::default(),
        trace: false,
        twice_every: 0,
        stop_at_first: false,
        threads: 2,
    }
}

#[test]
fn everything_holds_and_everything_goes_wrong() {
    let (report, failures) = campaign(1, 40).run(|_, _| {});
    let problems: Vec<_> = failures
        .iter()
        .map(|failed| (failed.seed, &failed.problems))
        .collect();
    assert!(
        problems.is_empty(),
        "make simulate SEEDS=1 FIRST_SEED=…: {problems:?}"
    );
    for what in [
        "crashes",
        "lost-answers",
        "lost-messages",
        "double-messages",
        "redeliveries",
        "stale-listings",
        "clock-steps",
        "downtimes",
        "deleted-by-retention",
        "copied-batches",
        "replaced-rosters",
        "settled-summed",
        "settled-expired",
        "summed-later",
        "windows-below-minimum",
    ] {
        assert!(report.counts.get(what) > 0, "no event {what:?} in 40 runs");
    }
}

#[test]
fn a_seed_is_the_same_every_time() {
    let all = Campaign {
        twice_every: 1,
        ..campaign(500, 8)
    };
    let (report, failures) = all.run(|_, _| {});
    assert_eq!((report.run_twice, failures.len()), (8, 0), "{failures:?}");
}

/// Without rosters, each side sums the batches that it finds when it reads its mailbox (weakness W3
/// of the predecessor). Rosters exist for this reason.
#[test]
fn without_rosters_windows_are_worthless() {
    let with_enpa = |seed: &u64| Scenario::new(*seed, &Cuts::default()).has(Trouble::NoExtension);
    let seeds: Vec<u64> = (1..400).filter(with_enpa).take(6).collect();
    let mut worthless = 0;
    for seed in seeds {
        let (report, failures) = campaign(seed, 1).run(|_, _| {});
        assert!(failures.is_empty(), "{failures:?}");
        worthless += report.counts.get("windows-unsummable-enpa");
    }
    assert!(worthless > 0);
}
