//! The result of a run of `collect`.

use std::fmt;

use serde::Serialize;
use tallybox_model::cause::chain;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use super::outcome::Ending;
use crate::error::Error;
use crate::store::FindingRow;

/// How many findings and failures a result lists.
const LISTED: usize = 100;

/// The result of a run of `collect`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Collected {
    /// Number of windows whose sum was added.
    pub added: u64,
    /// Number of windows whose sum is below the minimum.
    pub below_minimum: u64,
    /// Number of windows whose sum a correction has replaced.
    pub corrected: u64,
    /// Number of windows of which only one side has published.
    pub one_side: u64,
    /// Number of windows whose sum parts cannot be added, or contradict the evidence.
    pub refused: u64,
    /// Number of windows that were compared and have not changed.
    pub unchanged: u64,
    /// Number of new findings.
    pub new_findings: u64,
    /// Number of findings that no longer hold.
    pub resolved: u64,
    /// The first new findings.
    pub findings: Vec<FindingRow>,
    /// Number of windows and folders that could not be read.
    pub failed: u64,
    /// The first failures.
    pub failures: Vec<String>,
}

impl Collected {
    /// Counts a window.
    pub(super) fn count(&mut self, ending: Ending) {
        let count = match ending {
            Ending::Added => &mut self.added,
            Ending::BelowMinimum => &mut self.below_minimum,
            Ending::Corrected => &mut self.corrected,
            Ending::OneSide => &mut self.one_side,
            Ending::Refused => &mut self.refused,
            Ending::Unchanged => &mut self.unchanged,
        };
        *count += 1;
    }

    /// Counts a new finding.
    pub(super) fn found(&mut self, finding: FindingRow) {
        self.new_findings += 1;
        if self.findings.len() < LISTED {
            self.findings.push(finding);
        }
    }

    /// Counts something that could not be read.
    pub(super) fn fail(&mut self, place: &str, error: &Error) {
        self.failed += 1;
        if self.failures.len() < LISTED {
            self.failures.push(format!("{place}: {}", chain(error)));
        }
    }

    /// Returns the exit code: whether something is out of reach, or new findings were made.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.failed > 0 {
            Exit::Retry
        } else if self.new_findings > 0 {
            Exit::Rejected
        } else {
            Exit::Done
        }
    }
}

impl Summary for Collected {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            ("added", self.added),
            ("below the minimum", self.below_minimum),
            ("corrected", self.corrected),
            ("one side only", self.one_side),
            ("refused", self.refused),
            ("unchanged", self.unchanged),
            ("new findings", self.new_findings),
            ("resolved findings", self.resolved),
            ("failures", self.failed),
        ];
        let shown = counts.iter().filter(|(_, count)| *count > 0);
        let lines: Vec<String> = shown
            .map(|(name, count)| format!("{name:<18} {:>9}", grouped(*count)))
            .collect();
        if lines.is_empty() {
            return f.write_str("nothing new");
        }
        f.write_str(&lines.join("\n"))?;
        for finding in &self.findings {
            write!(
                f,
                "\n\n  {} {} {} ({})\n  {}\n  next: {}",
                finding.instance,
                finding.aggregation,
                finding.window,
                finding.kind,
                finding.message,
                finding.next_step
            )?;
        }
        for failure in &self.failures {
            write!(f, "\n\n  {failure}\n  next: run `portal collect` again")?;
        }
        Ok(())
    }
}
