//! All connections of a listener, and the choice of the connection to close.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Times};

/// An eviction closes one in this many of the connections that may be closed, so that searches are
/// rare.
const EVICTION_DIVISOR: usize = 64;
/// How often a full listener searches again for a connection that it may close.
const SEARCH_INTERVAL: Duration = Duration::from_millis(20);

/// Limits on the number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Connections in total.
    pub all: usize,
    /// Connections of one group, such as a network; 0 means no limit.
    pub of_a_group: usize,
    /// Minimum delay of a connection before a full listener closes it for a new one. If all clients
    /// keep the minimum rate, new connections wait instead.
    pub on_time: Duration,
    /// How long a connection may go without a complete request.
    pub times: Times,
}

/// The connection slots of a listener. The connections of a group `K` have an additional limit;
/// connections without a group do not.
#[derive(Debug)]
pub struct Places<K: Hash + Eq + Copy>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    limits: PlaceLimits,
    table: Mutex<Table<K>>,
    freed: Notify,
}

#[derive(Debug)]
struct Table<K> {
    next: u64,
    count: usize,
    groups: HashMap<Option<K>, HashMap<u64, Arc<Connection>>>,
}

/// The slot of one connection. Dropping it frees the slot.
#[derive(Debug)]
pub struct Place<K: Hash + Eq + Copy> {
    id: u64,
    group: Option<K>,
    connection: Arc<Connection>,
    places: Arc<Inner<K>>,
}

/// Error: a group is at its limit, and the server owes a response on each of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

/// The limit that is reached.
enum Full {
    All,
    Group,
}

impl<K: Hash + Eq + Copy> Places<K> {
    /// Creates a listener's slots, all free.
    #[must_use]
    pub fn new(limits: PlaceLimits) -> Self {
        let table = Table {
            next: 0,
            count: 0,
            groups: HashMap::new(),
        };
        Self(Arc::new(Inner {
            limits,
            table: Mutex::new(table),
            freed: Notify::new(),
        }))
    }

    /// Assigns a slot to a new connection. If all are taken, this closes the connections that have
    /// gone longest without a complete request. If the server owes responses on all of them, this
    /// waits.
    ///
    /// # Errors
    /// [`Crowded`] if the server owes responses on all connections of the group. The caller should
    /// close the new connection.
    pub async fn enter(&self, group: Option<K>) -> Result<Place<K>, Crowded> {
        loop {
            match self.try_enter(group) {
                Ok(place) => return Ok(place),
                Err(Full::Group) => return Err(Crowded),
                Err(Full::All) => {
                    // A connection can also become late enough without any slot being freed.
                    let _ = timeout(SEARCH_INTERVAL, self.0.freed.notified()).await;
                }
            }
        }
    }

    /// Closes a few connections when the process cannot open more files.
    pub fn make_room(&self) {
        self.0.table().evict(None, Duration::ZERO);
    }

    fn try_enter(&self, group: Option<K>) -> Result<Place<K>, Full> {
        let limits = self.0.limits;
        let mut table = self.0.table();
        let in_group = table.groups.get(&group).map_or(0, HashMap::len);
        let limited = group.is_some() && limits.of_a_group > 0;
        if limited && in_group >= limits.of_a_group && !table.evict(Some(group), Duration::ZERO) {
            return Err(Full::Group);
        }
        if table.count >= limits.all && !table.evict(None, limits.on_time) {
            return Err(Full::All);
        }
        let id = table.next;
        table.next += 1;
        table.count += 1;
        let connection = Connection::new(limits.times);
        let entry = Arc::clone(&connection);
        table.groups.entry(group).or_default().insert(id, entry);
        drop(table);
        Ok(Place {
            id,
            group,
            connection,
            places: Arc::clone(&self.0),
        })
    }
}

impl<K: Hash + Eq + Copy> Inner<K> {
    fn table(&self) -> MutexGuard<'_, Table<K>> {
        // No method panics between two changes that belong together, so a poisoned lock is usable.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Copy> Table<K> {
    /// Closes the most delayed connections, of one group or of all, whose delay is at least
    /// `at_least`. Returns false if there is none.
    fn evict(&mut self, only: Option<Option<K>>, at_least: Duration) -> bool {
        let now = Instant::now();
        let groups = self
            .groups
            .iter()
            .filter(|(group, _)| only.is_none_or(|only| only == **group));
        let mut late: Vec<(Duration, Option<K>, u64)> = groups
            .flat_map(|(group, connections)| {
                connections
                    .iter()
                    .map(|(id, connection)| (*group, *id, connection))
            })
            .filter_map(|(group, id, connection)| Some((connection.late(now)?, group, id)))
            .filter(|(late, ..)| *late >= at_least)
            .collect();
        if late.is_empty() {
            return false;
        }
        let count = (late.len() / EVICTION_DIVISOR).max(1);
        late.select_nth_unstable_by(count - 1, |a, b| b.0.cmp(&a.0));
        for (_, group, id) in late.into_iter().take(count) {
            if let Some(connection) = self.remove(group, id) {
                connection.evict();
            }
        }
        true
    }

    fn remove(&mut self, group: Option<K>, id: u64) -> Option<Arc<Connection>> {
        let connections = self.groups.get_mut(&group)?;
        let connection = connections.remove(&id)?;
        if connections.is_empty() {
            self.groups.remove(&group);
        }
        self.count -= 1;
        Some(connection)
    }
}

impl<K: Hash + Eq + Copy> Place<K> {
    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl<K: Hash + Eq + Copy> Drop for Place<K> {
    fn drop(&mut self) {
        // An evicted connection has already left the table.
        self.places.table().remove(self.group, self.id);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn places(all: usize, of_a_group: usize) -> Places<u8> {
        let times = Times {
            first: SECOND * 5,
            idle: SECOND * 20,
            bytes_per_second: 1000,
        };
        Places::new(PlaceLimits {
            all,
            of_a_group,
            on_time: SECOND / 5,
            times,
        })
    }

    fn is_evicted(place: &Place<u8>) -> bool {
        place.connection().cut().is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_without_a_request_for_longest_makes_room() {
        let places = places(3, 0);
        let silent = places.enter(Some(1)).await.unwrap();
        tokio::time::advance(SECOND).await;
        let asking = places.enter(Some(1)).await.unwrap();
        tokio::time::advance(SECOND).await;
        let fresh = places.enter(Some(2)).await.unwrap();
        let asked = asking.connection().asked();
        asking.connection().complete_request(asked.id());
        tokio::time::advance(SECOND / 10).await;
        let next = places.enter(Some(3)).await.unwrap();
        assert!(is_evicted(&silent) && !is_evicted(&asking) && !is_evicted(&fresh));
        // A connection on which a response is owed is never closed.
        tokio::time::advance(SECOND * 30).await;
        let last = places.enter(Some(4)).await.unwrap();
        assert!(!is_evicted(&asking) && is_evicted(&fresh) && !is_evicted(&last));
        drop((silent, fresh, next, last, asking));
        assert_eq!(places.0.table().count, 0);
        assert!(places.0.table().groups.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_at_its_limit_makes_room_among_its_own() {
        let places = places(100, 2);
        let other = places.enter(Some(2)).await.unwrap();
        let proxy: Vec<_> = futures_of(&places, None, 5).await;
        tokio::time::advance(SECOND).await;
        let own = futures_of(&places, Some(1), 2).await;
        let third = places.enter(Some(1)).await.unwrap();
        assert_eq!(own.iter().filter(|place| is_evicted(place)).count(), 1);
        assert!(!is_evicted(&other) && !is_evicted(&third) && !proxy.iter().any(is_evicted));
        // When all are busy, the group's next connection is refused, and another group's is
        // accepted.
        let left = own.iter().find(|place| !is_evicted(place)).unwrap();
        let asked: Vec<_> = [left, &third]
            .map(|place| place.connection().asked())
            .into();
        for asked in &asked {
            asked.connection().complete_request(asked.id());
        }
        assert_eq!(places.enter(Some(1)).await.unwrap_err(), Crowded);
        assert!(places.enter(Some(2)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_owes_answers_everywhere_waits() {
        let places = places(1, 0);
        let busy = places.enter(None).await.unwrap();
        let asked = busy.connection().asked();
        busy.connection().complete_request(asked.id());
        let ending = async {
            tokio::time::sleep(SECOND).await;
            drop((asked, busy));
        };
        let begun = Instant::now();
        let (next, ()) = tokio::join!(places.enter(None), ending);
        assert!(next.is_ok() && begun.elapsed() >= SECOND);
    }

    async fn futures_of(places: &Places<u8>, group: Option<u8>, count: usize) -> Vec<Place<u8>> {
        let mut entered = Vec::new();
        for _ in 0..count {
            entered.push(places.enter(group).await.unwrap());
        }
        entered
    }
}
