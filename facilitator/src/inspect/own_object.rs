//! Objects of a processor's own bucket, identified by their names.

use super::name::{BATCH_COMPONENTS, SUM_PART_COMPONENTS, sum_part, tail};
use tallybox_model::extensions::{ANNOUNCED, ROSTERS_FROM, ROSTERS_UNTIL};
use tallybox_model::path::{
    BatchName, FailedProofs, SumPartName, bucket_created, leader_epoch, pinned_point,
};
use tallybox_model::role::Role;
use tallybox_model::roster::{RosterObject, WindowName, chain};
use tallybox_model::task::TaskMarker;
use tallybox_model::time::BatchTime;

/// An object of a processor's own bucket that is not a batch.
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
    Fixed(SumPartName),
    /// The pinned evaluation point of a packet key.
    Point,
    /// The date under which a batch was first seen.
    FirstSeen,
    /// Without rosters: the window that sums a batch.
    Summed,
    /// The number of a batch's proofs that failed under a packet key.
    FailedProofs(FailedProofs),
    /// The time of the bucket's first use.
    BucketCreated,
    /// The first window of this processor's rosters of an aggregation.
    Chain,
    /// An object of a window, such as a roster, the agreed set, or the marker of completion.
    Window(WindowName, RosterObject),
    /// Without rosters: the batches that the task of a window names.
    Batches(WindowName),
    /// The announced or fixed use of rosters.
    Switch,
    /// The marker of a started task.
    Marker,
    /// The record of the leading workflow manager.
    Leader,
}

impl OwnObject {
    /// Parses the end of a key. Returns the object and the number of components parsed; `None` if
    /// the name is not that of such an object.
    #[must_use]
    pub fn parse(key: &str) -> Option<(Self, usize)> {
        // This one is first, since the end of its name could match another kind.
        failed_proofs(key)
            .or_else(|| prepared(key))
            .or_else(|| fixed(key))
            .or_else(|| summed(key))
            .or_else(|| small(key))
            .or_else(|| window(key))
            .or_else(|| scheduled(key))
            .or_else(|| created(key))
    }
}

fn failed_proofs(key: &str) -> Option<(OwnObject, usize)> {
    // The directory, the instance and the packet key precede the batch.
    let components = BATCH_COMPONENTS + 3;
    let count = FailedProofs::parse(tail(key, components)?)?;
    Some((OwnObject::FailedProofs(count), components))
}

fn prepared(key: &str) -> Option<(OwnObject, usize)> {
    let key = tail(key, BATCH_COMPONENTS)?;
    let (folder, file) = key.rsplit_once('/')?;
    let mut components = file.split('.');
    let (id, sealing_key) = (components.next()?, components.next()?);
    let batch = BatchName::parse(&format!("{folder}/{id}"))?;
    let canonical = batch.prepared(sealing_key) == key;
    canonical.then(|| {
        (
            OwnObject::Prepared {
                batch,
                sealing_key: sealing_key.to_owned(),
            },
            BATCH_COMPONENTS,
        )
    })
}

fn fixed(key: &str) -> Option<(OwnObject, usize)> {
    let components = SUM_PART_COMPONENTS + 1;
    let key = tail(key, components)?;
    let stem = tail(key, SUM_PART_COMPONENTS)?;
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    // The name does not contain the processor, since the record belongs to the owner of the bucket.
    // Any role will do to parse it.
    let name = sum_part(stem, Role::First)?;
    (name.fixed() == key).then_some((OwnObject::Fixed(name), components))
}

fn summed(key: &str) -> Option<(OwnObject, usize)> {
    let components = BATCH_COMPONENTS + 1;
    BatchName::from_summed(tail(key, components)?)?;
    Some((OwnObject::Summed, components))
}

fn small(key: &str) -> Option<(OwnObject, usize)> {
    let key = tail(key, 3)?;
    let mut parts = key.split('/');
    let (_, middle, last) = (parts.next()?, parts.next()?, parts.next()?);
    if let Ok(instance) = middle.parse()
        && pinned_point(&instance, last) == key
    {
        return Some((OwnObject::Point, 3));
    }
    let date = BatchTime::from_millis(0)?;
    let batch = BatchName {
        aggregation: middle.parse().ok()?,
        date,
        id: last.parse().ok()?,
    };
    (batch.first_seen() == key).then_some((OwnObject::FirstSeen, 3))
}

fn window(key: &str) -> Option<(OwnObject, usize)> {
    let key = tail(key, 3)?;
    if let Some((window, object)) = RosterObject::parse(key) {
        return Some((OwnObject::Window(window, object), 3));
    }
    if let Some(window) = WindowName::from_batches(key) {
        return Some((OwnObject::Batches(window), 3));
    }
    let aggregation = key.split('/').nth(1)?.parse().ok()?;
    (chain(&aggregation) == key).then_some((OwnObject::Chain, 3))
}

/// Parses the names of the workflow manager's objects, whose directories have one level.
fn scheduled(key: &str) -> Option<(OwnObject, usize)> {
    let key = tail(key, 2)?;
    if [ANNOUNCED, ROSTERS_FROM, ROSTERS_UNTIL].contains(&key) {
        return Some((OwnObject::Switch, 2));
    }
    if leader_epoch(key).is_some() {
        return Some((OwnObject::Leader, 2));
    }
    TaskMarker::parse(key).map(|_| (OwnObject::Marker, 2))
}

fn created(key: &str) -> Option<(OwnObject, usize)> {
    let key = tail(key, 2)?;
    let (_, instance) = key.split_once('/')?;
    (bucket_created(&instance.parse().ok()?) == key).then_some((OwnObject::BucketCreated, 2))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STEM: &str = "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn own_objects_are_known_by_name() {
        let batch = BatchName::parse(STEM).unwrap();
        let parse =
            |key: String| OwnObject::parse(&format!("some/dir/{key}")).map(|(object, _)| object);
        let sealing_key = "00112233".to_owned();
        let prepared = OwnObject::Prepared {
            batch: batch.clone(),
            sealing_key,
        };
        assert_eq!(parse(batch.prepared("00112233")), Some(prepared));
        assert_eq!(parse(batch.first_seen()), Some(OwnObject::FirstSeen));
        assert_eq!(parse(batch.summed()), Some(OwnObject::Summed));
        let count = FailedProofs {
            instance: "interop".parse().unwrap(),
            key: "0011223344556677".to_owned(),
            batch: batch.clone(),
            failed: 12,
        };
        assert_eq!(parse(count.object()), Some(OwnObject::FailedProofs(count)));
        assert_eq!(
            parse("points/interop/0011223344556677".to_owned()),
            Some(OwnObject::Point)
        );
        let part = sum_part("i/a/202311142200-202311142300", Role::First).unwrap();
        assert_eq!(parse(part.fixed()), Some(OwnObject::Fixed(part)));
        assert_eq!(
            parse(bucket_created(&"interop".parse().unwrap())),
            Some(OwnObject::BucketCreated)
        );
        let done = parse("windows/i/202311142200-202311142300.done".to_owned());
        assert!(
            matches!(done, Some(OwnObject::Window(window, RosterObject::Done)) if window.to_string() == "i/202311142200-202311142300")
        );
        assert_eq!(parse("windows/i/202311142200.done".to_owned()), None);
        assert_eq!(parse(format!("{STEM}.00.prepared.old")), None);
    }
}
