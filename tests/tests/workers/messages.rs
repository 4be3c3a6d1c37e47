//! The handling of queue messages: valid ones, repeated ones, and poison messages.

use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::sum::DoneMark;
use tallybox_facilitator::worker::{Outcome, handle, step};
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_queue::TaskQueue as _;
use tallybox_tests::snapshot::{difference, written};
use tallybox_tests::vectors::Case;

use crate::world::{BucketFault, World, emptied, metric, start};

const LEASE_TIME: Duration = Duration::from_secs(600);

/// Handles all messages of a queue, one after another.
async fn drain(worker: &tallybox_facilitator::worker::Worker, kind: QueueKind) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while let Some(outcome) = step(worker, kind, Duration::ZERO).await.unwrap() {
        outcomes.push(outcome);
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_go_from_intake_to_sum_part_and_the_window_is_marked_done() {
    let world = World::new("dim8", LEASE_TIME);
    let worker = world.worker(world.processor());
    world.publish_intakes().await;
    assert_eq!(
        drain(&worker, QueueKind::Intake).await,
        [Outcome::Done, Outcome::Done, Outcome::Done]
    );
    let task = world.aggregate_task(&world.case.batches());
    world.aggregate.publish(task.into()).await.unwrap();
    assert_eq!(drain(&worker, QueueKind::Aggregate).await, [Outcome::Done]);
    let window = WindowName {
        aggregation: world.case.aggregation(),
        window: Case::window(),
    };
    let mark = worker
        .processor()
        .buckets
        .read_record(&window.done(), 1000)
        .await
        .unwrap()
        .unwrap();
    let mark: DoneMark = serde_json::from_slice(&mark).unwrap();
    assert_eq!((mark.batches, mark.accepted, mark.reason), (3, 300, None));
    assert!(mark.sum_part.unwrap().ends_with(".sum_0"));
    let counted = |name: &str| metric(&worker, name);
    assert_eq!(
        counted(r#"facilitator_tasks_total{task="intake",outcome="done"}"#),
        3
    );
    assert_eq!(counted("facilitator_packets_accepted_total"), 300);
    assert_eq!(counted("facilitator_packets_summed_total"), 300);
}

/// The predecessor wrote different bytes each time, so that two deliveries of one task could leave
/// the header of one and the packets of the other.
#[tokio::test(flavor = "multi_thread")]
async fn w6_redelivered_tasks_and_two_workers_on_one_task_leave_the_same_bytes() {
    let world = World::new("dim8", LEASE_TIME);
    let alone = world.worker(world.processor());
    let batches = world.case.batches();
    for batch in &batches {
        let outcome = handle(
            &alone.processor(),
            QueueKind::Intake,
            &world.intake_task(batch),
        )
        .await;
        assert_eq!(outcome, Outcome::Done);
    }
    let sum = world.aggregate_task(&batches);
    assert_eq!(
        handle(&alone.processor(), QueueKind::Aggregate, &sum).await,
        Outcome::Done
    );
    let reference = written(&alone.processor().buckets).await;

    let buckets = world.processor().buckets;
    let running: Vec<_> = (0..2)
        .map(|_| {
            let mut processor = world.processor();
            processor.buckets = buckets.clone();
            start(world.worker(processor))
        })
        .collect();
    for _ in 0..4 {
        world.publish_intakes().await;
    }
    emptied(&world.intake).await;
    for _ in 0..3 {
        world.aggregate.publish(sum.clone().into()).await.unwrap();
    }
    emptied(&world.aggregate).await;
    for worker in running {
        worker.stop().await;
    }
    assert_eq!(difference(&reference, &written(&buckets).await), [""; 0]);
    assert!(
        World::rejected(&world.intake).await.is_empty()
            && World::rejected(&world.aggregate).await.is_empty()
    );
}

/// The predecessor took a batch in a second time if the batch had been copied to another date.
#[tokio::test(flavor = "multi_thread")]
async fn w8_a_copied_batch_is_rejected_with_its_first_date() {
    let world = World::new("dim2", LEASE_TIME);
    let root = tempfile::tempdir().unwrap();
    let batch = world.case.batches().remove(0);
    let mut copy = batch.clone();
    copy.date = copy.date.plus_minutes(60).unwrap();
    let from = world.case.ingestion(tallybox_model::role::Role::First);
    for name in [&batch, &copy] {
        let (objects, to) = (batch.ingestion(), name.ingestion());
        for (object, to) in [
            (objects.header, to.header),
            (objects.packets, to.packets),
            (objects.signature, to.signature),
        ] {
            let target = root.path().join(to);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(from.join(object), target).unwrap();
        }
    }
    let mut processor = world.processor();
    processor.buckets.ingestion = Arc::new(tallybox_transport::LocalBucket::new(root.path()));
    let worker = world.worker(processor);
    for name in [&batch, &copy] {
        world
            .intake
            .publish(world.intake_task(name).into())
            .await
            .unwrap();
    }
    let outcomes = drain(&worker, QueueKind::Intake).await;
    assert_eq!(outcomes[0], Outcome::Done);
    assert!(
        matches!(&outcomes[1], Outcome::Reject { reason } if reason.contains("this batch is a copy")),
        "{outcomes:?}"
    );
}

/// Each of these messages ended the predecessor's worker, by an error or a panic. It was then
/// redelivered, and ended the next worker.
#[tokio::test(flavor = "multi_thread")]
async fn w12_poison_messages_are_rejected_with_a_reason_and_the_worker_goes_on() {
    let world = World::new("dim2", LEASE_TIME);
    let batch = world.case.batches().remove(0);
    let good = String::from_utf8(world.intake_task(&batch)).unwrap();
    let sum = String::from_utf8(world.aggregate_task(&[])).unwrap();
    let intakes = [
        String::new(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\u{0}\u{1}".to_owned(),
        good.replace(&batch.id.to_string(), "not-a-uuid"),
        good.replace(&batch.date.to_string(), "2023/13/14/22/00"),
        good.replace(&batch.aggregation.to_string(), "../../etc"),
        format!("{good}{good}"),
        "[".repeat(100_000),
    ];
    let sums = [
        sum.clone(),
        sum.replace("aggregation-end", "aggregation-and"),
        sum.replace("23/00", "21/00"),
        r#"{"roster-start":"x"}"#.to_owned(),
        String::from_utf8(world.aggregate_task(&[tallybox_model::path::BatchName {
            date: "2020/01/01/00/00".parse().unwrap(),
            ..batch.clone()
        }]))
        .unwrap(),
    ];
    let running = start(world.worker(world.processor()));
    for body in &intakes {
        world.intake.publish(body.clone().into()).await.unwrap();
    }
    for body in &sums {
        world.aggregate.publish(body.clone().into()).await.unwrap();
    }
    world.intake.publish(good.clone().into()).await.unwrap();
    emptied(&world.intake).await;
    emptied(&world.aggregate).await;
    let rejected = World::rejected(&world.intake).await;
    assert_eq!(rejected.len(), intakes.len());
    for (body, reason) in &rejected {
        assert!(
            intakes.iter().any(|bad| bad.as_bytes() == &body[..]),
            "the body of a rejected message was changed"
        );
        assert!(
            reason.starts_with("task: ") && reason.len() > 10,
            "{reason}"
        );
    }
    let rejected = World::rejected(&world.aggregate).await;
    let reasons: Vec<&str> = rejected.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons.len(), sums.len(), "{reasons:?}");
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("names no batch")),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("outside the window")),
        "{reasons:?}"
    );
    let done = r#"facilitator_tasks_total{task="intake",outcome="done"}"#;
    assert_eq!(
        (
            running.metric(done),
            running.metric("facilitator_poison_messages_total")
        ),
        (1, 13)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w12_a_panic_costs_the_task_an_attempt_and_in_the_end_the_task() {
    let world = World::new("dim2", LEASE_TIME);
    let mut processor = world.processor();
    processor.buckets.ingestion = BucketFault::Panic.wrap(processor.buckets.ingestion);
    let mut config = crate::world::config();
    config.attempts_at_a_panic = 3;
    config.retry_delay.min_secs = 0;
    config.retry_delay.max_secs = 0;
    let queue = Arc::new(world.intake.clone());
    let worker = tallybox_facilitator::worker::Worker::new(
        processor,
        [(QueueKind::Intake, queue as _)],
        config,
    );
    world
        .intake
        .publish(world.intake_task(&world.case.batches()[0]).into())
        .await
        .unwrap();
    let outcomes = drain(&worker, QueueKind::Intake).await;
    let names: Vec<&str> = outcomes.iter().map(Outcome::name).collect();
    assert_eq!(names, ["retry", "retry", "reject"], "{outcomes:?}");
    let rejected = World::rejected(&world.intake).await;
    assert!(
        rejected[0].1.contains("this bucket panics in every get")
            && rejected[0].1.contains("attempt 3"),
        "{rejected:?}"
    );
    assert_eq!(metric(&worker, "facilitator_panics_total"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_yet_comes_back_later_each_time() {
    let world = World::new("dim2", LEASE_TIME);
    let mut batch = world.case.batches().remove(0);
    batch.date = batch.date.plus_minutes(1).unwrap();
    let worker = world.worker(world.processor());
    world
        .intake
        .publish(world.intake_task(&batch).into())
        .await
        .unwrap();
    let mut last = Duration::ZERO;
    for attempt in 1..=7 {
        let outcome = step(&worker, QueueKind::Intake, Duration::from_secs(3600))
            .await
            .unwrap()
            .unwrap();
        assert!(
            matches!(&outcome, Outcome::Retry { reason, .. } if reason.starts_with("not-there: ")),
            "{outcome:?}"
        );
        let begun = tokio::time::Instant::now();
        while world.intake.depth().await.unwrap().ready == Some(0) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let pause = begun.elapsed();
        let middle = Duration::from_secs(1 << (attempt - 1));
        assert!(
            pause >= middle / 2 && pause <= middle * 3 / 2 + Duration::from_secs(1),
            "{pause:?}"
        );
        last = last.max(pause);
    }
    assert!(last > Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_below_the_minimum_is_done_without_a_sum_part() {
    let world = World::new("dim2", LEASE_TIME);
    let mut processor = world.processor();
    processor.limits.minimum_contributions = 1000;
    let worker = world.worker(processor);
    let sum = world.aggregate_task(&world.case.batches());
    assert_eq!(
        handle(&worker.processor(), QueueKind::Aggregate, &sum).await,
        Outcome::Done
    );
    let window = WindowName {
        aggregation: world.case.aggregation(),
        window: Case::window(),
    };
    let processor = worker.processor();
    let mark = processor
        .buckets
        .read_record(&window.done(), 1000)
        .await
        .unwrap()
        .unwrap();
    let mark: DoneMark = serde_json::from_slice(&mark).unwrap();
    assert_eq!(
        (mark.sum_part, mark.reason.as_deref()),
        (None, Some("below-minimum"))
    );
    // An operator who lowers the minimum and starts the task again gets the sum part.
    let mut lower = world.processor();
    lower.buckets = processor.buckets.clone();
    assert_eq!(
        handle(&Arc::new(lower), QueueKind::Aggregate, &sum).await,
        Outcome::Done
    );
    let sums = written(&processor.buckets).await;
    assert!(
        sums.keys()
            .any(|key| key.starts_with("sum:") && key.ends_with(".sum_0.sig"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roster_tasks_are_told_from_aggregations() {
    let world = World::new("dim2", LEASE_TIME);
    let name = WindowName {
        aggregation: world.case.aggregation(),
        window: Case::window(),
    };
    let task = Task {
        trace_id: uuid::Uuid::nil(),
        name: TaskName::Window(WindowKind::Roster, name),
        batches: None,
    };
    let worker = world.worker(world.processor());
    world
        .aggregate
        .publish(task.to_json().into())
        .await
        .unwrap();
    let _ = drain(&worker, QueueKind::Aggregate).await;
    let of_rosters = r#"facilitator_task_duration_seconds_count{task="roster"}"#;
    assert_eq!(metric(&worker, of_rosters), 1);
}
