//! The live screen: a snapshot of the sandbox, as lines for a terminal, as one line for a file, as
//! JSON for machines.

use serde::Serialize;
use tallybox_model::time::{BatchTime, Window};
use tallybox_queue::Depth;
use tallybox_service::chart::{Align, Screen, Table, Tone, bar};
use tallybox_service::progress::grouped;

use super::observer::{SideRow, SideStage};
use super::processes::ProcessStatus;
use super::truth::ReportCounts;

/// Width in columns of the bar that shows the part of the reports that is counted.
const BAR_COLUMNS: usize = 12;
/// Number of processes in a line of 80 columns.
const PROCESSES_PER_LINE: usize = 4;

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// Clients post reports.
    Running,
    /// Clients post nothing new, faults have ended, and the remaining reports are summed.
    Draining,
}

/// A snapshot of the sandbox.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Frame {
    /// Always `state`.
    pub(super) event: &'static str,
    pub(super) phase: Phase,
    /// The time on the sandbox clock.
    pub(super) now: BatchTime,
    /// Uptime in seconds of real time.
    pub(super) seconds: u64,
    /// The rate of the sandbox clock relative to real time.
    pub(super) rate: u32,
    pub(super) chaos: bool,
    pub(super) reports: ReportCounts,
    pub(super) windows: Vec<Row>,
    /// Number of summed windows, over all metrics.
    pub(super) summed: u64,
    pub(super) queues: [[Filled; 2]; 2],
    pub(super) processes: Vec<ProcessStatus>,
    pub(super) kills: u64,
    /// Number of discrepancies that the audit has found.
    pub(super) discrepancies: u64,
    /// Description of the newest discrepancy.
    pub(super) problem: Option<String>,
}

/// A window in the snapshot.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) window: Window,
    pub(super) packets: u64,
    pub(super) batches: u64,
    pub(super) first: SideRow,
    pub(super) second: SideRow,
    /// Number of metrics with nothing left to do at the portal.
    pub(super) portal: usize,
    /// Number of metrics of which the portal has a roster or a sum part.
    pub(super) metrics: usize,
    pub(super) counted: u64,
}

/// The depth of a queue.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Filled {
    pub(super) ready: u64,
    pub(super) held: u64,
    pub(super) rejected: u64,
}

impl From<Depth> for Filled {
    fn from(depth: Depth) -> Self {
        let number = |depth: Option<u64>| depth.unwrap_or_default();
        Self {
            ready: number(depth.ready),
            held: number(depth.held),
            rejected: number(depth.rejected),
        }
    }
}

impl Frame {
    /// Renders the snapshot as lines of a terminal.
    pub(super) fn lines(&self, screen: Screen) -> String {
        let faint = |text: &str| screen.paint(Tone::Faint, text);
        let mut lines = vec![self.head(screen), faint(&"─".repeat(screen.width.min(78)))];
        lines.push(self.flow(screen));
        lines.push(String::new());
        lines.push(self.table(screen));
        lines.push(faint(
            "○ open  ◔ roster  ◑ both rosters  ◕ agreed  ● summed, or nothing to sum",
        ));
        lines.push(String::new());
        lines.push(self.queues(screen));
        if !self.processes.is_empty() {
            lines.push(self.process_lines(screen));
        }
        lines.push(self.end(screen));
        lines.join("\n")
    }

    fn head(&self, screen: Screen) -> String {
        let up = self.seconds;
        let mode = match (self.phase, self.chaos) {
            (Phase::Draining, _) => screen.paint(Tone::Bar, "draining"),
            (Phase::Running, true) => screen.paint(Tone::Bad, "chaos"),
            (Phase::Running, false) => screen.paint(Tone::Good, "running"),
        };
        format!(
            "{}  {}  {}  up {:02}:{:02}  {mode}",
            screen.paint(Tone::Heading, "Tallybox sandbox"),
            screen.paint(Tone::Heading, &stamp(self.now)),
            screen.paint(Tone::Faint, &format!("1 s = {} min", self.rate / 60)),
            up / 60,
            up % 60
        )
    }

    fn flow(&self, screen: Screen) -> String {
        let counts = &self.reports;
        let number = |number: u64| screen.paint(Tone::Heading, &grouped(number));
        let whole = counts.stored().max(1) as f64;
        let filled = bar(counts.in_sums() as f64, whole, BAR_COLUMNS);
        let rest = BAR_COLUMNS.saturating_sub(filled.chars().count());
        format!(
            "reports  accepted {}  batched {}  counted {}  {}{}\n{}",
            number(counts.stored()),
            number(counts.in_batches()),
            number(counts.in_sums()),
            screen.paint(Tone::Bar, &filled),
            screen.paint(Tone::Faint, &"·".repeat(rest)),
            screen.paint(
                Tone::Faint,
                &format!(
                    "         hostile {}  posted again {}  windows summed {}",
                    grouped(counts.hostile),
                    grouped(counts.repeated),
                    grouped(self.summed)
                )
            )
        )
    }

    fn table(&self, screen: Screen) -> String {
        let mut table = Table::new(
            screen,
            &[
                ("window", Align::Left),
                ("packets", Align::Right),
                ("first", Align::Right),
                ("", Align::Left),
                ("second", Align::Right),
                ("", Align::Left),
                ("portal", Align::Right),
                ("counted", Align::Right),
            ],
        );
        for row in &self.windows {
            let over = row.metrics > 0 && row.portal == row.metrics;
            let portal = match row.metrics {
                0 => String::new(),
                metrics => format!("{}/{metrics}", row.portal),
            };
            let counted = match row.counted {
                0 => String::new(),
                counted => grouped(counted),
            };
            table.row([
                stamp(row.window.start()),
                grouped(row.packets),
                intake(&row.first),
                signs(&row.first.stages, screen),
                intake(&row.second),
                signs(&row.second.stages, screen),
                screen.paint(if over { Tone::Good } else { Tone::Faint }, &portal),
                counted,
            ]);
        }
        table.to_string()
    }

    fn queues(&self, screen: Screen) -> String {
        let side = |[intake, windows]: &[Filled; 2]| {
            let depth_text = |what: &str, filled: &Filled| {
                let rejected = match filled.rejected {
                    0 => String::new(),
                    rejected => screen.paint(Tone::Bad, &format!(" {rejected} rejected")),
                };
                format!("{what} {}+{}{rejected}", filled.ready, filled.held)
            };
            format!(
                "{}, {}",
                depth_text("intake", intake),
                depth_text("windows", windows)
            )
        };
        format!(
            "queues   first {}  {}  second {}",
            side(&self.queues[0]),
            screen.paint(Tone::Faint, "·"),
            side(&self.queues[1])
        )
    }

    fn process_lines(&self, screen: Screen) -> String {
        let cell = |process: &ProcessStatus| {
            let (tone, sign) = if process.up {
                (Tone::Good, "●")
            } else {
                (Tone::Bad, "✗")
            };
            format!("{} {}", screen.paint(tone, sign), process.name)
        };
        let cells: Vec<String> = self.processes.iter().map(cell).collect();
        let rows = cells.chunks(PROCESSES_PER_LINE).map(|row| row.join(" "));
        let rows: Vec<String> = rows.collect();
        let kills = screen.paint(Tone::Heading, &grouped(self.kills));
        format!(
            "programs {}\n         killed {kills}",
            rows.join("\n         ")
        )
    }

    fn end(&self, screen: Screen) -> String {
        match (&self.problem, self.discrepancies) {
            (_, 0) => format!("discrepancies {}", screen.paint(Tone::Good, "0")),
            (problem, count) => format!(
                "discrepancies {}  {}",
                screen.paint(Tone::Bad, &count.to_string()),
                problem.as_deref().unwrap_or_default()
            ),
        }
    }

    /// Renders the snapshot as one line of a file.
    pub(super) fn line(&self) -> String {
        let counts = &self.reports;
        format!(
            "{}  accepted {}  batched {}  counted {}  windows summed {}  killed {}  discrepancies {}",
            stamp(self.now),
            counts.stored(),
            counts.in_batches(),
            counts.in_sums(),
            self.summed,
            self.kills,
            self.discrepancies
        )
    }
}

/// Formats a time as `01-02 14:30`, without year and seconds.
fn stamp(time: BatchTime) -> String {
    let text = time.to_string();
    let mut parts = text.split('/').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    let [month, day, hour, minute] = [next(), next(), next(), next()];
    format!("{month}-{day} {hour}:{minute}")
}

fn intake(side: &SideRow) -> String {
    match side.batches {
        0 => String::new(),
        batches => format!("{}/{batches}", side.taken_in),
    }
}

fn signs(stages: &[SideStage], screen: Screen) -> String {
    let sign = |stage: &SideStage| {
        let tone = match stage {
            SideStage::Open => Tone::Faint,
            SideStage::Done => Tone::Good,
            _ => Tone::Bar,
        };
        screen.paint(tone, &stage.sign().to_string())
    };
    stages.iter().map(sign).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let time = |text: &str| text.parse::<BatchTime>().unwrap();
        let side = |stages: &[SideStage]| {
            let mut side = SideRow {
                batches: 24,
                taken_in: 23,
                ..SideRow::default()
            };
            stages.iter().for_each(|stage| side.add(*stage));
            side
        };
        let presence = |name| ProcessStatus {
            name,
            up: name != "first-manager",
            killed: 7,
        };
        Frame {
            event: "state",
            phase: Phase::Running,
            now: time("2026/01/02/14/30"),
            seconds: 75,
            rate: 600,
            chaos: true,
            reports: ReportCounts {
                acknowledged: 1_234_567,
                counted: 617_283,
                ..ReportCounts::default()
            },
            windows: vec![Row {
                window: Window::new(time("2026/01/02/13/00"), time("2026/01/02/14/00")).unwrap(),
                packets: 12_345,
                batches: 24,
                first: side(&[
                    SideStage::Done,
                    SideStage::Agreed,
                    SideStage::Both,
                    SideStage::Roster,
                ]),
                second: side(&[SideStage::Open; 4]),
                portal: 3,
                metrics: 4,
                counted: 9876,
            }],
            summed: 40,
            queues: [[Filled::default(); 2]; 2],
            processes: [
                "ingestor",
                "first-manager",
                "first-worker-1",
                "second-worker-2",
                "second-worker-3",
            ]
            .map(presence)
            .to_vec(),
            kills: 12,
            discrepancies: 0,
            problem: None,
        }
    }

    #[test]
    fn the_screen_fits_a_terminal_and_says_it_all() {
        let text = frame().lines(Screen::plain());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for needed in [
            "01-02 14:30",
            "1 s = 10 min",
            "up 01:15",
            "chaos",
            "accepted 1,234,567",
            "██████······",
            "23/24",
            "●◕◑◔",
            "○○○○",
            "3/4",
            "9,876",
            "✗ first-manager",
            "killed 12",
            "discrepancies 0",
        ] {
            assert!(text.contains(needed), "{needed} in\n{text}");
        }
        let bad = Frame {
            discrepancies: 2,
            problem: Some("lost: a report".to_owned()),
            ..frame()
        };
        assert!(
            bad.lines(Screen::plain())
                .ends_with("discrepancies 2  lost: a report")
        );
        assert!(
            bad.line()
                .contains("counted 617283  windows summed 40  killed 12  discrepancies 2")
        );
    }
}
