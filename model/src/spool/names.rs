//! The object names of a spool. All are below the instance, so localities may share a bucket.

use crate::id::Instance;
use crate::time::BatchTime;
use std::fmt;

/// Names everything that an ingestor keeps for one instance.
///
/// ```text
/// {instance}/slabs/{DATE}/{replica}-{number}.slab    accepted reports, as they came
/// {instance}/slabs/{DATE}/carried.slab               what was too little for a batch in the window of DATE
/// {instance}/origin                                  the first window that was planned
/// {instance}/plans/{DATE}.plan                       what the batches of the window are made of
/// {instance}/lists/{DATE}/{partition}.list           what will be published
/// {instance}/written/{DATE}/{partition}.done         that it was
/// {instance}/unconfirmed/{DATE}/{partition}.{tag}    objects that mailboxes only say to hold
/// {instance}/records/{DATE}.{secret id}.record       what was batched, sealed; with it the window is done
/// {instance}/points/{key}                            which pair of keys an evaluation point was drawn for
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolNames {
    instance: Instance,
}

/// The name of a slab.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlabName {
    /// Written by a server as reports came in.
    Received {
        /// Start of the window in which it was begun, by the server's clock.
        window: BatchTime,
        /// Random, one for each run of a server.
        replica: u64,
        /// Counts up from 0.
        number: u64,
    },
    /// Written by a batch job with what was too little.
    Carried {
        /// Start of the window that it was too little in.
        window: BatchTime,
    },
}

impl SlabName {
    /// The date in its name.
    #[must_use]
    pub fn window(&self) -> BatchTime {
        match self {
            Self::Received { window, .. } | Self::Carried { window } => *window,
        }
    }
}

impl fmt::Display for SlabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received {
                window,
                replica,
                number,
            } => write!(f, "{window}/{replica:016x}-{number:010}.slab"),
            Self::Carried { window } => write!(f, "{window}/carried.slab"),
        }
    }
}

impl SpoolNames {
    /// The names of one instance.
    #[must_use]
    pub fn new(instance: Instance) -> Self {
        Self { instance }
    }

    /// Whose they are.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The directory of all slabs.
    #[must_use]
    pub fn slabs(&self) -> String {
        format!("{}/slabs", self.instance)
    }

    /// A slab.
    #[must_use]
    pub fn slab(&self, name: &SlabName) -> String {
        format!("{}/{name}", self.slabs())
    }

    /// Reads the name of a slab back; `None` for any other object.
    #[must_use]
    pub fn parse_slab(&self, key: &str) -> Option<SlabName> {
        let rest = key.strip_prefix(&self.slabs())?.strip_prefix('/')?;
        let (window, file) = rest.rsplit_once('/')?;
        let window = window.parse().ok()?;
        let name = if file == "carried.slab" {
            SlabName::Carried { window }
        } else {
            let (replica, number) = file.strip_suffix(".slab")?.split_once('-')?;
            SlabName::Received {
                window,
                replica: u64::from_str_radix(replica, 16).ok()?,
                number: number.parse().ok()?,
            }
        };
        (self.slab(&name) == key).then_some(name)
    }

    /// The object that fixes the first window.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}/origin", self.instance)
    }

    /// The directory of all plans.
    #[must_use]
    pub fn plans(&self) -> String {
        format!("{}/plans", self.instance)
    }

    /// The plan of the window that starts then.
    #[must_use]
    pub fn plan(&self, start: BatchTime) -> String {
        format!("{}/{start}.plan", self.plans())
    }

    /// Reads the start of the window from the name of its plan.
    #[must_use]
    pub fn parse_plan(&self, key: &str) -> Option<BatchTime> {
        let rest = key.strip_prefix(&self.plans())?.strip_prefix('/')?;
        rest.strip_suffix(".plan")?.parse().ok()
    }

    /// The directory of the lists of a window.
    #[must_use]
    pub fn lists(&self, start: BatchTime) -> String {
        format!("{}/lists/{start}", self.instance)
    }

    /// The list of a partition's batches.
    #[must_use]
    pub fn list(&self, start: BatchTime, partition: u32) -> String {
        format!("{}/{partition:05}.list", self.lists(start))
    }

    /// The directory of the marks of a window's partitions.
    #[must_use]
    pub fn written(&self, start: BatchTime) -> String {
        format!("{}/written/{start}", self.instance)
    }

    /// The mark that a partition's batches are in both mailboxes.
    #[must_use]
    pub fn partition_written(&self, start: BatchTime, partition: u32) -> String {
        format!("{}/{partition:05}.done", self.written(start))
    }

    /// The directory of notes on objects that a mailbox only says to hold.
    #[must_use]
    pub fn unconfirmed(&self) -> String {
        format!("{}/unconfirmed", self.instance)
    }

    /// A note of a run of a batch job: which objects of this partition of a window mailboxes only say to hold. `tag` tells
    /// notes apart.
    #[must_use]
    pub fn unconfirmed_note(&self, start: BatchTime, partition: u32, tag: &str) -> String {
        format!("{}/{start}/{partition:05}.{tag}", self.unconfirmed())
    }

    /// Reads window and partition from the name of such a note.
    #[must_use]
    pub fn parse_unconfirmed(&self, key: &str) -> Option<(BatchTime, u32)> {
        let rest = key.strip_prefix(&self.unconfirmed())?.strip_prefix('/')?;
        let (start, file) = rest.rsplit_once('/')?;
        let (partition, _tag) = file.split_once('.')?;
        Some((start.parse().ok()?, partition.parse().ok()?))
    }

    /// The directory of all records.
    #[must_use]
    pub fn records(&self) -> String {
        format!("{}/records", self.instance)
    }

    /// The directory in which the record of a window stands, beside at most those of the same hour.
    #[must_use]
    pub fn records_near(&self, start: BatchTime) -> String {
        let hour = start.to_string();
        let hour = hour.rsplit_once('/').map_or("", |(hour, _)| hour);
        format!("{}/{hour}", self.records())
    }

    /// The sealed record of a window.
    #[must_use]
    pub fn record(&self, start: BatchTime, secret: &str) -> String {
        format!("{}/{start}.{secret}.record", self.records())
    }

    /// Reads window and secret from the name of a record.
    #[must_use]
    pub fn parse_record(&self, key: &str) -> Option<(BatchTime, String)> {
        let rest = key.strip_prefix(&self.records())?.strip_prefix('/')?;
        let (start, secret) = rest.strip_suffix(".record")?.split_once('.')?;
        Some((start.parse().ok()?, secret.to_owned()))
    }

    /// Which pair of keys the evaluation point of this key was drawn for; `key` is a digest of the key's id in hex.
    #[must_use]
    pub fn point(&self, key: &str) -> String {
        format!("{}/points/{key}", self.instance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_as_written_and_sort_by_window() {
        let names = SpoolNames::new("us-xx-ingestor".parse().unwrap());
        let window = "2026/11/23/10/00".parse().unwrap();
        let received = SlabName::Received {
            window,
            replica: 0xabc,
            number: 7,
        };
        let key = names.slab(&received);
        assert_eq!(
            key,
            "us-xx-ingestor/slabs/2026/11/23/10/00/0000000000000abc-0000000007.slab"
        );
        assert_eq!(names.parse_slab(&key), Some(received));
        let carried = SlabName::Carried { window };
        assert_eq!(names.parse_slab(&names.slab(&carried)), Some(carried));
        assert_eq!(names.parse_plan(&names.plan(window)), Some(window));
        assert_eq!(
            names.parse_record(&names.record(window, "ab")),
            Some((window, "ab".to_owned()))
        );
        for foreign in [
            "x",
            "us-xx-ingestor/slabs/2026/11/23/10/00/abc-7.slab",
            "us-xx-ingestor/slabs/carried.slab",
        ] {
            assert_eq!(names.parse_slab(foreign), None, "{foreign}");
        }
    }
}
