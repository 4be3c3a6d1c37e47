//! Observes the progress of the last windows at both workflow managers, without starting work.

use std::collections::BTreeMap;

use serde::Serialize;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::Window;
use tallybox_queue::{Depth, QueuePlace, SharedQueue};
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_workflow_manager::Manager;
use tallybox_workflow_manager::config::Config;
use tallybox_workflow_manager::policy::Scope;

use crate::always::PERIOD_MINUTES;
use crate::error::Error;
use crate::layout::Layout;
use crate::roles::Setting;

/// Number of windows that are observed.
pub(super) const WINDOW_COUNT: i64 = 8;

/// Reads both processors' buckets and queues.
pub(super) struct Observer {
    managers: [Manager; 2],
    queues: [[SharedQueue; 2]; 2],
}

/// The progress of a window of a metric on one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SideStage {
    /// The processor has not written its roster.
    #[default]
    Open,
    /// The processor has written its roster.
    Roster,
    /// Both processors have written their rosters.
    Both,
    /// The set of batches to sum is agreed on.
    Agreed,
    /// Nothing is left to do.
    Done,
}

impl SideStage {
    /// Returns a circle that fills with progress.
    pub(super) fn sign(self) -> char {
        match self {
            Self::Open => '○',
            Self::Roster => '◔',
            Self::Both => '◑',
            Self::Agreed => '◕',
            Self::Done => '●',
        }
    }
}

/// The progress of a window on one side. All but the first two are numbers of metrics.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SideRow {
    /// Number of complete batches.
    pub(super) batches: u64,
    /// Number of batches whose intake is done.
    pub(super) taken_in: u64,
    pub(super) rosters: usize,
    pub(super) agreed: usize,
    pub(super) summed: usize,
    /// The progress of each metric.
    #[serde(skip)]
    pub(super) stages: Vec<SideStage>,
}

impl SideRow {
    /// Adds the progress of a metric.
    pub(super) fn add(&mut self, stage: SideStage) {
        self.rosters += usize::from(stage >= SideStage::Roster);
        self.agreed += usize::from(stage >= SideStage::Agreed);
        self.summed += usize::from(stage == SideStage::Done);
        self.stages.push(stage);
    }
}

impl Observer {
    pub(super) async fn open(clock: &Clock, layout: &Layout) -> Result<Self, Error> {
        let setting = Setting::without_faults(clock);
        let manager = async |role| setting.manager(&layout.manager_config(role)).await;
        let queues = |role| -> Result<[SharedQueue; 2], Error> {
            let config = load::<Config>(&layout.manager_config(role))?;
            let locations = config.value.queues.ok_or_else(|| {
                Error::Internal("the workflow manager's configuration has no queues".to_owned())
            })?;
            let open = |location: &QueuePlace| location.open(&config.directory);
            Ok([open(&locations.intake)?, open(&locations.aggregate)?])
        };
        Ok(Self {
            managers: [manager(Role::First).await?, manager(Role::Second).await?],
            queues: [queues(Role::First)?, queues(Role::Second)?],
        })
    }

    /// Returns the last windows, newest first.
    pub(super) fn windows(&self) -> Vec<Window> {
        let manager = &self.managers[0];
        let newest = manager.policy.window_of(manager.now());
        let minutes = i64::from(PERIOD_MINUTES);
        let back = |count| {
            newest.and_then(|newest| {
                manager
                    .policy
                    .window_of(newest.start().plus_minutes(-minutes * count)?)
            })
        };
        (0..WINDOW_COUNT).filter_map(back).collect()
    }

    /// Returns the progress of each of the last windows on both sides.
    pub(super) async fn observe(&self) -> Result<BTreeMap<Window, [SideRow; 2]>, Error> {
        let mut all: BTreeMap<Window, [SideRow; 2]> = BTreeMap::new();
        let windows = self.windows();
        let (Some(newest), Some(oldest)) = (windows.first(), windows.last()) else {
            return Ok(all);
        };
        let scope = Scope {
            windows: (oldest.start(), newest.end()),
            batches: (oldest.start(), newest.end()),
            passed: oldest.start(),
        };
        for (side, manager) in self.managers.iter().enumerate() {
            let observation = manager.observe(scope).await.map_err(Error::manager)?;
            for report in &observation.assessment.windows {
                let WindowName {
                    aggregation,
                    window,
                } = &report.name;
                let progress = &mut all.entry(*window).or_default()[side];
                progress.batches += report.counts.complete;
                progress.taken_in += report.counts.taken_in;
                let objects = observation.inventory.aggregations.get(aggregation);
                let state = objects.and_then(|objects| objects.windows.get(window));
                progress.add(match state {
                    Some(state) if state.done => SideStage::Done,
                    Some(state) if state.agreed => SideStage::Agreed,
                    Some(state) if state.our_roster && state.peer_roster => SideStage::Both,
                    Some(state) if state.our_roster => SideStage::Roster,
                    _ => SideStage::Open,
                });
            }
        }
        Ok(all)
    }

    /// Returns the depths of the queues: for the first and the second processor, those of intake
    /// and aggregate tasks.
    pub(super) async fn depths(&self) -> Result<[[Depth; 2]; 2], Error> {
        let mut depths = [[Depth::default(); 2]; 2];
        for (side, queues) in self.queues.iter().enumerate() {
            for (index, queue) in queues.iter().enumerate() {
                depths[side][index] = queue.depth().await?;
            }
        }
        Ok(depths)
    }
}
