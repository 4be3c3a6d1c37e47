//! Virtual time: all events of a run, in one order that follows from the seed.
//!
//! Each process is a Tokio task. Each of its operations on a bucket or a queue is an event that
//! waits for its turn; the code between two operations takes no virtual time. The next event fires
//! only when every running task waits for one. So at most one task runs at any moment, regardless
//! of the number of threads, and a run is deterministic.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tokio::sync::{Notify, oneshot};

use crate::counts::Counts;
use crate::dice::Dice;
use crate::timer::Timer;

/// Milliseconds since the epoch, in virtual time.
pub type Millis = i64;

/// The result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The operation takes effect, and the caller receives the response.
    Done,
    /// The operation fails without effect.
    Failed,
    /// The operation takes effect, but the response is lost: the caller receives an error.
    Lost,
    /// The process crashes before the operation.
    Died,
    /// The operation takes effect, and the process crashes before it receives the response.
    DiedAfter,
}

/// The fault profile of a process: the probabilities of faults per 10,000 operations, and the
/// maximum delay of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkFaults {
    /// The probability that an operation fails without effect.
    pub failed: u64,
    /// The probability that the response is lost.
    pub lost: u64,
    /// The probability that the process crashes, before or after the effect.
    pub died: u64,
    /// The maximum delay, in milliseconds.
    pub delay: Millis,
}

impl NetworkFaults {
    /// Returns the profile without faults, which still delays operations.
    #[must_use]
    pub fn without_faults() -> Self {
        Self {
            delay: 5000,
            ..Self::default()
        }
    }
}

/// One lifetime of a process, from its start to its restart or crash. All buckets and queues of the
/// process perform their operations in the name of its lifetime.
#[derive(Debug)]
pub struct Life {
    number: u64,
    /// The name of the process, for traces and digests.
    pub name: String,
    dead: AtomicBool,
    /// True for an observer outside the simulation, such as the audit: its operations wait for no
    /// turn and never fail.
    outside: bool,
    network_faults: Mutex<NetworkFaults>,
}

impl Life {
    /// Returns whether the process has crashed. Operations of a crashed process have no effect.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Replaces the fault profile.
    pub fn set_network_faults(&self, faults: NetworkFaults) {
        *self
            .network_faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = faults;
    }

    fn network_faults(&self) -> NetworkFaults {
        *self
            .network_faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The description of an operation, for traces and digests.
#[derive(Clone, Debug, Hash)]
pub struct Asked {
    /// The operation: `get`, `commit`, `receive` and so on.
    pub verb: &'static str,
    /// The name of the bucket or queue.
    pub store: &'static str,
    /// The key of the object, or an empty string.
    pub key: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.store, self.key)
    }
}

enum Event {
    Operation {
        life: Arc<Life>,
        asked: Asked,
        answer: oneshot::Sender<Answer>,
    },
    Timer(Timer),
}

struct State {
    now: Millis,
    sequence: u64,
    events: BTreeMap<EventKey, Event>,
    /// The number of events for which each running lifetime waits.
    running: HashMap<u64, usize>,
    lives: u64,
    dice: Dice,
    counts: Counts,
    log: DefaultHasher,
    trace: bool,
    faults_stopped: bool,
    clocks: Vec<WatchedClock>,
    panics: Vec<String>,
}

/// A process clock, which the schedule sets to virtual time plus its error.
struct WatchedClock {
    clock: Clock,
    /// The owner: a processor, or `None` for the ingestor.
    whose: Option<Role>,
    /// The error of the clock, in milliseconds.
    skew: Millis,
}

/// The key of an event: its time, and a sequence number that orders events of the same time.
type EventKey = (Millis, u64);

/// The virtual time of one run, and all its pending events.
pub struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule")
    }
}

/// The event that has just fired.
#[derive(Debug)]
pub enum Fired {
    /// An operation had its turn; the driver has nothing to do.
    Operation,
    /// A timer has fired, which the driver handles.
    Timer(Timer),
}

impl Schedule {
    /// Creates an empty schedule that starts at the time `start`. With `trace`, every event is
    /// printed to stderr.
    #[must_use]
    pub fn new(seed: u64, start: Millis, trace: bool) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now: start,
                sequence: 0,
                events: BTreeMap::new(),
                running: HashMap::new(),
                lives: 0,
                dice: Dice::new(seed, "schedule"),
                counts: Counts::default(),
                log: DefaultHasher::new(),
                trace,
                faults_stopped: false,
                clocks: Vec::new(),
                panics: Vec::new(),
            }),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the virtual time.
    pub fn now(&self) -> Millis {
        self.state().now
    }

    /// Adds a timer that fires at `at`, or now if that time has passed.
    pub fn timer(&self, at: Millis, timer: Timer) {
        let mut state = self.state();
        let at = at.max(state.now);
        state.push(at, Event::Timer(timer));
    }

    /// Sets a clock to virtual time, and keeps it in step from now on.
    pub fn watch(&self, clock: &Clock, whose: Option<Role>) {
        let mut state = self.state();
        clock.set(state.now);
        state.clocks.push(WatchedClock {
            clock: clock.clone(),
            whose,
            skew: 0,
        });
    }

    /// Makes all clocks of one owner wrong by `skew` milliseconds from now on.
    pub fn skew(&self, whose: Option<Role>, skew: Millis) {
        let mut state = self.state();
        let now = state.now;
        for clock in state.clocks.iter_mut().filter(|clock| clock.whose == whose) {
            clock.skew = skew;
            clock.clock.set(now + skew);
        }
    }

    /// Stops all faults.
    pub fn stop_faults(&self) {
        self.state().faults_stopped = true;
    }

    /// Returns whether the faults have stopped.
    pub fn is_fault_free(&self) -> bool {
        self.state().faults_stopped
    }

    /// Counts an event.
    pub fn count(&self, what: &'static str) {
        self.state().counts.add(what, 1);
    }

    /// Counts `times` occurrences of an event.
    pub fn count_many(&self, what: &'static str, times: u64) {
        self.state().counts.add(what, times);
    }

    /// Returns the event counts so far.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// Returns a problem for each process that has panicked. No fault may cause a panic.
    pub fn panics(&self) -> Vec<String> {
        self.state().panics.clone()
    }

    /// Returns a digest of all events so far, in order.
    pub fn digest(&self) -> u64 {
        self.state().log.finish()
    }

    /// Prints a line to the trace, if the run is traced.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let state = self.state();
        if state.trace {
            let line = line();
            eprintln!("{} {line}", crate::time::clock(state.now));
        }
    }

    /// Returns true with a probability of `per_mille` in 1000, from the schedule's own stream, for
    /// faults of buckets and queues. Always returns false once the faults have stopped.
    pub fn chance(&self, per_mille: u64) -> bool {
        let mut state = self.state();
        !state.faults_stopped && state.dice.chance(per_mille)
    }

    /// Returns a number below `bound`, from the schedule's own stream.
    pub fn below(&self, bound: u64) -> u64 {
        self.state().dice.below(bound)
    }

    /// Creates a lifetime of a process.
    pub fn life(&self, name: &str, network_faults: NetworkFaults) -> Arc<Life> {
        let mut state = self.state();
        state.lives += 1;
        Arc::new(Life {
            number: state.lives,
            name: name.to_owned(),
            dead: AtomicBool::new(false),
            outside: false,
            network_faults: Mutex::new(network_faults),
        })
    }

    /// Creates the lifetime of an observer outside the simulation, whose operations neither wait
    /// nor fail.
    pub fn outsider(&self) -> Arc<Life> {
        Arc::new(Life {
            number: 0,
            name: "outsider".to_owned(),
            dead: AtomicBool::new(false),
            outside: true,
            network_faults: Mutex::default(),
        })
    }

    /// Runs one step of a process. When the step has ended, the timer that `ended` returns fires.
    pub fn start<O: Send + 'static>(
        self: &Arc<Self>,
        life: &Arc<Life>,
        task: impl Future<Output = O> + Send + 'static,
        ended: impl FnOnce(O) -> Timer + Send + 'static,
    ) {
        self.state().running.insert(life.number, 0);
        let (schedule, number, name) = (Arc::clone(self), life.number, life.name.clone());
        tokio::spawn(async move {
            let done = AssertUnwindSafe(task).catch_unwind().await;
            let mut state = schedule.state();
            state.running.remove(&number);
            let timer = match done {
                Ok(done) => ended(done),
                Err(_) => {
                    let problem = format!("{name} has panicked");
                    state.panics.push(problem);
                    return schedule.changed.notify_one();
                }
            };
            let now = state.now;
            state.push(now, Event::Timer(timer));
            drop(state);
            schedule.changed.notify_one();
        });
    }

    /// Ends a lifetime from outside, as if its machine were switched off.
    pub fn kill(&self, life: &Arc<Life>) {
        self.state().end_life(life);
    }

    /// Waits for the turn of an operation, and returns its result.
    pub async fn ask(&self, life: &Arc<Life>, asked: Asked) -> Answer {
        if life.is_dead() {
            return Answer::Died;
        }
        if life.outside {
            return Answer::Done;
        }
        let (answer, turn) = oneshot::channel();
        let waiting = {
            let mut state = self.state();
            let delay = state.dice.delay(life.network_faults().delay.max(1));
            let at = state.now + delay;
            if let Some(pending) = state.running.get_mut(&life.number) {
                *pending += 1;
            }
            let key = state.push(
                at,
                Event::Operation {
                    life: Arc::clone(life),
                    asked,
                    answer,
                },
            );
            Waiting {
                schedule: self,
                key,
            }
        };
        self.changed.notify_one();
        let answer = turn.await.unwrap_or(Answer::Died);
        drop(waiting);
        answer
    }

    /// Waits until every running task waits for an event.
    pub async fn quiescent(&self) {
        loop {
            // A task that waits for several events may continue with one of them while the others
            // are still pending. Let it run until it waits again.
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            if self.state().running.values().all(|pending| *pending > 0) {
                return;
            }
            self.changed.notified().await;
        }
    }

    /// Fires the next event; returns `None` if no event is pending.
    pub fn fire(&self) -> Option<Fired> {
        let mut state = self.state();
        let ((at, _), event) = state.events.pop_first()?;
        state.now = at;
        for clock in &state.clocks {
            clock.clock.set(at + clock.skew);
        }
        match event {
            Event::Timer(timer) => {
                (at, &timer).hash(&mut state.log);
                Some(Fired::Timer(timer))
            }
            Event::Operation {
                life,
                asked,
                answer,
            } => {
                state.turn(&life, &asked, answer);
                Some(Fired::Operation)
            }
        }
    }
}

/// A pending operation, which is removed from the schedule when its caller is cancelled.
struct Waiting<'s> {
    schedule: &'s Schedule,
    key: EventKey,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.schedule.state();
        if let Some(Event::Operation { life, .. }) = state.events.remove(&self.key) {
            state.end_wait(&life);
        }
    }
}

impl State {
    fn push(&mut self, at: Millis, event: Event) -> EventKey {
        self.sequence += 1;
        let key = (at, self.sequence);
        self.events.insert(key, event);
        key
    }

    fn end_wait(&mut self, life: &Life) {
        if let Some(pending) = self.running.get_mut(&life.number) {
            *pending = pending.saturating_sub(1);
        }
    }

    fn turn(&mut self, life: &Arc<Life>, asked: &Asked, answer: oneshot::Sender<Answer>) {
        self.end_wait(life);
        let what = self.draw_answer(life);
        (self.now, &life.name, asked, what).hash(&mut self.log);
        self.counts.add("operations", 1);
        if self.trace {
            eprintln!(
                "{} {} {asked} {what:?}",
                crate::time::clock(self.now),
                life.name
            );
        }
        if matches!(what, Answer::Died | Answer::DiedAfter) {
            self.end_life(life);
        }
        // The task may have been cancelled meanwhile.
        let _ = answer.send(what);
    }

    fn draw_answer(&mut self, life: &Life) -> Answer {
        let network_faults = life.network_faults();
        let draw = self.dice.below(10_000);
        if life.is_dead() {
            return Answer::Died;
        }
        if self.faults_stopped {
            return Answer::Done;
        }
        let (failed, lost) = (
            network_faults.failed,
            network_faults.failed + network_faults.lost,
        );
        let (what, name) = if draw < failed {
            (Answer::Failed, "failures")
        } else if draw < lost {
            (Answer::Lost, "lost-answers")
        } else if draw < lost + network_faults.died / 2 {
            (Answer::Died, "crashes")
        } else if draw < lost + network_faults.died {
            (Answer::DiedAfter, "crashes")
        } else {
            return Answer::Done;
        };
        self.counts.add(name, 1);
        what
    }

    /// Ends a lifetime. All its pending operations fail at once.
    fn end_life(&mut self, life: &Arc<Life>) {
        life.dead.store(true, Ordering::SeqCst);
        let its = |event: &Event| matches!(event, Event::Operation { life: other, .. } if other.number == life.number);
        let keys: Vec<_> = self
            .events
            .iter()
            .filter(|(_, event)| its(event))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            // Dropping the sender makes the waiting operation return `Died`.
            self.events.remove(&key);
        }
        if let Some(pending) = self.running.get_mut(&life.number) {
            *pending = 0;
        }
    }
}
