//! The metrics to report, with their frequencies.

use std::collections::BTreeMap;

use rand::Rng;

use super::error::LoadError;
use crate::config::{TrustedConfig, TrustedMetric};

/// Metrics with weights.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    metrics: Vec<TrustedMetric>,
    /// Cumulative weights, including each metric's own.
    sums: Vec<f64>,
}

impl Mix {
    /// Creates a mix of metrics with these weights, or of all metrics with equal weights if none
    /// are given.
    pub(super) fn new(
        config: &TrustedConfig,
        weights: &BTreeMap<String, f64>,
    ) -> Result<Self, LoadError> {
        let every = config
            .metrics()
            .map(|metric| (metric.metric.name.clone(), 1.0));
        let weights = if weights.is_empty() {
            every.collect()
        } else {
            weights.clone()
        };
        let mut mix = Self {
            metrics: Vec::new(),
            sums: Vec::new(),
        };
        let mut sum = 0.0;
        for (name, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(LoadError::Setting(
                    "the weight of a metric must be 0 or more",
                ));
            }
            let metric = config.metric(&name).ok_or(LoadError::NoMetric(name))?;
            sum += weight;
            mix.metrics.push(metric.clone());
            mix.sums.push(sum);
        }
        if sum > 0.0 {
            Ok(mix)
        } else {
            Err(LoadError::NoMetrics)
        }
    }

    /// Draws a metric by weight.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> &TrustedMetric {
        let total = self.sums.last().copied().unwrap_or_default();
        let point = uniform(rng) * total;
        let index = self.sums.partition_point(|&sum| sum <= point);
        // A mix is never empty. Rounding can make the point equal to the last sum.
        &self.metrics[index.min(self.metrics.len() - 1)]
    }
}

/// Draws a number from 0 to 1 from a uniform distribution.
pub(super) fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
