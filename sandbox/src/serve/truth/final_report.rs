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
        let mut table = Table::new(
            screen,
            &[("", Align::Left), ("", Align::Right), ("", Align::Left)],
        );
        let mut row = |what: &str, number: u64, note: &str| {
            table.row([
                what.to_owned(),
                grouped(number),
                screen.paint(Tone::Faint, note),
            ]);
        };
        row("reports acknowledged", self.reports.acknowledged, "");
        row("  counted exactly once", self.counted, "");
        for (what, number, note) in [
            (
                "  too few for a batch",
                self.too_few,
                "recorded by the ingestor",
            ),
            (
                "  batch excluded or expired",
                self.given_up,
                "in both rosters",
            ),
            ("  below the minimum", self.below_minimum, "in both rosters"),
        ] {
            if number > 0 {
                row(what, number, note);
            }
        }
        row("hostile reports", self.reports.hostile, "none is counted");
        row("posted again", self.reports.repeated, "");
        if self.reports.foreign > 0 {
            row(
                "of other clients",
                self.reports.foreign,
                "stored by the ingestor",
            );
            row("  in a sum", self.reports.foreign_counted, "");
        }
        row("windows summed", self.windows, "");
        row("processes killed", self.processes.total(), "SIGKILL");
        let bad = |number: u64, what: &str| {
            let tone = if number == 0 { Tone::Good } else { Tone::Bad };
            (
                screen.paint(tone, what),
                screen.paint(tone, &grouped(number)),
            )
        };
        for (what, number) in [
            ("lost", self.lost),
            ("double", self.double),
            ("unsummable windows", self.unsummable),
            ("wrong sums", self.wrong),
        ] {
            let (what, number) = bad(number, what);
            table.row([what, number]);
        }
        for (what, number) in [
            ("honest reports refused", self.reports.refused),
            ("processes that exited unexpectedly", self.processes.ended),
        ] {
            if number > 0 {
                let (what, number) = bad(number, what);
                table.row([what, number]);
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
        write!(
            f,
            "{} (seed {}, {:.0} s)",
            screen.paint(tone, text),
            self.seed,
            self.seconds
        )
    }
}
