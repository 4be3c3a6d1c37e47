//! The program accepts the sample configuration, and names the wrong key of invalid ones.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use tallybox_service::config::{Loaded, load};
use tallybox_workflow_manager::config::{Config, LeaderConfig};

fn sample() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/workflow-manager.yaml");
    std::fs::read_to_string(file).unwrap()
}

fn read(text: &str) -> Result<Loaded<Config>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, text).unwrap();
    let config = load::<Config>(&file).map_err(|error| error.to_string())?;
    config.value.check()?;
    Ok(config)
}

#[test]
fn the_sample_configuration_loads_and_says_the_defaults() {
    let config = read(&sample()).unwrap().value;
    let defaults = tallybox_workflow_manager::config::ManagerServeConfig::default();
    assert_eq!(config.serve.operations, defaults.operations);
    assert_eq!(
        (config.serve.poll_secs, config.serve.lease_secs),
        (defaults.poll_secs, defaults.lease_secs)
    );
    assert_eq!(
        (&config.serve.leader, config.serve.stuck_secs),
        (&LeaderConfig::Bucket, defaults.stuck_secs)
    );
    let short = "instance: a\nrole: first\nbuckets: {ingestion: i, own: o, peer-validation-in: p}\nrecord-keys: [{file: k}]\n\
                 queues: {intake: a, aggregate: b}\nschedule: {period-minutes: 480}\n";
    let short = read(short).unwrap().value;
    assert_eq!(short.policy(), config.policy());
    assert_eq!(short.schedule.concurrency, config.schedule.concurrency);
    assert!(config.announced().is_some() && short.announced().is_none());
}

#[test]
fn the_commented_jobs_of_the_sample_load_in_place_of_queues() {
    let text = sample();
    let (before, rest) = text.split_once("\nqueues:").unwrap();
    let (_, rest) = rest.split_once("\n# Or work is").unwrap();
    let (jobs, after) = rest.split_once("\nschedule:").unwrap();
    let jobs: Vec<&str> = jobs
        .lines()
        .skip(1)
        .map(|line| line.trim_start_matches("# "))
        .collect();
    let jobs: String = jobs
        .iter()
        .map(|line| {
            let key = line.split(':').next().unwrap_or_default();
            let indent = if matches!(key, "jobs" | "") { "" } else { "  " };
            format!("{indent}{}\n", line.trim_start())
        })
        .collect();
    let config = read(&format!("{before}\n{jobs}\nschedule:{after}"))
        .unwrap()
        .value;
    let jobs = config.jobs.unwrap();
    assert_eq!(
        (
            jobs.most_running,
            jobs.intakes_a_job,
            jobs.parallelism,
            jobs.keep_secs
        ),
        (20, 50, 4, 21600)
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for (good, bad, expected) in [
        (
            "period-minutes: 480",
            "period-minutes: 0",
            "schedule: period-minutes",
        ),
        (
            "period-minutes: 480",
            "period-minutes: 9000",
            "schedule.horizon-hours",
        ),
        (
            "look-back-hours: 168",
            "look-back-hours: 7",
            "schedule.look-back-hours",
        ),
        (
            "concurrency: 16",
            "concurrency: 0",
            "schedule: period-minutes",
        ),
        ("# until: 2027", "until: 2020", "roster.until"),
        ("peer: https://", "peer: http://", "roster.peer"),
        ("poll-secs: 60", "poll-secs: 0", "serve: poll-secs"),
        ("role: first", "role: third", "role"),
        (
            "instance: us-ca-example",
            "instant: us-ca-example",
            "did you mean `instance`",
        ),
    ] {
        let problem = read(&sample().replacen(good, bad, 1)).unwrap_err();
        assert!(problem.contains(expected), "{bad}: {problem}");
    }
}
