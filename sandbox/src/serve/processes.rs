//! The programs as child processes, killed at random and started again.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use serde::Serialize;
use tallybox_model::role::Role;
use tallybox_service::clock::Pace;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::truth::Kills;
use crate::error::Error;
use crate::layout::Layout;
use crate::roles::RoleProcess;

/// The processes: their names and programs. Each processor has two workers, so that a task can move
/// from one to the other.
const PROCESSES: [(&str, RoleProcess); 8] = [
    ("ingestor", RoleProcess::Ingestor),
    ("batcher", RoleProcess::Batcher),
    ("first-manager", RoleProcess::Manager(Role::First)),
    ("first-worker-1", RoleProcess::Worker(Role::First)),
    ("first-worker-2", RoleProcess::Worker(Role::First)),
    ("second-manager", RoleProcess::Manager(Role::Second)),
    ("second-worker-1", RoleProcess::Worker(Role::Second)),
    ("second-worker-2", RoleProcess::Worker(Role::Second)),
];

/// Least and greatest time between two kills, in milliseconds.
const KILL_INTERVAL_MILLIS: [u64; 2] = [1200, 3500];
/// Least and greatest downtime of a killed process, in milliseconds.
const DOWNTIME_MILLIS: [u64; 2] = [150, 2000];
/// Time that a process has to exit after a request, before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);

/// All child processes.
pub(super) struct Processes {
    members: [ChildProcess; PROCESSES.len()],
    layout: Layout,
    program: PathBuf,
    pace: Pace,
    dice: ChaCha20Rng,
    /// Time of the next kill; `None` when fault injection has ended.
    next: Option<Instant>,
    /// Counts of killed and exited processes.
    pub(super) kills: Kills,
}

struct ChildProcess {
    role_process: RoleProcess,
    name: &'static str,
    child: Option<Child>,
    /// True if the process was killed but not reaped yet. Until then it still holds its address.
    dying: bool,
    /// Time of the next start.
    back: Instant,
}

impl ChildProcess {
    fn is_up(&self) -> bool {
        self.child.is_some() && !self.dying
    }

    /// Kills the process with SIGKILL, which it cannot handle. Returns whether it was up.
    fn kill(&mut self, kills: &mut Kills) -> bool {
        let is_killed = self.is_up()
            && self
                .child
                .as_mut()
                .is_some_and(|child| child.start_kill().is_ok());
        if is_killed {
            self.dying = true;
            let program = self.role_process.to_string();
            *kills.killed.entry(program).or_default() += 1;
        }
        is_killed
    }
}

/// A change of a process.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum ProcessEvent {
    /// The sandbox killed the process.
    Killed {
        /// The process.
        process: &'static str,
        /// Seconds until it is started again.
        back: f64,
    },
    /// The process exited without being killed.
    Ended {
        /// The process.
        process: &'static str,
        /// Its exit status.
        status: String,
    },
}

/// The state of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ProcessStatus {
    pub(super) name: &'static str,
    pub(super) up: bool,
    pub(super) killed: u64,
}

impl Processes {
    /// Starts all processes, with fault injection.
    pub(super) fn start(layout: &Layout, pace: Pace, seed: u64) -> Result<Self, Error> {
        let logs = layout.logs();
        std::fs::create_dir_all(&logs).map_err(Error::file(&logs))?;
        let program = std::env::current_exe().map_err(Error::file("the program itself"))?;
        let member = |(name, role_process)| ChildProcess {
            role_process,
            name,
            child: None,
            dying: false,
            back: Instant::now(),
        };
        let mut processes = Self {
            members: PROCESSES.map(member),
            layout: layout.clone(),
            program,
            pace,
            // Kills and traffic draw from different random streams of the same seed.
            dice: ChaCha20Rng::seed_from_u64(seed ^ 0xC4A05),
            next: None,
            kills: Kills::default(),
        };
        let first = processes.time_within(KILL_INTERVAL_MILLIS);
        processes.next = Some(first);
        processes.step()?;
        Ok(processes)
    }

    fn time_within(&mut self, [least, most]: [u64; 2]) -> Instant {
        Instant::now() + Duration::from_millis(self.dice.random_range(least..most))
    }

    /// Starts processes that are due, and kills one if it is time.
    pub(super) fn step(&mut self) -> Result<Vec<ProcessEvent>, Error> {
        let mut happened = Vec::new();
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            if let Some(child) = &mut member.child
                && let Ok(Some(status)) = child.try_wait()
            {
                member.child = None;
                if !std::mem::take(&mut member.dying) {
                    happened.push(ProcessEvent::Ended {
                        process: member.name,
                        status: status.to_string(),
                    });
                    member.back = Instant::now() + Duration::from_millis(DOWNTIME_MILLIS[0]);
                    self.kills.ended += 1;
                }
            }
            if self.members[index].child.is_none() && self.members[index].back <= Instant::now() {
                let child = self.spawn(index)?;
                self.members[index].child = Some(child);
            }
        }
        if self.next.is_some_and(|next| next <= Instant::now()) {
            happened.extend(self.kill());
            let next = self.time_within(KILL_INTERVAL_MILLIS);
            self.next = Some(next);
        }
        Ok(happened)
    }

    fn spawn(&mut self, index: usize) -> Result<Child, Error> {
        let ChildProcess {
            role_process, name, ..
        } = &self.members[index];
        let log = self.layout.logs().join(format!("{name}.log"));
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::file(&log))?;
        let mut command = Command::new(&self.program);
        command
            .args(["role", &role_process.to_string(), "--dir"])
            .arg(self.layout.root())
            .args(["--clock", &self.pace.to_string()]);
        if self.next.is_some() {
            command.args(["--rough", &self.dice.random::<u64>().to_string()]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log_file)
            .kill_on_drop(true);
        // Keeps signals of the terminal, such as Ctrl-C, from the child processes.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(Error::file(&self.program))
    }

    /// Kills a random running process.
    fn kill(&mut self) -> Option<ProcessEvent> {
        let up: Vec<usize> = (0..self.members.len())
            .filter(|index| self.members[*index].is_up())
            .collect();
        let index = *up.get(self.dice.random_range(0..up.len().max(1)))?;
        let back = self.time_within(DOWNTIME_MILLIS);
        let member = &mut self.members[index];
        if !member.kill(&mut self.kills) {
            return None;
        }
        member.back = back;
        Some(ProcessEvent::Killed {
            process: member.name,
            back: (back - Instant::now()).as_secs_f64(),
        })
    }

    /// Kills all processes at once, and starts them again without fault injection.
    pub(super) fn end_faults(&mut self) {
        self.next = None;
        for member in &mut self.members {
            member.kill(&mut self.kills);
            member.back = Instant::now() + Duration::from_millis(DOWNTIME_MILLIS[0]);
        }
    }

    /// Returns the state of each process.
    pub(super) fn presence(&self) -> Vec<ProcessStatus> {
        let killed = &self.kills.killed;
        let status = |member: &ChildProcess| ProcessStatus {
            name: member.name,
            up: member.is_up(),
            killed: *killed.get(&member.role_process.to_string()).unwrap_or(&0),
        };
        self.members.iter().map(status).collect()
    }

    /// Asks all processes to exit, and kills those that do not.
    pub(super) async fn end(mut self) {
        let mut asked = Vec::new();
        for member in &mut self.members {
            if let Some(mut child) = member.child.take() {
                // A child process exits when its standard input ends.
                drop(child.stdin.take());
                asked.push(child);
            }
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        for mut child in asked {
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}
