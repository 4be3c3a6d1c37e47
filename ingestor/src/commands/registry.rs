//! `ingestor registry`

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use tallybox_model::registry::{Finding, Registry, Severity, lint};
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;

use super::Arguments;
use crate::config::Config;
use crate::error::Error;
use crate::packet_keys::metrics_without_pair;

/// Look at a metric registry
#[derive(Debug, Args)]
pub(super) struct RegistryCommand {
    #[command(subcommand)]
    command: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Lint(Lint),
}

/// Say what is wrong with a registry before it is deployed
///
/// Errors (exit code 3) would lose or mix reports: a parameter changed under the same name, a metric that is gone
/// before it was closed, a version that was not raised; with `--config`, also a metric for whose number of bins a
/// locality has no pair of packet keys. Warnings are worth a look.
#[derive(Debug, Args)]
struct Lint {
    /// The registry
    file: PathBuf,
    /// The registry in force now, to compare with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

impl RegistryCommand {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let Which::Lint(command) = &self.command;
        let registry = load::<Registry>(&command.file)?.value;
        let earlier = command.against.as_deref().map(load::<Registry>).transpose()?;
        let mut findings = lint(&registry, earlier.as_ref().map(|earlier| &earlier.value));
        if let Some(config) = &arguments.config {
            // Errors come before warnings.
            findings.splice(0..0, without_packet_keys(&registry, &load::<Config>(config)?.value));
        }
        let bad = findings.iter().any(|finding| finding.severity == Severity::Error);
        arguments.print(&LintSummary {
            version: registry.version,
            metrics: registry.metrics.len(),
            findings,
        })?;
        Ok(if bad { Exit::Rejected } else { Exit::Done })
    }
}

/// The metrics that a locality of the configuration has no packet keys for.
fn without_packet_keys(registry: &Registry, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, locality) in &config.localities {
        let has_pair = |bins| locality.packet_keys.iter().any(|pair| pair.bins == bins);
        let missing = metrics_without_pair(registry, has_pair);
        findings.extend(missing.map(|missing| Finding {
            severity: Severity::Error,
            metric: Some(missing.metric.to_string()),
            message: missing.message(name),
        }));
    }
    findings
}

/// What the lint found.
#[derive(Debug, Serialize)]
struct LintSummary {
    version: u64,
    metrics: usize,
    findings: Vec<Finding>,
}

impl Summary for LintSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        write!(f, "version {}, {} metrics, ", self.version, self.metrics)?;
        match self.findings.len() {
            0 => f.write_str("nothing to say"),
            count => write!(f, "{count} findings"),
        }
    }
}
