//! The workflow manager's configuration: one YAML file, every key documented, unknown keys refused.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tallybox_model::extensions::RosterExtension;
use tallybox_model::id::{Instance, KeyId};
use tallybox_model::role::Role;
use tallybox_model::time::BatchTime;
use tallybox_queue::QueuePlace;
use tallybox_transport::BucketPlace;

use crate::policy::Policy;

/// The whole file. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The pair of locality and ingestor, `{locality}-{ingestor}`, as the facilitator has it.
    pub instance: Instance,
    /// `first` (the health authority's side) or `second` (the facilitator).
    pub role: Role,
    /// Where everything is.
    pub buckets: BucketsConfig,
    /// What makes and verifies our objects in the processor's own bucket: the files that `facilitator key record` makes of
    /// the facilitator's sealing keys, in the same order. The first makes, all verify.
    pub record_keys: Vec<KeyFile>,
    /// Where work goes as messages, for workers.
    #[serde(default)]
    pub queues: Option<QueuesConfig>,
    /// How work is started as Kubernetes Jobs; instead of `queues`.
    #[serde(default)]
    pub jobs: Option<JobsConfig>,
    /// When what is due.
    pub schedule: ScheduleConfig,
    /// That we use rosters; without it we do as ENPA does.
    #[serde(default)]
    pub roster: Option<RosterConfig>,
    /// The processor's packet keys, for the announcement: public halves only. The order is the announcement's.
    #[serde(default)]
    pub packet_keys: Vec<PacketKeyConfig>,
    /// How `serve` runs.
    #[serde(default)]
    pub serve: ServeConfig,
}

/// Where everything is: places as the facilitator has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketsConfig {
    /// The ingestor writes; we list.
    pub ingestion: BucketPlace,
    /// The processor's own; we list, and write markers.
    pub own: BucketPlace,
    /// The peer writes; we list.
    pub peer_validation_in: BucketPlace,
}

/// A secret key's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyFile {
    /// The file.
    pub file: PathBuf,
}

/// Where work goes as messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueuesConfig {
    /// Intakes.
    pub intake: QueuePlace,
    /// Rosters and sums.
    pub aggregate: QueuePlace,
}

/// How work is started as Kubernetes Jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobsConfig {
    /// The file of a `batch/v1` Job: what every Job is made from.
    pub template: PathBuf,
    /// Where Jobs are made. Default: the namespace of the client's configuration.
    #[serde(default)]
    pub namespace: Option<String>,
    /// How many unfinished Jobs there are at most.
    #[serde(default = "default_most_running")]
    pub most_running: usize,
    /// How many intakes one Job has; with more than 1 it is indexed.
    #[serde(default = "default_intakes_a_job")]
    pub intakes_a_job: usize,
    /// How many pods of an indexed Job run at once.
    #[serde(default = "default_parallelism")]
    pub parallelism: u32,
    /// How long a finished Job is kept, in seconds. While it is, its tasks are known as started.
    #[serde(default = "default_keep_secs")]
    pub keep_secs: u32,
    /// What owns the Jobs: they go when it goes. Default: nothing.
    #[serde(default)]
    pub owner: Option<OwnerConfig>,
}

/// An object in the same namespace.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnerConfig {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// When what is due.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Length of a window in minutes, aligned to 0001-01-01 UTC. Both processors need the same.
    pub period_minutes: u32,
    /// How long after its end a window is closed, in minutes.
    #[serde(default = "default_grace_minutes")]
    pub grace_minutes: u32,
    /// Without rosters: how long after it is closed a window waits for complete batches that this or the other processor has
    /// not taken in, in minutes. Then it is summed without them. Both processors need the same.
    #[serde(default = "default_wait_minutes")]
    pub wait_minutes: u32,
    /// How old a batch may be, by the date in its name, to be taken in though its window is done, in hours.
    #[serde(default = "default_week_hours")]
    pub look_back_hours: u32,
    /// How old a window may be to be caught up, in hours.
    #[serde(default = "default_week_hours")]
    pub horizon_hours: u32,
    /// How long after it was started a task without an outcome is started again, in minutes.
    #[serde(default = "default_reenqueue_after_minutes")]
    pub reenqueue_after_minutes: u32,
    /// How many starts are under way at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

/// A packet key of the processor, as the announcement tells it to ingestors.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PacketKeyConfig {
    /// Its id, as in the facilitator's configuration.
    pub id: KeyId,
    /// The number of bins of all shares that are sealed to it.
    pub bins: u32,
    /// The file of its public half: base64 of the uncompressed point, as `facilitator key generate` writes it.
    pub file: PathBuf,
}

/// That we use rosters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RosterConfig {
    /// From the first window at or after this time on, if the peer does, too.
    pub since: BatchTime,
    /// Up to the first window at or after this time. Default: without end.
    #[serde(default)]
    pub until: Option<BatchTime>,
    /// Where the peer's announcement is: an `https://` URL, or a file.
    pub peer: String,
}

/// How `serve` runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Where health and metrics are, for operators only.
    pub operations: SocketAddr,
    /// How often it looks, in seconds.
    pub poll_secs: u64,
    /// How one of several leads.
    pub leader: LeaderConfig,
    /// For how long the leader is known to lead, in seconds. It says so again at a third of it.
    pub lease_secs: u32,
    /// How long a run may take before the program is reported as stuck, in seconds.
    pub stuck_secs: u64,
}

/// How one of several schedulers leads. Two that lead at once do no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LeaderConfig {
    /// By objects in the own bucket.
    #[default]
    Bucket,
    /// By a Kubernetes Lease of this name.
    Lease(LeaseConfig),
    /// There is only one.
    Alone,
}

/// A Kubernetes Lease.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeaseConfig {
    /// Its name.
    pub name: String,
    /// Its namespace. Default: the namespace of the client's configuration.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            operations: SocketAddr::from(([127, 0, 0, 1], 8083)),
            poll_secs: 60,
            leader: LeaderConfig::default(),
            lease_secs: 60,
            stuck_secs: 1800,
        }
    }
}

fn default_grace_minutes() -> u32 {
    60
}

fn default_wait_minutes() -> u32 {
    60
}

fn default_week_hours() -> u32 {
    7 * 24
}

fn default_reenqueue_after_minutes() -> u32 {
    6 * 60
}

fn default_concurrency() -> usize {
    16
}

fn default_most_running() -> usize {
    20
}

fn default_intakes_a_job() -> usize {
    50
}

fn default_parallelism() -> u32 {
    4
}

fn default_keep_secs() -> u32 {
    6 * 3600
}

/// Most intakes of one Job: their names stand in an annotation, and all annotations together have at most 256 KiB.
const MOST_INTAKES: usize = 500;

impl Config {
    /// The lengths of time.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let schedule = &self.schedule;
        Policy {
            role: self.role,
            period_minutes: schedule.period_minutes,
            grace_minutes: schedule.grace_minutes,
            wait_minutes: schedule.wait_minutes,
            look_back_minutes: schedule.look_back_hours.saturating_mul(60),
            horizon_minutes: schedule.horizon_hours.saturating_mul(60),
            reenqueue_after_minutes: schedule.reenqueue_after_minutes,
        }
    }

    /// What we announce.
    #[must_use]
    pub fn announced(&self) -> Option<RosterExtension> {
        self.roster.as_ref().map(|roster| RosterExtension {
            since: roster.since,
            until: roster.until,
        })
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// What is wrong, beginning with the key.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |problem: &str| Err(problem.to_owned());
        let (schedule, policy) = (&self.schedule, self.policy());
        if schedule.period_minutes == 0 || schedule.reenqueue_after_minutes == 0 || schedule.concurrency == 0 {
            return refuse("schedule: period-minutes, reenqueue-after-minutes and concurrency have to be 1 or more");
        }
        let closed =
            u64::from(policy.period_minutes) * 2 + u64::from(policy.grace_minutes) + u64::from(policy.wait_minutes);
        if u64::from(policy.horizon_minutes) < closed {
            return refuse(
                "schedule.horizon-hours has to be twice period-minutes, grace-minutes and wait-minutes or more: no window \
                 would be closed before it is too old",
            );
        }
        if u64::from(policy.look_back_minutes) < u64::from(policy.period_minutes) {
            return refuse("schedule.look-back-hours has to be period-minutes or more");
        }
        if self.queues.is_some() == self.jobs.is_some() {
            return refuse("queues or jobs: one of both is needed, to start work");
        }
        if let Some(roster) = &self.roster {
            if roster.until.is_some_and(|until| until <= roster.since) {
                return refuse("roster.until has to be after roster.since");
            }
            if roster.peer.starts_with("http://") {
                return refuse("roster.peer has to be https:// or a file: the peer is known by its certificate");
            }
        }
        if let Some(jobs) = &self.jobs {
            if !(1..=MOST_INTAKES).contains(&jobs.intakes_a_job) {
                return refuse("jobs.intakes-a-job has to be 1 to 500");
            }
            if jobs.most_running == 0 || jobs.parallelism == 0 || jobs.keep_secs == 0 {
                return refuse("jobs: most-running, parallelism and keep-secs have to be 1 or more");
            }
        }
        if self.serve.poll_secs == 0 || self.serve.lease_secs < 3 || self.serve.stuck_secs == 0 {
            return refuse("serve: poll-secs and stuck-secs have to be 1 or more, lease-secs 3 or more");
        }
        Ok(())
    }
}
