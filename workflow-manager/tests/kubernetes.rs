//! Work as Kubernetes Jobs: the exact bytes of the Jobs, no second Job after any failure, the limit
//! of Jobs, and leader election by a Lease. The tests always run on a small built-in API server,
//! and also on a real one if `TALLYBOX_KUBECONFIG` names it (`scripts/check kubernetes`).
#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use serde_json::{Value, json};
use support::cluster::Cluster;
use support::{World, at, batch, day};
use tallybox_model::role::Role;
use tallybox_model::task::QueueKind;
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_workflow_manager::config::{JobsConfig, LeaseConfig, OwnerConfig};
use tallybox_workflow_manager::kubernetes::{JobForm, Jobs, KubernetesLease};
use tallybox_workflow_manager::leader::{Election, Leadership};
use tallybox_workflow_manager::start::{StartRequest, Starter as _};

const AGG: &str = "kittens-seen";

fn config(most_running: usize, intakes_a_job: usize) -> JobsConfig {
    JobsConfig {
        template: PathBuf::new(),
        namespace: Some("us-ca".to_owned()),
        most_running,
        intakes_a_job,
        parallelism: 4,
        keep_secs: 600,
        owner: None,
    }
}

fn form(instance: &str) -> JobForm {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/job.yaml");
    JobForm {
        template: load::<Job>(&file).unwrap().value,
        instance: instance.parse().unwrap(),
        role: Role::First,
        parallelism: 4,
        keep_secs: 600,
        owner: None,
    }
}

async fn world(client: Client, jobs: &JobsConfig, instance: &str) -> World {
    let mut world = World::new(at("08/30"));
    world.manager.instance = instance.parse().unwrap();
    world.manager.starter = Arc::new(Jobs::on(client, form(instance), jobs).await.unwrap());
    world
}

async fn ingest(world: &World, count: u8) {
    for number in 1..=count {
        world.ingest(&batch(AGG, at("08/00"), number)).await;
    }
}

/// Returns the tasks of all Jobs, by Job.
fn tasks(cluster: &Cluster) -> Vec<Vec<String>> {
    let started_task = |job: &Value| {
        let text = job["metadata"]["annotations"]["tallybox.org/tasks"]
            .as_str()
            .unwrap();
        text.lines().map(str::to_owned).collect()
    };
    cluster.objects("/jobs/").iter().map(started_task).collect()
}

/// Asserts that every task is in exactly one Job.
fn assert_once(cluster: &Cluster, count: usize) {
    let all: Vec<String> = tasks(cluster).concat();
    let different: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (count, count), "{all:?}");
}

#[test]
fn jobs_are_as_committed() {
    let task = |number: u8| StartRequest {
        key: format!(
            "intake-kittens-seen-2026-03-01-08-00-{number:02}010101-0101-0101-0101-010101010101"
        ),
        message: format!(r#"{{"trace-id":"{number}","aggregation-id":"kittens-seen"}}"#).into(),
    };
    let owner = k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "workflow-manager".to_owned(),
        uid: "11111111-2222-3333-4444-555555555555".to_owned(),
        controller: Some(false),
        block_owner_deletion: Some(false),
    };
    let mut form = form("us-ca-example");
    form.owner = Some(owner);
    form.check().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    for (name, queue, tasks) in [
        ("plain-intake", QueueKind::Intake, vec![task(1)]),
        (
            "indexed-intake",
            QueueKind::Intake,
            vec![task(1), task(2), task(3), task(4), task(5)],
        ),
        ("plain-aggregate", QueueKind::Aggregate, vec![task(1)]),
    ] {
        let job = serde_json::to_string_pretty(&form.job(queue, &tasks)).unwrap() + "\n";
        let file = folder.join(format!("{name}.json"));
        if std::env::var_os("UPDATE_MANIFESTS").is_some() {
            std::fs::write(&file, &job).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(job, committed, "{name}: UPDATE_MANIFESTS=1 updates it");
    }
}

#[test]
fn names_follow_from_the_tasks_and_fit() {
    let task = |key: &str| StartRequest {
        key: key.to_owned(),
        message: Default::default(),
    };
    for instance in [
        "us-ca-example",
        "A_strange..Name-of-two-Hundred-characters-or-so",
        "__",
    ] {
        let form = form(instance);
        let name = form.name(QueueKind::Aggregate, &[task("a")]);
        assert!(name.len() < 53, "{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            name.chars().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()),
            "{name}"
        );
        assert_eq!(name, form.name(QueueKind::Aggregate, &[task("a")]));
        let others = [
            form.name(QueueKind::Intake, &[task("a")]),
            form.name(QueueKind::Aggregate, &[task("b")]),
            form.name(QueueKind::Aggregate, &[task("a"), task("b")]),
            JobForm {
                role: Role::Second,
                ..form.clone()
            }
            .name(QueueKind::Aggregate, &[task("a")]),
        ];
        assert!(!others.contains(&name));
    }
}

#[test]
fn a_template_without_limits_is_refused() {
    let mut bad = form("us-ca-example");
    let pod = |form: &mut JobForm| {
        form.template
            .spec
            .as_mut()
            .unwrap()
            .template
            .spec
            .as_mut()
            .unwrap()
            .clone()
    };
    let mut spec = pod(&mut bad);
    spec.containers[0].resources = None;
    bad.template.spec.as_mut().unwrap().template.spec = Some(spec.clone());
    assert!(bad.check().unwrap_err().contains("limits"));
    spec.restart_policy = None;
    bad.template.spec.as_mut().unwrap().template.spec = Some(spec);
    assert!(bad.check().unwrap_err().contains("restartPolicy"));
}

#[tokio::test]
async fn many_intakes_are_one_indexed_job_and_a_window_is_a_job_of_its_own() {
    let cluster = Cluster::default();
    let world = world(cluster.client(), &config(20, 50), "us-ca-example").await;
    ingest(&world, 7).await;
    world.both(&batch(AGG, at("08/00"), 99)).await;
    world.set(at("09/10"));
    world.run().await;
    let sizes: Vec<usize> = tasks(&cluster).iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 8);
    assert_eq!(sizes.len(), 2);
    assert_once(&cluster, 8);
    assert!(world.run().await.started.is_empty());
}

#[tokio::test]
async fn a_crash_after_a_job_was_made_adopts_it_and_makes_no_second_one() {
    let cluster = Cluster::default();
    let world = world(cluster.client(), &config(20, 50), "us-ca-example").await;
    ingest(&world, 3).await;
    cluster.break_next();
    let summary = world.manager.run_once().await.unwrap();
    assert_eq!((summary.failed.len(), summary.exit()), (1, Exit::Retry));
    assert_once(&cluster, 3);
    // There are more batches meanwhile. Running tasks stay as they are, and only the others become
    // a new Job.
    ingest(&world, 5).await;
    let summary = world.run().await;
    assert_eq!(summary.started.len(), 5);
    assert_once(&cluster, 5);
    assert_eq!(tasks(&cluster).len(), 2);
    assert!(
        world.run().await.started.is_empty(),
        "the markers are there"
    );
}

#[tokio::test]
async fn two_managers_at_once_make_one_job() {
    let cluster = Cluster::default();
    let starter = Jobs::on(cluster.client(), form("us-ca-example"), &config(20, 50))
        .await
        .unwrap();
    let tasks = [StartRequest {
        key: "intake-x".to_owned(),
        message: Default::default(),
    }];
    starter.start(QueueKind::Intake, &tasks).await.unwrap();
    starter.start(QueueKind::Intake, &tasks).await.unwrap();
    assert_eq!(cluster.objects("/jobs/").len(), 1);
}

#[tokio::test]
async fn no_more_run_than_may() {
    let cluster = Cluster::default();
    let world = world(cluster.client(), &config(4, 1), "us-ca-example").await;
    ingest(&world, 10).await;
    let summary = world.run().await;
    assert_eq!((summary.started.len(), summary.left), (4, 6));
    assert_eq!(world.run().await.started.len(), 0);
    cluster.finish_jobs();
    let summary = world.run().await;
    assert_eq!((summary.started.len(), summary.left), (4, 2));
    cluster.finish_jobs();
    assert_eq!(world.run().await.started.len(), 2);
    assert_once(&cluster, 10);
    // A task without an outcome becomes another Job when it is due again.
    cluster.finish_jobs();
    world.set(at("09/01"));
    assert_eq!(world.run().await.started.len(), 4);
}

#[tokio::test]
async fn an_owner_is_looked_up_and_stands_in_every_job() {
    let cluster = Cluster::default();
    let mut jobs = config(20, 1);
    jobs.owner = Some(OwnerConfig {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "workflow-manager".to_owned(),
    });
    assert!(
        Jobs::on(cluster.client(), form("us-ca-example"), &jobs)
            .await
            .is_err(),
        "the Job does not exist"
    );
    cluster.put(
        "/apis/apps/v1/namespaces/us-ca/deployments/workflow-manager",
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "workflow-manager", "uid": "u-1"}}),
    );
    let world = world(cluster.client(), &jobs, "us-ca-example").await;
    ingest(&world, 1).await;
    world.run().await;
    assert_eq!(
        cluster.objects("/jobs/")[0]["metadata"]["ownerReferences"][0]["uid"],
        "u-1"
    );
}

#[tokio::test]
async fn one_leads_by_a_lease() {
    lead(Cluster::default().client(), "one").await;
}

/// Two processes compete for a Lease, on any API server.
async fn lead(client: Client, name: &str) {
    let clock = Clock::manual(day(1, "08/00").millis());
    let config = LeaseConfig {
        name: format!("workflow-manager-{name}"),
        namespace: Some("us-ca".to_owned()),
    };
    let lease = |holder: &str| {
        KubernetesLease::in_cluster(client.clone(), &config, 60, holder.to_owned())
            .on(clock.clone())
    };
    let (first, second) = (lease("one"), lease("two"));
    let theirs = |name: &str| Leadership::Theirs {
        holder: name.to_owned(),
    };
    assert_eq!(first.campaign().await.unwrap(), Leadership::Ours);
    assert_eq!(second.campaign().await.unwrap(), theirs("one"));
    clock.set(clock.millis() + 59_000);
    assert_eq!(first.campaign().await.unwrap(), Leadership::Ours);
    clock.set(clock.millis() + 59_000);
    assert_eq!(second.campaign().await.unwrap(), theirs("one"));
    clock.set(clock.millis() + 1_000);
    assert_eq!(second.campaign().await.unwrap(), Leadership::Ours);
    assert_eq!(first.campaign().await.unwrap(), theirs("two"));
    first.resign().await.unwrap();
    assert_eq!(
        first.campaign().await.unwrap(),
        theirs("two"),
        "a lease that is not held cannot be ended"
    );
    second.resign().await.unwrap();
    assert_eq!(first.campaign().await.unwrap(), Leadership::Ours);
    first.resign().await.unwrap();
}

/// The same on a real API server. It has no controllers, so Jobs stay as they are created.
#[tokio::test]
async fn on_a_real_api_server() {
    let Some(file) = std::env::var_os("TALLYBOX_KUBECONFIG") else {
        eprintln!("SKIPPED: TALLYBOX_KUBECONFIG names no API server");
        return;
    };
    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
    use kube::config::{KubeConfigOptions, Kubeconfig};
    let kubeconfig = Kubeconfig::read_from(file).unwrap();
    let cluster = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let client = Client::try_from(cluster).unwrap();
    let namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "us-ca"}})).unwrap();
    let _ = Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await;
    let run = std::process::id().to_string();
    lead(client.clone(), &run).await;

    let instance = format!("real-{run}");
    let jobs = config(3, 1);
    let world = world(client.clone(), &jobs, &instance).await;
    ingest(&world, 5).await;
    let summary = world.run().await;
    assert_eq!((summary.started.len(), summary.left), (3, 2));
    let starter = Jobs::on(client.clone(), form(&instance), &jobs)
        .await
        .unwrap();
    let running = starter.running().await.unwrap();
    assert_eq!((running.keys.len(), running.room), (3, Some(0)));
    // A crash before the markers were written: the markers are missing, and the Jobs exist.
    let markers = ["01", "02", "03"].map(|n| {
        let id = format!("{n}{n}{n}{n}-{n}{n}-{n}{n}-{n}{n}-{n}{n}{n}{n}{n}{n}");
        format!("task-markers/intake-{AGG}-2026-03-01-08-00-{id}")
    });
    for marker in &markers {
        assert!(world.own.size(marker).await.is_ok());
        world.own.delete(marker).await.unwrap();
    }
    let summary = world.run().await;
    assert_eq!((summary.started.len(), summary.left), (3, 2), "adopted");
    assert_eq!(
        starter.running().await.unwrap().keys.len(),
        3,
        "and no second one made"
    );
    // Creating the same Job again finds the existing one.
    let task = StartRequest {
        key: running.keys.iter().next().unwrap().clone(),
        message: bytes::Bytes::from_static(b"{}"),
    };
    starter.start(QueueKind::Intake, &[task]).await.unwrap();
    assert_eq!(starter.running().await.unwrap().keys.len(), 3);
    // When the Jobs are finished, the rest is started.
    let finished = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    for job in starter.api.list(&Default::default()).await.unwrap().items {
        let name = job.metadata.name.unwrap();
        let patched = starter
            .api
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&finished))
            .await;
        patched.unwrap();
    }
    assert_eq!(world.run().await.started.len(), 2);
    // The API server validates the manifest. An unknown restart policy is rejected, and a retry
    // cannot succeed.
    let mut bad = form(&instance);
    bad.template
        .spec
        .as_mut()
        .unwrap()
        .template
        .spec
        .as_mut()
        .unwrap()
        .restart_policy = Some("Always".to_owned());
    let bad = Jobs::on(client, bad, &jobs).await.unwrap();
    let task = StartRequest {
        key: "bad".to_owned(),
        message: bytes::Bytes::new(),
    };
    let error = bad.start(QueueKind::Intake, &[task]).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Rejected, "{error:?}");
    let _ = starter
        .api
        .delete_collection(&DeleteParams::default(), &Default::default())
        .await;
}
