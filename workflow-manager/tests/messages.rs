//! The exact bytes of every message, in queues and in Jobs. The trace id follows from the task, so
//! they are the same in every process and in every version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use support::{World, at, batch, hour};
use tallybox_queue::{DirectoryQueue, MemoryQueue, TaskQueue as _};

const AGG: &str = "kittens-seen";

const INTAKE: &str = concat!(
    r#"{"trace-id":"71feb671-adcb-8648-bc0d-26764780cee8","aggregation-id":"kittens-seen","#,
    r#""batch-id":"01010101-0101-0101-0101-010101010101","date":"2026/03/01/08/05"}"#,
);
const INTAKE_AGAIN: &str = concat!(
    r#"{"trace-id":"98fd3772-43d3-8be2-9229-1dda3b79af7e","aggregation-id":"kittens-seen","#,
    r#""batch-id":"01010101-0101-0101-0101-010101010101","date":"2026/03/01/08/05"}"#,
);
const SUM: &str = concat!(
    r#"{"trace-id":"6fe0fb0d-8a97-8a20-92f9-d19a2216094f","aggregation-id":"kittens-seen","#,
    r#""aggregation-start":"2026/03/01/08/00","aggregation-end":"2026/03/01/09/00","#,
    r#""batches":[{"id":"01010101-0101-0101-0101-010101010101","time":"2026/03/01/08/05"}]}"#,
);
const ROSTER: &str = concat!(
    r#"{"trace-id":"753d074b-3680-8f05-b25c-1a799b1d3a7c","aggregation-id":"kittens-seen","#,
    r#""roster-start":"2026/03/01/08/00","roster-end":"2026/03/01/09/00"}"#,
);
const AGREE: &str = concat!(
    r#"{"trace-id":"3a4ea4f5-55bf-8ae0-90e9-816a46cccb3b","aggregation-id":"kittens-seen","#,
    r#""roster-start":"2026/03/01/08/00","roster-end":"2026/03/01/09/00"}"#,
);
const SUM_AGREED: &str = concat!(
    r#"{"trace-id":"6fe0fb0d-8a97-8a20-92f9-d19a2216094f","aggregation-id":"kittens-seen","#,
    r#""aggregation-start":"2026/03/01/08/00","aggregation-end":"2026/03/01/09/00","#,
    r#""batches":[],"agreed":true}"#,
);

/// Runs the manager, and returns the only message of a queue.
async fn message(world: &World, queue: &MemoryQueue) -> String {
    world.run().await;
    let delivery = queue.receive(Duration::ZERO).await.unwrap().unwrap();
    queue.ack(&delivery.lease).await.unwrap();
    String::from_utf8(delivery.body.to_vec()).unwrap()
}

#[tokio::test]
async fn messages_without_rosters_have_these_bytes() {
    let world = World::new(at("08/30"));
    let name = batch(AGG, at("08/05"), 1);
    world.ingest(&name).await;
    assert_eq!(message(&world, &world.intake).await, INTAKE);
    world.set(at("09/00"));
    assert_eq!(message(&world, &world.intake).await, INTAKE_AGAIN);
    world.validate(&name).await;
    world.prepare(&name).await;
    world.set(at("09/10"));
    assert_eq!(message(&world, &world.aggregate).await, SUM);
}

#[tokio::test]
async fn messages_with_rosters_have_these_bytes() {
    let world = World::with_rosters(at("07/00"), at("08/00"));
    let window = hour(AGG, at("08/00"));
    world.both(&batch(AGG, at("08/05"), 1)).await;
    world.set(at("09/10"));
    assert_eq!(message(&world, &world.aggregate).await, ROSTER);
    let role = world.manager.policy.role;
    support::put(&world.own, &window.roster(role)).await;
    support::put(&world.mailbox, &window.roster(role.peer())).await;
    assert_eq!(message(&world, &world.aggregate).await, AGREE);
    support::put(&world.own, &window.agreed()).await;
    assert_eq!(message(&world, &world.aggregate).await, SUM_AGREED);
}

/// A message in a directory queue is a file with these bytes and nothing else.
#[tokio::test]
async fn a_message_in_a_directory_is_a_file_with_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let queue = DirectoryQueue::new(directory.path(), Duration::from_secs(60));
    queue.publish(INTAKE.into()).await.unwrap();
    let only_entry = |path: std::path::PathBuf| {
        let entries: Vec<_> = std::fs::read_dir(path).unwrap().collect();
        assert_eq!(entries.len(), 1);
        entries.into_iter().next().unwrap().unwrap().path()
    };
    let file = only_entry(only_entry(directory.path().join("ready")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), INTAKE);
    let name = file.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.split('-').collect();
    assert_eq!((parts[0], parts[2], parts[3]), (parts[1], "0", "free"));
}

#[cfg(feature = "kubernetes")]
#[tokio::test]
async fn the_arguments_of_a_job_end_with_the_message() {
    use std::sync::Arc;
    use tallybox_workflow_manager::kubernetes::{JobForm, Jobs};

    let cluster = support::cluster::Cluster::default();
    let mut world = World::new(at("08/30"));
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/config/job.yaml");
    let form = JobForm {
        template: tallybox_service::config::load(template.as_ref())
            .unwrap()
            .value,
        instance: world.manager.instance.clone(),
        role: world.manager.policy.role,
        parallelism: 4,
        keep_secs: 600,
        owner: None,
    };
    let settings = r#"{"template": "job.yaml", "namespace": "us-ca"}"#;
    let settings = serde_json::from_str(settings).unwrap();
    let jobs = Jobs::on(cluster.client(), form, &settings).await.unwrap();
    world.manager.starter = Arc::new(jobs);
    world.ingest(&batch(AGG, at("08/05"), 1)).await;
    world.run().await;
    let job = &cluster.objects("/jobs/")[0];
    assert_eq!(
        job["metadata"]["annotations"]["tallybox.org/tasks"],
        "intake-kittens-seen-2026-03-01-08-05-01010101-0101-0101-0101-010101010101"
    );
    let arguments = &job["spec"]["template"]["spec"]["containers"][0]["args"];
    let expected = [
        "--config",
        "/etc/facilitator/facilitator.yaml",
        "run-task",
        "intake",
        INTAKE,
    ];
    assert_eq!(*arguments, serde_json::json!(expected));
}
