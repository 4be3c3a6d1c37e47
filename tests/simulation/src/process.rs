//! The processes of each organisation. Each process performs one step at a time, and is started
//! again after a crash.

use std::sync::Arc;

use tallybox_model::role::Role;
use tallybox_service::clock::Clock;

use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::schedule::{Life, Millis, NetworkFaults};
use crate::time::MINUTE_MILLIS;
use crate::trouble::Trouble;

/// The kind of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The ingestor's batch job.
    Batcher,
    /// A processor's workflow manager.
    Manager(Role),
    /// A processor's worker for intake.
    Intake(Role),
    /// A processor's worker for windows.
    Aggregate(Role),
}

impl Actor {
    /// Returns the processor to which the process belongs; `None` for the ingestor.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Batcher => None,
            Self::Manager(role) | Self::Intake(role) | Self::Aggregate(role) => Some(role),
        }
    }

    /// Returns the mean pause after a step that found no work.
    #[must_use]
    pub fn pause(self) -> Millis {
        match self {
            Self::Batcher | Self::Manager(_) => 20 * MINUTE_MILLIS,
            Self::Intake(_) | Self::Aggregate(_) => 3 * MINUTE_MILLIS,
        }
    }
}

/// A process and its current lifetime.
#[derive(Debug)]
pub struct Process {
    /// The kind of the process.
    pub actor: Actor,
    /// The name in traces and digests.
    pub name: String,
    /// The clock of the process, to which a fault may add an error.
    pub clock: Clock,
    /// The current or last lifetime; `None` before the first start.
    pub running: Option<Running>,
}

/// One lifetime of a process.
#[derive(Debug)]
pub struct Running {
    /// The identity under which the process uses buckets and queues during this lifetime.
    pub life: Arc<Life>,
    /// The program with its in-memory state.
    pub machine: Machine,
    /// The time from which the process is restarted, as happens to every process from time to time.
    pub until: Millis,
}

impl Process {
    /// Returns whether the process can perform a step: it has not crashed, and is not due for a
    /// restart.
    #[must_use]
    pub fn is_up(&self, now: Millis) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.life.is_dead() && now < running.until)
    }
}

/// Returns the processes of a run.
#[must_use]
pub fn processes(scenario: &Scenario) -> Vec<Process> {
    let mut actors = vec![Actor::Batcher];
    let rivals = scenario.has(Trouble::Rivals);
    if rivals {
        actors.push(Actor::Batcher);
    }
    for role in Role::ALL {
        actors.extend([
            Actor::Manager(role),
            Actor::Intake(role),
            Actor::Aggregate(role),
        ]);
        if rivals {
            actors.extend([Actor::Intake(role), Actor::Aggregate(role)]);
        }
    }
    let process = |(number, actor): (usize, Actor)| Process {
        actor,
        name: format!("{actor:?}-{number}")
            .to_lowercase()
            .replace(['(', ')'], "-"),
        clock: Clock::manual(scenario.start()),
        running: None,
    };
    actors.into_iter().enumerate().map(process).collect()
}

/// Returns the fault probabilities and the maximum delay of operations for a process of this kind.
#[must_use]
pub fn network_faults(scenario: &Scenario, actor: Actor) -> NetworkFaults {
    let has = |trouble, chance| if scenario.has(trouble) { chance } else { 0 };
    let slow = actor.role().is_some() && actor.role() == scenario.slow;
    NetworkFaults {
        failed: has(Trouble::Failures, 100),
        lost: has(Trouble::LostAnswers, 100),
        died: has(Trouble::Crashes, 150),
        delay: if slow {
            5 * MINUTE_MILLIS
        } else {
            MINUTE_MILLIS / 2
        },
    }
}
