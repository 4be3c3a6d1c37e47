//! Runs the whole pipeline on a real S3 server, SeaweedFS: workflow managers, intake, rosters,
//! sums, `replay` and `backfill` arrive at the exact sums with mailboxes, own buckets and sum parts
//! on S3.
//!
//! `TALLYBOX_WEED` is the path of the server, as `scripts/seaweedfs` prints it. Without it the
//! tests print a note and pass, except in CI, where they fail. The programs need support for S3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod seaweed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seaweed::Seaweed;
use serde_json::Value;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::config::worker::WorkerConfig;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::worker::{Outcome, Worker, step};
use tallybox_model::extensions::{Extensions, RosterExtension};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::task::QueueKind;
use tallybox_model::time::{BatchTime, Window, next_window};
use tallybox_queue::{DirectoryQueue, SharedQueue};
use tallybox_sandbox::portal::Parts;
use tallybox_service::config::load;
use tallybox_tests::forge::Batch;
use tallybox_tests::process::binary;
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tempfile::TempDir;

/// The maximum number of times that every program runs until a window has its sums.
const ROUNDS: usize = 12;

/// Two processors on one S3 server.
struct Site {
    name: &'static str,
    _root: TempDir,
    case: Case,
    batches: Vec<BatchName>,
    window: Window,
    workers: [Arc<Worker>; 2],
    managers: [PathBuf; 2],
}

/// Returns the hour that ended `ago` full hours ago.
fn hour(ago: i64) -> Window {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let minutes = i64::try_from(now).unwrap() / 60_000 / 60 * 60;
    let at = |hours: i64| BatchTime::from_millis((minutes - 60 * hours) * 60_000).unwrap();
    Window::new(at(ago + 1), at(ago)).unwrap()
}

impl Site {
    /// Sets up a case's batches in a window that ended this many hours ago. The first batch has the
    /// date of the window's start: a server that walks through directories must include it.
    async fn new(weed: &Seaweed, name: &'static str, ago: i64, rosters: bool) -> Self {
        let (case, root, window) = (Case::load("dim8"), tempfile::tempdir().unwrap(), hour(ago));
        let mut batches = Vec::new();
        for (index, batch) in case.batches().into_iter().enumerate() {
            let minutes = 7 * i64::try_from(index).unwrap();
            let renamed = BatchName {
                date: window.start().plus_minutes(minutes).unwrap(),
                ..batch.clone()
            };
            for role in Role::ALL {
                let bucket = weed.bucket(&format!("{name}/ingestion-{role}"));
                let batch = Batch::read(&case, &batch, role).renamed(renamed.clone());
                batch.write(&*bucket).await;
            }
            batches.push(renamed);
        }
        let since = window.start();
        let announced = RosterExtension { since, until: None };
        let document = Extensions {
            roster: Some(announced),
        };
        std::fs::write(root.path().join("peer.json"), document.to_json()).unwrap();
        let location = |bucket: &str| weed.location(&format!("{name}/{bucket}"));
        let workers = Role::ALL.map(|role| worker(&root, &location, role, rosters));
        let managers = Role::ALL.map(|role| {
            let roster = if rosters {
                format!("roster: {{ since: '{since}', peer: peer.json }}\n")
            } else {
                String::new()
            };
            let text = format!(
                "instance: interop
role: {role}
record-keys: [ {{ file: {role}/record.b64 }} ]
buckets:
  ingestion: {}
  own: {}
  peer-validation-in: {}
queues: {{ intake: queues/intake-{role}, aggregate: queues/aggregate-{role} }}
schedule: {{ period-minutes: 60, grace-minutes: 0, look-back-hours: 4, horizon-hours: 4, reenqueue-after-minutes: 1 }}
{roster}",
                location(&format!("ingestion-{role}")),
                location(&format!("own-{role}")),
                location(&format!("validation-for-{role}")),
            );
            let path = root.path().join(format!("manager-{role}.yaml"));
            std::fs::write(&path, text).unwrap();
            path
        });
        Self {
            name,
            _root: root,
            case,
            batches,
            window,
            workers,
            managers,
        }
    }

    /// Runs a command of a processor's workflow manager, and returns its JSON output.
    fn manager(&self, role: Role, arguments: &[&str]) -> Value {
        let mut command = Command::new(binary("workflow-manager"));
        command.arg("--config").arg(&self.managers[role.index()]);
        let output = command.args(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs every task in a processor's queues and returns the number of completed tasks.
    async fn work(&self, role: Role) -> usize {
        self.work_on(role, QueueKind::Intake).await + self.work_on(role, QueueKind::Aggregate).await
    }

    /// Runs every task in one of a processor's queues.
    async fn work_on(&self, role: Role, kind: QueueKind) -> usize {
        let mut done = 0;
        while let Some(outcome) = step(&self.workers[role.index()], kind, Duration::ZERO)
            .await
            .unwrap()
        {
            done += usize::from(outcome == Outcome::Done);
            assert!(!matches!(outcome, Outcome::Reject { .. }), "{outcome:?}");
        }
        done
    }

    /// Runs both managers with these arguments, and all workers, until both sum parts exist and add
    /// up.
    async fn sum(&self, weed: &Seaweed, arguments: &[&str]) {
        let parts = Parts {
            instance: "interop".parse().unwrap(),
            mailboxes: Role::ALL.map(|role| weed.bucket(&format!("{}/sum-{role}", self.name))),
            trusted: Role::ALL.map(|role| self.workers[role.index()].processor().keys.own.clone()),
        };
        let mut last = String::new();
        for _ in 0..ROUNDS {
            for role in Role::ALL {
                self.manager(role, arguments);
            }
            // Intake tasks run first: a roster without the peer's validation would leave the
            // batches to the next window, an hour later.
            for kind in QueueKind::ALL {
                for role in Role::ALL {
                    self.work_on(role, kind).await;
                }
            }
            let mut total = parts.total(&self.case.aggregation(), self.window).await;
            if total.is_err() {
                // An hour has ended since the test began, so the batches are in the newest window.
                let next = next_window(self.window, 60).unwrap();
                total = parts.total(&self.case.aggregation(), next).await;
            }
            match total {
                Ok(total) => {
                    let expected: Vec<u64> =
                        serde_json::from_value(self.case.expected["expected_sum"].clone()).unwrap();
                    assert_eq!(total.sums, expected);
                    assert_eq!(total.batches.len(), self.batches.len());
                    return;
                }
                Err(error) => last = error.to_string(),
            }
        }
        let status = Role::ALL.map(|role| self.manager(role, &["status"]));
        panic!(
            "{}: no sums after {ROUNDS} rounds: {last}; {status:?}",
            self.name
        );
    }
}

/// Creates a processor's worker, with all buckets of the configuration on the server.
fn worker(
    root: &TempDir,
    location: &dyn Fn(&str) -> String,
    role: Role,
    rosters: bool,
) -> Arc<Worker> {
    let nowhere = |name: &str| Path::new("/nowhere").join(name);
    let paths = BucketPaths {
        ingestion: nowhere("ingestion"),
        own: nowhere("own"),
        validation_in: nowhere("validation-in"),
        validation_out: nowhere("validation-out"),
        sum_parts: nowhere("sum-parts"),
    };
    let more = if rosters {
        "rosters: { period-minutes: 60, grace-minutes: 0, maximum-age-windows: 3, replay-horizon-windows: 100 }\n"
    } else {
        ""
    };
    let path = write_config(&root.path().join(role.to_string()), role, &paths, more);
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (local, bucket) in [
        (&paths.ingestion, format!("ingestion-{role}")),
        (&paths.own, format!("own-{role}")),
        (&paths.validation_in, format!("validation-for-{role}")),
        (
            &paths.validation_out,
            format!("validation-for-{}", role.peer()),
        ),
        (&paths.sum_parts, format!("sum-{role}")),
    ] {
        text = text.replace(
            &format!(": {}\n", local.display()),
            &format!(": {}\n", location(&bucket)),
        );
    }
    assert!(!text.contains("/nowhere"), "{text}");
    std::fs::write(&path, text).unwrap();
    let processor = Processor::open(&load::<Config>(&path).unwrap()).unwrap();
    let queue = |kind: &str| -> SharedQueue {
        let directory = root.path().join(format!("queues/{kind}-{role}"));
        Arc::new(DirectoryQueue::new(directory, Duration::from_secs(600)))
    };
    let queues = [
        (QueueKind::Intake, queue("intake")),
        (QueueKind::Aggregate, queue("aggregate")),
    ];
    Worker::new(processor, queues, WorkerConfig::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_rosters_a_window_comes_to_its_sums_and_everything_can_be_replayed() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let site = Site::new(&weed, "rosters", 0, true).await;
    site.sum(&weed, &["run-once"]).await;
    for role in Role::ALL {
        // Run the tasks that the rounds have left.
        site.work(role).await;
        for batch in &site.batches {
            let replayed = site.manager(role, &["replay", "batch", &batch.to_string()]);
            assert_eq!(site.work(role).await, 1, "{replayed}");
        }
        let (aggregation, start) = (site.case.aggregation(), site.window.start().to_string());
        let replay = [
            "replay",
            "window",
            "--aggregation",
            aggregation.as_str(),
            "--start",
            &start,
        ];
        let replayed = site.manager(role, &replay);
        assert_eq!(site.work(role).await, 1, "{replayed}");
    }
    site.sum(&weed, &["run-once"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_rosters_a_window_comes_to_its_sums() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let site = Site::new(&weed, "enpa", 1, false).await;
    site.sum(&weed, &["run-once"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_window_beyond_the_horizon_is_summed_by_backfill() {
    let Some(weed) = Seaweed::start().await else {
        return;
    };
    let site = Site::new(&weed, "backfill", 30, false).await;
    for role in Role::ALL {
        site.manager(role, &["run-once"]);
        assert_eq!(
            site.work(role).await,
            0,
            "expected no task: the window is older than the horizon"
        );
    }
    let (from, to) = (
        site.window.start().to_string(),
        site.window.end().to_string(),
    );
    site.sum(&weed, &["backfill", "--from", &from, "--to", &to, "--yes"])
        .await;
}
