//! The registry's metrics, prepared for comparison with reports, with their counters.

use std::collections::HashMap;
use std::sync::Arc;

use tallybox_model::header::BatchParameters;
use tallybox_model::registry::{MetricState, Registry};

use crate::metrics::{Metrics, ReportCounters};

/// A registry, prepared for one locality.
#[derive(Debug)]
pub(crate) struct Table {
    registry: Arc<Registry>,
    metrics: HashMap<String, RegisteredMetric>,
    unknown: Arc<ReportCounters>,
}

/// A metric of the registry.
#[derive(Debug)]
pub(crate) struct RegisteredMetric {
    pub(super) state: MetricState,
    pub(super) parameters: BatchParameters,
    /// Exact lengths of the sealed shares, in bytes.
    pub(super) lengths: [u64; 2],
    counters: Arc<ReportCounters>,
}

impl RegisteredMetric {
    pub(super) fn counters(&self) -> &Arc<ReportCounters> {
        &self.counters
    }
}

impl Table {
    pub(super) fn new(registry: Arc<Registry>, locality: &str, counted: &Metrics) -> Self {
        let metrics = registry.metrics.iter().map(|(name, entry)| {
            let metric = RegisteredMetric {
                state: entry.state,
                parameters: entry.parameters(name),
                lengths: entry.payload_lengths(),
                counters: Arc::new(counted.reports(locality, name.as_str())),
            };
            (name.to_string(), metric)
        });
        Self {
            metrics: metrics.collect(),
            unknown: Arc::new(counted.reports(locality, "")),
            registry,
        }
    }

    /// Returns the registry from which the table was made.
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(super) fn metric(&self, name: &str) -> Option<&RegisteredMetric> {
        self.metrics.get(name)
    }

    /// Returns the counters of reports that cannot be parsed or whose metric is not in the
    /// registry.
    pub(crate) fn unknown(&self) -> &Arc<ReportCounters> {
        &self.unknown
    }
}
