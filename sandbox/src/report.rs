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
        let answers = format!("randomise, split, encrypt {packets} answers");
        let signed = format!("signs {batches} batches for each processor");
        let columns = ["role", "does", "writes to buckets/…"].map(|name| (name, Align::Left));
        let mut table = Table::new(screen, &columns);
        for row in [
            ["clients", &answers, "(posts over HTTP)"],
            ["ingestor", "validates and stores the reports", "spool"],
            ["", &signed, "ingestion-{first,second}"],
            [
                "first",
                "verifies its shares, sends messages",
                "validation-for-second",
            ],
            [
                "second",
                "verifies its own shares likewise",
                "validation-for-first",
            ],
            [
                "both",
                "add the shares that both accepted",
                "sum-{first,second}",
            ],
            [
                "portal",
                "adds the two sum parts, removes the noise",
                "your screen",
            ],
        ] {
            table.row(row);
        }
        let title = "Tallybox sandbox: every role in one process, every mailbox a directory";
        writeln!(text, "{}\n\n{table}\n", screen.paint(Tone::Heading, title))?;
        if let Some(metric) = outcome.metrics.first() {
            let part = |index: usize| {
                metric.parts[index]
                    .first()
                    .map_or(0, |part| part.unsigned_abs())
            };
            let first = grouped(part(0));
            let second = grouped(part(1));
            let sum = grouped(metric.sums.first().copied().unwrap_or(0));
            let modulus = grouped(MODULUS.into());
            writeln!(
                text,
                "A sum part alone reveals nothing. The two sum parts of the first bin below:\n\
                 {first} + {second} = {sum} (modulo {modulus}).\n"
            )?;
        }
        text.push_str(LEGEND);
        Ok(())
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
            let tone = match row.answer {
                PostAnswer::Accepted => Tone::Good,
                _ => Tone::Bad,
            };
            let answer = screen.paint(tone, &row.answer.to_string());
            table.row([&row.kind, &row.reports.to_string(), &answer, row.then()]);
        }
        writeln!(text, "{table}\n\n{AFTER_POSTS}")
    }

    /// Writes the table of hostile packets and their outcomes.
    fn hostile(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let columns = [
            ("hostile packet", Align::Left),
            ("sent", Align::Right),
            ("first", Align::Left),
            ("second", Align::Left),
            ("outcome", Align::Left),
        ];
        let mut table = Table::new(screen, &columns);
        for row in &self.outcome.hostile {
            // The side in parentheses is omitted: the answers of the processors show it.
            let kind = row.kind.split(" (").next().unwrap_or(&row.kind);
            let tone = match row.verdict.starts_with("counted") {
                true => Tone::Good,
                false => Tone::Bad,
            };
            let packets = row.packets.to_string();
            let verdict = screen.paint(tone, &row.verdict);
            table.row([kind, &packets, &row.first, &row.second, &verdict]);
        }
        writeln!(text, "{table}\n\n{AFTER_PACKETS}")
    }

    /// Writes the result of the self-check, the time of each stage, and the commands to try next.
    fn end(&self, text: &mut String, screen: Screen) -> fmt::Result {
        let outcome = &self.outcome;
        let checked = screen.paint(Tone::Good, "Checked:");
        writeln!(text, "{checked} {CHECKED}\n")?;
        let stages = outcome.stages.iter();
        let stages = stages
            .map(|stage| format!("{} {:.2}", stage.stage.replace('-', " "), stage.seconds))
            .collect::<Vec<_>>()
            .join(", ");
        for line in wrapped(
            &format!("{:.1} s: {stages}", outcome.seconds()),
            screen.width,
        ) {
            writeln!(text, "{}", screen.paint(Tone::Faint, &line))?;
        }
        let directory = outcome.directory.display();
        let metric = outcome.metrics.first();
        let part = metric.map_or("", |metric| metric.sum_parts[0].as_str());
        if outcome.kept {
            return write!(
                text,
                "
All files are in {directory}. Next, inspect one:

  make build; D=\"{directory}\"
  target/release/facilitator --config $D/first.yaml inspect \\
      $D/{part}"
            );
        }
        write!(
            text,
            "
The directory is removed. Next, keep one and inspect it; then try more noise:

  cargo run --release -- --dir demo && make build
  target/release/facilitator --config demo/first.yaml inspect \\
      demo/{part}
  cargo run --release -- --epsilon 2"
        )
    }
}

/// The text above the metrics.
const LEGEND: &str = "\
true: the sum of the clients' answers; sum: the sum of their randomised answers,
which the portal computes; estimate: noise removed, ± one standard error.

";
/// The text below the table of hostile posts.
const AFTER_POSTS: &str = "\
The ingestor cannot decrypt shares. The processors find the invalid packets that
the ingestor accepts, and those that a lying ingestor sends:
";
/// The text below the table of hostile packets.
const AFTER_PACKETS: &str = "\
A packet counts if both processors send a message and the two messages together
verify its proof. An invalid packet never affects the rest of its batch. These
batches come from an ingestor that checks nothing; it made the last four itself.
";
/// The result of the self-check.
const CHECKED: &str = "\
every sum equals the sum of the shared bits; every hostile packet had
the expected outcome.";

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
