//! The main loop of a long-running sandbox: runs programs and clients, audits their results, draws
//! the live view, and makes the final report.

use std::sync::Arc;
use std::time::Duration;

use tallybox_ingestor::batch::records;
use tallybox_service::chart::Screen;
use tallybox_service::live::Live;
use tallybox_service::output::Summary;
use tallybox_service::progress::Progress;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::announce::Announcement;
use super::frame::{Frame, Phase, Row};
use super::observer::Observer;
use super::processes::ProcessEvent;
use super::truth::{FinalReport, Kills};
use super::{Programs, ServeOptions, Serving};
use crate::always::{CLOCK_RATE, GRACE_MINUTES, MAX_AGE_WINDOWS, PERIOD_MINUTES};
use crate::error::Error;
use crate::layout::LOCALITY;

/// Time after which a client sets a report aside and tries it again later.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which processes are checked.
const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// Number of ticks between two audits, which also redraw the screen.
const AUDIT_TICKS: u64 = 5;
/// Number of ticks between two lines of output without a screen.
const LINE_TICKS: u64 = 50;
/// Additional time for the remaining reports to be summed, for slow machines.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(45);

impl Serving {
    /// Prints the announcement, then runs until `--for` has elapsed or a shutdown is requested.
    /// With `--for` or
    /// `--chaos`, waits for the remaining reports to be summed and returns the final report;
    /// otherwise returns none.
    ///
    /// # Errors
    /// [`Error`] if the output cannot be written, or a program cannot be started.
    pub async fn run(
        mut self,
        options: &ServeOptions,
        shutdown: CancellationToken,
    ) -> Result<Option<FinalReport>, Error> {
        let printed = self
            .output
            .summary(&Announcement::from_serving(&self, options));
        printed.map_err(Error::file("stdout"))?;
        let work = Work::start(&mut self, options)?;
        let observer = Observer::open(&self.setting.clock, &self.world.layout).await?;
        let live = Live::new(&self.output);
        let begun = Instant::now();
        let end = options.lasting.map(|lasting| begun + lasting);
        let audited = options.chaos || options.lasting.is_some();
        let mut show = Show {
            live,
            begun,
            chaos: options.chaos,
            rate: self.setting.rate,
            phase: Phase::Running,
        };
        let mut drained: Option<Instant> = None;
        let mut ticks = interval(TICK_INTERVAL);
        // A slow audit is not followed by a burst of ticks.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0_u64;
        loop {
            ticks.tick().await;
            tick += 1;
            for process_event in self.step_processes()? {
                self.print_event(&show, &process_event)?;
            }
            let over = shutdown.is_cancelled() || end.is_some_and(|end| end <= Instant::now());
            if over && !audited {
                break;
            }
            if over && drained.is_none() {
                show.phase = Phase::Draining;
                drained = Some(Instant::now());
                work.no_more.cancel();
                if let Programs::ChildProcesses(processes) = &mut self.programs {
                    processes.end_faults();
                }
            }
            if tick.is_multiple_of(AUDIT_TICKS) {
                self.refresh(&observer, &show, tick.is_multiple_of(LINE_TICKS))
                    .await?;
                if tick.is_multiple_of(LINE_TICKS) {
                    self.dropped().await;
                }
                if let Some(since) = drained {
                    let dropped = self.dropped().await;
                    let own = self.traffic.waiting() == 0 && self.audit.unsettled() <= dropped;
                    // The spool also holds reports of other clients. If it cannot be read, the next
                    // audit tries again.
                    let is_drained = own
                        && self
                            .lookup
                            .waiting()
                            .await
                            .is_ok_and(|waiting| waiting == 0);
                    if is_drained || since.elapsed() > max_drain_time() {
                        break;
                    }
                }
            }
        }
        work.end().await;
        let report = match audited {
            true => Some(self.final_report(begun).await?),
            false => None,
        };
        match audited {
            true => show.live.leave(),
            false => show.live.clear(),
        }
        self.stop().await?;
        Ok(report)
    }

    /// Starts and kills processes that are due.
    fn step_processes(&mut self) -> Result<Vec<ProcessEvent>, Error> {
        match &mut self.programs {
            Programs::ChildProcesses(processes) => processes.step(),
            Programs::InProcess { .. } => Ok(Vec::new()),
        }
    }

    /// Runs an audit, and shows its results.
    async fn refresh(&mut self, observer: &Observer, show: &Show, line: bool) -> Result<(), Error> {
        for (discrepancy, sentence) in self.traffic.take_discrepancies() {
            self.audit.discrepancies.note(discrepancy, sentence);
        }
        // A slab that cannot be read now is read by the next audit.
        if let Ok(spool) = self.lookup.spool().await {
            let mut posted_reports = self.traffic.posted_reports.lock();
            for report in spool.values().flatten() {
                posted_reports.spooled(report.packet);
            }
        }
        // Objects can appear or be deleted during a listing. The next audit repeats it.
        let added = match self.audit.check_windows(self.now()).await {
            Ok(added) => added,
            Err(Error::Bucket(_) | Error::Batch(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        for window in added {
            // The live screen shows only windows with reports of other clients separately.
            if self.output.json || !show.live.is_seen() && !show.chaos || window.has_foreign() {
                self.print(show, &window)?;
            }
        }
        if show.live.is_seen() || line {
            let Ok(frame) = self.frame(observer, show).await else {
                return Ok(());
            };
            if show.live.is_seen() {
                show.live.draw(frame.lines(Screen::stderr()));
            } else {
                self.print(show, &frame)?;
            }
        }
        Ok(())
    }

    async fn frame(&self, observer: &Observer, show: &Show) -> Result<Frame, Error> {
        let sides = observer.observe().await?;
        let depths = observer.depths().await?;
        let row = |window| {
            let (batches, packets) = self.audit.ingested(window);
            let at = self.audit.at_portal(window);
            let [first, second] = sides.get(&window).cloned().unwrap_or_default();
            Row {
                window,
                packets,
                batches,
                first,
                second,
                portal: at.over,
                metrics: at.metrics,
                counted: at.counted,
            }
        };
        let (processes, kills) = match &self.programs {
            Programs::ChildProcesses(processes) => (processes.presence(), processes.kills.total()),
            Programs::InProcess { .. } => (Vec::new(), 0),
        };
        Ok(Frame {
            event: "state",
            phase: show.phase,
            now: self.now(),
            seconds: show.begun.elapsed().as_secs(),
            rate: show.rate,
            chaos: show.chaos,
            reports: self.traffic.posted_reports.lock().counts(),
            windows: observer.windows().into_iter().map(row).collect(),
            summed: self.audit.summed(),
            queues: depths.map(|side| side.map(Into::into)),
            processes,
            kills,
            discrepancies: self.audit.discrepancies.total(),
            problem: self.audit.discrepancies.descriptions.last().cloned(),
        })
    }

    /// Returns the number of reports that the ingestor dropped because they were too few for too
    /// long.
    async fn dropped(&mut self) -> u64 {
        let ingestor = &self.lookup.ingestor;
        // A record that is deleted while it is read was counted before.
        if let Ok(records) = records(ingestor, &ingestor.localities[LOCALITY]).await {
            let dropped = records
                .iter()
                .map(|record| (record.summary.window, record.summary.dropped));
            self.dropped.extend(dropped);
        }
        self.dropped.values().sum()
    }

    async fn final_report(&mut self, begun: Instant) -> Result<FinalReport, Error> {
        for (discrepancy, sentence) in self.traffic.take_discrepancies() {
            self.audit.discrepancies.note(discrepancy, sentence);
        }
        let kills = match &self.programs {
            Programs::ChildProcesses(processes) => processes.kills.clone(),
            Programs::InProcess { .. } => Kills::default(),
        };
        let dropped = self.dropped().await;
        let waiting = self.lookup.waiting().await?;
        self.audit.close_spool(waiting);
        let report = FinalReport::from_audit(&mut self.audit, dropped, kills).await?;
        Ok(FinalReport {
            seed: self.seed,
            seconds: begun.elapsed().as_secs_f64(),
            ..report
        })
    }

    fn print_event(&self, show: &Show, process_event: &ProcessEvent) -> Result<(), Error> {
        if self.output.json || matches!(process_event, ProcessEvent::Ended { .. }) {
            return self.print(show, process_event);
        }
        Ok(())
    }

    fn print(&self, show: &Show, summary: &impl Summary) -> Result<(), Error> {
        let mut printed = Ok(());
        show.live.above(|| printed = self.output.summary(summary));
        printed.map_err(Error::file("stdout"))
    }
}

/// Returns the maximum time to wait for the remaining reports to be summed.
fn max_drain_time() -> Duration {
    let minutes =
        u64::from(MAX_AGE_WINDOWS + 2) * u64::from(PERIOD_MINUTES) + u64::from(GRACE_MINUTES);
    Duration::from_secs(minutes * 60 / u64::from(CLOCK_RATE)) + DRAIN_TIMEOUT
}

/// State of the live view.
struct Show {
    live: Live,
    begun: Instant,
    chaos: bool,
    rate: u32,
    phase: Phase,
}

/// Background tasks.
struct Work {
    /// Stops clients from making new reports.
    no_more: CancellationToken,
    /// Stops clients at once.
    clients: CancellationToken,
    programs: CancellationToken,
    tasks: TaskTracker,
}

impl Work {
    fn start(serving: &mut Serving, options: &ServeOptions) -> Result<Self, Error> {
        let work = Self {
            no_more: CancellationToken::new(),
            clients: CancellationToken::new(),
            programs: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if let Programs::InProcess { roles, .. } = &serving.programs {
            let (roles, stop) = (Arc::clone(roles), work.programs.clone());
            work.tasks.spawn(async move { roles.run(stop).await });
        }
        let (traffic, reporter) = (Arc::clone(&serving.traffic), serving.reporter()?);
        let (no_more, clients, packets) =
            (work.no_more.clone(), work.clients.clone(), options.packets);
        let first = (packets, Progress::hidden());
        work.tasks
            .spawn(async move { traffic.run(reporter, first, no_more, clients).await });
        Ok(work)
    }

    async fn end(self) {
        self.no_more.cancel();
        self.clients.cancel();
        self.programs.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Summary for Frame {
    fn human(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl Summary for ProcessEvent {
    fn human(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Killed { process, back } => write!(f, "killed {process}, back in {back:.1} s"),
            Self::Ended { process, status } => {
                write!(
                    f,
                    "{process} exited unexpectedly: {status}; see logs/{process}.log"
                )
            }
        }
    }
}
