//! Where pages get their data: the trait between pages and a store.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tallybox_model::id::{AggregationId, BatchId, Instance};
use tallybox_model::registry::Registry;
use tallybox_model::time::Window;

use crate::pair::PartOrigin;
use crate::store::{FindingRow, WindowRow};

/// The data of all pages. Every method returns rows as they are stored; pages suppress numbers.
#[async_trait]
pub trait PageSource: Send + Sync {
    /// Returns the metric registry.
    async fn metrics(&self) -> Result<Arc<Registry>, SourceError>;

    /// Returns the instances whose sum parts the portal collects.
    async fn instances(&self) -> Result<Vec<InstanceName>, SourceError>;

    /// Returns the newest version of each window, by start and instance.
    async fn windows(&self, filter: &Filter) -> Result<Vec<WindowRow>, SourceError>;

    /// Returns all versions of one window, the newest first; none if the window is unknown.
    async fn window(&self, key: &WindowKey) -> Result<Vec<WindowRow>, SourceError>;

    /// Returns what proves a row: batches, signatures and digests of its sum parts. `None` if the
    /// evidence of this version does not exist.
    async fn provenance(&self, row: &WindowRow) -> Result<Option<Provenance>, SourceError>;

    /// Returns all findings, the newest first.
    async fn findings(&self) -> Result<Vec<FindingRow>, SourceError>;

    /// Returns the time in milliseconds since the epoch when the portal last added a window.
    async fn latest(&self) -> Result<Option<i64>, SourceError>;
}

/// Why a source has no answer. The fault of the store or its operator, never of a reader.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be read; try again, and if it fails again, look at the portal's log")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// An instance and its parts. A locality may contain a hyphen, so the configuration states both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InstanceName {
    /// The instance.
    pub instance: Instance,
    /// The locality.
    pub locality: String,
    /// The ingestor.
    pub ingestor: String,
}

impl InstanceName {
    /// Splits an instance at its last hyphen, for data without a configuration.
    #[must_use]
    pub fn split(instance: &Instance) -> Self {
        let text = instance.as_str();
        let (locality, ingestor) = text.rsplit_once('-').unwrap_or((text, ""));
        Self {
            instance: instance.clone(),
            locality: locality.to_owned(),
            ingestor: ingestor.to_owned(),
        }
    }
}

/// Which windows a page needs. An absent field does not restrict the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The metric.
    pub aggregation: Option<AggregationId>,
    /// The instances.
    pub instances: Option<Vec<Instance>>,
    /// Windows that start at this time or later, in milliseconds since the epoch.
    pub from: Option<i64>,
    /// Windows that start before this time.
    pub before: Option<i64>,
}

impl Filter {
    /// Returns whether a row is part of the result.
    #[must_use]
    pub fn matches(&self, row: &WindowRow) -> bool {
        let start = row.window.start().millis();
        self.aggregation
            .as_ref()
            .is_none_or(|name| *name == row.aggregation)
            && self
                .instances
                .as_ref()
                .is_none_or(|all| all.contains(&row.instance))
            && self.from.is_none_or(|from| from <= start)
            && self.before.is_none_or(|before| start < before)
    }
}

/// The name of a window of one metric and instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowKey {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The metric.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
}

impl WindowKey {
    /// Returns the name of a row's window.
    #[must_use]
    pub fn of(row: &WindowRow) -> Self {
        Self {
            instance: row.instance.clone(),
            aggregation: row.aggregation.clone(),
            window: row.window,
        }
    }

    /// Returns whether a row is a version of this window.
    #[must_use]
    pub fn matches(&self, row: &WindowRow) -> bool {
        row.aggregation == self.aggregation
            && row.instance == self.instance
            && row.window == self.window
    }
}

/// What proves the sums of a window.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The batches in the sums.
    pub batches: Vec<BatchId>,
    /// The origin of both sum parts, in order of the processors' index.
    pub parts: [PartOrigin; 2],
}
