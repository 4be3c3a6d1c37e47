//! Configuration of a long-running sandbox: rosters, queues, workers and schedules.
//!
//! All times are short because the clock is accelerated ([`CLOCK_RATE`]): a window of an hour takes
//! six seconds.

use std::fs;

use tallybox_facilitator::config::Points;
use tallybox_model::extensions::{Announcement, Extensions, RosterExtension, document_name};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window, aligned_window};

use crate::config_files::{Served, config_text};
use crate::error::Error;
use crate::keys::record_key_file;
use crate::layout::{BucketKind, INSTANCE};
use crate::world::World;

/// Rate of the sandbox clock relative to real time: one second is ten minutes.
pub const CLOCK_RATE: u32 = 600;
/// Length of an aggregation window in minutes.
pub const PERIOD_MINUTES: u32 = 60;
/// Delay of the rosters after a window's end, in minutes.
pub const GRACE_MINUTES: u32 = 50;
/// Number of windows after its own in which a batch may still be summed. They take two and a half
/// minutes of real time, enough for a batch job that is killed repeatedly on a slow machine.
pub const MAX_AGE_WINDOWS: u32 = 24;
/// Number of windows for which the ids of packets are retained to detect replays.
const REPLAY_HORIZON_WINDOWS: u32 = 42;
/// Maximum age in hours of a report that the ingestor accepts. Copies of reports that were batched
/// longer ago are not recognised.
const ACCEPTANCE_HOURS: u32 = 12;
/// Length of the ingestor's windows in minutes.
pub const INGESTOR_WINDOW_MINUTES: u32 = 30;
/// Time in seconds for which the ingestor's windows settle.
pub const SETTLE_SECS: u64 = 15 * 60;
/// Number of windows for which the ingestor carries over reports that are too few for a batch.
const CARRY_WINDOWS: u32 = 2;
/// Lease time of a worker's task in seconds of real time. The worker renews the lease while it
/// works.
const LEASE_SECS: u64 = 5;

/// Settings that differ between sandboxes.
#[derive(Debug, Clone, Copy)]
pub struct AlwaysOn {
    /// The minimum number of packets of a sum.
    pub minimum: u64,
    /// The start of the roster extension: before the first report.
    pub since: BatchTime,
}

/// Returns the aggregation window that contains a time.
#[must_use]
pub fn window_of(time: BatchTime) -> Option<Window> {
    aligned_window(time, PERIOD_MINUTES)
}

/// Returns the ingestor's settings of a long-running sandbox, except the addresses.
#[must_use]
pub fn served(min_packets: u64, keep_slabs_hours: u32) -> Served {
    Served {
        window_minutes: INGESTOR_WINDOW_MINUTES,
        settle_secs: SETTLE_SECS,
        poll_secs: 1,
        min_packets,
        max_carry_windows: CARRY_WINDOWS,
        max_age_hours: ACCEPTANCE_HOURS,
        keep_slabs_hours,
        ..Served::default()
    }
}

impl AlwaysOn {
    /// Writes the configurations of both processors and of their workflow managers, and the
    /// extension documents that the peers read.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, world: &World) -> Result<(), Error> {
        let (layout, bins) = (&world.layout, world.keys.bins());
        let instance: Instance = INSTANCE
            .parse()
            .map_err(|_| Error::Internal("the sandbox's instance name is invalid".to_owned()))?;
        let extensions = Extensions {
            roster: Some(RosterExtension {
                since: self.since,
                until: None,
            }),
        };
        for role in Role::ALL {
            let announcement = Announcement {
                extensions,
                packet_keys: world.keys.announced(role),
            };
            let announced = layout.root().join(announcement_file(role, &instance));
            let files = [
                (
                    layout.config(role),
                    self.processor_text(role, &bins).into_bytes(),
                ),
                (
                    layout.manager_config(role),
                    self.manager_text(role, &instance).into_bytes(),
                ),
                (announced, announcement.to_json()),
            ];
            for (path, bytes) in files {
                fs::write(&path, bytes).map_err(Error::file(&path))?;
            }
        }
        Ok(())
    }

    fn processor_text(&self, role: Role, bins: &[usize]) -> String {
        let carry_hours = (CARRY_WINDOWS * INGESTOR_WINDOW_MINUTES).div_ceil(60);
        format!(
            "{}
# Both processors agree on each window. The clock of this sandbox runs at {CLOCK_RATE} times real time.
rosters:
  period-minutes: {PERIOD_MINUTES}
  grace-minutes: {GRACE_MINUTES}
  maximum-age-windows: {MAX_AGE_WINDOWS}
  replay-horizon-windows: {REPLAY_HORIZON_WINDOWS}
  horizons: {{ acceptance-hours: {ACCEPTANCE_HOURS}, carry-hours: {carry_hours} }}
{}worker:
  concurrency: 2
  operations: 127.0.0.1:0
  retry-delay: {{ min-secs: 1, max-secs: 4 }}
",
            config_text(role, Points::Pinned, self.minimum, bins),
            queues_text(role)
        )
    }

    fn manager_text(&self, role: Role, instance: &Instance) -> String {
        format!(
            "# The workflow manager of the {role} processor of a sandbox; written by tallybox-sandbox.
instance: {INSTANCE}
role: {role}
buckets:
  ingestion: {ingestion}
  own: {own}
  peer-validation-in: {validation_in}
record-keys: [ {{ file: keys/{record} }} ]
{queues}schedule:
  period-minutes: {PERIOD_MINUTES}
  grace-minutes: {GRACE_MINUTES}
  look-back-hours: {age}
  horizon-hours: 48
  reenqueue-after-minutes: 90
  concurrency: 4
roster: {{ since: {since}, peer: {peer} }}
serve: {{ operations: 127.0.0.1:0, poll-secs: 1 }}
",
            ingestion = BucketKind::Ingestion.path(role),
            own = BucketKind::Own.path(role),
            validation_in = BucketKind::ValidationFor.path(role),
            record = record_key_file(role),
            queues = queues_text(role),
            age = MAX_AGE_WINDOWS * PERIOD_MINUTES / 60,
            since = self.since,
            peer = announcement_file(role.peer(), instance),
        )
    }
}

fn queues_text(role: Role) -> String {
    let queue = |kind| format!("{{ url: queues/{role}-{kind}, lease-seconds: {LEASE_SECS} }}");
    format!(
        "queues:\n  intake: {}\n  aggregate: {}\n",
        queue("intake"),
        queue("aggregate")
    )
}

fn announcement_file(role: Role, instance: &Instance) -> String {
    format!("{role}-{}", document_name(instance))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::roles::{RoleProcess, Setting};
    use tallybox_service::clock::Clock;

    #[tokio::test]
    async fn every_program_opens_by_its_configuration_file() {
        let directory = tempfile::tempdir().unwrap();
        let world = World::create(directory.path().join("new"), Some(1), Points::Pinned).unwrap();
        let layout = &world.layout;
        let since: BatchTime = "2026/01/01/00/00".parse().unwrap();
        AlwaysOn { minimum: 10, since }.write(&world).unwrap();
        let metric = *tallybox_client::traffic::Metric::named("CodeVerified-v1").unwrap();
        layout
            .write_ingestor(&[metric], None, &served(3, 24))
            .unwrap();
        let setting = Setting::without_faults(&Clock::manual(since.millis()));
        let ingestor = setting
            .ingestor(&RoleProcess::Batcher.config(layout))
            .unwrap();
        assert_eq!(ingestor.batches.min_packets, 3);
        for role in Role::ALL {
            let worker = setting
                .worker(&RoleProcess::Worker(role).config(layout))
                .unwrap();
            assert_eq!(worker.processor().limits.minimum_contributions, 10);
            let manager = setting
                .manager(&RoleProcess::Manager(role).config(layout))
                .await
                .unwrap();
            assert_eq!(manager.policy.role, role);
            assert!(manager.run_once().await.unwrap().failed.is_empty());
        }
        let window = window_of(since).unwrap();
        assert!(
            since == window.start(),
            "rosters start with a complete window"
        );
    }
}
