//! The object names of a spool. All names begin with the instance, so localities may share a
//! bucket.

use crate::id::Instance;
use crate::time::BatchTime;
use std::fmt;

/// The names of all objects that an ingestor stores for one instance.
///
/// ```text
/// {instance}/slabs/{DATE}/{replica}-{number}.slab    accepted reports, in order of arrival
/// {instance}/slabs/{DATE}/carried.slab               reports too few for a batch in the window of DATE
/// {instance}/origin                                  the first window that was planned
/// {instance}/plans/{DATE}.plan                       the inputs of the window's batches
/// {instance}/lists/{DATE}/{partition}.list           the content to publish
/// {instance}/written/{DATE}/{partition}.done         the mark that it is published
/// {instance}/unconfirmed/{DATE}/{partition}.{tag}    objects that mailboxes only report as existing
/// {instance}/records/{DATE}.{secret id}.record       the batched reports, sealed; completes the window
/// {instance}/points/{key}                            the key pair for which an evaluation point was drawn
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolNames {
    instance: Instance,
}

/// The name of a slab.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlabName {
    /// A slab written by a server as reports arrived.
    Received {
        /// Start of the window in which the slab was begun, by the server's clock.
        window: BatchTime,
        /// A random number for each run of a server.
        replica: u64,
        /// A number that counts up from 0 within the run.
        number: u64,
    },
    /// A slab written by a batch job with the reports that were too few for a batch.
    Carried {
        /// Start of the window in which the reports were too few.
        window: BatchTime,
    },
}

impl SlabName {
    /// Returns the date in the slab's name.
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
    /// Creates the names of one instance.
    #[must_use]
    pub fn new(instance: Instance) -> Self {
        Self { instance }
    }

    /// Returns the instance.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Returns the directory of all slabs.
    #[must_use]
    pub fn slabs(&self) -> String {
        format!("{}/slabs", self.instance)
    }

    /// Returns the name of a slab.
    #[must_use]
    pub fn slab(&self, name: &SlabName) -> String {
        format!("{}/{name}", self.slabs())
    }

    /// Parses the name of a slab; returns `None` for any other object.
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

    /// Returns the name of the object that fixes the first window.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}/origin", self.instance)
    }

    /// Returns the directory of all plans.
    #[must_use]
    pub fn plans(&self) -> String {
        format!("{}/plans", self.instance)
    }

    /// Returns the name of the plan of the window that starts then.
    #[must_use]
    pub fn plan(&self, start: BatchTime) -> String {
        format!("{}/{start}.plan", self.plans())
    }

    /// Parses the start of the window from the name of its plan.
    #[must_use]
    pub fn parse_plan(&self, key: &str) -> Option<BatchTime> {
        let rest = key.strip_prefix(&self.plans())?.strip_prefix('/')?;
        rest.strip_suffix(".plan")?.parse().ok()
    }

    /// Returns the directory of the lists of a window.
    #[must_use]
    pub fn lists(&self, start: BatchTime) -> String {
        format!("{}/lists/{start}", self.instance)
    }

    /// Returns the name of the list of a partition's batches.
    #[must_use]
    pub fn list(&self, start: BatchTime, partition: u32) -> String {
        format!("{}/{partition:05}.list", self.lists(start))
    }

    /// Returns the directory of the completion marks of a window's partitions.
    #[must_use]
    pub fn written(&self, start: BatchTime) -> String {
        format!("{}/written/{start}", self.instance)
    }

    /// Returns the name of the mark that a partition's batches are in both mailboxes.
    #[must_use]
    pub fn partition_written(&self, start: BatchTime, partition: u32) -> String {
        format!("{}/{partition:05}.done", self.written(start))
    }

    /// Returns the directory of notes on objects that a mailbox only reports as existing.
    #[must_use]
    pub fn unconfirmed(&self) -> String {
        format!("{}/unconfirmed", self.instance)
    }

    /// Returns the name of a batch job's note on the objects of this partition of a window that
    /// mailboxes only report as existing. `tag` distinguishes notes.
    #[must_use]
    pub fn unconfirmed_note(&self, start: BatchTime, partition: u32, tag: &str) -> String {
        format!("{}/{start}/{partition:05}.{tag}", self.unconfirmed())
    }

    /// Parses window and partition from the name of such a note.
    #[must_use]
    pub fn parse_unconfirmed(&self, key: &str) -> Option<(BatchTime, u32)> {
        let rest = key.strip_prefix(&self.unconfirmed())?.strip_prefix('/')?;
        let (start, file) = rest.rsplit_once('/')?;
        let (partition, _tag) = file.split_once('.')?;
        Some((start.parse().ok()?, partition.parse().ok()?))
    }

    /// Returns the directory of all records.
    #[must_use]
    pub fn records(&self) -> String {
        format!("{}/records", self.instance)
    }

    /// Returns the directory that contains the record of a window; it also contains the records of
    /// the same hour.
    #[must_use]
    pub fn records_near(&self, start: BatchTime) -> String {
        let hour = start.to_string();
        let hour = hour.rsplit_once('/').map_or("", |(hour, _)| hour);
        format!("{}/{hour}", self.records())
    }

    /// Returns the name of the sealed record of a window.
    #[must_use]
    pub fn record(&self, start: BatchTime, secret: &str) -> String {
        format!("{}/{start}.{secret}.record", self.records())
    }

    /// Parses window and secret id from the name of a record.
    #[must_use]
    pub fn parse_record(&self, key: &str) -> Option<(BatchTime, String)> {
        let rest = key.strip_prefix(&self.records())?.strip_prefix('/')?;
        let (start, secret) = rest.strip_suffix(".record")?.split_once('.')?;
        Some((start.parse().ok()?, secret.to_owned()))
    }

    /// Returns the name of the object that contains the key pair for which the evaluation point of
    /// this key was drawn. `key` is a digest of the key's id in hexadecimal.
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
