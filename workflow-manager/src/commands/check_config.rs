//! The command `workflow-manager check-config`.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tallybox_model::extensions::Announcement;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_transport::probe::{CheckResult, Probed, Purpose, probe, worst};

use super::{Arguments, counterpart};
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
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let announcement = announcement::from_config(&arguments.loaded()?)?;
        let manager = arguments.manager().await?;
        let mut summary = ConfigSummary::from_manager(&manager, &announcement);
        if self.buckets {
            summary.probed = probe_all(&manager).await;
        }
        if let Some(file) = &self.facilitator {
            summary.differences = counterpart::compare(&manager, file)?;
        }
        arguments.print(&summary)?;
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

async fn probe_all(manager: &Manager) -> Vec<Probed> {
    let (buckets, now) = (&manager.buckets, manager.clock.millis());
    vec![
        probe("ingestion", &*buckets.ingestion, Purpose::Listed, now).await,
        probe("own", &*buckets.own, Purpose::Own, now).await,
        probe(
            "peer-validation-in",
            &*buckets.peer_validation_in,
            Purpose::Listed,
            now,
        )
        .await,
    ]
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
        for (what, value) in [
            ("ingestion", &self.ingestion),
            ("own", &self.own),
            ("peer validation in", &self.peer_validation_in),
            ("record keys", &self.record_keys.join(", ")),
            ("intake tasks to", &self.intakes),
            ("window tasks to", &self.aggregates),
        ] {
            write!(f, "\n  {what:<20} {value}")?;
        }
        let (period, grace) = (self.period_minutes, self.grace_minutes);
        write!(
            f,
            "\n  {:<20} {period} minutes, closed {grace} minutes after their end",
            "windows"
        )?;
        write!(f, "\n  {:<20} {} minutes", "horizon", self.horizon_minutes)?;
        write!(
            f,
            "\n  {:<20} {} minutes without an outcome",
            "restart after", self.reenqueue_after_minutes
        )?;
        for key in &self.packet_keys {
            write!(f, "\n  {:<20} {}, {} bins", "packet key", key.id, key.bins)?;
        }
        match (&self.rosters_since, &self.peer_announcement) {
            (Some(since), Some(location)) => write!(
                f,
                "\n  {:<20} since {since}, if {location} announces them, too",
                "rosters"
            )?,
            _ => write!(f, "\n  {:<20} not used, as in ENPA", "rosters")?,
        }
        self.probed
            .iter()
            .try_for_each(|bucket| write!(f, "\n{bucket}"))?;
        let differences = self.differences.iter();
        differences
            .into_iter()
            .try_for_each(|line| write!(f, "\n  DIFFERS: {line}"))
    }
}
