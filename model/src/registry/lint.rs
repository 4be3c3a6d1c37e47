//! A lint for registries: content that is valid but harmful, and changes that two versions must not
//! have.

use super::{EncodingKind, MetricEntry, MetricState, Registry};
use serde::Serialize;
use std::fmt;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The entry should be reviewed.
    Warning,
    /// Deployment of the registry would break something.
    Error,
}

/// A finding of the lint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LintFinding {
    /// The severity.
    pub severity: Severity,
    /// The metric, if the finding concerns one.
    pub metric: Option<String>,
    /// The problem and the next step.
    pub message: String,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        match &self.metric {
            Some(metric) => write!(f, "{severity}: {metric}: {}", self.message),
            None => write!(f, "{severity}: {}", self.message),
        }
    }
}

/// Checks a registry and, if given, compares it with the previous version. The most severe findings
/// come first.
#[must_use]
pub fn lint(registry: &Registry, earlier: Option<&Registry>) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    for (name, entry) in &registry.metrics {
        let mut add = |severity, message: String| {
            findings.push(finding(severity, Some(name.as_str()), message))
        };
        lint_entry(name.as_str(), entry, &mut add);
    }
    if let Some(earlier) = earlier {
        compare(registry, earlier, &mut findings);
    }
    // Errors first, then by metric.
    findings.sort_by(|a, b| (b.severity, &a.metric).cmp(&(a.severity, &b.metric)));
    findings
}

fn finding(severity: Severity, metric: Option<&str>, message: String) -> LintFinding {
    let metric = metric.map(str::to_owned);
    LintFinding {
        severity,
        metric,
        message,
    }
}

fn lint_entry(name: &str, entry: &MetricEntry, add: &mut impl FnMut(Severity, String)) {
    let versioned = name
        .rsplit_once("-v")
        .is_some_and(|(_, version)| version.parse::<u32>().is_ok());
    if !versioned {
        let message = "the name has no version: end it in -v1, so that a changed metric can have another name";
        add(Severity::Warning, message.to_owned());
    }
    let labelled = matches!(
        entry.encoding.kind,
        EncodingKind::Histogram | EncodingKind::BitVector
    );
    if labelled && entry.encoding.labels.is_empty() {
        let message = "the bins have no labels: results will show numbers only";
        add(Severity::Warning, message.to_owned());
    }
    if entry.epsilon < 2.0 {
        let message = format!(
            "epsilon {} is below 2: check that it is not the sampling rate",
            entry.epsilon
        );
        add(Severity::Warning, message);
    }
    if entry.state == MetricState::Accept && entry.sampling == 0.0 {
        add(
            Severity::Warning,
            "the metric is accepted, but with sampling 0 no client reports it".to_owned(),
        );
    }
    if has_duplicate(&entry.encoding.labels) {
        add(Severity::Warning, "two bins have the same label".to_owned());
    }
    if has_duplicate(&entry.encoding.groups) {
        let message = "two groups have the same name: results cannot tell them apart";
        add(Severity::Warning, message.to_owned());
    }
}

fn has_duplicate(names: &[String]) -> bool {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

fn compare(registry: &Registry, earlier: &Registry, findings: &mut Vec<LintFinding>) {
    let mut add = |metric: Option<&str>, message: String| {
        findings.push(finding(Severity::Error, metric, message))
    };
    if registry.metrics != earlier.metrics && registry.version <= earlier.version {
        let message = format!(
            "metrics have changed but version {} is not above {}: raise it",
            registry.version, earlier.version
        );
        add(None, message);
    }
    for (name, before) in &earlier.metrics {
        let metric = Some(name.as_str());
        match registry.metrics.get(name) {
            None if before.state != MetricState::Closed => {
                let message = "the metric was removed without being closed: reports in transit would be rejected \
                               as unknown; let it drain, close it, then remove it";
                add(metric, message.to_owned());
            }
            Some(now) if !now.parameters(name).same(&before.parameters(name)) => {
                let message = "bins, epsilon, weight or prime have changed under the same name: such batches \
                               cannot be summed together; give the metric a new name and drain this one";
                add(metric, message.to_owned());
            }
            Some(now) if now.encoding != before.encoding => {
                let message = "the encoding or a label has changed under the same name: earlier sums would be \
                               misinterpreted; give the metric a new name";
                add(metric, message.to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn registry(version: u64, metrics: &str) -> Registry {
        serde_json::from_str(&format!(
            r#"{{"version":{version},"metrics":{{{metrics}}}}}"#
        ))
        .unwrap()
    }

    fn metric(name: &str, state: &str, epsilon: f64) -> String {
        format!(
            r#""{name}":{{"state":"{state}","encoding":{{"kind":"histogram","bins":2,"labels":["n","y"]}},
            "epsilon":{epsilon:?},"cadence-hours":24}}"#
        )
    }

    #[test]
    fn a_good_registry_has_no_findings() {
        let good = registry(1, &metric("a-v1", "accept", 8.0));
        assert_eq!(lint(&good, Some(&good)), []);
    }

    #[test]
    fn what_would_mix_or_lose_reports_is_an_error() {
        let before = registry(2, &metric("a-v1", "accept", 8.0));
        for (after, expected) in [
            (registry(3, &metric("a-v1", "accept", 9.0)), "epsilon"),
            (registry(3, &metric("b-v1", "accept", 8.0)), "closed"),
            (registry(2, &metric("a-v1", "drain", 8.0)), "raise"),
        ] {
            let findings = lint(&after, Some(&before));
            assert!(
                findings
                    .iter()
                    .any(|finding| finding.severity == Severity::Error
                        && finding.message.contains(expected)),
                "{expected}: {findings:?}"
            );
        }
        let closed = registry(2, &metric("a-v1", "closed", 8.0));
        assert_eq!(
            lint(&registry(3, &metric("b-v1", "accept", 8.0)), Some(&closed)),
            []
        );
    }

    #[test]
    fn a_grouped_integer_needs_no_labels_but_different_groups() {
        let grouped = |groups: &str| {
            let metric = format!(
                r#""a-v1":{{"state":"accept","encoding":{{"kind":"grouped-integer","bins":8,"bits":3,
                "groups":[{groups}]}},"epsilon":8.0,"cadence-hours":24}}"#
            );
            lint(&registry(1, &metric), None).len()
        };
        assert_eq!(grouped(r#""women","men""#), 0);
        assert_eq!(grouped(r#""women","women""#), 1);
    }

    #[test]
    fn what_looks_odd_is_a_warning() {
        let odd = registry(1, &metric("unversioned", "accept", 1.0));
        let findings = lint(&odd, None);
        assert_eq!(findings.len(), 2);
        assert!(
            findings
                .iter()
                .all(|finding| finding.severity == Severity::Warning)
        );
    }
}
