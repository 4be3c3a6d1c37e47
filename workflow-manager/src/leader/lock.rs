//! Leader election by objects in the processor's own bucket. Objects never change: each acquisition
//! or renewal of the lease is an epoch with its own object. The process that creates the next epoch
//! first is the leader.

use async_trait::async_trait;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tallybox_model::path::{LEADER_DIRECTORY, leader, leader_epoch};
use tallybox_service::clock::Clock;
use tallybox_transport::{BucketError, Created, ListRange, Records, SharedBucket};

use super::{Election, Leadership};
use crate::error::Error;

/// Largest epoch object that is read, in bytes.
const EPOCH_LIMIT: u64 = 4096;

/// Leader election by objects in a bucket.
#[derive(Debug)]
pub struct BucketLock {
    /// The processor's own bucket.
    pub own: SharedBucket,
    /// The keys that authenticate and verify the epochs.
    pub records: Records,
    /// The identity of this process, unique among all processes.
    pub holder: String,
    /// Duration of an epoch, in milliseconds.
    pub lease_millis: i64,
    /// The clock.
    pub clock: Clock,
}

/// The content of an epoch object.
#[derive(Debug, Serialize, Deserialize)]
struct Epoch {
    format: u64,
    holder: String,
    expires: i64,
}

/// The newest epoch, and the older ones that still exist.
struct Epochs {
    newest: u64,
    older: Vec<u64>,
}

#[async_trait]
impl Election for BucketLock {
    async fn campaign(&self) -> Result<Leadership, Error> {
        let now = self.clock.millis();
        let Some(epochs) = self.epochs().await? else {
            return self.acquire(1, Vec::new(), now + self.lease_millis).await;
        };
        match self.read(epochs.newest).await? {
            Some(epoch) if epoch.holder != self.holder && now < epoch.expires => {
                Ok(Leadership::Theirs {
                    holder: epoch.holder,
                })
            }
            Some(_) => {
                let Epochs { newest, mut older } = epochs;
                older.push(newest);
                self.acquire(newest.saturating_add(1), older, now + self.lease_millis)
                    .await
            }
            // Removed since the listing: another process has created a newer epoch.
            None => Ok(somebody()),
        }
    }

    async fn resign(&self) -> Result<(), Error> {
        let Some(Epochs { newest, mut older }) = self.epochs().await? else {
            return Ok(());
        };
        let ours = self.read(newest).await?;
        if ours.is_some_and(|epoch| epoch.holder == self.holder) {
            older.push(newest);
            // An epoch that has already expired lets another process take over at once.
            self.acquire(newest.saturating_add(1), older, 0).await?;
        }
        Ok(())
    }

    fn location(&self) -> String {
        format!("{}: {LEADER_DIRECTORY}/", self.own.location())
    }
}

impl BucketLock {
    async fn epochs(&self) -> Result<Option<Epochs>, BucketError> {
        let mut entries = self
            .own
            .list(LEADER_DIRECTORY, ListRange::default())
            .await?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next().await {
            found.extend(leader_epoch(&entry?.key));
        }
        found.sort_unstable();
        Ok(found.pop().map(|newest| Epochs {
            newest,
            older: found,
        }))
    }

    async fn read(&self, epoch: u64) -> Result<Option<Epoch>, Error> {
        let key = leader(epoch);
        let Some(bytes) = self.records.read(&*self.own, &key, EPOCH_LIMIT).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Error::Damaged {
                object: format!("{}: {key}", self.own.location()),
                problem: error.to_string(),
            })
    }

    /// Creates the next epoch, unless another process has created it, and removes the older ones.
    async fn acquire(
        &self,
        epoch: u64,
        older: Vec<u64>,
        expires: i64,
    ) -> Result<Leadership, Error> {
        let object = Epoch {
            format: 1,
            holder: self.holder.clone(),
            expires,
        };
        let bytes =
            serde_json::to_vec(&object).map_err(|error| Error::Internal(error.to_string()))?;
        if self.records.put(&*self.own, &leader(epoch), &bytes).await? == Created::Exists {
            return Ok(somebody());
        }
        // Older epochs are removed only when the newer one exists, so one always exists.
        for old in older {
            self.own.delete(&leader(old)).await?;
        }
        Ok(Leadership::Ours)
    }
}

fn somebody() -> Leadership {
    Leadership::Theirs {
        holder: "another".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_model::role::Role;
    use tallybox_transport::{RecordKey, memory};
    use zeroize::Zeroizing;

    fn lock(own: &SharedBucket, holder: &str, clock: &Clock) -> BucketLock {
        let key = RecordKey::from_bytes(Zeroizing::new([7; 32]));
        let instance = "us-ca-example".parse().unwrap();
        BucketLock {
            own: own.clone(),
            records: Records::of_processor([key], &instance, Role::First).unwrap(),
            holder: holder.to_owned(),
            lease_millis: 60_000,
            clock: clock.clone(),
        }
    }

    #[tokio::test]
    async fn one_leads_until_its_lease_ends_or_it_resigns() {
        let (own, clock) = (memory("own"), Clock::manual(1_000_000));
        let [one, two] = ["one", "two"].map(|name| lock(&own, name, &clock));
        let theirs = |name: &str| Leadership::Theirs {
            holder: name.to_owned(),
        };
        assert_eq!(one.campaign().await.unwrap(), Leadership::Ours);
        assert_eq!(two.campaign().await.unwrap(), theirs("one"));
        clock.set(1_050_000);
        assert_eq!(one.campaign().await.unwrap(), Leadership::Ours);
        clock.set(1_100_000);
        assert_eq!(
            two.campaign().await.unwrap(),
            theirs("one"),
            "the second epoch lasts"
        );
        clock.set(1_110_000);
        assert_eq!(two.campaign().await.unwrap(), Leadership::Ours);
        assert_eq!(one.campaign().await.unwrap(), theirs("two"));
        one.resign().await.unwrap();
        assert_eq!(
            one.campaign().await.unwrap(),
            theirs("two"),
            "a lease that is not held cannot be ended"
        );
        two.resign().await.unwrap();
        assert_eq!(one.campaign().await.unwrap(), Leadership::Ours);
        let epochs = one.epochs().await.unwrap().unwrap();
        assert_eq!(
            (epochs.newest, epochs.older.len()),
            (5, 0),
            "older epochs are removed"
        );
    }

    #[tokio::test]
    async fn of_two_at_once_one_leads() {
        let (own, clock) = (memory("own"), Clock::manual(0));
        let [one, two] = ["one", "two"].map(|name| lock(&own, name, &clock));
        assert_eq!(
            one.acquire(1, Vec::new(), 10).await.unwrap(),
            Leadership::Ours
        );
        assert_eq!(two.acquire(1, Vec::new(), 10).await.unwrap(), somebody());
    }
}
