//! `ingestor registry`: checks a metric registry.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use tallybox_model::registry::{LintFinding, Registry, Severity, lint};
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

use crate::config::Config;
use crate::error::Error;
use crate::packet_keys::metrics_without_pair;

/// Check a metric registry
#[derive(Debug, Args)]
pub(super) struct RegistryCommand {
    #[command(subcommand)]
    command: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Lint(Lint),
}

/// Report problems of a registry before it is deployed
///
/// Errors (exit code 3) are changes that would lose or mix reports: a parameter that changed under
/// the same name, a metric that was removed before it was closed, a version that was not raised.
/// With `--config`, a metric for whose number of bins a locality has no pair of packet keys is an
/// error as well. Warnings need a decision by a person.
#[derive(Debug, Args)]
struct Lint {
    /// The registry file
    file: PathBuf,
    /// The registry that is in force now, for comparison
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

impl RegistryCommand {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let Which::Lint(command) = &self.command;
        let registry = load::<Registry>(&command.file)?.value;
        let earlier = command
            .against
            .as_deref()
            .map(load::<Registry>)
            .transpose()?;
        let mut findings = lint(&registry, earlier.as_ref().map(|earlier| &earlier.value));
        if let Some(config) = &options.config {
            // Errors come before warnings.
            findings.splice(
                0..0,
                without_packet_keys(&registry, &load::<Config>(config)?.value),
            );
        }
        let bad = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        options.print(&LintSummary {
            version: registry.version,
            metrics: registry.metrics.len(),
            findings,
        })?;
        Ok(if bad { Exit::Rejected } else { Exit::Done })
    }
}

/// Returns a finding for each metric for which a locality of the configuration has no packet keys.
fn without_packet_keys(registry: &Registry, config: &Config) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    for (name, locality) in &config.localities {
        let has_pair = |bins| locality.packet_keys.iter().any(|pair| pair.bins == bins);
        let missing = metrics_without_pair(registry, has_pair);
        findings.extend(missing.map(|missing| LintFinding {
            severity: Severity::Error,
            metric: Some(missing.metric.to_string()),
            message: missing.message(name),
        }));
    }
    findings
}

/// The findings of the check.
#[derive(Debug, Serialize)]
struct LintSummary {
    version: u64,
    metrics: usize,
    findings: Vec<LintFinding>,
}

impl Summary for LintSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "version {}, {} metrics, ", self.version, self.metrics)?;
        match self.findings.len() {
            0 => f.write_str("no findings"),
            count => write!(f, "{count} findings"),
        }
    }
}
