//! The registry's metrics as the door compares them, with their counters.

use std::collections::HashMap;
use std::sync::Arc;

use tallybox_model::header::BatchParameters;
use tallybox_model::registry::{MetricState, Registry};

use crate::metrics::{Metrics, ReportCounters};

/// A registry, prepared for one locality.
#[derive(Debug)]
pub(crate) struct Table {
    registry: Arc<Registry>,
    metrics: HashMap<String, Known>,
    unknown: Arc<ReportCounters>,
}

/// A metric of the registry.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) state: MetricState,
    pub(super) parameters: BatchParameters,
    /// Exact lengths of the sealed shares.
    pub(super) lengths: [u64; 2],
    counters: Arc<ReportCounters>,
}

impl Known {
    pub(super) fn counters(&self) -> &Arc<ReportCounters> {
        &self.counters
    }
}

impl Table {
    pub(super) fn new(registry: Arc<Registry>, locality: &str, counted: &Metrics) -> Self {
        let metrics = registry.metrics.iter().map(|(name, entry)| {
            let known = Known {
                state: entry.state,
                parameters: entry.parameters(name),
                lengths: entry.payload_lengths(),
                counters: Arc::new(counted.reports(locality, name.as_str())),
            };
            (name.to_string(), known)
        });
        Self {
            metrics: metrics.collect(),
            unknown: Arc::new(counted.reports(locality, "")),
            registry,
        }
    }

    /// What it was made from.
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(super) fn metric(&self, name: &str) -> Option<&Known> {
        self.metrics.get(name)
    }

    /// The counters of reports that cannot be read, or are for no metric of the registry.
    pub(crate) fn unknown(&self) -> &Arc<ReportCounters> {
        &self.unknown
    }
}
