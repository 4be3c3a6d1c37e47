//! The configuration of the workflow manager: one YAML file. Every key is documented, and unknown
//! keys are rejected.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tallybox_model::extensions::RosterExtension;
use tallybox_model::id::{Instance, KeyId};
use tallybox_model::role::Role;
use tallybox_model::task::QueueKind;
use tallybox_model::time::BatchTime;
use tallybox_queue::QueuePlace;
use tallybox_transport::BucketPlace;

use crate::policy::Policy;

/// The configuration file. Relative paths start at the file's directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The instance, `{locality}-{ingestor}`, as in the facilitator's configuration.
    pub instance: Instance,
    /// `first` (the health authority's side) or `second` (the facilitator).
    pub role: Role,
    /// The buckets.
    pub buckets: BucketsConfig,
    /// The keys that authenticate the records in the processor's own bucket: the files that
    /// `facilitator key record` derives from the facilitator's sealing keys, in the same order. The
    /// first key authenticates new records; all keys verify.
    pub record_keys: Vec<RecordKeyFile>,
    /// The queues to which work is published for workers.
    #[serde(default)]
    pub queues: Option<QueuesConfig>,
    /// Settings for work as Kubernetes Jobs, instead of `queues`.
    #[serde(default)]
    pub jobs: Option<JobsConfig>,
    /// When work is due.
    pub schedule: ScheduleConfig,
    /// Settings for rosters; without them, batches are chosen as in ENPA.
    #[serde(default)]
    pub roster: Option<RosterConfig>,
    /// The processor's packet keys, for the announcement: public keys only, in the order of the
    /// announcement.
    #[serde(default)]
    pub packet_keys: Vec<PacketKeyConfig>,
    /// Settings of `serve`.
    #[serde(default)]
    pub serve: ManagerServeConfig,
}

/// The buckets, with the same locations as in the facilitator's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BucketsConfig {
    /// The ingestion bucket. The ingestor writes; this program lists.
    pub ingestion: BucketPlace,
    /// The processor's own bucket. This program lists, and writes markers.
    pub own: BucketPlace,
    /// The mailbox for the peer's validations and rosters. The peer writes; this program lists.
    pub peer_validation_in: BucketPlace,
}

/// The file of a secret key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecordKeyFile {
    /// The path of the file.
    pub file: PathBuf,
}

/// The queues to which work is published.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QueuesConfig {
    /// Intake tasks.
    pub intake: QueuePlace,
    /// Roster and sum tasks.
    pub aggregate: QueuePlace,
}

impl QueuesConfig {
    /// Returns the place of a queue.
    pub(crate) fn place(&self, kind: QueueKind) -> &QueuePlace {
        match kind {
            QueueKind::Intake => &self.intake,
            QueueKind::Aggregate => &self.aggregate,
        }
    }
}

/// Settings for work as Kubernetes Jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobsConfig {
    /// The file of a `batch/v1` Job, the template of every Job.
    pub template: PathBuf,
    /// The namespace of the Jobs. Default: the namespace of the client's configuration.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Limit of unfinished Jobs.
    #[serde(default = "default_most_running")]
    pub most_running: usize,
    /// Limit of intakes per Job; with more than 1, the Job is indexed.
    #[serde(default = "default_intakes_a_job")]
    pub intakes_a_job: usize,
    /// Limit of concurrent pods of an indexed Job.
    #[serde(default = "default_parallelism")]
    pub parallelism: u32,
    /// How long a finished Job is kept, in seconds. While a Job exists, its tasks are not started
    /// again.
    #[serde(default = "default_keep_secs")]
    pub keep_secs: u32,
    /// The owner of the Jobs: Kubernetes removes the Jobs with it. Default: none.
    #[serde(default)]
    pub owner: Option<OwnerConfig>,
}

/// An object in the namespace of the Jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnerConfig {
    /// The API version, such as `apps/v1`.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// When work is due.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Length of a window in minutes, aligned to 0001-01-01 UTC. Both processors need the same
    /// value.
    pub period_minutes: u32,
    /// Time from the end of a window until it is closed, in minutes.
    #[serde(default = "default_grace_minutes")]
    pub grace_minutes: u32,
    /// Without rosters: how long a closed window waits for complete batches whose intake or
    /// validation is missing on one side, in minutes. After that, the window is summed without
    /// them. Both processors need the same value.
    #[serde(default = "default_wait_minutes")]
    pub wait_minutes: u32,
    /// Age limit of batches, by the date in their name, whose intake is started although their
    /// window is done, in hours.
    #[serde(default = "default_week_hours")]
    pub look_back_hours: u32,
    /// Age limit of windows that are processed late, in hours.
    #[serde(default = "default_week_hours")]
    pub horizon_hours: u32,
    /// Time from the start of a task without an outcome until it is started again, in minutes.
    #[serde(default = "default_reenqueue_after_minutes")]
    pub reenqueue_after_minutes: u32,
    /// Limit of concurrent starts.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

/// A packet key of the processor, as announced to ingestors.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PacketKeyConfig {
    /// The key id, as in the facilitator's configuration.
    pub id: KeyId,
    /// The number of bins of the shares that are sealed to this key.
    pub bins: u32,
    /// The file of the public key: base64 of the uncompressed point, as `facilitator key generate`
    /// writes it.
    pub file: PathBuf,
}

/// Settings for rosters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RosterConfig {
    /// Rosters are used from the first window at or after this time, if the peer announces them,
    /// too.
    pub since: BatchTime,
    /// Rosters end with the first window at or after this time. Default: no end.
    #[serde(default)]
    pub until: Option<BatchTime>,
    /// The location of the peer's announcement: an `https://` URL or a file.
    pub peer: String,
}

/// Settings of `serve`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ManagerServeConfig {
    /// The listen address for health and metrics, for operators only.
    pub operations: SocketAddr,
    /// Time between scans, in seconds.
    pub poll_secs: u64,
    /// The method of leader election.
    pub leader: LeaderConfig,
    /// Duration of the leader's lease, in seconds. The leader renews it after a third of this time.
    pub lease_secs: u32,
    /// How long a run may take before the program is reported as stuck, in seconds.
    pub stuck_secs: u64,
}

/// The method of leader election. Two leaders at once do no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LeaderConfig {
    /// Objects in the processor's own bucket.
    #[default]
    Bucket,
    /// A Kubernetes Lease.
    Lease(LeaseConfig),
    /// No election: only one process runs.
    Alone,
}

/// A Kubernetes Lease.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LeaseConfig {
    /// The name of the Lease.
    pub name: String,
    /// The namespace of the Lease. Default: the namespace of the client's configuration.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Default for ManagerServeConfig {
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

/// Limit of intakes per Job. One annotation holds their names, and Kubernetes limits all
/// annotations of an object to 256 KiB in total.
const MOST_INTAKES: usize = 500;

impl Config {
    /// Returns the schedule's durations.
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

    /// Returns the rosters to announce.
    #[must_use]
    pub fn announced(&self) -> Option<RosterExtension> {
        self.roster.as_ref().map(|roster| RosterExtension {
            since: roster.since,
            until: roster.until,
        })
    }

    /// Checks the rules that the types do not express.
    ///
    /// # Errors
    /// The problem, beginning with the key.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |problem: &str| Err(problem.to_owned());
        let (schedule, policy) = (&self.schedule, self.policy());
        if schedule.period_minutes == 0
            || schedule.reenqueue_after_minutes == 0
            || schedule.concurrency == 0
        {
            return refuse(
                "schedule: period-minutes, reenqueue-after-minutes and concurrency must be 1 or more",
            );
        }
        let closed = u64::from(policy.period_minutes) * 2
            + u64::from(policy.grace_minutes)
            + u64::from(policy.wait_minutes);
        if u64::from(policy.horizon_minutes) < closed {
            return refuse(
                "schedule.horizon-hours must be at least twice period-minutes plus grace-minutes and wait-minutes: \
                 otherwise every window passes the horizon before it can be summed",
            );
        }
        if u64::from(policy.look_back_minutes) < u64::from(policy.period_minutes) {
            return refuse("schedule.look-back-hours must be period-minutes or more");
        }
        if self.queues.is_some() == self.jobs.is_some() {
            return refuse("set either queues or jobs, which start the work");
        }
        if let Some(roster) = &self.roster {
            if roster.until.is_some_and(|until| until <= roster.since) {
                return refuse("roster.until must be after roster.since");
            }
            if roster.peer.starts_with("http://") {
                return refuse(
                    "roster.peer must be an https:// URL or a file: the certificate authenticates the peer",
                );
            }
        }
        if let Some(jobs) = &self.jobs {
            if !(1..=MOST_INTAKES).contains(&jobs.intakes_a_job) {
                return refuse("jobs.intakes-a-job must be 1 to 500");
            }
            if jobs.most_running == 0 || jobs.parallelism == 0 || jobs.keep_secs == 0 {
                return refuse("jobs: most-running, parallelism and keep-secs must be 1 or more");
            }
        }
        if self.serve.poll_secs == 0 || self.serve.lease_secs < 3 || self.serve.stuck_secs == 0 {
            return refuse(
                "serve: poll-secs and stuck-secs must be 1 or more, lease-secs 3 or more",
            );
        }
        Ok(())
    }
}
