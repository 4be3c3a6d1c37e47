//! The final report: a table for people, one JSON document for machines.

use std::fmt;

use serde::Serialize;
use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use super::audit::Audit;
use super::discrepancy::{Discrepancies, Discrepancy};
use super::posted_reports::ReportCounts;
use crate::error::Error;

/// Processes that were killed or exited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kills {
    /// Kills by the sandbox, per program.
    pub killed: std::collections::BTreeMap<String, u64>,
    /// Number of processes that exited without being killed, which is a fault.
    pub ended: u64,
}

impl Kills {
    /// Returns the number of all kills.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.killed.values().sum()
    }
}

/// The result of a long-running sandbox.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FinalReport {
    /// Always `verdict`.
    pub event: &'static str,
    /// True if the audit found no discrepancy.
    pub good: bool,
    /// Seed of traffic and kills.
    pub seed: u64,
    /// Duration in seconds of real time.
    pub seconds: f64,
    /// Counts of reports.
    pub reports: ReportCounts,
    /// Acknowledged reports that are counted.
    pub counted: u64,
    /// Acknowledged reports that are not counted because the ingestor had too few of them for too
    /// long.
    pub too_few: u64,
    /// Acknowledged reports in a batch that both sides have excluded or let expire.
    pub given_up: u64,
    /// Acknowledged reports in a batch that waits because its window has fewer packets than the
    /// minimum.
    pub below_minimum: u64,
    /// Acknowledged reports that are not counted, without an explanation.
    pub lost: u64,
    /// Reports and batches that are counted twice.
    pub double: u64,
    /// Windows that are summed.
    pub windows: u64,
    /// Windows whose sum parts cannot be added.
    pub unsummable: u64,
    /// Sums that differ from those of their reports.
    pub wrong: u64,
    /// Killed and exited processes.
    pub processes: Kills,
    /// Descriptions of the discrepancies.
    pub problems: Vec<String>,
}

impl FinalReport {
    /// Makes the final audit. `dropped` is the number of reports that the ingestor's records
    /// declare as dropped.
    pub(crate) async fn from_audit(
        audit: &mut Audit,
        dropped: u64,
        processes: Kills,
    ) -> Result<Self, Error> {
        let left = audit.close(dropped).await?;
        let reports = audit.posted_reports().lock().counts();
        let discrepancies: &Discrepancies = &audit.discrepancies;
        Ok(Self {
            event: "verdict",
            good: discrepancies.total() == 0 && processes.ended == 0 && reports.refused == 0,
            seed: 0,
            seconds: 0.0,
            counted: reports.counted,
            reports,
            too_few: left.unbatched,
            given_up: left.given_up,
            below_minimum: left.below_minimum,
            lost: discrepancies.count(Discrepancy::Lost),
            double: discrepancies.count(Discrepancy::Double),
            windows: audit.summed(),
            unsummable: discrepancies.count(Discrepancy::Unsummable),
            wrong: discrepancies.count(Discrepancy::Wrong),
            problems: discrepancies.descriptions.clone(),
            processes,
        })
    }
}

impl Summary for FinalReport {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let screen = Screen::stdout();
        let columns = [("", Align::Left), ("", Align::Right), ("", Align::Left)];
        let mut table = Table::new(screen, &columns);
        let foreign = self.reports.foreign > 0;
        for (what, number, note, is_shown) in [
            ("reports acknowledged", self.reports.acknowledged, "", true),
            ("  counted exactly once", self.counted, "", true),
            (
                "  too few for a batch",
                self.too_few,
                "recorded by the ingestor",
                self.too_few > 0,
            ),
            (
                "  batch excluded or expired",
                self.given_up,
                "in both rosters",
                self.given_up > 0,
            ),
            (
                "  below the minimum",
                self.below_minimum,
                "in both rosters",
                self.below_minimum > 0,
            ),
            (
                "hostile reports",
                self.reports.hostile,
                "none is counted",
                true,
            ),
            ("posted again", self.reports.repeated, "", true),
            (
                "of other clients",
                self.reports.foreign,
                "stored by the ingestor",
                foreign,
            ),
            ("  in a sum", self.reports.foreign_counted, "", foreign),
            ("windows summed", self.windows, "", true),
            ("processes killed", self.processes.total(), "SIGKILL", true),
        ] {
            if is_shown {
                let note = screen.paint(Tone::Faint, note);
                table.row([what.to_owned(), grouped(number), note]);
            }
        }
        for (what, number, is_shown) in [
            ("lost", self.lost, true),
            ("double", self.double, true),
            ("unsummable windows", self.unsummable, true),
            ("wrong sums", self.wrong, true),
            ("honest reports refused", self.reports.refused, false),
            (
                "processes that exited unexpectedly",
                self.processes.ended,
                false,
            ),
        ] {
            let tone = if number == 0 { Tone::Good } else { Tone::Bad };
            if is_shown || number > 0 {
                table.row([what, &grouped(number)].map(|cell| screen.paint(tone, cell)));
            }
        }
        writeln!(f, "{table}")?;
        for problem in &self.problems {
            writeln!(f, "  ! {problem}")?;
        }
        let (tone, text) = match self.good {
            true => (
                Tone::Good,
                "every acknowledged report is counted once, and every sum is correct",
            ),
            false => (Tone::Bad, "the audit found discrepancies"),
        };
        let text = screen.paint(tone, text);
        write!(f, "{text} (seed {}, {:.0} s)", self.seed, self.seconds)
    }
}
