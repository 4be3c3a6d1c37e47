//! The command `workflow-manager check-config`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tallybox_model::extensions::Announcement;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::probe::{CheckResult, Probed, Purpose, probe_all, worst};

use super::counterpart;
use super::options::load_config;
use crate::announcement;
use crate::error::Error;
use crate::manager::Manager;
use tallybox_model::task::QueueKind;

/// Check the configuration and every file that it names, and print a summary; contacts no bucket and
/// no queue, and writes nothing, without --buckets
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// Also probe every bucket: permissions that are required, create-if-absent, the own bucket's
    /// clock, and listings that start at a bound
    #[arg(long)]
    buckets: bool,
    /// Compare with this configuration file of the same processor's facilitator: instance, role,
    /// windows, buckets and queues
    #[arg(long, value_name = "FILE")]
    facilitator: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let config = load_config(options)?;
        let announcement = announcement::from_config(&config)?;
        let manager = Manager::open(&config).await?;
        let mut summary = ConfigSummary::from_manager(&manager, &announcement);
        if self.buckets {
            let buckets = &manager.buckets;
            let purposes = [
                ("ingestion", &buckets.ingestion, Purpose::Listed),
                ("own", &buckets.own, Purpose::Own),
                (
                    "peer-validation-in",
                    &buckets.peer_validation_in,
                    Purpose::Listed,
                ),
            ];
            summary.probed = probe_all(purposes, manager.clock.millis()).await;
        }
        if let Some(file) = &self.facilitator {
            summary.differences = counterpart::compare(&manager, file)?;
        }
        options.print(&summary)?;
        if !summary.differences.is_empty() {
            return Ok(Exit::Usage);
        }
        Ok(match worst(&summary.probed) {
            Some(CheckResult::Failed) => Exit::Usage,
            Some(_) => Exit::Retry,
            None => Exit::Done,
        })
    }
}

/// The configuration as the program understands it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigSummary {
    instance: String,
    role: String,
    ingestion: String,
    own: String,
    peer_validation_in: String,
    record_keys: Vec<String>,
    intakes: String,
    aggregates: String,
    period_minutes: u32,
    grace_minutes: u32,
    look_back_minutes: u32,
    horizon_minutes: u32,
    reenqueue_after_minutes: u32,
    rosters_since: Option<String>,
    peer_announcement: Option<String>,
    packet_keys: Vec<KeySummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    probed: Vec<Probed>,
    /// Differences from the facilitator's configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

/// An announced packet key.
#[derive(Debug, Serialize)]
struct KeySummary {
    id: String,
    bins: u32,
}

impl ConfigSummary {
    fn from_manager(manager: &Manager, announcement: &Announcement) -> Self {
        let (policy, announcements) = (&manager.policy, &manager.announcements);
        Self {
            instance: manager.instance.to_string(),
            role: policy.role.to_string(),
            ingestion: manager.buckets.ingestion.location(),
            own: manager.buckets.own.location(),
            peer_validation_in: manager.buckets.peer_validation_in.location(),
            record_keys: manager
                .buckets
                .records
                .key_ids()
                .map(str::to_owned)
                .collect(),
            intakes: manager.starter.location(QueueKind::Intake),
            aggregates: manager.starter.location(QueueKind::Aggregate),
            period_minutes: policy.period_minutes,
            grace_minutes: policy.grace_minutes,
            look_back_minutes: policy.look_back_minutes,
            horizon_minutes: policy.horizon_minutes,
            reenqueue_after_minutes: policy.reenqueue_after_minutes,
            rosters_since: announcements.ours.map(|ours| ours.since.to_string()),
            peer_announcement: announcements.ours.map(|_| announcements.peer.location()),
            probed: Vec::new(),
            differences: Vec::new(),
            packet_keys: announcement
                .packet_keys
                .iter()
                .map(|key| KeySummary {
                    id: key.id.clone(),
                    bins: key.bins,
                })
                .collect(),
        }
    }
}

impl Summary for ConfigSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the configuration is valid: instance {}, role {}",
            self.instance, self.role
        )?;
        let mut line = |what: &str, value: &str| write!(f, "\n  {what:<20} {value}");
        line("ingestion", &self.ingestion)?;
        line("own", &self.own)?;
        line("peer validation in", &self.peer_validation_in)?;
        line("record keys", &self.record_keys.join(", "))?;
        line("intake tasks to", &self.intakes)?;
        line("window tasks to", &self.aggregates)?;
        let (period, grace) = (self.period_minutes, self.grace_minutes);
        let windows = format!("{period} minutes, closed {grace} minutes after their end");
        line("windows", &windows)?;
        line("horizon", &format!("{} minutes", self.horizon_minutes))?;
        let restart = format!(
            "{} minutes without an outcome",
            self.reenqueue_after_minutes
        );
        line("restart after", &restart)?;
        for key in &self.packet_keys {
            line("packet key", &format!("{}, {} bins", key.id, key.bins))?;
        }
        match (&self.rosters_since, &self.peer_announcement) {
            (Some(since), Some(location)) => {
                let rosters = format!("since {since}, if {location} announces them, too");
                line("rosters", &rosters)?;
            }
            _ => line("rosters", "not used, as in ENPA")?,
        }
        self.probed
            .iter()
            .try_for_each(|bucket| write!(f, "\n{bucket}"))?;
        self.differences
            .iter()
            .try_for_each(|line| write!(f, "\n  DIFFERS: {line}"))
    }
}
