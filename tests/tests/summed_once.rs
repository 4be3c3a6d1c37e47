//! No batch is summed in two windows: without rosters, with rosters, and at the change between
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{aggregate_agreed, roster};
use tallybox_facilitator::sum::AggregateSummary;
use tallybox_facilitator::worker::{Outcome, handle};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_model::time::{Window, aligned_window};
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::snapshot::{difference, written};
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::faults::{FaultKind as Fault, Faults};
use tallybox_transport::{memory, read_all};

/// Two processors with a completed intake of all batches of a case.
struct Pair {
    case: Case,
    buckets: [Buckets; 2],
    configs: [std::path::PathBuf; 2],
    _root: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        let case = Case::load("dim8");
        let root = tempfile::tempdir().unwrap();
        let configs = Role::ALL.map(|role| {
            let paths = BucketPaths::beside_tallybox(&case, root.path(), role);
            write_config(&root.path().join(role.to_string()), role, &paths, "")
        });
        let mailboxes = Role::ALL.map(|_| memory("mailbox"));
        let buckets = Role::ALL.map(|role| {
            let opened = Processor::open(&load::<Config>(&configs[role.index()]).unwrap()).unwrap();
            Buckets {
                ingestion: opened.buckets.ingestion,
                own: memory("own"),
                peer_validation_in: mailboxes[role.index()].clone(),
                peer_validation_out: mailboxes[role.peer().index()].clone(),
                sum_parts: memory("sum"),
                ..opened.buckets
            }
        });
        let pair = Self {
            case,
            buckets,
            configs,
            _root: root,
        };
        for role in Role::ALL {
            for batch in pair.case.batches() {
                intake(&pair.with(role, None), &batch, no_progress())
                    .await
                    .unwrap();
            }
        }
        pair
    }

    /// Returns a processor with rosters from `origin` on.
    fn with(&self, role: Role, origin: Option<&str>) -> Arc<Processor> {
        let mut processor =
            Processor::open(&load::<Config>(&self.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = self.buckets[role.index()].clone();
        processor.limits.rosters = origin.map(|origin| RosterRules {
            origin: Some(origin.parse().unwrap()),
            period_minutes: 60,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: 1,
            maximum_age: 3,
        });
        Arc::new(processor)
    }

    fn task(&self, window: Window, batches: &[BatchName]) -> AggregateTask {
        AggregateTask {
            aggregation: self.case.aggregation(),
            window,
            batches: batches.to_vec(),
            dry_run: false,
        }
    }

    fn name(&self, window: Window) -> WindowName {
        WindowName {
            aggregation: self.case.aggregation(),
            window,
        }
    }

    /// Sums a window of the first processor without rosters.
    async fn sum(&self, window: Window, batches: &[BatchName]) -> Result<AggregateSummary, Error> {
        let first = self.with(Role::First, None);
        Ok(aggregate(&first, &self.task(window, batches), no_progress()).await?)
    }

    /// Lets both processors write their rosters of the window, and agree.
    async fn agree(&self, window: Window) {
        for role in [Role::First, Role::Second, Role::First] {
            let processor = self.with(role, Some("2023/11/14/22/00"));
            roster(&processor, &self.name(window), no_progress())
                .await
                .unwrap();
        }
    }
}

/// Returns a window on the day of the case.
fn window(start: &str, end: &str) -> Window {
    let time = |text: &str| format!("2023/11/14/{text}").parse().unwrap();
    Window::new(time(start), time(end)).unwrap()
}

fn kind(error: &Error) -> (Exit, String) {
    (error.exit(), error.reason())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_one_window_sums_is_a_conflict_in_another_that_names_both() {
    let pair = Pair::new().await;
    let batches = pair.case.batches();
    let (two, hour) = (window("22/00", "22/03"), window("22/00", "23/00"));
    assert_eq!(pair.sum(two, &[]).await.unwrap().packets_accepted, 200);
    let before = written(&pair.buckets[0]).await;
    for (window, batches) in [
        (hour, &[][..]),
        (hour, &batches),
        (window("22/02", "23/00"), &[]),
    ] {
        let error = pair.sum(window, batches).await.unwrap_err();
        assert_eq!(
            kind(&error),
            (Exit::Conflict, "summed-before".to_owned()),
            "{error}"
        );
        let message = error.to_string();
        assert!(message.contains(&two.to_string()), "{message}");
        assert!(message.contains(&window.to_string()), "{message}");
        let dry = AggregateTask {
            dry_run: true,
            ..pair.task(window, batches)
        };
        let dry = aggregate(&pair.with(Role::First, None), &dry, no_progress()).await;
        assert_eq!(kind(&dry.unwrap_err().error).1, "summed-before");
    }
    // A rejected window claims none of its batches: the remaining batch can be summed in any
    // window.
    assert_eq!(
        difference(&before, &written(&pair.buckets[0]).await),
        [""; 0]
    );
    let rest = pair.sum(hour, &batches[2..]).await.unwrap();
    assert_eq!((rest.packets_accepted, rest.done_before), (100, false));
    let repeated = pair.sum(two, &[]).await.unwrap();
    assert_eq!(
        (repeated.packets_accepted, repeated.done_before),
        (200, true)
    );
}

/// A sum part that is fixed with other batches stays unchanged, and the additional batch of the
/// later run remains available for another window.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_a_fixed_sum_part_claims_nothing() {
    let pair = Pair::new().await;
    let batches = pair.case.batches();
    let hour = window("22/00", "23/00");
    pair.sum(hour, &batches[..2]).await.unwrap();
    let error = pair.sum(hour, &[]).await.unwrap_err();
    assert_eq!(kind(&error).1, "other-sum-part");
    pair.sum(window("22/03", "22/04"), &[]).await.unwrap();
}

/// A window that is interrupted at any operation is completed by a repeated run, and no other
/// window sums its batches in the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_broken_off_between_its_claims_is_completed() {
    let (two, hour) = (window("22/00", "22/03"), window("22/00", "23/00"));
    let (mut claimed, mut n) = (0, 1);
    loop {
        let pair = Pair::new().await;
        let faults = Faults::new(n, Fault::Die);
        let mut first = Processor::open(&load::<Config>(&pair.configs[0]).unwrap()).unwrap();
        first.buckets = pair.buckets[0].clone();
        first.buckets.own = faults.wrap(first.buckets.own);
        let broken = aggregate(&Arc::new(first), &pair.task(two, &[]), no_progress()).await;
        if faults.operations() < n {
            broken.unwrap();
            break;
        }
        match pair.sum(hour, &[]).await {
            Err(error) => {
                assert_eq!(
                    kind(&error),
                    (Exit::Conflict, "summed-before".to_owned()),
                    "{error}"
                );
                assert_eq!(pair.sum(two, &[]).await.unwrap().packets_accepted, 200);
                claimed += 1;
            }
            Ok(_) => assert_eq!(
                kind(&pair.sum(two, &[]).await.unwrap_err()).1,
                "summed-before"
            ),
        }
        n += 1;
    }
    assert!(
        claimed >= 3,
        "only {claimed} crashes were after the first claim"
    );
}

/// The case that led to this test: a window begins a minute before the rosters, and would sum their
/// batches again.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_touches_the_time_of_rosters_is_refused_from_everywhere() {
    let pair = Pair::new().await;
    let first = pair.with(Role::First, Some("2023/11/14/22/00"));
    for window in [
        window("21/59", "22/05"),
        window("20/00", "23/00"),
        window("22/00", "22/30"),
        window("22/00", "23/00"),
    ] {
        for batches in [Vec::new(), pair.case.batches()] {
            let error = aggregate(&first, &pair.task(window, &batches), no_progress()).await;
            let error = error.unwrap_err().error;
            assert_eq!(
                kind(&error),
                (Exit::Rejected, "touches-rosters".to_owned()),
                "{error}"
            );
        }
        let aggregation = pair.case.aggregation();
        let name = WindowName {
            aggregation,
            window,
        };
        let task = Task {
            trace_id: uuid::Uuid::nil(),
            name: TaskName::Window(WindowKind::Aggregate, name),
            batches: Some(pair.case.batches()),
        };
        // A task from a queue or of a Job.
        match handle(&first, QueueKind::Aggregate, &task.to_json()).await {
            Outcome::Reject { reason } => {
                assert!(reason.starts_with("touches-rosters"), "{reason}")
            }
            other => panic!("{window}: {other:?}"),
        }
    }
    assert!(
        written(&pair.buckets[0])
            .await
            .keys()
            .all(|key| !key.starts_with("sum:"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_summed_without_rosters_no_roster_lists() {
    let pair = Pair::new().await;
    let (two, hour) = (window("22/00", "22/03"), window("22/00", "23/00"));
    pair.sum(two, &[]).await.unwrap();
    pair.agree(hour).await;
    let first = pair.with(Role::First, Some("2023/11/14/22/00"));
    let summed = aggregate_agreed(&first, &pair.name(hour), no_progress())
        .await
        .unwrap();
    assert_eq!(summed.packets_accepted, 100, "{summed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rosters_agree_on_is_summed_by_them_alone() {
    let pair = Pair::new().await;
    let hour = window("22/00", "23/00");
    pair.agree(hour).await;
    // The rosters have been removed from the configuration.
    for window in [hour, window("22/00", "22/02"), window("22/03", "22/04")] {
        let error = pair.sum(window, &[]).await.unwrap_err();
        assert_eq!(
            kind(&error),
            (Exit::Conflict, "summed-before".to_owned()),
            "{error}"
        );
        assert!(error.to_string().contains(&hour.to_string()), "{error}");
    }
    let first = pair.with(Role::First, Some("2023/11/14/22/00"));
    let summed = aggregate_agreed(&first, &pair.name(hour), no_progress())
        .await
        .unwrap();
    assert_eq!(summed.packets_accepted, 300);
}

/// An agreed set and a claim of the same batch, each created before the other was visible.
#[tokio::test(flavor = "multi_thread")]
async fn an_agreed_batch_that_is_claimed_meanwhile_is_not_summed_twice() {
    let pair = Pair::new().await;
    let hour = window("22/00", "23/00");
    pair.agree(hour).await;
    let own = &*pair.buckets[0].own;
    let agreed = pair.name(hour).agreed();
    let bytes = read_all(own, &agreed, 1 << 20).await.unwrap();
    own.delete(&agreed).await.unwrap();
    pair.sum(window("22/00", "22/03"), &[]).await.unwrap();
    let published = tallybox_transport::publish_bytes(own, &agreed, bytes, false).await;
    published.unwrap();
    let first = pair.with(Role::First, Some("2023/11/14/22/00"));
    let error = aggregate_agreed(&first, &pair.name(hour), no_progress())
        .await
        .unwrap_err()
        .error;
    assert_eq!(
        kind(&error),
        (Exit::Conflict, "summed-before".to_owned()),
        "{error}"
    );
}

/// Windows of rosters may be weeks long. The rosters of twenty days are agreed on and then removed
/// from the configuration: an hour within them is not summed again.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_window_of_rosters_is_found_from_any_hour_in_it() {
    const MINUTES: u32 = 20 * 24 * 60;
    let pair = Pair::new().await;
    let hour = window("22/00", "23/00");
    let long = aligned_window(hour.start(), MINUTES).unwrap();
    assert!(long.start() < "2023/11/01/00/00".parse().unwrap());
    for role in [Role::First, Role::Second, Role::First] {
        let mut processor =
            Processor::open(&load::<Config>(&pair.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = pair.buckets[role.index()].clone();
        processor.limits.rosters = Some(RosterRules {
            origin: Some(long.start()),
            period_minutes: MINUTES,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: 1,
            maximum_age: 3,
        });
        roster(&Arc::new(processor), &pair.name(long), no_progress())
            .await
            .unwrap();
    }
    let error = pair.sum(hour, &[]).await.unwrap_err();
    assert_eq!(
        kind(&error),
        (Exit::Conflict, "summed-before".to_owned()),
        "{error}"
    );
    assert!(error.to_string().contains(&long.to_string()), "{error}");
}
