//! Who there is: the processes of each organisation, each one step at a time, started again when they die.

use std::sync::Arc;

use tallybox_model::role::Role;
use tallybox_service::clock::Clock;

use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::schedule::{Life, Millis, Weather};
use crate::time::MINUTE;
use crate::trouble::Trouble;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The ingestor's batch job.
    Batcher,
    /// A processor's workflow manager.
    Manager(Role),
    /// A processor's worker for intake.
    Intake(Role),
    /// A processor's worker for windows.
    Aggregate(Role),
}

impl Part {
    /// The processor that it belongs to.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Batcher => None,
            Self::Manager(role) | Self::Intake(role) | Self::Aggregate(role) => Some(role),
        }
    }

    /// How long it waits before it looks again, when it found nothing to do.
    #[must_use]
    pub fn pause(self) -> Millis {
        match self {
            Self::Batcher | Self::Manager(_) => 20 * MINUTE,
            Self::Intake(_) | Self::Aggregate(_) => 3 * MINUTE,
        }
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// What it does.
    pub part: Part,
    /// Its name in logs.
    pub name: String,
    /// Its clock.
    pub clock: Clock,
    /// What runs now, if anything does.
    pub running: Option<Running>,
}

/// A process that runs.
#[derive(Debug)]
pub struct Running {
    /// Its life, from its start to its death.
    pub life: Arc<Life>,
    /// The program, with all it has in memory.
    pub machine: Machine,
    /// When it is stopped and started again, as is done with every process now and then.
    pub until: Millis,
}

impl Process {
    /// Whether it can do a step: it runs, and not for too long.
    #[must_use]
    pub fn is_up(&self, now: Millis) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.life.is_dead() && now < running.until)
    }
}

/// The processes of a scenario.
#[must_use]
pub fn processes(scenario: &Scenario) -> Vec<Process> {
    let mut parts = vec![Part::Batcher];
    let rivals = scenario.has(Trouble::Rivals);
    if rivals {
        parts.push(Part::Batcher);
    }
    for role in Role::ALL {
        parts.extend([Part::Manager(role), Part::Intake(role), Part::Aggregate(role)]);
        if rivals {
            parts.extend([Part::Intake(role), Part::Aggregate(role)]);
        }
    }
    let process = |(number, part): (usize, Part)| Process {
        part,
        name: format!("{part:?}-{number}").to_lowercase().replace(['(', ')'], "-"),
        clock: Clock::manual(scenario.start()),
        running: None,
    };
    parts.into_iter().enumerate().map(process).collect()
}

/// How rough things are for a process of this part.
#[must_use]
pub fn weather(scenario: &Scenario, part: Part) -> Weather {
    let has = |trouble, chance| if scenario.has(trouble) { chance } else { 0 };
    let slow = part.role().is_some() && part.role() == scenario.slow;
    Weather {
        failed: has(Trouble::Failures, 100),
        lost: has(Trouble::LostAnswers, 100),
        died: has(Trouble::Crashes, 150),
        delay: if slow { 5 * MINUTE } else { MINUTE / 2 },
    }
}
