//! One simulation run, from the first report of a seed to its last sum, followed by the audit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::worker;
use tallybox_ingestor::batch::{BatchOptions, batch};
use tallybox_model::avro::{ContainerWriter, RecordKind};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::spool::{SlabName, SpoolNames};

use crate::bucket::StoredBucket;
use crate::check::{Findings, check};
use crate::counts::Counts;
use crate::dice::Dice;
use crate::dishonest_ingestor::CopiedBatch;
use crate::dishonest_processor::{
    Tampering, TamperingKind, TimedTampering, choose, restore, tamper, timed_tampering,
};
use crate::editor::{edit, put_back};
use crate::evidence::objects;
use crate::garbage::Garbage;
use crate::keyring::{INSTANCE, LOCALITY};
use crate::machine::{Machine, Machines, Storage, spool_records};
use crate::operator::{ManualSum, sum_window_manually};
use crate::pool::Pool;
use crate::process::{Actor, Process, Running, network_faults, processes};
use crate::queue::{QueueFaults, StoredQueue};
use crate::scenario::{Cuts, Scenario};
use crate::schedule::{Fired, Millis, NetworkFaults, Schedule};
use crate::time::{HOUR_MILLIS, MINUTE_MILLIS};
use crate::timer::Timer;
use crate::trouble::Trouble;
use crate::violations::Violations;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The reductions that were applied.
    pub cuts: Cuts,
    /// The parameters of the run, in one line.
    pub world: String,
    /// The violations that the audit found, in sentences.
    pub problems: Vec<String>,
    /// The event counts.
    pub counts: Counts,
    /// A digest of every event and of every object at the end. Two runs of the same seed have the
    /// same digest.
    pub digest: u64,
}

/// Runs a seed. The Tokio runtime must be single-threaded.
pub async fn run(seed: u64, cuts: &Cuts, trace: bool) -> Outcome {
    let scenario = Scenario::new(seed, cuts);
    let mut run_state = RunState::new(&scenario, trace);
    run_state.begin();
    while let Some(fired) = run_state.next().await {
        if let Fired::Timer(timer) = fired {
            run_state.happen(timer).await;
        }
    }
    let Findings {
        mut problems,
        digest,
    } = check(
        &scenario,
        &run_state.storage,
        &run_state.schedule,
        &run_state.violations,
    )
    .await;
    problems.extend(run_state.schedule.panics());
    Outcome {
        seed,
        cuts: cuts.clone(),
        world: scenario.to_string(),
        problems,
        counts: run_state.schedule.counts(),
        digest: digest ^ run_state.schedule.digest(),
    }
}

mod actors;

struct RunState<'s> {
    scenario: &'s Scenario,
    schedule: Arc<Schedule>,
    storage: Storage,
    processes: Vec<Process>,
    dice: Dice,
    violations: Violations,
    /// The write after which a dishonest processor tampers, if it waits for one.
    timed_tampering: Option<TimedTampering>,
    /// The batches from which a dishonest processor has removed packets.
    chosen: BTreeSet<BatchName>,
    /// The processor in whose own bucket an attacker waits to edit a record, and whether the record
    /// has to be an agreed set.
    edit_target: Option<(Role, bool)>,
    /// The random stream of the attacker who edits records.
    editor: Dice,
    /// The processor whose next received validation batch its dishonest peer enlarges.
    oversize_target: Option<Role>,
    /// The random stream for the sizes and times of enlarged validation batches.
    sizes: Dice,
    /// The random stream for batches that are sealed to a retired key.
    retired: Dice,
}

fn create_storage(scenario: &Scenario) -> Storage {
    let has = |chance| {
        if scenario.has(Trouble::Messages) {
            chance
        } else {
            0
        }
    };
    let faults = QueueFaults {
        doubles: has(150),
        loses: has(80),
        forgets: has(80),
        lease: 10 * MINUTE_MILLIS,
    };
    Storage {
        spool: StoredBucket::new("spool"),
        ingestion: [
            StoredBucket::new("ingestion-0"),
            StoredBucket::new("ingestion-1"),
        ],
        own: [StoredBucket::new("own-0"), StoredBucket::new("own-1")],
        validation: [
            StoredBucket::new("validation-0"),
            StoredBucket::new("validation-1"),
        ],
        sums: [StoredBucket::new("sums-0"), StoredBucket::new("sums-1")],
        intake: [
            StoredQueue::new("intake-0", faults),
            StoredQueue::new("intake-1", faults),
        ],
        aggregate: [
            StoredQueue::new("aggregate-0", faults),
            StoredQueue::new("aggregate-1", faults),
        ],
    }
}

impl<'s> RunState<'s> {
    fn new(scenario: &'s Scenario, trace: bool) -> Self {
        Self {
            scenario,
            schedule: Schedule::new(scenario.seed, scenario.start(), trace),
            storage: create_storage(scenario),
            processes: processes(scenario),
            dice: Dice::new(scenario.seed, "stage"),
            violations: Violations::default(),
            timed_tampering: None,
            chosen: BTreeSet::new(),
            edit_target: None,
            editor: Dice::new(scenario.seed, "editor"),
            oversize_target: None,
            sizes: Dice::new(scenario.seed, "sizes"),
            retired: Dice::new(scenario.seed, "retired"),
        }
    }

    /// Sets the timers that are known in advance.
    fn begin(&mut self) {
        let (scenario, schedule) = (self.scenario, &self.schedule);
        for (number, slab) in scenario.slabs.iter().enumerate() {
            schedule.timer(slab.at, Timer::Slab(number));
        }
        for (number, process) in self.processes.iter().enumerate() {
            schedule.watch(&process.clock, process.actor.role());
            let first = scenario.start() + self.dice.between(0, process.actor.pause());
            schedule.timer(first, Timer::Wake(number));
        }
        if let Some((_, from, _)) = scenario.down {
            schedule.timer(from, Timer::Off);
        }
        if scenario.has(Trouble::Clocks) {
            schedule.timer(scenario.start(), Timer::Clocks);
        }
        if scenario.has(Trouble::Copies) {
            schedule.timer(scenario.start() + 90 * MINUTE_MILLIS, Timer::Copy);
        }
        if scenario.has(Trouble::Tampering) {
            schedule.timer(scenario.start() + 70 * MINUTE_MILLIS, Timer::Tamper);
        }
        if scenario.has(Trouble::Editing) {
            schedule.timer(scenario.start() + HOUR_MILLIS, Timer::Edit);
        }
        if scenario.has(Trouble::Oversized) {
            schedule.timer(scenario.start() + 70 * MINUTE_MILLIS, Timer::Oversize);
        }
        if scenario.has(Trouble::StaleKeys) {
            schedule.timer(scenario.start() + 80 * MINUTE_MILLIS, Timer::StaleKey);
        }
        if scenario.retention.is_some() {
            schedule.timer(scenario.start(), Timer::Retention);
        }
        if scenario.has(Trouble::Choosing) {
            schedule.timer(scenario.start() + 30 * MINUTE_MILLIS, Timer::Choose);
        }
        if scenario.has(Trouble::ManualSum) {
            schedule.timer(scenario.start() + 80 * MINUTE_MILLIS, Timer::ManualSum);
        }
        schedule.timer(scenario.faults_end(), Timer::EndFaults);
    }

    async fn next(&mut self) -> Option<Fired> {
        self.schedule.quiescent().await;
        // These actors act between two events, immediately after the write that they wait for.
        if let Some(tampering) = self.timed_tampering {
            let acts = timed_tampering(
                &self.storage,
                tampering,
                &mut self.dice,
                self.schedule.now(),
            )
            .await;
            if !acts.is_empty() {
                self.schedule.count("ambushes");
                self.record_tampering(acts);
                self.timed_tampering = None;
            }
        }
        if let Some((victim, agreed_only)) = self.edit_target
            && let Some(done) = edit(&self.storage, victim, agreed_only).await
        {
            self.schedule.count("edited-records");
            self.schedule
                .note(|| format!("{victim}: {} is edited", done.key));
            self.violations.edits.push(done);
            self.edit_target = None;
            let pause = self.editor.between(20 * MINUTE_MILLIS, 2 * HOUR_MILLIS);
            self.schedule
                .timer(self.schedule.now() + pause, Timer::PutBack);
        }
        self.oversize().await;
        self.schedule.fire()
    }

    async fn happen(&mut self, timer: Timer) {
        match timer {
            Timer::Wake(number) => self.wake(number),
            Timer::Ended(number, busy) => self.ended(number, busy),
            Timer::Slab(number) => self.slab(number).await,
            Timer::Off => self.switch_off(),
            Timer::Clocks => self.step_clocks(),
            Timer::Retention => self.expire().await,
            Timer::Copy => self.copy().await,
            Timer::Tamper => self.tamper().await,
            Timer::ManualSum => self.sum_manually().await,
            Timer::Choose => self.choose().await,
            Timer::Edit => self.wait_to_edit(),
            Timer::PutBack => self.put_back().await,
            Timer::Oversize => self.wait_to_oversize(),
            Timer::StaleKey => self.stale_key().await,
            Timer::OldScheduler(number) => self.old_scheduler(number).await,
            Timer::EndFaults => self.end_faults().await,
        }
    }

    /// Returns the time until which the processor of a process is offline, if it is.
    fn off_until(&self, actor: Actor) -> Option<Millis> {
        let (role, from, until) = self.scenario.down?;
        let now = self.schedule.now();
        (actor.role() == Some(role) && from <= now && now < until).then_some(until)
    }

    fn wake(&mut self, number: usize) {
        let actor = self.processes[number].actor;
        if let Some(until) = self.off_until(actor) {
            self.schedule.timer(until, Timer::Wake(number));
            return;
        }
        if self.schedule.now() >= self.scenario.end() {
            // Without a new timer for any process, the run ends after the last pending event.
            return;
        }
        if !self.has_work(actor) {
            // Most attempts to receive find an empty queue. They are skipped, as if they had
            // succeeded without a fault.
            let pause = actor.pause();
            let next = self.schedule.now() + self.dice.between(pause / 2, pause * 3 / 2);
            self.schedule.timer(next, Timer::Wake(number));
            return;
        }
        if !self.processes[number].is_up(self.schedule.now()) {
            self.start(number);
        }
        let Some(Running { life, machine, .. }) = &self.processes[number].running else {
            return;
        };
        let ended = move |found: Option<bool>| Timer::Ended(number, found.unwrap_or(false));
        self.schedule.start(life, step(machine.clone()), ended);
    }

    fn has_work(&self, actor: Actor) -> bool {
        let now = self.schedule.now();
        match actor {
            Actor::Batcher | Actor::Manager(_) => true,
            Actor::Intake(role) => self.storage.intake[role.index()].is_ready(now),
            Actor::Aggregate(role) => self.storage.aggregate[role.index()].is_ready(now),
        }
    }

    /// Starts a process with the keys and settings of the current time.
    fn start(&mut self, number: usize) {
        let machines = Machines {
            scenario: self.scenario,
            storage: &self.storage,
            schedule: &self.schedule,
        };
        let process = &mut self.processes[number];
        let life = self
            .schedule
            .life(&process.name, network_faults(self.scenario, process.actor));
        process.running = Some(Running {
            machine: machines.start(process.actor, &life, &process.clock),
            life,
            until: self.schedule.now() + self.dice.between(HOUR_MILLIS, 4 * HOUR_MILLIS),
        });
    }

    fn ended(&mut self, number: usize, found: bool) {
        let process = &self.processes[number];
        let died = process
            .running
            .as_ref()
            .is_some_and(|running| running.life.is_dead());
        let pause = if died {
            self.dice.between(1000, 10 * MINUTE_MILLIS)
        } else if found {
            0
        } else {
            let pause = process.actor.pause();
            self.dice.between(pause / 2, pause * 3 / 2)
        };
        self.schedule
            .timer(self.schedule.now() + pause, Timer::Wake(number));
    }

    /// Writes a slab of accepted reports to the spool.
    async fn slab(&mut self, number: usize) {
        let slab = &self.scenario.slabs[number];
        let mut file = ContainerWriter::new(Vec::new(), RecordKind::StoredReport, [7; 16]);
        for report in &slab.reports {
            file.append(&Pool::get().report(*report).stored())
                .expect("a report");
        }
        let names = SpoolNames::new(INSTANCE.parse().expect("an instance"));
        let key = names.slab(&SlabName::Received {
            window: slab.window,
            replica: 7,
            number: number as u64,
        });
        let bytes = file.finish().expect("a slab");
        let spool = &self.storage.spool;
        let created = spool_records().create(&*spool.inner, &key, &bytes).await;
        created.expect("a new object");
        spool.note(&key, self.schedule.now());
        self.schedule.count("slabs");
    }

    fn switch_off(&mut self) {
        self.schedule.count("downtimes");
        for process in &self.processes {
            if let (Some(running), Some(_)) = (&process.running, self.off_until(process.actor)) {
                self.schedule.kill(&running.life);
            }
        }
    }

    /// Sets the clocks of one organisation to a wrong time, or to the right one again.
    fn step_clocks(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        self.schedule.count("clock-steps");
        let whose = *self
            .dice
            .pick(&[None, Some(Role::First), Some(Role::Second)])
            .unwrap_or(&None);
        let skew = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.between(-2 * MINUTE_MILLIS, 2 * MINUTE_MILLIS),
            _ => self.dice.between(-3 * HOUR_MILLIS, 3 * HOUR_MILLIS),
        };
        self.schedule.skew(whose, skew);
        let next = self.schedule.now() + self.dice.between(10 * MINUTE_MILLIS, 2 * HOUR_MILLIS);
        self.schedule.timer(next, Timer::Clocks);
    }

    /// A dishonest ingestor copies a batch, or objects without a valid signature appear under a
    /// batch's name.
    async fn copy(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let objects = objects(&self.storage.ingestion[0]).await;
        let batches: Vec<BatchName> = objects
            .keys()
            .filter_map(|key| BatchName::from_ingestion_signature(key))
            .collect();
        let original = |name: &&BatchName| {
            !self.violations.is_no_batch(name)
                && !self.violations.copies.iter().any(|copy| copy.to == **name)
        };
        let originals: Vec<&BatchName> = batches.iter().filter(original).collect();
        if self.dice.chance(300)
            && let Some(name) = self.dice.pick(&originals)
        {
            let garbage = Garbage::draw(name, &originals, &mut self.dice);
            if garbage
                .write(&self.storage.ingestion, self.schedule.now())
                .await
            {
                self.schedule.count("unsigned-names");
                self.schedule.note(|| format!("{garbage:?}"));
                self.violations.garbage.insert(garbage.name);
            }
        } else if let Some(name) = self.dice.pick(&originals) {
            let misplaced = self.scenario.metrics > 1 && self.dice.chance(250);
            let misplaced = misplaced
                .then(|| CopiedBatch::misplaced(name, &mut self.dice))
                .flatten();
            if misplaced.is_some() {
                self.schedule.count("misplaced-batches");
            }
            let copy = misplaced.unwrap_or_else(|| CopiedBatch::draw(name, &mut self.dice));
            // A batch that is not complete in both mailboxes yet could be copied only in part.
            let header = copy.original.ingestion().header;
            let is_complete = |role: Role| {
                self.storage.ingestion[role.index()]
                    .made_at(&header)
                    .is_some()
            };
            if Role::ALL.into_iter().all(is_complete) {
                copy.write(&self.storage.ingestion, self.schedule.now())
                    .await;
                self.schedule.count("copied-batches");
                self.schedule.note(|| format!("{copy:?}"));
                self.violations.copies.push(copy);
            }
        }
        let next = self.schedule.now() + self.dice.between(20 * MINUTE_MILLIS, 2 * HOUR_MILLIS);
        self.schedule.timer(next, Timer::Copy);
    }

    /// A dishonest processor tampers with an object that it sent to its peer, now or after the next
    /// write of some kind.
    async fn tamper(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        if self.dice.chance(600) {
            self.timed_tampering = self.dice.pick(&TimedTampering::ALL).copied();
        } else {
            let acts = tamper(&self.storage, &mut self.dice, self.schedule.now()).await;
            self.record_tampering(acts);
        }
        let next = self.schedule.now() + self.dice.between(5 * MINUTE_MILLIS, 40 * MINUTE_MILLIS);
        self.schedule.timer(next, Timer::Tamper);
    }

    /// An attacker chooses a processor's own bucket to edit.
    fn wait_to_edit(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let victim = if self.editor.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        // Records that were written before now are not edited.
        let _ = self.storage.own[victim.index()].fresh();
        self.edit_target = Some((victim, self.editor.chance(750)));
    }

    /// Restores the edited records, as from a backup, and sets the timer for the next edit.
    async fn put_back(&mut self) {
        for edit in &self.violations.edits {
            put_back(&self.storage, edit).await;
        }
        let next = self.schedule.now() + self.editor.between(10 * MINUTE_MILLIS, 2 * HOUR_MILLIS);
        self.schedule.timer(next, Timer::Edit);
    }

    /// Records acts of tampering, and counts them.
    fn record_tampering(&mut self, acts: Vec<Tampering>) {
        for act in &acts {
            self.schedule.count(match act.kind {
                TamperingKind::Roster(_) => "replaced-rosters",
                TamperingKind::Replay(_) => "replayed-rosters",
                TamperingKind::Validation(_) => "replaced-validations",
                TamperingKind::Oversized(_) => "oversized-validations",
                TamperingKind::Flood(_) => "oversized-rosters",
                TamperingKind::Entry(_) => "false-entries",
                TamperingKind::Terms(_) => "changed-terms",
            });
            self.schedule.note(|| format!("{act:?}"));
        }
        self.violations.tampered.extend(acts);
    }

    /// A dishonest processor removes packets from the sums, before the rosters that could list them
    /// are written.
    async fn choose(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let acts = choose(&self.storage, &self.chosen, self.schedule.now()).await;
        for act in &acts {
            if let TamperingKind::Validation(name) = &act.kind {
                self.chosen.insert(name.clone());
            }
        }
        self.record_tampering(acts);
        self.schedule
            .timer(self.schedule.now() + 5 * MINUTE_MILLIS, Timer::Choose);
    }

    /// An operator sums a window manually.
    async fn sum_manually(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let machines = Machines {
            scenario: self.scenario,
            storage: &self.storage,
            schedule: &self.schedule,
        };
        if let Some(done) = sum_window_manually(&machines, &mut self.dice).await {
            self.schedule.count(match done {
                ManualSum::Summed => "summed-by-hand",
                ManualSum::Refused => "refused-by-hand",
                ManualSum::Nothing => "nothing-by-hand",
            });
        }
        let next = self.schedule.now() + self.dice.between(20 * MINUTE_MILLIS, HOUR_MILLIS);
        self.schedule.timer(next, Timer::ManualSum);
    }

    /// Deletes objects from the mailboxes that are older than the retention.
    async fn expire(&mut self) {
        let (now, Some(retention)) = (self.schedule.now(), self.scenario.retention) else {
            return;
        };
        for bucket in self
            .storage
            .ingestion
            .iter()
            .chain(&self.storage.validation)
        {
            let deleted = bucket.expire(now - retention).await;
            self.schedule.count_many("deleted-by-retention", deleted);
        }
        if now < self.scenario.end() {
            self.schedule.timer(now + HOUR_MILLIS / 2, Timer::Retention);
        }
    }

    /// Ends the period of faults: restores manipulated objects, and sets all clocks right.
    async fn end_faults(&mut self) {
        self.schedule.stop_faults();
        self.timed_tampering = None;
        self.edit_target = None;
        self.oversize_target = None;
        for edit in &self.violations.edits {
            put_back(&self.storage, edit).await;
        }
        for act in self.violations.tampered.iter().rev() {
            restore(&self.storage, act, self.schedule.now()).await;
        }
        for whose in [None, Some(Role::First), Some(Role::Second)] {
            self.schedule.skew(whose, 0);
        }
        for process in &self.processes {
            if let Some(running) = &process.running {
                running
                    .life
                    .set_network_faults(NetworkFaults::without_faults());
            }
        }
    }
}

/// Performs one step of a process. Returns whether the step found work, or `None` if it failed.
async fn step(machine: Machine) -> Option<bool> {
    match machine {
        Machine::Ingestor(ingestor) => {
            let options = BatchOptions::default();
            let done = batch(&ingestor, &ingestor.localities[LOCALITY], &options).await;
            done.ok().map(|_| false)
        }
        Machine::Manager(manager) => manager.run_once().await.ok().map(|_| false),
        Machine::Worker(worker, kind) => {
            let done = worker::step(&worker, kind, Duration::ZERO).await;
            done.ok().map(|outcome| outcome.is_some())
        }
    }
}
