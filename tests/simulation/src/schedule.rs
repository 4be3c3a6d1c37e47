//! Virtual time: what every process waits for, in one order that follows from the seed.
//!
//! A process is a task. Each of its operations on a bucket or a queue is an event that waits for its turn; code between
//! two operations takes no virtual time. The next event fires only when every running task waits for one, so that at
//! most one of them runs at any moment, whatever threads the operating system gives it: a run is the same every time.

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

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is done and answered.
    Done,
    /// It fails without effect.
    Failed,
    /// It is done, and the answer is lost: the caller sees an error.
    Lost,
    /// The process dies before it.
    Died,
    /// It is done, and the process dies before it hears of it.
    DiedAfter,
}

/// How rough things are for a process: chances in 10,000 operations, and the longest delay of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Chance to fail without effect.
    pub failed: u64,
    /// Chance to lose the answer.
    pub lost: u64,
    /// Chance that the process dies, before or after.
    pub died: u64,
    /// The longest delay, in milliseconds.
    pub delay: Millis,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            delay: 5000,
            ..Self::default()
        }
    }
}

/// One run of a process, from its start to its end or death. Whatever the process holds, it asks by this.
#[derive(Debug)]
pub struct Life {
    number: u64,
    /// The process, for logs.
    pub name: String,
    dead: AtomicBool,
    /// It waits for nothing, and nothing goes wrong for it: not one of the play, but somebody who looks on.
    outside: bool,
    weather: Mutex<Weather>,
}

impl Life {
    /// Whether the process has died: whatever it still does has no effect.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Changes how rough things are.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an operation is, for logs and digests.
#[derive(Clone, Debug, Hash)]
pub struct Asked {
    /// `get`, `commit`, `receive` and so on.
    pub verb: &'static str,
    /// Which bucket or queue.
    pub place: &'static str,
    /// Which object, if one.
    pub key: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.place, self.key)
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
    events: BTreeMap<Place, Event>,
    /// How many events each running life waits for.
    running: HashMap<u64, usize>,
    lives: u64,
    dice: Dice,
    counts: Counts,
    log: DefaultHasher,
    trace: bool,
    calm: bool,
    clocks: Vec<WatchedClock>,
    panics: Vec<String>,
}

/// A clock that goes with virtual time.
struct WatchedClock {
    clock: Clock,
    /// Whose it is: a processor's or the ingestor's.
    whose: Option<Role>,
    /// By how much it is wrong.
    skew: Millis,
}

/// Where an event stands: its time, and which of those at that time.
type Place = (Millis, u64);

/// The virtual time of one run, and everything that waits in it.
pub struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule")
    }
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum Fired {
    /// Nothing: an operation got its turn.
    Operation,
    /// A timer has run out.
    Timer(Timer),
}

impl Schedule {
    /// An empty schedule that begins at `start`. `trace` prints every event.
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
                calm: false,
                clocks: Vec::new(),
                panics: Vec::new(),
            }),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What time it is.
    pub fn now(&self) -> Millis {
        self.state().now
    }

    /// A timer that runs out at `at`, or now if that is past.
    pub fn timer(&self, at: Millis, timer: Timer) {
        let mut state = self.state();
        let at = at.max(state.now);
        state.push(at, Event::Timer(timer));
    }

    /// From now on a clock goes with virtual time.
    pub fn watch(&self, clock: &Clock, whose: Option<Role>) {
        let mut state = self.state();
        clock.set(state.now);
        state.clocks.push(WatchedClock {
            clock: clock.clone(),
            whose,
            skew: 0,
        });
    }

    /// Somebody's clocks are wrong by so much from now on.
    pub fn skew(&self, whose: Option<Role>, skew: Millis) {
        let mut state = self.state();
        let now = state.now;
        for clock in state.clocks.iter_mut().filter(|clock| clock.whose == whose) {
            clock.skew = skew;
            clock.clock.set(now + skew);
        }
    }

    /// From now on nothing fails and nobody dies.
    pub fn calm(&self) {
        self.state().calm = true;
    }

    /// Whether faults have stopped.
    pub fn is_calm(&self) -> bool {
        self.state().calm
    }

    /// Counts something that happened.
    pub fn count(&self, what: &'static str) {
        self.state().counts.add(what, 1);
    }

    /// Counts something that happened so often.
    pub fn count_many(&self, what: &'static str, times: u64) {
        self.state().counts.add(what, times);
    }

    /// What has happened.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// Processes that have panicked: none may, whatever happens.
    pub fn panics(&self) -> Vec<String> {
        self.state().panics.clone()
    }

    /// A digest of everything that has happened, in order.
    pub fn digest(&self) -> u64 {
        self.state().log.finish()
    }

    /// A line of the trace, if there is one.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let state = self.state();
        if state.trace {
            let line = line();
            eprintln!("{} {line}", crate::time::clock(state.now));
        }
    }

    /// A draw of the schedule's own stream, for faults of buckets and queues.
    pub fn chance(&self, per_mille: u64) -> bool {
        let mut state = self.state();
        !state.calm && state.dice.chance(per_mille)
    }

    /// A number below `bound`, of the schedule's own stream.
    pub fn below(&self, bound: u64) -> u64 {
        self.state().dice.below(bound)
    }

    /// A new life of a process.
    pub fn life(&self, name: &str, weather: Weather) -> Arc<Life> {
        let mut state = self.state();
        state.lives += 1;
        Arc::new(Life {
            number: state.lives,
            name: name.to_owned(),
            dead: AtomicBool::new(false),
            outside: false,
            weather: Mutex::new(weather),
        })
    }

    /// The life of somebody who looks on when the run is over.
    pub fn outsider(&self) -> Arc<Life> {
        Arc::new(Life {
            number: 0,
            name: "outsider".to_owned(),
            dead: AtomicBool::new(false),
            outside: true,
            weather: Mutex::default(),
        })
    }

    /// Runs a task of this life; `ended` makes the timer that fires when it is over.
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

    /// Ends a life from outside, as a machine that is switched off.
    pub fn kill(&self, life: &Arc<Life>) {
        self.state().bury(life);
    }

    /// Waits for the turn of an operation; what becomes of it.
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
            let delay = state.dice.delay(life.weather().delay.max(1));
            let at = state.now + delay;
            if let Some(pending) = state.running.get_mut(&life.number) {
                *pending += 1;
            }
            let place = state.push(
                at,
                Event::Operation {
                    life: Arc::clone(life),
                    asked,
                    answer,
                },
            );
            Waiting { schedule: self, place }
        };
        self.changed.notify_one();
        let answer = turn.await.unwrap_or(Answer::Died);
        drop(waiting);
        answer
    }

    /// Waits until every running task waits for an event.
    pub async fn quiescent(&self) {
        loop {
            // A task that waits for several events goes on with one of them while the others still wait: let it.
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            if self.state().running.values().all(|pending| *pending > 0) {
                return;
            }
            self.changed.notified().await;
        }
    }

    /// Fires the next event, if one is left.
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
            Event::Operation { life, asked, answer } => {
                state.turn(&life, &asked, answer);
                Some(Fired::Operation)
            }
        }
    }
}

/// An operation that waits. A caller that is no longer interested takes it off the schedule.
struct Waiting<'s> {
    schedule: &'s Schedule,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.schedule.state();
        if let Some(Event::Operation { life, .. }) = state.events.remove(&self.place) {
            state.waits_no_more(&life);
        }
    }
}

impl State {
    fn push(&mut self, at: Millis, event: Event) -> Place {
        self.sequence += 1;
        let place = (at, self.sequence);
        self.events.insert(place, event);
        place
    }

    fn waits_no_more(&mut self, life: &Life) {
        if let Some(pending) = self.running.get_mut(&life.number) {
            *pending = pending.saturating_sub(1);
        }
    }

    fn turn(&mut self, life: &Arc<Life>, asked: &Asked, answer: oneshot::Sender<Answer>) {
        self.waits_no_more(life);
        let what = self.judge(life);
        (self.now, &life.name, asked, what).hash(&mut self.log);
        self.counts.add("operations", 1);
        if self.trace {
            eprintln!("{} {} {asked} {what:?}", crate::time::clock(self.now), life.name);
        }
        if matches!(what, Answer::Died | Answer::DiedAfter) {
            self.bury(life);
        }
        // A task that is gone hears nothing.
        let _ = answer.send(what);
    }

    fn judge(&mut self, life: &Life) -> Answer {
        let weather = life.weather();
        let draw = self.dice.below(10_000);
        if life.is_dead() {
            return Answer::Died;
        }
        if self.calm {
            return Answer::Done;
        }
        let (failed, lost) = (weather.failed, weather.failed + weather.lost);
        let (what, name) = if draw < failed {
            (Answer::Failed, "failures")
        } else if draw < lost {
            (Answer::Lost, "lost-answers")
        } else if draw < lost + weather.died / 2 {
            (Answer::Died, "crashes")
        } else if draw < lost + weather.died {
            (Answer::DiedAfter, "crashes")
        } else {
            return Answer::Done;
        };
        self.counts.add(name, 1);
        what
    }

    /// The life is over: whatever it waits for fails at once.
    fn bury(&mut self, life: &Arc<Life>) {
        life.dead.store(true, Ordering::SeqCst);
        let its = |event: &Event| matches!(event, Event::Operation { life: other, .. } if other.number == life.number);
        let keys: Vec<_> = self
            .events
            .iter()
            .filter(|(_, event)| its(event))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            // Dropping the sender is the answer.
            self.events.remove(&key);
        }
        if let Some(pending) = self.running.get_mut(&life.number) {
            *pending = 0;
        }
    }
}
