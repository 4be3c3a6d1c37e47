//! The status for people: tables that fit the terminal.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::output::Summary;

use super::{Status, WindowStatus};
use crate::summary::{list, printable};

/// Formats an age: `12m`, `3h05m`, `2d04h`.
fn age(minutes: i64) -> String {
    let sign = if minutes < 0 { "-" } else { "" };
    let minutes = minutes.unsigned_abs();
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{sign}{rest}m"),
        (0, _) => format!("{sign}{hours}h{rest:02}m"),
        _ => format!("{sign}{days}d{hours:02}h"),
    }
}

/// Width of a line in a file or a pipe: enough for whole names.
const FILE_WIDTH: usize = 160;
/// Below this width, names of batches are shortened.
const WIDE_COLUMNS: usize = 120;

/// Limit of batches in the output for people; JSON contains all.
const MAX_BATCHES: usize = 30;

impl Summary for Status {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut screen = Screen::stdout();
        if !io::stdout().is_terminal() {
            screen.width = FILE_WIDTH;
        }
        self.draw(f, screen)
    }
}

impl Status {
    fn draw(&self, f: &mut fmt::Formatter<'_>, screen: Screen) -> fmt::Result {
        writeln!(f, "{} UTC, rosters: {}", self.now, self.rosters)?;
        for queue in &self.queues {
            let count = |count: Option<u64>| {
                count.map_or_else(|| "?".to_owned(), |count| count.to_string())
            };
            writeln!(
                f,
                "queue {}: {} waiting, {} in progress, {} rejected ({})",
                queue.queue.as_str(),
                count(queue.ready),
                count(queue.held),
                count(queue.rejected),
                printable(&queue.location)
            )?;
            if let Some(problem) = &queue.rejected_problem {
                writeln!(f, "  cannot read rejected tasks: {}", printable(problem))?;
            }
        }
        write!(f, "\n{}", self.window_table(screen))?;
        if self.hidden > 0 {
            write!(
                f,
                "\n{}",
                screen.paint(
                    Tone::Faint,
                    &format!("{} windows are done or empty", self.hidden)
                )
            )?;
        }
        if !self.batches.is_empty() {
            write!(f, "\n\n{}", self.batch_table(screen))?;
        }
        let names = |pick: fn(&WindowStatus) -> &Vec<String>| -> Vec<&String> {
            self.windows.iter().flat_map(pick).collect()
        };
        let skipped = names(|window| &window.skipped_by_peer);
        list(f, "skipped by the peer", &skipped)?;
        list(f, "late", &names(|window| &window.late))?;
        let heading = "rejected, and not done since: use `replay rejected`";
        list(f, heading, &self.rejected)?;
        let heading =
            "never summed, too old to be started automatically: use `backfill` or `acknowledge`";
        list(f, heading, &self.given_up)?;
        list(f, "cannot be scanned", &self.failed)?;
        let unknown = &self.unknown_objects;
        let heading = format!("{} objects with unknown names", unknown.count);
        list(f, &heading, &unknown.samples)
    }

    fn window_table(&self, screen: Screen) -> Table {
        let mut table = Table::new(
            screen,
            &[
                ("window", Align::Left),
                ("age", Align::Right),
                ("batches", Align::Right),
                ("intake done", Align::Right),
                ("validated", Align::Right),
                ("stage", Align::Left),
                ("waits for", Align::Left),
            ],
        );
        let mut last = "";
        for window in &self.windows {
            if window.aggregation != last {
                table.row([screen.paint(Tone::Heading, &window.aggregation)]);
                last = &window.aggregation;
            }
            let stage = match (window.task, window.attempt) {
                (Some(task), 0 | 1) => format!("{task} {}", window.stage),
                (Some(task), attempt) => format!("{task} {} ({attempt})", window.stage),
                (None, _) => window.stage.to_owned(),
            };
            let tone = match window.stage {
                "done" => Tone::Good,
                "peer-validations" | "undecided" | "held" => Tone::Bad,
                _ if window.rejected.is_some() => Tone::Bad,
                _ if !window.skipped_by_peer.is_empty() || !window.late.is_empty() => Tone::Bad,
                _ => Tone::Faint,
            };
            table.row([
                format!("  {}", window.start),
                age(window.age_minutes),
                match window.batches.incomplete {
                    0 => window.batches.complete.to_string(),
                    incomplete => format!("{}+{incomplete}", window.batches.complete),
                },
                window.batches.taken_in.to_string(),
                window.batches.validated.to_string(),
                screen.paint(tone, &stage),
                printable(window.waits_for.as_deref().unwrap_or_default()),
            ]);
        }
        table
    }

    fn batch_table(&self, screen: Screen) -> Table {
        let mut table = Table::new(
            screen,
            &[
                ("batch", Align::Left),
                ("age", Align::Right),
                ("ours", Align::Left),
                ("peer", Align::Left),
                ("waits for", Align::Left),
            ],
        );
        let name = |name: &str| match (screen.width < WIDE_COLUMNS)
            .then(|| name.rsplit_once('/'))
            .flatten()
        {
            Some((stem, id)) => format!("{stem}/{}…", id.chars().take(8).collect::<String>()),
            None => name.to_owned(),
        };
        for batch in self.batches.iter().take(MAX_BATCHES) {
            table.row([
                printable(&name(&batch.batch)),
                age(batch.age_minutes),
                match batch.attempt {
                    0 | 1 => batch.ours.to_owned(),
                    attempt => format!("{} ({attempt})", batch.ours),
                },
                batch.peer.to_owned(),
                printable(batch.waits_for.as_deref().unwrap_or_default()),
            ]);
        }
        if self.batches.len() > MAX_BATCHES {
            table.row([format!("and {} more", self.batches.len() - MAX_BATCHES)]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        assert_eq!(
            [0, 59, 60, 185, 1440, 3000, -61].map(age),
            ["0m", "59m", "1h00m", "3h05m", "1d00h", "2d02h", "-1h01m"]
        );
    }
}
