//! The kinds of objects in a processor's own bucket, according to their names.

use super::batch::{FIRST_SEEN, SUMMED};
use super::own_bucket::{BUCKET_CREATED, FAILED_PROOFS, LEADER_DIRECTORY, POINTS};
use super::sum_part::{FIXED, SUM_PARTS};
use super::unconfirmed::UNCONFIRMED;
use super::{BatchName, FailedProofs, SumPartName, Unconfirmed, leader_epoch};
use crate::extensions::{ANNOUNCED, ROSTERS_FROM, ROSTERS_UNTIL};
use crate::id::{AggregationId, BatchId, Instance};
use crate::role::Role;
use crate::roster::{RosterObject, WindowName, chain};
use crate::task::TaskMarker;

/// An object of a processor's own bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnObject {
    /// A prepared batch.
    Prepared {
        /// The batch.
        batch: BatchName,
        /// The identifier of the sealing key.
        sealing_key: String,
    },
    /// The record that fixes a sum part before it is published.
    FixedSumPart,
    /// The pinned evaluation point of a packet key.
    Point,
    /// The date under which a batch was first seen.
    FirstSeen,
    /// Without rosters: the window that sums a batch.
    Summed,
    /// The number of a batch's proofs that failed under a packet key.
    FailedProofs(FailedProofs),
    /// A note on an object that a mailbox only reports as existing.
    Unconfirmed,
    /// The time of the bucket's first use.
    BucketCreated,
    /// The first window of this processor's rosters of an aggregation.
    Chain,
    /// An object of a window, such as a roster, the agreed set, or the mark of completion.
    Window(WindowName, RosterObject),
    /// A second, different roster of the peer for a window.
    SecondRoster,
    /// Without rosters: the batches that the task of a window names.
    WindowBatches,
    /// The mark that an operator has released a window.
    Released,
    /// The mark that a window passed the scheduler's horizon.
    GivenUp,
    /// The mark that an operator has acknowledged such a window.
    Acknowledged,
    /// The announced or fixed use of rosters.
    RosterSwitch,
    /// The marker of a started task.
    TaskMarker,
    /// The record of the leading workflow manager.
    Leader,
}

impl OwnObject {
    /// Parses a name relative to the bucket; returns `None` for any other object. Only the
    /// canonical spelling is accepted.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (directory, rest) = key.split_once('/')?;
        match directory {
            SUM_PARTS => {
                // The name does not contain the processor: it owns the bucket. Any role will do.
                let stem = rest.strip_suffix(FIXED)?;
                SumPartName::parse(stem, Role::First).map(|_| Self::FixedSumPart)
            }
            POINTS => {
                let (instance, packet_key) = rest.split_once('/')?;
                instance.parse::<Instance>().ok()?;
                let named = !packet_key.is_empty() && !packet_key.contains('/');
                named.then_some(Self::Point)
            }
            FIRST_SEEN => {
                let (aggregation, id) = rest.split_once('/')?;
                aggregation.parse::<AggregationId>().ok()?;
                let canonical = id.parse::<BatchId>().ok()?.to_string() == id;
                canonical.then_some(Self::FirstSeen)
            }
            SUMMED => BatchName::parse(rest).map(|_| Self::Summed),
            FAILED_PROOFS => FailedProofs::parse(key).map(Self::FailedProofs),
            UNCONFIRMED => Unconfirmed::parse(key).map(|_| Self::Unconfirmed),
            BUCKET_CREATED => rest.parse::<Instance>().ok().map(|_| Self::BucketCreated),
            LEADER_DIRECTORY => leader_epoch(key).map(|_| Self::Leader),
            WindowName::DIRECTORY | WindowName::DONE_DIRECTORY => Self::of_window(key),
            WindowName::GIVEN_UP_DIRECTORY => {
                WindowName::from_given_up(key).map(|(_, acknowledged)| match acknowledged {
                    false => Self::GivenUp,
                    true => Self::Acknowledged,
                })
            }
            TaskMarker::DIRECTORY => TaskMarker::parse(key).map(|_| Self::TaskMarker),
            _ if [ANNOUNCED, ROSTERS_FROM, ROSTERS_UNTIL].contains(&key) => {
                Some(Self::RosterSwitch)
            }
            _ => BatchName::prepared_with(key).map(|(batch, sealing_key)| Self::Prepared {
                batch,
                sealing_key: sealing_key.to_owned(),
            }),
        }
    }

    fn of_window(key: &str) -> Option<Self> {
        if let Some((name, object)) = RosterObject::parse(key) {
            return Some(Self::Window(name, object));
        }
        if WindowName::from_batches(key).is_some() {
            return Some(Self::WindowBatches);
        }
        if WindowName::from_released(key).is_some() {
            return Some(Self::Released);
        }
        if WindowName::from_second_roster(key).is_some() {
            return Some(Self::SecondRoster);
        }
        let aggregation = key.split('/').nth(1)?.parse().ok()?;
        (chain(&aggregation) == key).then_some(Self::Chain)
    }
}
