//! A queue in a local directory for several concurrent processes. It needs no server, and no
//! message is lost if a process is killed at any moment.
//!
//! ```text
//! DIR/ready/STRETCH/NAME   may be received; a stretch is 64 seconds of the time in NAME
//! DIR/held/STRETCH/NAME    leased, or returned with a delay, until the time in NAME
//! DIR/staging/             messages that are being published
//! DIR/rejected/            the queue of rejected messages
//! DIR/rejected/reasons/ID  the reason of a rejection
//! ```
//!
//! A message is a file, and all its changing state is in its name:
//! `TIME-PUBLISHED-ATTEMPT-KIND-ID`, with times in microseconds since 1970. Every step except
//! rejection is a single rename or removal. Of several processes, one succeeds and the others find
//! that the name no longer exists; a killed process leaves the message in one place or the other.
//! Rejection takes two steps: the reason is written, then the message is moved.
//!
//! Published and rejected messages are durable when the call returns. Leases and acknowledgements
//! are not synced: after a power failure (but not after a kill), some messages that were
//! acknowledged shortly before may be delivered again.
//!
//! **Clocks.** Leases and delays use the machine's clock, which all its processes share. If the
//! clock is set forward by more than the remaining time of a lease, the message is delivered a
//! second time. If it is set back, held messages become ready later by the same amount. Ready
//! messages are not affected. The directory has to be on a local file system.

mod files;
mod name;
mod shared;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use tallybox_durable::{SharedDisk, SystemDisk};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::limits::{MESSAGE_BYTES, REJECTED_DELAY, fit_reason, too_large};
use crate::{Delivery, Depth, Lease, QueueError, TaskQueue};
use files::Files;
use name::Name;
use shared::{Failure, Shared};

/// Polling interval of a waiting receiver. Another process cannot notify it.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The directory of rejected messages.
const REJECTED: &str = "rejected";

/// A queue in a directory. Clones are the same queue, and so is any other queue of the same
/// directory in any process.
#[derive(Clone)]
pub struct DirectoryQueue {
    shared: Arc<Shared>,
}

impl DirectoryQueue {
    /// Creates the queue in `directory`, which the first message creates. The directory
    /// `X/rejected` is treated as the queue of messages that the queue `X` rejected.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, lease_time: Duration) -> Self {
        Self::on_disk(Arc::new(SystemDisk), directory, lease_time)
    }

    /// Creates the queue like [`Self::new`], but with the given implementation of durable file
    /// operations.
    #[must_use]
    pub fn on_disk(disk: SharedDisk, directory: impl Into<PathBuf>, lease_time: Duration) -> Self {
        let directory = directory.into();
        Self {
            shared: Arc::new(Shared {
                location: directory.display().to_string(),
                is_rejected: directory.file_name().is_some_and(|name| name == REJECTED),
                files: Files::new(directory, disk),
                lease_time,
                listed: Mutex::default(),
                leases: Mutex::default(),
            }),
        }
    }

    /// Returns the queue of rejected messages. A receiver reads them with their reasons and
    /// acknowledges them when they have been handled.
    #[must_use]
    pub fn rejected(&self) -> Self {
        if self.shared.is_rejected {
            return self.clone();
        }
        let files = &self.shared.files;
        Self::on_disk(
            files.disk(),
            files.root().join(REJECTED),
            self.shared.lease_time,
        )
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Shared) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, QueueError> {
        let shared = Arc::clone(&self.shared);
        let result = spawn_blocking(move || work(&shared)).await;
        let failure = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
            Err(stopped) => Failure::Io(io::Error::other(stopped)),
        };
        let queue = self.shared.location.clone();
        Err(match failure {
            Failure::Lost => QueueError::LeaseLost { queue },
            Failure::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                QueueError::PermissionDenied { queue, operation }
            }
            Failure::Io(error) => QueueError::Unavailable {
                queue,
                operation,
                source: error.into(),
            },
        })
    }
}

impl fmt::Debug for DirectoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryQueue")
            .field(&self.shared.location)
            .finish()
    }
}

#[async_trait]
impl TaskQueue for DirectoryQueue {
    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        too_large(&self.shared.location, body.len(), MESSAGE_BYTES)?;
        self.run("publish", move |shared| {
            let staged = shared.files.stage(&body)?;
            let now = micros(SystemTime::now());
            Ok(shared.files.publish(staged, now)?)
        })
        .await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        let end = Instant::now() + wait;
        loop {
            let delivery = self.run("receive", Shared::lease_next).await?;
            let now = Instant::now();
            if delivery.is_some() || now >= end {
                return Ok(delivery);
            }
            sleep_until(end.min(now + POLL_INTERVAL)).await;
        }
    }

    async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.run("ack", move |shared| {
            let found = shared.end_lease(&lease, Files::remove)?;
            // The reason of a rejected message is no longer needed.
            if shared.is_rejected {
                shared.files.delete_reason(&found.name.id);
            }
            Ok(())
        })
        .await
    }

    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.run("nack", move |shared| shared.put_back(&lease, delay))
            .await
    }

    async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), QueueError> {
        let lease = lease.clone();
        self.run("extend", move |shared| shared.extend(&lease, by))
            .await
    }

    async fn reject(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let lease = delivery.lease.clone();
        if self.shared.is_rejected {
            return self.nack(&lease, REJECTED_DELAY).await;
        }
        let reason = fit_reason(reason);
        let rejected = self.rejected();
        self.run("reject", move |shared| {
            let target = &rejected.shared.files;
            shared
                .end_lease(&lease, |files, found| {
                    target.write_reason(&found.name.id, &reason)?;
                    let name = Name {
                        time: micros(SystemTime::now()),
                        attempt: 0,
                        leased: false,
                        ..found.name.clone()
                    };
                    files.move_durably(found, target, &name)
                })
                .map(drop)
        })
        .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let rejected = self.rejected();
        self.run("depth", move |shared| {
            let now = micros(SystemTime::now());
            let (ready, held) = shared.files.count(now)?;
            let aside = if shared.is_rejected {
                None
            } else {
                let (ready, held) = rejected.shared.files.count(now)?;
                Some(ready + held)
            };
            Ok(Depth {
                ready: Some(ready),
                held: Some(held),
                rejected: aside,
            })
        })
        .await
    }

    fn lease_time(&self) -> Duration {
        self.shared.lease_time
    }

    fn location(&self) -> String {
        self.shared.location.clone()
    }
}

/// Microseconds since 1970.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod power_cuts;
#[cfg(test)]
mod tests;
