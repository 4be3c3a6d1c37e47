//! The state of one connection: requests being received, processed and answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::TransferRate;

/// How long a connection may go without a complete request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From the start of the connection to the head of its first request, including the TLS
    /// handshake.
    pub first: Duration,
    /// After the first request head. Bodies and responses that move at `bytes_per_second` do not
    /// count.
    pub idle: Duration,
    /// Minimum rate at which a client sends a body and reads a response.
    pub bytes_per_second: u32,
}

/// Reasons why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No request is open.
    Idle,
    /// The client is too slow in sending its request or reading its response.
    Late,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    times: Times,
    state: Mutex<State>,
    cut: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Delay of the client with the next complete request.
    pace: TransferRate,
    /// True once the head of a request has arrived.
    asked: bool,
    next: u64,
    open: Vec<(u64, Phase)>,
}

/// The state of a request.
#[derive(Debug)]
enum Phase {
    /// The body is arriving, or the client stopped sending it.
    Coming,
    /// The request is complete, and the server owes the response.
    Working,
    /// The client is reading the response.
    Answering(TransferRate),
}

/// A request, from its head to the end of its response.
#[derive(Debug)]
pub struct Asked {
    connection: Arc<Connection>,
    id: u64,
}

impl Connection {
    /// Starts the measurement for a new connection.
    #[must_use]
    pub fn new(times: Times) -> Arc<Self> {
        let state = State {
            pace: TransferRate::new(times.bytes_per_second, Instant::now()),
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

    /// Registers a request whose head has arrived.
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

    /// Closes the connection because another one needs its slot or its memory.
    pub fn evict(&self) {
        self.cut.cancel();
    }

    /// Waits until the connection has to be closed for another one.
    pub async fn evicted(&self) {
        self.cut.cancelled().await;
    }

    /// Returns the token that [`evict`](Self::evict) cancels.
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Waits until the client exceeds a time limit.
    pub async fn over(&self) -> End {
        loop {
            match self.check(Instant::now()) {
                Ok(end) => return end,
                Err(next) => sleep_until(next).await,
            }
        }
    }

    /// Returns whether a request has begun and its response is not complete.
    #[must_use]
    pub fn has_request(&self) -> bool {
        !self.state().open.is_empty()
    }

    /// Returns the delay of the client, or `None` while the server owes it a response.
    pub(super) fn late(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let mut late = state.pace.late(now);
        for (_, phase) in &state.open {
            match phase {
                Phase::Working => return None,
                Phase::Answering(pace) => late = late.max(pace.late(now)),
                // `pace` already measures an arriving body.
                Phase::Coming => {}
            }
        }
        Some(late)
    }

    /// Returns why the connection is over, or else when to check again. That time is never later
    /// than the first limit that can be reached.
    fn check(&self, now: Instant) -> Result<End, Instant> {
        let state = self.state();
        let limit = if state.asked {
            self.times.idle
        } else {
            self.times.first
        };
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
        // No method panics between two changes that belong together, so a poisoned lock is usable.
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

/// Progress reports from the bodies of a request and its response.
impl Connection {
    /// Counts received bytes of a request body.
    pub(super) fn count_received(&self, bytes: usize) {
        self.state().pace.moved(bytes, Instant::now());
    }

    /// Marks a request as completely received.
    pub(super) fn complete_request(&self, id: u64) {
        let mut state = self.state();
        if let Some(phase @ Phase::Coming) = state.phase(id) {
            *phase = Phase::Working;
            state.pace.restart(Instant::now());
        }
    }

    /// Marks the start of the response. An incomplete request does not reset the delay of its
    /// connection.
    pub(super) fn start_response(&self, id: u64) {
        let now = Instant::now();
        let answering = Phase::Answering(TransferRate::new(self.times.bytes_per_second, now));
        let mut state = self.state();
        let Some(phase) = state.phase(id) else { return };
        if let Phase::Working = std::mem::replace(phase, answering) {
            state.pace.restart(now);
        }
    }

    /// Counts the bytes of a response that the client has read.
    pub(super) fn count_sent(&self, id: u64, bytes: usize) {
        let now = Instant::now();
        let mut state = self.state();
        // These bytes count for the connection, too: reading a long response is not idleness.
        state.pace.moved(bytes, now);
        if let Some(Phase::Answering(pace)) = state.phase(id) {
            pace.moved(bytes, now);
        }
    }

    fn end_request(&self, id: u64) {
        let mut state = self.state();
        let Some(index) = state.open.iter().position(|(open, _)| *open == id) else {
            return;
        };
        let (_, phase) = state.open.swap_remove(index);
        // The client's time limit starts again when a complete request has ended. A response to an
        // incomplete request, or one that the client did not read, does not reset the delay.
        if let Phase::Working = phase {
            state.pace.restart(Instant::now());
        }
    }
}

impl Asked {
    /// Returns the connection.
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
        self.connection.end_request(self.id);
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
        connection.complete_request(asked.id());
        connection.start_response(asked.id());
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
        connection.complete_request(asked.id());
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
                connection.count_received(10);
                sleep(Duration::from_secs(1)).await;
                connection.start_response(asked.id());
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
        connection.complete_request(held.id());
        connection.start_response(held.id());
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
                connection.count_received(1000);
            }
            connection.complete_request(asked.id());
            connection.start_response(asked.id());
            for _ in 0..100 {
                sleep(Duration::from_secs(1)).await;
                connection.count_sent(asked.id(), 1000);
            }
        };
        tokio::select! {
            end = connection.over() => panic!("{end:?}"),
            () = moving => {}
        }
    }
}
