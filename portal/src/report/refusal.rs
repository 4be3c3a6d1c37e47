//! The findings of a refused addition: lines for people on stderr, one JSON line on stdout.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use tallybox_service::OutputError;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::Disposition;

use crate::pair::{Finding, Findings};

/// The findings of a refused addition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Refusal {
    outcome: Exit,
    reason: &'static str,
    findings: Vec<Finding>,
}

impl Refusal {
    /// Creates the report of these findings.
    pub(crate) fn new(findings: Findings) -> Self {
        Self {
            outcome: match findings.disposition() {
                Disposition::Retry => Exit::Retry,
                Disposition::Reject => Exit::Rejected,
            },
            reason: findings.reason(),
            findings: findings.0,
        }
    }

    /// Prints the findings, and returns the exit code.
    pub(crate) fn print(&self, options: &GlobalOptions) -> Result<Exit, OutputError> {
        if options.output.json {
            options.print(self)?;
        } else {
            // stdout may be a CSV file that has to stay empty. If stderr is closed, the exit code
            // still states the failure.
            let _ = writeln!(std::io::stderr(), "{}", fmt::from_fn(|f| self.human(f)));
        }
        Ok(self.outcome)
    }
}

impl Summary for Refusal {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): the sum parts cannot be added",
            self.outcome, self.reason
        )?;
        for finding in &self.findings {
            write!(f, "\n\n  {finding}\n  next: {}", finding.next_step())?;
        }
        Ok(())
    }
}
