//! Where every window and batch stands, and what it waits for: a table for people, JSON for machines.

use std::fmt;
use std::io::{self, IsTerminal as _};

use serde::Serialize;
use tallybox_model::extensions::{Bound, Sighting};
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_queue::Depth;
use tallybox_service::chart::{Align, Screen, Table, Tone};
use tallybox_service::output::Summary;

use crate::due::{BatchReport, BatchStage, Counts, WindowReport, WindowStage, mode_word};
use crate::inventory::Foreign;
use crate::manager::Look;
use crate::summary::{FailedStart, lines, printable};
use crate::work::QueueKind;

/// Everything that stands in the buckets, and what it waits for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// When it was looked at.
    pub now: String,
    /// From when rosters are used, in words.
    pub rosters: String,
    /// Windows, by aggregation, oldest first.
    pub windows: Vec<WindowStatus>,
    /// Batches that wait for something; all of them, if that was asked for.
    pub batches: Vec<BatchStatus>,
    /// Windows that passed the horizon without being summed, and that no operator has acknowledged.
    pub given_up: Vec<GivenUp>,
    /// The queues.
    pub queues: Vec<QueueStatus>,
    /// Aggregations that could not be looked at.
    pub failed: Vec<FailedStart>,
    /// Objects that were passed over.
    pub foreign: Foreign,
    /// Windows that are done and are not shown to people.
    #[serde(skip)]
    hidden: usize,
}

/// A window.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowStatus {
    /// The aggregation.
    pub aggregation: String,
    /// Its first minute.
    pub start: String,
    /// The first minute after it.
    pub end: String,
    /// `enpa`, `roster` or `undecided`.
    pub mode: &'static str,
    /// How far it has come.
    pub stage: &'static str,
    /// The task that is due or started.
    pub task: Option<&'static str>,
    /// How many times it has been started.
    pub attempt: u32,
    /// Minutes since its end; negative before it.
    pub age_minutes: i64,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// Its batches.
    pub batches: Counts,
    /// Without rosters: how many its task names.
    pub named: Option<usize>,
    /// Without rosters: batches that the peer has skipped.
    pub skipped_by_peer: Vec<String>,
    /// Without rosters: batches that came too late.
    pub late: Vec<String>,
}

/// A window that passed the horizon without being summed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GivenUp {
    /// The aggregation.
    pub aggregation: String,
    /// Its first minute.
    pub start: String,
    /// The first minute after it.
    pub end: String,
}

impl GivenUp {
    fn of(name: &WindowName) -> Self {
        Self {
            aggregation: name.aggregation.to_string(),
            start: name.window.start().to_string(),
            end: name.window.end().to_string(),
        }
    }
}

/// A batch.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchStatus {
    /// Its name.
    pub batch: String,
    /// How far it has come.
    pub stage: &'static str,
    /// How many times its intake has been started.
    pub attempt: u32,
    /// Minutes since the date in its name.
    pub age_minutes: i64,
    /// Whether the peer has validated it.
    pub validated: bool,
    /// What it waits for.
    pub waits_for: Option<String>,
}

/// A queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct QueueStatus {
    /// Which.
    pub queue: QueueKind,
    /// Where it is.
    pub place: String,
    /// Messages that wait, as far as the queue says.
    pub ready: Option<u64>,
    /// Messages that are worked on.
    pub held: Option<u64>,
    /// Messages that were set aside.
    pub rejected: Option<u64>,
}

impl QueueStatus {
    /// One with its depth, if that could be read.
    #[must_use]
    pub fn of(queue: QueueKind, place: String, depth: Option<Depth>) -> Self {
        let depth = depth.unwrap_or_default();
        Self {
            queue,
            place,
            ready: depth.ready,
            held: depth.held,
            rejected: depth.rejected,
        }
    }
}

impl Status {
    /// What a look says; with `all`, also of batches that wait for nothing and windows that are done.
    #[must_use]
    pub fn of(look: &Look, queues: Vec<QueueStatus>, all: bool) -> Self {
        let windows = look.assessment.windows.iter();
        let batches = look.assessment.batches.iter();
        let unfinished = |batch: &&BatchReport| all || batch.stage != BatchStage::Both;
        let shown = |window: &&WindowReport| {
            let quiet = matches!(window.stage, WindowStage::Done | WindowStage::Empty) && window.late.is_empty();
            all || !quiet
        };
        let unseen = look.inventory.failed.iter().map(FailedStart::unseen);
        let given_up = look.assessment.given_up.iter().chain(&look.assessment.passed);
        let shown: Vec<&WindowReport> = windows.filter(shown).collect();
        Self {
            now: look.now.to_string(),
            rosters: rosters(look),
            hidden: look.assessment.windows.len() - shown.len(),
            windows: shown
                .into_iter()
                .map(|window| WindowStatus::of(window, look.now))
                .collect(),
            batches: batches
                .filter(unfinished)
                .map(|batch| BatchStatus::of(batch, look.now))
                .collect(),
            given_up: given_up.map(GivenUp::of).collect(),
            queues,
            failed: unseen.collect(),
            foreign: look.inventory.foreign.clone(),
        }
    }
}

impl WindowStatus {
    fn of(window: &WindowReport, now: BatchTime) -> Self {
        let names = |names: &[tallybox_model::path::BatchName]| names.iter().map(ToString::to_string).collect();
        Self {
            aggregation: window.name.aggregation.to_string(),
            start: window.name.window.start().to_string(),
            end: window.name.window.end().to_string(),
            mode: mode_word(window.mode),
            stage: window.stage.word(),
            task: match window.stage {
                WindowStage::Due { task } | WindowStage::Started { task, .. } | WindowStage::WithLater { task, .. } => {
                    Some(task.word())
                }
                _ => None,
            },
            attempt: window.attempt,
            age_minutes: minutes(window.name.window.end(), now),
            waits_for: window.waits_for(),
            batches: window.counts,
            named: window.named,
            skipped_by_peer: names(&window.skipped),
            late: names(&window.late),
        }
    }
}

impl BatchStatus {
    fn of(batch: &BatchReport, now: BatchTime) -> Self {
        Self {
            batch: batch.name.to_string(),
            stage: batch.stage.word(),
            attempt: batch.attempt,
            age_minutes: minutes(batch.name.date, now),
            validated: batch.validated,
            waits_for: batch.waits_for(),
        }
    }
}

fn minutes(from: BatchTime, until: BatchTime) -> i64 {
    (until.millis() - from.millis()) / 60_000
}

/// From when rosters are used, in words.
pub(crate) fn rosters(look: &Look) -> String {
    let (rosters, peer) = (look.switch.rosters, look.switch.peer);
    let until = match rosters.until {
        None => String::new(),
        Some(Bound::Known(switch)) => format!(", and not from {} on", switch.window),
        Some(Bound::Open(window)) => format!(", perhaps not from {window} on: the peer's announcement cannot be read"),
    };
    match (rosters.from, peer) {
        (Some(Bound::Known(switch)), _) => format!("used from {} on{until}", switch.window),
        (Some(Bound::Open(window)), _) => {
            format!("perhaps used from {window} on: the peer's announcement cannot be read")
        }
        (None, None) => "not used: we announce nothing".to_owned(),
        (None, Some(Sighting::Absent)) => "not used: the peer has no announcement".to_owned(),
        (None, Some(_)) => "not used: the peer's announcement has none".to_owned(),
    }
}

/// An age as people say it: `12m`, `3h05m`, `2d04h`.
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

/// Columns of a line in a file or a pipe: enough for whole names.
const FILE_WIDTH: usize = 160;
/// With fewer columns, names of batches are shortened.
const WIDE: usize = 120;

/// How many batches people are shown; JSON has all.
const BATCHES: usize = 30;

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
            let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            writeln!(
                f,
                "queue {}: {} waiting, {} in work, {} rejected ({})",
                queue.queue.word(),
                count(queue.ready),
                count(queue.held),
                count(queue.rejected),
                printable(&queue.place)
            )?;
        }
        write!(f, "\n{}", self.window_table(screen))?;
        if self.hidden > 0 {
            write!(
                f,
                "\n{}",
                screen.paint(Tone::Faint, &format!("{} windows are done or empty", self.hidden))
            )?;
        }
        if !self.batches.is_empty() {
            write!(f, "\n\n{}", self.batch_table(screen))?;
        }
        let names = |pick: fn(&WindowStatus) -> &Vec<String>| self.windows.iter().flat_map(pick).cloned().collect();
        lines(f, "skipped by the peer", names(|window| &window.skipped_by_peer))?;
        lines(f, "late", names(|window| &window.late))?;
        let given_up = self.given_up.iter();
        let given_up = given_up.map(|window| format!("{} {} to {}", window.aggregation, window.start, window.end));
        lines(
            f,
            "never summed, too old to be started by itself: `backfill`, or `acknowledge`",
            given_up.collect(),
        )?;
        let failed = self.failed.iter();
        lines(
            f,
            "cannot be looked at",
            failed
                .map(|failed| format!("{}: {}", failed.what, failed.problem))
                .collect(),
        )?;
        if self.foreign.count > 0 {
            lines(
                f,
                &format!("{} objects are none of ours", self.foreign.count),
                self.foreign.samples.clone(),
            )?;
        }
        Ok(())
    }

    fn window_table(&self, screen: Screen) -> Table {
        let mut table = Table::new(
            screen,
            &[
                ("window", Align::Left),
                ("age", Align::Right),
                ("batches", Align::Right),
                ("taken in", Align::Right),
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
                window.waits_for.clone().unwrap_or_default(),
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
                ("stage", Align::Left),
                ("waits for", Align::Left),
            ],
        );
        let name = |name: &str| match (screen.width < WIDE).then(|| name.rsplit_once('/')).flatten() {
            Some((stem, id)) => format!("{stem}/{}…", id.chars().take(8).collect::<String>()),
            None => name.to_owned(),
        };
        for batch in self.batches.iter().take(BATCHES) {
            table.row([
                printable(&name(&batch.batch)),
                age(batch.age_minutes),
                match batch.attempt {
                    0 | 1 => batch.stage.to_owned(),
                    attempt => format!("{} ({attempt})", batch.stage),
                },
                batch.waits_for.clone().unwrap_or_default(),
            ]);
        }
        if self.batches.len() > BATCHES {
            table.row([format!("and {} more", self.batches.len() - BATCHES)]);
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
