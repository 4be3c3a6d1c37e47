//! Kills real ingestors at random times under load: two servers and two batch jobs on one spool.
//! Each acknowledged report is in exactly one batch on both sides, and no report is there twice.
//!
//! `TALLYBOX_BINARIES` is as in `kill.rs`. `TALLYBOX_KILL_SECONDS` is the duration of the kills
//! (default 20, or longer until a window ends); then the test waits for the end of the last window
//! of a minute. `TALLYBOX_KILL_SEED` repeats the random choices of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod crash_load;

use crash_load::site::Site;
use crash_load::{LoadTest, number, run_load_test};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_batched_exactly_once() {
    let seed = number("TALLYBOX_KILL_SEED", rand::random());
    println!("TALLYBOX_KILL_SEED={seed}");
    let load = LoadTest {
        windows: 120,
        reports: 40,
        seconds: number("TALLYBOX_KILL_SECONDS", 20),
        stretch: 25,
        posters: 8,
        last_kills: 12,
    };
    run_load_test(
        Site::new(seed, |name| format!(r#""buckets/{name}""#)),
        load,
        seed,
    )
    .await;
}
