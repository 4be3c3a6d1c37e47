//! Text report at the end of a run.

mod metric;

use std::fmt::{self, Write as _};

use tallybox_crypto::prio2::MODULUS;
use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::output::Summary;
use tallybox_service::progress::grouped;

use crate::ingestor_server::PostAnswer;
use crate::outcome::RunOutcome;
use metric::metric_block;

/// The outcome of a run, with the options of its text form.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub struct RunReport {
    /// The outcome.
    pub outcome: RunOutcome,
    /// True if every bin of long metrics is shown.
    #[serde(skip)]
    pub all_bins: bool,
}

impl Summary for RunReport {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(Screen::stdout())?)
    }
}

impl RunReport {
    /// Renders the report for this screen, without a trailing newline.
    ///
    /// # Errors
    /// Never in fact: writing to a string cannot fail.
    pub fn render(&self, screen: Screen) -> Result<String, fmt::Error> {
        let mut text = String::new();
        self.roles(&mut text, screen)?;
        for metric in &self.outcome.metrics {
            metric_block(&mut text, screen, metric, self.all_bins)?;
        }
        self.admissions(&mut text, screen)?;
        self.hostile(&mut text, screen)?;
        self.end(&mut text, screen)?;
        Ok(text)
    }

    /// Writes the table of the roles, what each does, and the buckets that each writes to.
    fn roles(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let outcome = &self.outcome;
        let packets = grouped(outcome.honest_packets + outcome.hostile_packets);
        let batches: usize = outcome.metrics.iter().map(|metric| metric.batches).sum();
        let left = Align::Left;
        let mut table = Table::new(
            screen,
            &[
                ("role", left),
                ("does", left),
                ("writes to buckets/…", left),
            ],
        );
        table.row([
            "clients",
            &format!("randomise, split, encrypt {packets} answers"),
            "(posts over HTTP)",
        ]);
        table.row(["ingestor", "validates and stores the reports", "spool"]);
        table.row([
            "",
            &format!("signs {batches} batches for each processor"),
            "ingestion-{first,second}",
        ]);
        table.row([
            "first",
            "verifies its shares, sends messages",
            "validation-for-second",
        ]);
        table.row([
            "second",
            "verifies its own shares likewise",
            "validation-for-first",
        ]);
        table.row([
            "both",
            "add the shares that both accepted",
            "sum-{first,second}",
        ]);
        table.row([
            "portal",
            "adds the two sum parts, removes the noise",
            "your screen",
        ]);
        let title = "Tallybox sandbox: every role in one process, every mailbox a directory";
        writeln!(text, "{}\n\n{table}\n", screen.paint(Tone::Heading, title))?;
        if let Some(metric) = outcome.metrics.first() {
            let part = |index: usize| {
                metric.parts[index]
                    .first()
                    .map_or(0, |part| part.unsigned_abs())
            };
            let (first, second) = (grouped(part(0)), grouped(part(1)));
            let sum = grouped(metric.sums.first().copied().unwrap_or(0));
            let modulus = grouped(MODULUS.into());
            writeln!(
                text,
                "A sum part alone reveals nothing. The two sum parts of the first bin below:"
            )?;
            writeln!(text, "{first} + {second} = {sum} (modulo {modulus}).\n")?;
        }
        writeln!(
            text,
            "true: the sum of the clients' answers; sum: the sum of their randomised answers,"
        )?;
        writeln!(
            text,
            "which the portal computes; estimate: noise removed, ± one standard error.\n"
        )
    }

    /// Writes the table of hostile posts and the ingestor's answers.
    fn admissions(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let columns = [
            ("hostile report, posted", Align::Left),
            ("sent", Align::Right),
            ("ingestor answers", Align::Left),
            ("then", Align::Left),
        ];
        let mut table = Table::new(screen, &columns);
        for row in &self.outcome.door {
            let (answer, then) = (row.answer.to_string(), row.then());
            let tone = if row.answer == PostAnswer::Accepted {
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
            "The ingestor cannot decrypt shares. The processors find the invalid packets that"
        )?;
        writeln!(
            text,
            "the ingestor accepts, and those that a lying ingestor sends:\n"
        )
    }

    /// Writes the table of hostile packets and their outcomes.
    fn hostile(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let (left, right) = (Align::Left, Align::Right);
        let columns = [
            ("hostile packet", left),
            ("sent", right),
            ("first", left),
            ("second", left),
            ("outcome", left),
        ];
        let mut table = Table::new(screen, &columns);
        for row in &self.outcome.hostile {
            // The side in parentheses is omitted: the answers of the processors show it.
            let kind = row.kind.split(" (").next().unwrap_or(&row.kind);
            let tone = if row.verdict.starts_with("counted") {
                Tone::Good
            } else {
                Tone::Bad
            };
            table.row([
                kind,
                &row.packets.to_string(),
                &row.first,
                &row.second,
                &screen.paint(tone, &row.verdict),
            ]);
        }
        writeln!(text, "{table}\n")?;
        writeln!(
            text,
            "A packet counts if both processors send a message and the two messages together"
        )?;
        writeln!(
            text,
            "verify its proof. An invalid packet never affects the rest of its batch. These"
        )?;
        writeln!(
            text,
            "batches come from an ingestor that checks nothing; it made the last four itself.\n"
        )
    }

    /// Writes the result of the self-check, the time of each stage, and the commands to try next.
    fn end(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let outcome = &self.outcome;
        let checked = screen.paint(Tone::Good, "Checked:");
        writeln!(
            text,
            "{checked} every sum equals the sum of the shared bits; every hostile packet had"
        )?;
        writeln!(text, "the expected outcome.\n")?;
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
            writeln!(text, "\nAll files are in {directory}. Next, inspect one:\n")?;
            writeln!(text, "  make build; D=\"{directory}\"")?;
            writeln!(
                text,
                "  target/release/facilitator --config $D/first.yaml inspect \\"
            )?;
            write!(text, "      $D/{part}")
        } else {
            writeln!(
                text,
                "\nThe directory is removed. Next, keep one and inspect it; then try more noise:\n"
            )?;
            writeln!(text, "  cargo run --release -- --dir demo && make build")?;
            writeln!(
                text,
                "  target/release/facilitator --config demo/first.yaml inspect \\"
            )?;
            writeln!(text, "      demo/{part}")?;
            write!(text, "  cargo run --release -- --epsilon 2")
        }
    }
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word gets a line for
/// itself.
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

    async fn report() -> RunReport {
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
        let mut outcome = run(directory.path(), &options, Output::new(true))
            .await
            .unwrap();
        outcome.directory = "demo".into();
        RunReport {
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
                let text = report
                    .render(Screen {
                        width,
                        colour: false,
                    })
                    .unwrap();
                // Paths that the user copies are never broken.
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
