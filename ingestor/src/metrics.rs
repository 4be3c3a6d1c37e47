//! The metrics of the server. Names follow `ingestor_<thing>_<unit>[_total]`. Series whose labels
//! are known at start are 0 from then on.

mod counters;
mod labels;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tallybox_model::report::ProblemKind;

pub use counters::{BatchCounters, ReportCounters, SlabCounters};
pub use labels::{
    BatchReportLabels, Closed, LocalityLabels, ProblemLabels, RejectedLabels, ReportLabels,
};

/// Bucket bounds in seconds for writing a slab or answering a request.
const SECONDS_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0, 30.0,
];
/// Bucket bounds in seconds for the age of a report on arrival; negative if the client's clock is
/// ahead.
const SKEW_BUCKETS: [f64; 15] = [
    -900.0, -300.0, -60.0, -10.0, -1.0, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0,
    172_800.0, 604_800.0,
];

/// The metrics of the server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: Family<ReportLabels, Counter>,
    accepted: Family<ReportLabels, Counter>,
    already_accepted: Family<ReportLabels, Counter>,
    rejected: Family<RejectedLabels, Counter>,
    slabs: Family<LocalityLabels, Counter>,
    slab_bytes: Family<LocalityLabels, Counter>,
    slab_failures: Family<LocalityLabels, Counter>,
    late_slabs: Family<LocalityLabels, Counter>,
    clock_behind: Family<LocalityLabels, Counter>,
    batching_behind: Family<LocalityLabels, Gauge>,
    windows_batched: Family<LocalityLabels, Counter>,
    batch_failures: Family<LocalityLabels, Counter>,
    batch_conflicts: Family<LocalityLabels, Counter>,
    batch_reports: Family<BatchReportLabels, Counter>,
    requests_refused: Family<ProblemLabels, Counter>,
    connections_closed: Family<ProblemLabels, Counter>,
    /// Seconds from the head of a request to its answer.
    pub request_seconds: Histogram,
    /// Seconds for making a slab durable, including failed attempts.
    pub slab_seconds: Histogram,
    /// Seconds from a report's `created` to its arrival.
    pub created_skew: Histogram,
    /// Open connections.
    pub connections: Gauge,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Bytes of the memory budget in use.
    pub memory: Gauge,
    /// Bodies and answers of slow clients that were cancelled because other requests needed their
    /// memory.
    pub bodies_evicted: Counter,
    /// Version of the registry in force.
    pub registry_version: Gauge<u64, AtomicU64>,
    /// Registry reloads that failed.
    pub registry_failures: Counter,
    /// Certificate reloads that failed.
    pub certificate_failures: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates the metrics, all at 0.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("ingestor"),
            received: Family::default(),
            accepted: Family::default(),
            already_accepted: Family::default(),
            rejected: Family::default(),
            slabs: Family::default(),
            slab_bytes: Family::default(),
            slab_failures: Family::default(),
            late_slabs: Family::default(),
            clock_behind: Family::default(),
            batching_behind: Family::default(),
            windows_batched: Family::default(),
            batch_failures: Family::default(),
            batch_conflicts: Family::default(),
            batch_reports: Family::default(),
            requests_refused: Family::default(),
            connections_closed: Family::default(),
            request_seconds: Histogram::new(SECONDS_BUCKETS),
            slab_seconds: Histogram::new(SECONDS_BUCKETS),
            created_skew: Histogram::new(SKEW_BUCKETS),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            memory: Gauge::default(),
            bodies_evicted: Counter::default(),
            registry_version: Gauge::default(),
            registry_failures: Counter::default(),
            certificate_failures: Counter::default(),
        };
        metrics.register_reports();
        metrics.register_slabs();
        metrics.register_batches();
        metrics.register_server();
        for kind in ProblemKind::ALL {
            let _ = metrics.refused(kind);
        }
        for closed in Closed::ALL {
            let _ = metrics.closed(closed);
        }
        metrics
    }

    fn register_reports(&mut self) {
        let registry = &mut self.registry;
        for (name, help, family) in [
            (
                "reports_received",
                "Reports that were parsed",
                &self.received,
            ),
            ("reports_accepted", "Reports made durable", &self.accepted),
            (
                "reports_already_accepted",
                "Reports posted again after they were durable",
                &self.already_accepted,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        let help = "Reports not stored, by problem type";
        registry.register("reports_rejected", help, self.rejected.clone());
        let help = "Seconds from a report's created to its arrival; negative if the client's clock is ahead";
        registry.register(
            "report_created_skew_seconds",
            help,
            self.created_skew.clone(),
        );
    }

    fn register_slabs(&mut self) {
        let registry = &mut self.registry;
        for (name, help, family) in [
            ("slabs_written", "Slabs made durable", &self.slabs),
            (
                "slab_written_bytes",
                "Bytes of slabs made durable",
                &self.slab_bytes,
            ),
            (
                "slab_failures",
                "Slab writes that failed",
                &self.slab_failures,
            ),
            (
                "slabs_late",
                "Slabs durable too late for their window, written again",
                &self.late_slabs,
            ),
            (
                "clock_behind",
                "Scans of the spool that found a plan of a window that has not ended by the clock",
                &self.clock_behind,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        let help = "Seconds for writing a slab, including failed attempts";
        registry.register("slab_write_seconds", help, self.slab_seconds.clone());
    }

    fn register_batches(&mut self) {
        let registry = &mut self.registry;
        let help = "Seconds since the end of the oldest window whose reports no batcher has batched; 0 if there is none";
        registry.register(
            "batching_behind_seconds",
            help,
            self.batching_behind.clone(),
        );
        for (name, help, family) in [
            (
                "windows_batched",
                "Windows completed by this server",
                &self.windows_batched,
            ),
            (
                "batch_failures",
                "Batcher runs of this server that failed",
                &self.batch_failures,
            ),
            (
                "batch_conflicts",
                "Reports whose id another report has as well; they are batched",
                &self.batch_conflicts,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        let help = "Reports of windows completed by this server, by outcome";
        registry.register("batch_reports", help, self.batch_reports.clone());
    }

    fn register_server(&mut self) {
        let registry = &mut self.registry;
        let help = "Requests answered with a problem as a whole, by problem type";
        registry.register("requests_refused", help, self.requests_refused.clone());
        let help = "Seconds from the head of a request to its answer";
        registry.register("request_seconds", help, self.request_seconds.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help = "Connections accepted";
        registry.register(
            "connections_accepted",
            help,
            self.connections_accepted.clone(),
        );
        let help = "Connections closed by the server, by reason";
        registry.register("connections_closed", help, self.connections_closed.clone());
        let help = "Bodies and answers of slow clients cancelled because other requests needed their memory";
        registry.register("bodies_evicted", help, self.bodies_evicted.clone());
        let help = "Bytes of bodies and reports in progress";
        registry.register("memory_in_use_bytes", help, self.memory.clone());
        let help = "Version of the metric registry in force";
        registry.register("registry_version", help, self.registry_version.clone());
        let help = "Registry reloads that failed";
        registry.register(
            "registry_reload_failures",
            help,
            self.registry_failures.clone(),
        );
        let help = "Certificate reloads that failed";
        registry.register(
            "certificate_reload_failures",
            help,
            self.certificate_failures.clone(),
        );
    }

    /// Returns the counters of a metric. The empty name counts all metrics that the registry does
    /// not contain.
    #[must_use]
    pub fn reports(&self, locality: &str, metric: &str) -> ReportCounters {
        let labels = ReportLabels {
            locality: locality.to_owned(),
            metric: metric.to_owned(),
        };
        let reason = |kind: ProblemKind| RejectedLabels {
            locality: locality.to_owned(),
            metric: metric.to_owned(),
            reason: kind.name(),
        };
        let rejected = ProblemKind::ALL.into_iter();
        ReportCounters {
            received: self.received.get_or_create_owned(&labels),
            accepted: self.accepted.get_or_create_owned(&labels),
            already_accepted: self.already_accepted.get_or_create_owned(&labels),
            rejected: rejected
                .map(|kind| match kind {
                    kind if concerns_report(kind) => {
                        self.rejected.get_or_create_owned(&reason(kind))
                    }
                    _ => Counter::default(),
                })
                .collect(),
        }
    }

    /// Returns the counters of a locality's slabs.
    #[must_use]
    pub fn slabs(&self, locality: &str) -> SlabCounters {
        let labels = LocalityLabels {
            locality: locality.to_owned(),
        };
        SlabCounters {
            slabs: self.slabs.get_or_create_owned(&labels),
            bytes: self.slab_bytes.get_or_create_owned(&labels),
            failures: self.slab_failures.get_or_create_owned(&labels),
            late: self.late_slabs.get_or_create_owned(&labels),
            clock_behind: self.clock_behind.get_or_create_owned(&labels),
            batching_behind: self.batching_behind.get_or_create_owned(&labels),
        }
    }

    /// Returns the counters of a locality's windows.
    #[must_use]
    pub fn batches(&self, locality: &str) -> BatchCounters {
        let labels = LocalityLabels {
            locality: locality.to_owned(),
        };
        let reports = |status| {
            let locality = locality.to_owned();
            self.batch_reports.get_or_create_owned(&BatchReportLabels {
                locality,
                fate: status,
            })
        };
        BatchCounters {
            windows: self.windows_batched.get_or_create_owned(&labels),
            failures: self.batch_failures.get_or_create_owned(&labels),
            conflicts: self.batch_conflicts.get_or_create_owned(&labels),
            batched: reports("batched"),
            replayed_reports: reports("replays.report"),
            replayed_ciphertexts: reports("replays.ciphertext"),
            carried: reports("carried"),
            dropped: reports("dropped"),
            other_bins: reports("other-bins"),
        }
    }

    /// Returns the counter of requests answered with this problem.
    #[must_use]
    pub fn refused(&self, kind: ProblemKind) -> Counter {
        self.requests_refused.get_or_create_owned(&ProblemLabels {
            reason: kind.name(),
        })
    }

    /// Returns the counter of connections that the server closed for this reason.
    #[must_use]
    pub fn closed(&self, closed: Closed) -> Counter {
        let reason = closed.name();
        self.connections_closed
            .get_or_create_owned(&ProblemLabels { reason })
    }

    /// Returns all metrics in the Prometheus text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Returns whether a single report can have this problem. The other problems concern whole
/// requests.
fn concerns_report(kind: ProblemKind) -> bool {
    !matches!(
        kind,
        ProblemKind::TooLarge
            | ProblemKind::UnsupportedMedia
            | ProblemKind::SlowBody
            | ProblemKind::UnknownLocality
            | ProblemKind::NotFound
            | ProblemKind::MethodNotAllowed
            | ProblemKind::Overloaded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_at_zero_from_the_start() {
        let metrics = Metrics::new();
        let _ = (metrics.reports("us-xx", "a-v1"), metrics.slabs("us-xx"));
        let _ = metrics.batches("us-xx");
        let text = metrics.text();
        for line in [
            r#"ingestor_reports_received_total{locality="us-xx",metric="a-v1"} 0"#,
            r#"ingestor_reports_rejected_total{locality="us-xx",metric="a-v1",reason="outdatedKey"} 0"#,
            r#"ingestor_slab_failures_total{locality="us-xx"} 0"#,
            r#"ingestor_batching_behind_seconds{locality="us-xx"} 0"#,
            r#"ingestor_batch_reports_total{locality="us-xx",fate="dropped"} 0"#,
            r#"ingestor_batch_failures_total{locality="us-xx"} 0"#,
            r#"ingestor_requests_refused_total{reason="overloaded"} 0"#,
            r#"ingestor_connections_closed_total{reason="evicted"} 0"#,
            "ingestor_registry_version 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
