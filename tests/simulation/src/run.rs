//! One run: the world of a seed from its first report to its last sum, and what is wrong with it then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallybox_facilitator::worker;
use tallybox_ingestor::batch::{BatchOptions, batch};
use tallybox_model::avro::{ContainerWriter, RecordKind};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::spool::{SlabName, SpoolNames};

use crate::bucket::Shelf;
use crate::cast::{Part, Process, Running, processes, weather};
use crate::check::{Findings, check};
use crate::counts::Counts;
use crate::dice::Dice;
use crate::editor::{edit, put_back};
use crate::evidence::objects;
use crate::garbage::Garbage;
use crate::keyring::{INSTANCE, LOCALITY};
use crate::liar::Copy;
use crate::lies::Lies;
use crate::machine::{Machine, Machines, Places, spool_records};
use crate::operator::{ByHand, sum_by_hand};
use crate::pool::Pool;
use crate::queue::{Habits, Line};
use crate::scenario::{Cuts, Scenario};
use crate::schedule::{Fired, Millis, Schedule, Weather};
use crate::tamper::{Ambush, Lie, Told, ambush, choose, set_right, tell};
use crate::time::{HOUR, MINUTE};
use crate::timer::Timer;
use crate::trouble::Trouble;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was taken away from it.
    pub cuts: Cuts,
    /// The world in a line.
    pub world: String,
    /// What is wrong, in sentences; empty if nothing is.
    pub problems: Vec<String>,
    /// What happened.
    pub counts: Counts,
    /// A digest of every event and of every object at the end: the same each time.
    pub digest: u64,
}

/// Runs the world of a seed. The runtime has to be one thread's.
pub async fn run(seed: u64, cuts: &Cuts, trace: bool) -> Outcome {
    let scenario = Scenario::new(seed, cuts);
    let mut stage = Stage::new(&scenario, trace);
    stage.begin();
    while let Some(fired) = stage.next().await {
        if let Fired::Timer(timer) = fired {
            stage.happen(timer).await;
        }
    }
    let Findings { mut problems, digest } = check(&scenario, &stage.places, &stage.schedule, &stage.lies).await;
    problems.extend(stage.schedule.panics());
    Outcome {
        seed,
        cuts: cuts.clone(),
        world: scenario.to_string(),
        problems,
        counts: stage.schedule.counts(),
        digest: digest ^ stage.schedule.digest(),
    }
}

mod actors;

struct Stage<'s> {
    scenario: &'s Scenario,
    schedule: Arc<Schedule>,
    places: Places,
    cast: Vec<Process>,
    dice: Dice,
    lies: Lies,
    /// What a liar waits for.
    ambush: Option<Ambush>,
    /// Batches of which a liar has taken packets.
    chosen: BTreeSet<BatchName>,
    /// Whose own bucket somebody waits to edit, and whether only an agreed set will do.
    prey: Option<(Role, bool)>,
    /// What the editor does, with dice of its own.
    editor: Dice,
    /// Whose next validation somebody waits to make too large.
    feast: Option<Role>,
    /// How large validations become, and when.
    sizes: Dice,
    /// Which batches are sealed to a retired key, and when.
    retired: Dice,
}

fn places(scenario: &Scenario) -> Places {
    let has = |chance| if scenario.has(Trouble::Messages) { chance } else { 0 };
    let habits = Habits {
        doubles: has(150),
        loses: has(80),
        forgets: has(80),
        lease: 10 * MINUTE,
    };
    Places {
        spool: Shelf::new("spool"),
        ingestion: [Shelf::new("ingestion-0"), Shelf::new("ingestion-1")],
        own: [Shelf::new("own-0"), Shelf::new("own-1")],
        validation: [Shelf::new("validation-0"), Shelf::new("validation-1")],
        sums: [Shelf::new("sums-0"), Shelf::new("sums-1")],
        intake: [Line::new("intake-0", habits), Line::new("intake-1", habits)],
        aggregate: [Line::new("aggregate-0", habits), Line::new("aggregate-1", habits)],
    }
}

impl<'s> Stage<'s> {
    fn new(scenario: &'s Scenario, trace: bool) -> Self {
        Self {
            scenario,
            schedule: Schedule::new(scenario.seed, scenario.start(), trace),
            places: places(scenario),
            cast: processes(scenario),
            dice: Dice::new(scenario.seed, "stage"),
            lies: Lies::default(),
            ambush: None,
            chosen: BTreeSet::new(),
            prey: None,
            editor: Dice::new(scenario.seed, "editor"),
            feast: None,
            sizes: Dice::new(scenario.seed, "sizes"),
            retired: Dice::new(scenario.seed, "retired"),
        }
    }

    /// What is known beforehand to happen.
    fn begin(&mut self) {
        let (scenario, schedule) = (self.scenario, &self.schedule);
        for (number, slab) in scenario.slabs.iter().enumerate() {
            schedule.timer(slab.at, Timer::Slab(number));
        }
        for (number, process) in self.cast.iter().enumerate() {
            schedule.watch(&process.clock, process.part.role());
            let first = scenario.start() + self.dice.between(0, process.part.pause());
            schedule.timer(first, Timer::Wake(number));
        }
        if let Some((_, from, _)) = scenario.down {
            schedule.timer(from, Timer::Off);
        }
        if scenario.has(Trouble::Clocks) {
            schedule.timer(scenario.start(), Timer::Clocks);
        }
        if scenario.has(Trouble::Copies) {
            schedule.timer(scenario.start() + 90 * MINUTE, Timer::Copy);
        }
        if scenario.has(Trouble::Tampering) {
            schedule.timer(scenario.start() + 70 * MINUTE, Timer::Lie);
        }
        if scenario.has(Trouble::Editing) {
            schedule.timer(scenario.start() + HOUR, Timer::Edit);
        }
        if scenario.has(Trouble::Oversized) {
            schedule.timer(scenario.start() + 70 * MINUTE, Timer::Oversize);
        }
        if scenario.has(Trouble::StaleKeys) {
            schedule.timer(scenario.start() + 80 * MINUTE, Timer::StaleKey);
        }
        if scenario.retention.is_some() {
            schedule.timer(scenario.start(), Timer::Retention);
        }
        if scenario.has(Trouble::Choosing) {
            schedule.timer(scenario.start() + 30 * MINUTE, Timer::Choose);
        }
        if scenario.has(Trouble::ByHand) {
            schedule.timer(scenario.start() + 80 * MINUTE, Timer::ByHand);
        }
        schedule.timer(scenario.calm(), Timer::Calm);
    }

    async fn next(&mut self) -> Option<Fired> {
        self.schedule.quiescent().await;
        if let Some(prey) = self.ambush {
            let told = ambush(&self.places, prey, &mut self.dice, self.schedule.now()).await;
            if !told.is_empty() {
                self.schedule.count("ambushes");
                self.tell(told);
                self.ambush = None;
            }
        }
        if let Some((victim, agreed_only)) = self.prey
            && let Some(done) = edit(&self.places, victim, agreed_only).await
        {
            self.schedule.count("edited-records");
            self.schedule.note(|| format!("{victim}: {} is edited", done.key));
            self.lies.edits.push(done);
            self.prey = None;
            let pause = self.editor.between(20 * MINUTE, 2 * HOUR);
            self.schedule.timer(self.schedule.now() + pause, Timer::PutBack);
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
            Timer::Lie => self.lie().await,
            Timer::ByHand => self.by_hand().await,
            Timer::Choose => self.choose().await,
            Timer::Edit => self.wait_to_edit(),
            Timer::PutBack => self.put_back().await,
            Timer::Oversize => self.wait_to_oversize(),
            Timer::StaleKey => self.stale_key().await,
            Timer::OldScheduler(number) => self.old_scheduler(number).await,
            Timer::Calm => self.calm().await,
        }
    }

    /// Until when the organisation of a process is switched off.
    fn off_until(&self, part: Part) -> Option<Millis> {
        let (role, from, until) = self.scenario.down?;
        let now = self.schedule.now();
        (part.role() == Some(role) && from <= now && now < until).then_some(until)
    }

    fn wake(&mut self, number: usize) {
        let part = self.cast[number].part;
        if let Some(until) = self.off_until(part) {
            self.schedule.timer(until, Timer::Wake(number));
            return;
        }
        if self.schedule.now() >= self.scenario.end() {
            return;
        }
        if !self.has_work(part) {
            // Most looks find an empty queue: they are left out, as if nothing had gone wrong with them.
            let pause = part.pause();
            let next = self.schedule.now() + self.dice.between(pause / 2, pause * 3 / 2);
            self.schedule.timer(next, Timer::Wake(number));
            return;
        }
        if !self.cast[number].is_up(self.schedule.now()) {
            self.start(number);
        }
        let Some(Running { life, machine, .. }) = &self.cast[number].running else {
            return;
        };
        let ended = move |found: Option<bool>| Timer::Ended(number, found.unwrap_or(false));
        self.schedule.start(life, step(machine.clone()), ended);
    }

    fn has_work(&self, part: Part) -> bool {
        let now = self.schedule.now();
        match part {
            Part::Batcher | Part::Manager(_) => true,
            Part::Intake(role) => self.places.intake[role.index()].is_ready(now),
            Part::Aggregate(role) => self.places.aggregate[role.index()].is_ready(now),
        }
    }

    /// Starts a process, with the keys and the settings of the day.
    fn start(&mut self, number: usize) {
        let machines = Machines {
            scenario: self.scenario,
            places: &self.places,
            schedule: &self.schedule,
        };
        let process = &mut self.cast[number];
        let life = self.schedule.life(&process.name, weather(self.scenario, process.part));
        process.running = Some(Running {
            machine: machines.start(process.part, &life, &process.clock),
            life,
            until: self.schedule.now() + self.dice.between(HOUR, 4 * HOUR),
        });
    }

    fn ended(&mut self, number: usize, found: bool) {
        let process = &self.cast[number];
        let died = process.running.as_ref().is_some_and(|running| running.life.is_dead());
        let pause = if died {
            self.dice.between(1000, 10 * MINUTE)
        } else if found {
            0
        } else {
            let pause = process.part.pause();
            self.dice.between(pause / 2, pause * 3 / 2)
        };
        self.schedule.timer(self.schedule.now() + pause, Timer::Wake(number));
    }

    /// A slab of accepted reports becomes durable.
    async fn slab(&mut self, number: usize) {
        let slab = &self.scenario.slabs[number];
        let mut file = ContainerWriter::new(Vec::new(), RecordKind::StoredReport, [7; 16]);
        for report in &slab.reports {
            file.append(&Pool::get().report(*report).stored()).expect("a report");
        }
        let names = SpoolNames::new(INSTANCE.parse().expect("an instance"));
        let key = names.slab(&SlabName::Received {
            window: slab.window,
            replica: 7,
            number: number as u64,
        });
        let bytes = file.finish().expect("a slab");
        let spool = &self.places.spool;
        let created = spool_records().create(&*spool.inner, &key, &bytes).await;
        created.expect("a new object");
        spool.note(&key, self.schedule.now());
        self.schedule.count("slabs");
    }

    fn switch_off(&mut self) {
        self.schedule.count("downtimes");
        for process in &self.cast {
            if let (Some(running), Some(_)) = (&process.running, self.off_until(process.part)) {
                self.schedule.kill(&running.life);
            }
        }
    }

    /// One of the organisations' clocks goes wrong, or right again.
    fn step_clocks(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        self.schedule.count("clock-steps");
        let whose = *self
            .dice
            .pick(&[None, Some(Role::First), Some(Role::Second)])
            .unwrap_or(&None);
        let skew = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.between(-2 * MINUTE, 2 * MINUTE),
            _ => self.dice.between(-3 * HOUR, 3 * HOUR),
        };
        self.schedule.skew(whose, skew);
        let next = self.schedule.now() + self.dice.between(10 * MINUTE, 2 * HOUR);
        self.schedule.timer(next, Timer::Clocks);
    }

    /// A lying ingestor copies a batch.
    async fn copy(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        let objects = objects(&self.places.ingestion[0]).await;
        let batches: Vec<BatchName> = objects
            .keys()
            .filter_map(|key| BatchName::from_ingestion_signature(key))
            .collect();
        let original =
            |name: &&BatchName| !self.lies.is_no_batch(name) && !self.lies.copies.iter().any(|copy| copy.to == **name);
        let originals: Vec<&BatchName> = batches.iter().filter(original).collect();
        if self.dice.chance(300)
            && let Some(name) = self.dice.pick(&originals)
        {
            let garbage = Garbage::draw(name, &originals, &mut self.dice);
            if garbage.write(&self.places.ingestion, self.schedule.now()).await {
                self.schedule.count("unsigned-names");
                self.schedule.note(|| format!("{garbage:?}"));
                self.lies.garbage.insert(garbage.name);
            }
        } else if let Some(name) = self.dice.pick(&originals) {
            let misplaced = self.scenario.metrics > 1 && self.dice.chance(250);
            let misplaced = misplaced.then(|| Copy::misplaced(name, &mut self.dice)).flatten();
            if misplaced.is_some() {
                self.schedule.count("misplaced-batches");
            }
            let copy = misplaced.unwrap_or_else(|| Copy::draw(name, &mut self.dice));
            // What is not whole in both mailboxes yet cannot be copied whole.
            let header = copy.of.ingestion().header;
            let is_whole = |role: Role| self.places.ingestion[role.index()].made_at(&header).is_some();
            if Role::ALL.into_iter().all(is_whole) {
                copy.write(&self.places.ingestion, self.schedule.now()).await;
                self.schedule.count("copied-batches");
                self.schedule.note(|| format!("{copy:?}"));
                self.lies.copies.push(copy);
            }
        }
        let next = self.schedule.now() + self.dice.between(20 * MINUTE, 2 * HOUR);
        self.schedule.timer(next, Timer::Copy);
    }

    /// A processor lies to its peer.
    async fn lie(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        if self.dice.chance(500) {
            self.ambush = self.dice.pick(&Ambush::ALL).copied();
        } else {
            let told = tell(&self.places, &mut self.dice, self.schedule.now()).await;
            self.tell(told);
        }
        let next = self.schedule.now() + self.dice.between(10 * MINUTE, HOUR);
        self.schedule.timer(next, Timer::Lie);
    }

    /// Somebody chooses an own bucket to edit.
    fn wait_to_edit(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        let victim = if self.editor.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        // What was made before now is not edited.
        let _ = self.places.own[victim.index()].fresh();
        self.prey = Some((victim, self.editor.chance(750)));
    }

    /// What was edited is restored, as from a backup; later something else is edited.
    async fn put_back(&mut self) {
        for edit in &self.lies.edits {
            put_back(&self.places, edit).await;
        }
        let next = self.schedule.now() + self.editor.between(10 * MINUTE, 2 * HOUR);
        self.schedule.timer(next, Timer::Edit);
    }

    /// Books lies.
    fn tell(&mut self, told: Vec<Told>) {
        for told in &told {
            self.schedule.count(match told.lie {
                Lie::Roster(_) => "replaced-rosters",
                Lie::Replay(_) => "replayed-rosters",
                Lie::Validation(_) => "replaced-validations",
                Lie::Oversized(_) => "oversized-validations",
                Lie::Flood(_) => "oversized-rosters",
                Lie::Entry(_) => "false-entries",
                Lie::Terms(_) => "changed-terms",
            });
            self.schedule.note(|| format!("{told:?}"));
        }
        self.lies.told.extend(told);
    }

    /// A processor takes packets out of the sums, before the rosters that could list them are written.
    async fn choose(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        let told = choose(&self.places, &self.chosen, self.schedule.now()).await;
        for told in &told {
            if let Lie::Validation(name) = &told.lie {
                self.chosen.insert(name.clone());
            }
        }
        self.tell(told);
        self.schedule.timer(self.schedule.now() + 5 * MINUTE, Timer::Choose);
    }

    /// An operator sums a window by hand.
    async fn by_hand(&mut self) {
        if self.schedule.is_calm() {
            return;
        }
        let machines = Machines {
            scenario: self.scenario,
            places: &self.places,
            schedule: &self.schedule,
        };
        if let Some(done) = sum_by_hand(&machines, &mut self.dice).await {
            self.schedule.count(match done {
                ByHand::Summed => "summed-by-hand",
                ByHand::Refused => "refused-by-hand",
                ByHand::Nothing => "nothing-by-hand",
            });
        }
        let next = self.schedule.now() + self.dice.between(20 * MINUTE, HOUR);
        self.schedule.timer(next, Timer::ByHand);
    }

    /// Mailboxes delete what is old.
    async fn expire(&mut self) {
        let (now, Some(retention)) = (self.schedule.now(), self.scenario.retention) else {
            return;
        };
        for shelf in self.places.ingestion.iter().chain(&self.places.validation) {
            let deleted = shelf.expire(now - retention).await;
            self.schedule.count_many("deleted-by-retention", deleted);
        }
        if now < self.scenario.end() {
            self.schedule.timer(now + HOUR / 2, Timer::Retention);
        }
    }

    /// From now on nothing goes wrong.
    async fn calm(&mut self) {
        self.schedule.calm();
        self.ambush = None;
        self.prey = None;
        self.feast = None;
        for edit in &self.lies.edits {
            put_back(&self.places, edit).await;
        }
        for told in self.lies.told.iter().rev() {
            set_right(&self.places, told, self.schedule.now()).await;
        }
        for whose in [None, Some(Role::First), Some(Role::Second)] {
            self.schedule.skew(whose, 0);
        }
        for process in &self.cast {
            if let Some(running) = &process.running {
                running.life.set_weather(Weather::calm());
            }
        }
    }
}

/// One step of a process; whether it found something to do, and nothing if it failed.
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
