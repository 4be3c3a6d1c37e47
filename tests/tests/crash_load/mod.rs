//! A load test with crashes: two ingestor servers and two batch jobs on one spool are killed at
//! random under load. Afterwards, the test verifies that no report was lost or batched twice.
#![allow(dead_code, unreachable_pub)]

pub mod process;
pub mod reports;
pub mod site;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_sandbox::exactly_once::Occurrences;
use tallybox_tests::ingest::{batches, pairs};
use tallybox_tests::snapshot::all;
use tokio::time::{Instant, sleep};

use process::Process;
use reports::{PostedReports, post};
use site::{SETTLE_SECS, Site};

/// The parameters of a load test.
#[derive(Clone, Copy, Debug)]
pub struct LoadTest {
    /// The number of windows that are filled with reports and are due before the servers start.
    pub windows: u64,
    /// The number of reports in each of these windows.
    pub reports: u64,
    /// The minimum duration of the load.
    pub seconds: u64,
    /// The maximum extension of the load, which applies if it is enough to continue past the end of
    /// a window.
    pub stretch: u64,
    /// The number of concurrent clients.
    pub posters: u64,
    /// The number of times that two batch jobs are started and killed when the last window is due.
    pub last_kills: u32,
}

/// Returns a number from an environment variable.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Returns the time until the next full minute.
fn until_minute() -> Duration {
    Duration::from_secs(60)
        - Duration::from_nanos((since_epoch().as_nanos() % 60_000_000_000) as u64)
}

/// Runs the load test on a site. Asserts that every acknowledged report is in exactly one batch on
/// both sides, that no other report is in two, and that another run of the batch job changes no
/// byte.
pub async fn run_load_test(site: Site, load: LoadTest, seed: u64) {
    let reports = PostedReports::default();
    let filled = site.fill(load.windows, load.reports).await;
    let repeated: Vec<_> = filled.iter().step_by(37).cloned().collect();
    let reports = Arc::new(Mutex::new(reports.with(filled, repeated)));
    let site = Arc::new(site);

    let beyond = until_minute() + Duration::from_secs(SETTLE_SECS + 5);
    let least = Duration::from_secs(load.seconds);
    let stretched = beyond <= least + Duration::from_secs(load.stretch);
    let end = Instant::now() + if stretched { beyond.max(least) } else { least };
    let posters: Vec<_> = (0..load.posters)
        .map(|poster| {
            let task = post(
                Arc::clone(&site),
                Arc::clone(&reports),
                seed ^ (1 << (poster + 8)),
                end,
            );
            tokio::spawn(task)
        })
        .collect();
    let kills = kill(&site, seed, end).await;
    for poster in posters {
        poster.await.unwrap();
    }
    let reports = std::mem::take(&mut *reports.lock().unwrap());
    println!("{kills:?}, {reports:?}");
    assert!(kills.servers > 5, "{kills:?}");
    assert!(reports.acknowledged_live > 200, "{reports:?}");

    // The window of the last slab ends within a minute, and is planned some seconds later.
    sleep(until_minute() + Duration::from_millis(SETTLE_SECS * 1000 + 500)).await;
    let last = kill_jobs(&site, seed, load.last_kills).await;
    assert!(kills.jobs + last > 8, "{kills:?} and {last}");
    let together = [
        Process::start(&site, 0, "batch"),
        Process::start(&site, 1, "batch"),
    ];
    for mut job in together {
        job.ends_well().await;
    }
    check(&site, &reports, last).await;
}

/// The numbers of processes that were killed while they ran.
#[derive(Clone, Copy, Debug, Default)]
struct Kills {
    servers: u32,
    jobs: u32,
}

/// Kills and restarts servers and batch jobs until the time `end`. Also restarts batch jobs that
/// have ended.
async fn kill(site: &Site, seed: u64, end: Instant) -> Kills {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut servers = [0, 1].map(|which| Process::start(site, which, "serve"));
    let mut jobs = [0, 1].map(|which| Process::start(site, which, "batch"));
    let mut kills = Kills::default();
    while Instant::now() < end {
        sleep(Duration::from_millis(rng.random_range(10..500))).await;
        let which = rng.random_range(0..2);
        if rng.random_bool(0.4) {
            kills.servers += u32::from(servers[which].kill());
            servers[which] = Process::start(site, which, "serve");
        } else {
            kills.jobs += u32::from(jobs[which].kill());
            jobs[which] = Process::start(site, which, "batch");
        }
    }
    kills
}

/// Starts two batch jobs `most` times, and kills them at random times. Returns the number of jobs
/// that were killed before they ended.
async fn kill_jobs(site: &Site, seed: u64, most: u32) -> u32 {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 1);
    let mut killed = 0;
    for _ in 0..most {
        let mut jobs = [0, 1].map(|which| Process::start(site, which, "batch"));
        for job in &mut jobs {
            sleep(Duration::from_millis(rng.random_range(0..250))).await;
            killed += u32::from(job.kill());
        }
    }
    killed
}

async fn check(site: &Site, reports: &PostedReports, last: u32) {
    let before = all(&site.buckets()).await;
    for which in [0, 1] {
        Process::start(site, which, "batch").ends_well().await;
    }
    let changed = tallybox_tests::snapshot::difference(&before, &all(&site.buckets()).await);
    assert!(
        changed.is_empty(),
        "another run of the batch job changed objects: {changed:?}"
    );

    let key = site.world.keys.ingestor_signing.verifying_key();
    let [first, second] = &site.mailboxes;
    let (first, second) = (
        batches(&**first, &key).await,
        batches(&**second, &key).await,
    );
    let batched = pairs(&first, &second);
    for side in [0, 1] {
        let shares: BTreeSet<_> = batched.iter().map(|pair| &pair[side]).collect();
        assert_eq!(
            shares.len(),
            batched.len(),
            "a report is in two batches, or a share is paired with two different shares"
        );
    }
    let reports = Occurrences::count(&reports.acknowledged, &reports.posted, batched);
    assert_eq!(
        reports.missing.len(),
        0,
        "some acknowledged reports are lost"
    );
    assert_eq!(reports.repeated.len(), 0, "a report is in two batches");
    assert_eq!(
        reports.unknown.len(),
        0,
        "a batch contains a report that no client posted"
    );
    println!(
        "{} reports in {} batches, {last} jobs killed at the last window",
        reports.found,
        first.len()
    );
}
