//! The state that all handles of a queue in one process share, and the steps of a message.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::files::Files;
use super::micros;
use super::name::{Found, Name, State};
use crate::{Delivery, Lease};

/// Period for which the result of a scan is used before the directory is scanned again.
const SCAN_CACHE_PERIOD: Duration = Duration::from_secs(5);

/// Maximum number of cached leases. Above it, expired leases are removed from the cache.
const MOST_CACHED_LEASES: usize = 1024;

/// Number of attempts to find a file whose name another operation of this process has just changed.
const FIND_ATTEMPTS: usize = 3;

pub(super) struct Shared {
    pub(super) files: Files,
    pub(super) location: String,
    pub(super) lease_time: Duration,
    /// Whether this is a queue of rejected messages, which has no place for messages that it
    /// rejects itself.
    pub(super) is_rejected: bool,
    pub(super) listed: Mutex<Listed>,
    /// The files of the leases that this handle received. A lease that is not in the cache is
    /// searched in the directory.
    pub(super) leases: Mutex<HashMap<String, Found>>,
}

/// The ready messages at the time of the last scan, the oldest first.
#[derive(Default)]
pub(super) struct Listed {
    found: VecDeque<Found>,
    at: Option<std::time::Instant>,
}

/// The reason why a step failed.
pub(super) enum Failure {
    /// The file does not have the name that belongs to the lease.
    Lost,
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Shared {
    /// Leases the oldest ready message, if there is one.
    pub(super) fn lease_next(&self) -> Result<Option<Delivery>, Failure> {
        loop {
            let Some(found) = self.next_listed()? else {
                return Ok(None);
            };
            let now = SystemTime::now();
            let name = Name {
                time: micros(now + self.lease_time),
                attempt: found.name.attempt.saturating_add(1),
                leased: true,
                ..found.name.clone()
            };
            match self.files.move_to(&found, &self.files, State::Held, &name) {
                Ok(()) => {}
                // Another receiver has leased the message.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            }
            let state = State::Held;
            let leased = Found { state, name };
            // The file is absent only if the lease expired before this read and another receiver
            // leased the message.
            let Some(body) = self.files.read(&leased)? else {
                continue;
            };
            let reason = if self.is_rejected {
                self.files.reason(&leased.name.id)?
            } else {
                None
            };
            let lease = leased.name.lease();
            let delivery = Delivery {
                body,
                lease: Lease::new(lease.clone()),
                attempt: Some(leased.name.attempt),
                published: Some(UNIX_EPOCH + Duration::from_micros(leased.name.published)),
                reason,
            };
            self.cache_lease(lease, leased, micros(now));
            return Ok(Some(delivery));
        }
    }

    /// Returns a message that was ready at the last scan. Scans the directory again if the result
    /// of the last scan is used up or old.
    fn next_listed(&self) -> io::Result<Option<Found>> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = listed.at.is_some_and(|at| at.elapsed() < SCAN_CACHE_PERIOD);
        if listed.found.is_empty() || !fresh {
            listed.found = self.files.list_ready(micros(SystemTime::now()))?.into();
            listed.at = Some(std::time::Instant::now());
        }
        Ok(listed.found.pop_front())
    }

    fn cache_lease(&self, lease: String, leased: Found, now: u64) {
        let mut leases = self.leases();
        if leases.len() >= MOST_CACHED_LEASES {
            // Remove the leases of workers that never completed them.
            leases.retain(|_, found| found.name.time > now);
        }
        leases.insert(lease, leased);
    }

    pub(super) fn put_back(&self, lease: &Lease, delay: Duration) -> Result<(), Failure> {
        let time = micros(SystemTime::now() + delay);
        let state = if delay.is_zero() {
            State::Ready
        } else {
            State::Held
        };
        self.end_lease(lease, |files, found| {
            let leased = false;
            let name = found.name.clone();
            files.move_to(
                found,
                files,
                state,
                &Name {
                    time,
                    leased,
                    ..name
                },
            )
        })
        .map(drop)
    }

    pub(super) fn extend(&self, lease: &Lease, by: Duration) -> Result<(), Failure> {
        let time = micros(SystemTime::now() + by);
        let mut leases = self.leases();
        let extended = |found: &Found| Found {
            state: State::Held,
            name: Name {
                time,
                ..found.name.clone()
            },
        };
        let found = self.step(&mut leases, lease, |files, found| {
            files.move_to(found, files, State::Held, &extended(found).name)
        })?;
        leases.insert(lease.as_str().to_owned(), extended(&found));
        Ok(())
    }

    /// Performs the last step with a leased message.
    pub(super) fn end_lease(
        &self,
        lease: &Lease,
        step: impl Fn(&Files, &Found) -> io::Result<()>,
    ) -> Result<Found, Failure> {
        self.step(&mut self.leases(), lease, step)
    }

    /// Performs a step with a leased message, wherever its file is, and removes the lease from the
    /// cache. The lock serialises the steps of this process; the file system serialises those of
    /// different processes.
    fn step(
        &self,
        leases: &mut HashMap<String, Found>,
        lease: &Lease,
        step: impl Fn(&Files, &Found) -> io::Result<()>,
    ) -> Result<Found, Failure> {
        let mut next = leases.remove(lease.as_str());
        for _ in 0..FIND_ATTEMPTS {
            // Not in the cache: another handle received the lease, or renewed it since.
            let Some(found) = next.take().map_or_else(
                || self.files.find_held(lease.as_str()),
                |found| Ok(Some(found)),
            )?
            else {
                continue;
            };
            match step(&self.files, &found) {
                Ok(()) => return Ok(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    leases.insert(lease.as_str().to_owned(), found);
                    return Err(error.into());
                }
            }
        }
        Err(Failure::Lost)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, Found>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
