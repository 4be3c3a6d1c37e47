//! What a person reads at the end of a run.

mod metric;

use std::fmt::{self, Write as _};

use tallybox_crypto::prio2::MODULUS;
use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use crate::door::DoorAnswer;
use crate::outcome::Outcome;
use metric::metric_block;

/// An outcome, and how much of it a person wants to see.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// Whether to show every bin of long metrics.
    #[serde(skip)]
    pub all_bins: bool,
}

impl Summary for Report {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(Screen::stdout())?)
    }
}

impl Report {
    /// The report as it looks on this screen, without a newline at its end.
    ///
    /// # Errors
    /// None in fact: a string takes everything.
    pub fn render(&self, screen: Screen) -> Result<String, fmt::Error> {
        let mut text = String::new();
        self.roles(&mut text, screen)?;
        for metric in &self.outcome.metrics {
            metric_block(&mut text, screen, metric, self.all_bins)?;
        }
        self.door(&mut text, screen)?;
        self.hostile(&mut text, screen)?;
        self.end(&mut text, screen)?;
        Ok(text)
    }

    /// Who does what, and in whose mailbox it ends up.
    fn roles(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let outcome = &self.outcome;
        let packets = grouped(outcome.honest_packets + outcome.hostile_packets);
        let batches: usize = outcome.metrics.iter().map(|metric| metric.batches).sum();
        let left = Align::Left;
        let mut table = Table::new(screen, &[("role", left), ("does", left), ("writes to buckets/…", left)]);
        table.row([
            "clients",
            &format!("randomise, split, seal, post {packets} answers"),
            "(over HTTP)",
        ]);
        table.row(["ingestor", "checks and keeps them, then shuffles and", "spool"]);
        table.row([
            "",
            &format!("signs them, {batches} batches for each"),
            "ingestion-{first,second}",
        ]);
        table.row([
            "first",
            "opens its shares, tells what it found",
            "validation-for-second",
        ]);
        table.row(["second", "does the same with its own shares", "validation-for-first"]);
        table.row(["both", "add what both found good", "sum-{first,second}"]);
        table.row(["portal", "adds the two sums, takes the noise off", "your screen"]);
        let title = "Tallybox sandbox: every role in one process, every mailbox a directory";
        writeln!(text, "{}\n\n{table}\n", screen.paint(Tone::Heading, title))?;
        if let Some(metric) = outcome.metrics.first() {
            let part = |index: usize| metric.parts[index].first().map_or(0, |part| part.unsigned_abs());
            let (first, second) = (grouped(part(0)), grouped(part(1)));
            let sum = grouped(metric.sums.first().copied().unwrap_or(0));
            let modulus = grouped(MODULUS.into());
            writeln!(
                text,
                "Neither processor's sum says anything alone. The first bin below is"
            )?;
            writeln!(text, "{first} + {second} = {sum} (modulo {modulus}).\n")?;
        }
        writeln!(
            text,
            "true: what the clients know, and nobody else; sum: what the portal adds, with"
        )?;
        writeln!(
            text,
            "their noise in it; estimate: with the noise taken off, ± one standard error.\n"
        )
    }

    /// What the door answered to hostile posts.
    fn door(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let columns = [
            ("hostile report, posted", Align::Left),
            ("sent", Align::Right),
            ("the door says", Align::Left),
            ("and then", Align::Left),
        ];
        let mut table = Table::new(screen, &columns);
        for row in &self.outcome.door {
            let (answer, then) = (row.answer.to_string(), row.then());
            let tone = if row.answer == DoorAnswer::Accepted {
                Tone::Good
            } else {
                Tone::Bad
            };
            table.row([
                row.kind.as_str(),
                &row.reports.to_string(),
                &screen.paint(tone, &answer),
                then,
            ]);
        }
        writeln!(text, "{table}\n")?;
        writeln!(
            text,
            "The door opens no share. What it takes, and what a lying ingestor would let"
        )?;
        writeln!(text, "through, the processors find out:\n")
    }

    /// What became of the hostile packets.
    fn hostile(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let (left, right) = (Align::Left, Align::Right);
        let columns = [
            ("hostile packet", left),
            ("sent", right),
            ("first says", left),
            ("second says", left),
            ("verdict", left),
        ];
        let mut table = Table::new(screen, &columns);
        for row in &self.outcome.hostile {
            // Which side was spoiled is plain from what that side says.
            let kind = row.kind.split(" (").next().unwrap_or(&row.kind);
            let tone = if row.verdict.starts_with("counted") {
                Tone::Good
            } else {
                Tone::Bad
            };
            let (first, second) = (row.first.to_string(), row.second.to_string());
            table.row([
                kind,
                &row.packets.to_string(),
                &first,
                &second,
                &screen.paint(tone, &row.verdict),
            ]);
        }
        writeln!(text, "{table}\n")?;
        writeln!(
            text,
            "A packet counts if both send a message about it and the two say that its proof"
        )?;
        writeln!(
            text,
            "holds. A bad packet costs itself, never its batch. These come in batches of an"
        )?;
        writeln!(text, "ingestor that checks nothing; the last four are its own doing.\n")
    }

    /// What was checked, how long it took, and where to go from here.
    fn end(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let outcome = &self.outcome;
        let checked = screen.paint(Tone::Good, "Checked:");
        writeln!(
            text,
            "{checked} every sum is that of the bits that were shared; every hostile packet"
        )?;
        writeln!(text, "met the fate it should.\n")?;
        let stages = outcome
            .stages
            .iter()
            .map(|stage| format!("{} {:.2}", stage.stage.replace('-', " "), stage.seconds));
        let stages: Vec<String> = stages.collect();
        for line in wrapped(
            &format!("{:.1} s: {}", outcome.seconds(), stages.join(", ")),
            screen.width,
        ) {
            writeln!(text, "{}", screen.paint(Tone::Faint, &line))?;
        }
        let directory = outcome.directory.display();
        let part = outcome
            .metrics
            .first()
            .map_or("", |metric| metric.sum_parts[0].as_str());
        if outcome.kept {
            writeln!(text, "\nEverything is in {directory}. Next, look into it:\n")?;
            writeln!(text, "  make build; D=\"{directory}\"")?;
            writeln!(text, "  target/release/facilitator --config $D/first.yaml inspect \\")?;
            write!(text, "      $D/{part}")
        } else {
            writeln!(
                text,
                "\nThe directory is gone. Next, keep one and look into it; then see more noise:\n"
            )?;
            writeln!(text, "  cargo run --release -- --dir demo && make build")?;
            writeln!(text, "  target/release/facilitator --config demo/first.yaml inspect \\")?;
            writeln!(text, "      demo/{part}")?;
            write!(text, "  cargo run --release -- --epsilon 2")
        }
    }
}

/// Breaks a text at spaces into lines of at most `width` characters, if its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                let _ = write!(line, " {word}");
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use tallybox_client::traffic::Metric;
    use tallybox_service::output::Output;

    use super::*;
    use crate::run::{DEFAULT_METRICS, RunOptions, run};

    async fn report() -> Report {
        let metrics = DEFAULT_METRICS
            .iter()
            .map(|name| *Metric::named(name).unwrap())
            .collect();
        let options = RunOptions {
            packets: 60,
            metrics,
            seed: Some(3),
            epsilon: None,
        };
        let directory = tempfile::tempdir().unwrap();
        let mut outcome = run(directory.path(), &options, Output::new(true)).await.unwrap();
        outcome.directory = "demo".into();
        Report {
            outcome,
            all_bins: false,
        }
    }

    #[tokio::test]
    async fn lines_fit_the_screen_and_nothing_is_cut() {
        let mut report = report().await;
        for (all_bins, kept) in [(false, true), (true, false)] {
            report.all_bins = all_bins;
            report.outcome.kept = kept;
            for width in [80, 120] {
                let text = report.render(Screen { width, colour: false }).unwrap();
                // Paths to be copied are the exception.
                for line in text.lines().filter(|line| !line.contains("/buckets/")) {
                    assert!(line.chars().count() <= width, "{line}");
                    assert!(!line.contains("…") || line.contains("buckets/…"), "{line}");
                    assert_eq!(line, line.trim_end());
                }
                assert_eq!(text.contains("--all-bins"), !all_bins);
            }
        }
    }

    #[test]
    fn long_lines_are_broken_at_spaces() {
        assert_eq!(wrapped("a bb ccc dddddd", 5), ["a bb", "ccc", "dddddd"]);
    }
}
