//! What happens on one connection: requests that come, are worked on, are answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::Pace;

/// How long a connection may go without a complete request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From its beginning to the head of its first request, the TLS handshake included.
    pub first: Duration,
    /// Afterwards; bodies and answers that move at `bytes_per_second` do not count.
    pub idle: Duration,
    /// The rate at which a client has to send a body, and to take an answer.
    pub bytes_per_second: u32,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has no request open.
    Idle,
    /// The client does not send its request, or does not take its answer.
    Late,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    times: Times,
    state: Mutex<State>,
    cut: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// How late the client is with the next complete request.
    pace: Pace,
    /// Whether the head of a request has come.
    asked: bool,
    next: u64,
    open: Vec<(u64, Phase)>,
}

/// What happens to a request.
#[derive(Debug)]
enum Phase {
    /// Its body is coming, or was given up.
    Coming,
    /// It has come; the answer is our debt.
    Working,
    /// Its answer is being taken.
    Answering(Pace),
}

/// A request from its head to the end of its answer.
#[derive(Debug)]
pub struct Asked {
    connection: Arc<Connection>,
    id: u64,
}

impl Connection {
    /// A connection that begins now.
    #[must_use]
    pub fn new(times: Times) -> Arc<Self> {
        let state = State {
            pace: Pace::new(times.bytes_per_second, Instant::now()),
            asked: false,
            next: 0,
            open: Vec::new(),
        };
        Arc::new(Self {
            times,
            state: Mutex::new(state),
            cut: CancellationToken::new(),
        })
    }

    /// The head of a request has come.
    #[must_use]
    pub fn asked(self: &Arc<Self>) -> Asked {
        let mut state = self.state();
        state.asked = true;
        let id = state.next;
        state.next += 1;
        state.open.push((id, Phase::Coming));
        drop(state);
        Asked {
            connection: Arc::clone(self),
            id,
        }
    }

    /// Closes the connection: another one needs its place, or its memory.
    pub fn evict(&self) {
        self.cut.cancel();
    }

    /// Ends when the connection has to be closed for others.
    pub async fn evicted(&self) {
        self.cut.cancelled().await;
    }

    /// The token behind [`evict`](Self::evict).
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Ends once the client is too late.
    pub async fn over(&self) -> End {
        loop {
            match self.check(Instant::now()) {
                Ok(end) => return end,
                Err(next) => sleep_until(next).await,
            }
        }
    }

    /// Whether a request has begun and is not answered as a whole.
    #[must_use]
    pub fn has_request(&self) -> bool {
        !self.state().open.is_empty()
    }

    /// How late the client is; none while the server owes it an answer.
    pub(super) fn late(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let mut late = state.pace.late(now);
        for (_, phase) in &state.open {
            match phase {
                Phase::Working => return None,
                Phase::Answering(pace) => late = late.max(pace.late(now)),
                Phase::Coming => {}
            }
        }
        Some(late)
    }

    /// Whether it is over, or else when to look again: never later than the first limit that can be reached.
    fn check(&self, now: Instant) -> Result<End, Instant> {
        let state = self.state();
        let limit = if state.asked { self.times.idle } else { self.times.first };
        let mut next = now + limit;
        let mut working = false;
        for (_, phase) in &state.open {
            match phase {
                Phase::Working => working = true,
                Phase::Answering(pace) => next = next.min(pace.late_at(limit)),
                Phase::Coming => {}
            }
        }
        if !working {
            next = next.min(state.pace.late_at(limit));
        }
        match next <= now {
            true if state.open.is_empty() => Ok(End::Idle),
            true => Ok(End::Late),
            false => Err(next),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No call leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn phase(&mut self, id: u64) -> Option<&mut Phase> {
        self.open
            .iter_mut()
            .find(|(open, _)| *open == id)
            .map(|(_, phase)| phase)
    }
}

/// What the bodies of a request and its answer report.
impl Connection {
    /// Bytes of a request's body have come.
    pub(super) fn came(&self, bytes: usize) {
        self.state().pace.moved(bytes, Instant::now());
    }

    /// A request has come as a whole.
    pub(super) fn whole(&self, id: u64) {
        let mut state = self.state();
        if let Some(phase @ Phase::Coming) = state.phase(id) {
            *phase = Phase::Working;
            state.pace.restart(Instant::now());
        }
    }

    /// The answer begins; a request that did not come as a whole earns its connection no time.
    pub(super) fn answering(&self, id: u64) {
        let now = Instant::now();
        let answering = Phase::Answering(Pace::new(self.times.bytes_per_second, now));
        let mut state = self.state();
        let Some(phase) = state.phase(id) else { return };
        if let Phase::Working = std::mem::replace(phase, answering) {
            state.pace.restart(now);
        }
    }

    /// Bytes of an answer have been taken.
    pub(super) fn took(&self, id: u64, bytes: usize) {
        let now = Instant::now();
        let mut state = self.state();
        state.pace.moved(bytes, now);
        if let Some(Phase::Answering(pace)) = state.phase(id) {
            pace.moved(bytes, now);
        }
    }

    fn ended(&self, id: u64) {
        let mut state = self.state();
        let Some(place) = state.open.iter().position(|(open, _)| *open == id) else {
            return;
        };
        let (_, phase) = state.open.swap_remove(place);
        // The client's time begins with the end of what it waited for. An answer that it did not ask for as a whole, or
        // did not take, gives it none.
        if let Phase::Working = phase {
            state.pace.restart(Instant::now());
        }
    }
}

impl Asked {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.connection.ended(self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::sleep;

    use super::*;

    const FIRST: Duration = Duration::from_secs(5);
    const IDLE: Duration = Duration::from_secs(20);

    fn connection() -> Arc<Connection> {
        Connection::new(Times {
            first: FIRST,
            idle: IDLE,
            bytes_per_second: 1000,
        })
    }

    async fn answered(connection: &Arc<Connection>) {
        let asked = connection.asked();
        connection.whole(asked.id());
        connection.answering(asked.id());
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_early_before_the_first_request_and_later_after_it() {
        let begun = Instant::now();
        assert_eq!(connection().over().await, End::Idle);
        assert_eq!(begun.elapsed(), FIRST);
        let asking = connection();
        sleep(FIRST / 2).await;
        answered(&asking).await;
        let begun = Instant::now();
        assert_eq!(asking.over().await, End::Idle);
        assert_eq!(begun.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_owed_keeps_a_connection() {
        let connection = connection();
        let asked = connection.asked();
        connection.whole(asked.id());
        assert_eq!(connection.late(Instant::now()), None);
        let working = async {
            sleep(IDLE * 10).await;
            drop(asked);
        };
        let begun = Instant::now();
        let (end, ()) = tokio::join!(connection.over(), working);
        assert_eq!(end, End::Idle);
        assert!(
            (IDLE * 11..=IDLE * 12).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_do_not_come_whole_give_no_time() {
        let connection = connection();
        let slow = async {
            loop {
                let asked = connection.asked();
                connection.came(10);
                sleep(Duration::from_secs(1)).await;
                connection.answering(asked.id());
            }
        };
        let begun = Instant::now();
        tokio::select! {
            end = connection.over() => assert_eq!(end, End::Late),
            () = slow => {}
        }
        assert!(
            begun.elapsed() <= IDLE + Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends_a_busy_connection() {
        let connection = connection();
        let held = connection.asked();
        connection.whole(held.id());
        connection.answering(held.id());
        let busy = async {
            loop {
                answered(&connection).await;
                sleep(Duration::from_millis(100)).await;
            }
        };
        let begun = Instant::now();
        tokio::select! {
            end = connection.over() => assert_eq!(end, End::Late),
            () = busy => {}
        }
        assert_eq!(begun.elapsed(), IDLE);
        assert!(connection.late(Instant::now()).unwrap() >= IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_and_an_answer_at_the_rate_go_on() {
        let connection = connection();
        let asked = connection.asked();
        let moving = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(1)).await;
                connection.came(1000);
            }
            connection.whole(asked.id());
            connection.answering(asked.id());
            for _ in 0..100 {
                sleep(Duration::from_secs(1)).await;
                connection.took(asked.id(), 1000);
            }
        };
        tokio::select! {
            end = connection.over() => panic!("{end:?}"),
            () = moving => {}
        }
    }
}
