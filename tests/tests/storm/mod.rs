//! Two servers and two batch jobs on one spool, killed at random under load; then what has to hold is checked.
#![allow(dead_code, unreachable_pub)]

pub mod ledger;
pub mod process;
pub mod site;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_tests::ingest::{batches, pairs};
use tallybox_tests::snapshot::all;
use tokio::time::{Instant, sleep};

use ledger::{Ledger, post};
use process::Process;
use site::{SETTLE, Site};

/// How hard it blows.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Windows that are due before anything else happens, full of reports.
    pub windows: u64,
    /// Reports in each.
    pub reports: u64,
    /// For how long there is load, at least.
    pub seconds: u64,
    /// For how much longer, if the end of a window, which takes load and kills beyond it, is that near.
    pub stretch: u64,
    /// Those who post at once.
    pub posters: u64,
    /// Kills of batch jobs when the last window is due.
    pub last_kills: u32,
}

/// A number from the environment.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// How long it is until the next full minute.
fn until_minute() -> Duration {
    Duration::from_secs(60) - Duration::from_nanos((since_epoch().as_nanos() % 60_000_000_000) as u64)
}

/// Lets it blow over the site, and asserts that each acknowledged report is in exactly one batch on both sides, that no
/// other is there twice, and that another run changes no byte.
pub async fn blow(site: Site, storm: Storm, seed: u64) {
    let ledger = Ledger::default();
    let filled = site.fill(storm.windows, storm.reports).await;
    let repeated: Vec<_> = filled.iter().step_by(37).cloned().collect();
    let ledger = Arc::new(Mutex::new(ledger.with(filled, repeated)));
    let site = Arc::new(site);

    let beyond = until_minute() + Duration::from_secs(SETTLE + 5);
    let least = Duration::from_secs(storm.seconds);
    let stretched = beyond <= least + Duration::from_secs(storm.stretch);
    let end = Instant::now() + if stretched { beyond.max(least) } else { least };
    let posters: Vec<_> = (0..storm.posters)
        .map(|poster| {
            let task = post(Arc::clone(&site), Arc::clone(&ledger), seed ^ (1 << (poster + 8)), end);
            tokio::spawn(task)
        })
        .collect();
    let kills = kill(&site, seed, end).await;
    for poster in posters {
        poster.await.unwrap();
    }
    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    println!("{kills:?}, {ledger:?}");
    assert!(kills.servers > 5, "{kills:?}");
    assert!(ledger.acknowledged_live > 200, "{ledger:?}");

    // The window of the last slab ends within a minute, and settles.
    sleep(until_minute() + Duration::from_millis(SETTLE * 1000 + 500)).await;
    let last = kill_jobs(&site, seed, storm.last_kills).await;
    assert!(kills.jobs + last > 8, "{kills:?} and {last}");
    let together = [Process::start(&site, 0, "batch"), Process::start(&site, 1, "batch")];
    for mut job in together {
        job.ends_well().await;
    }
    check(&site, &ledger, last).await;
}

/// What was killed while it ran.
#[derive(Clone, Copy, Debug, Default)]
struct Kills {
    servers: u32,
    jobs: u32,
}

/// Kills and starts again, servers and batch jobs, until the time is over. A job that has ended is started again, too.
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

/// Two jobs over and over, killed at random, as long as there is something to do. How many were killed at work.
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

async fn check(site: &Site, ledger: &Ledger, last: u32) {
    let before = all(&site.buckets()).await;
    for which in [0, 1] {
        Process::start(site, which, "batch").ends_well().await;
    }
    let changed = tallybox_tests::snapshot::difference(&before, &all(&site.buckets()).await);
    assert!(changed.is_empty(), "another run changes no byte: {changed:?}");

    let key = site.world.keys.ingestor_signing.verifying_key();
    let [first, second] = &site.mailboxes;
    let (first, second) = (batches(&**first, &key).await, batches(&**second, &key).await);
    let counts = pairs(&first, &second);
    assert!(counts.values().all(|count| *count == 1), "nothing is there twice");
    for side in [0, 1] {
        let shares: BTreeSet<_> = counts.keys().map(|pair| &pair[side]).collect();
        assert_eq!(shares.len(), counts.len(), "no share is there beside two others");
    }
    let lost = ledger.acknowledged.iter().filter(|pair| !counts.contains_key(*pair));
    assert_eq!(lost.count(), 0, "of {} acknowledged reports", ledger.acknowledged.len());
    assert!(
        counts.keys().all(|pair| ledger.posted.contains(pair)),
        "nothing is made up"
    );
    println!(
        "{} reports in {} batches, {last} jobs killed at the last window",
        counts.len(),
        first.len()
    );
}
