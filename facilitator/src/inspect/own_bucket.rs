//! Objects of a processor's own bucket: their kinds, and the trailer that authenticates a record.

use super::batch::Found;
use super::facts::Facts;
use super::inspector::Inspector;
use super::located::{Item, own_object};
use super::report::{ObjectFinding, ObjectProblem};
use crate::error::Error;
use tallybox_model::path::{OwnObject, possible_keys};
use tallybox_model::roster::RosterObject;
use tallybox_transport::{
    RecordFault, Records, SharedBucket, TRAILER_BYTES, memory, publish_bytes, read_all,
};

/// The title of a record that fixes a sum part.
pub(super) const FIXED_TITLE: &str = "record of a sum part that will be published";
/// The largest record that is opened.
const RECORD_BYTES: u64 = 64 << 20;

/// The form of content that an object of the own bucket has according to its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// A short text that may be shown.
    Text,
    /// A text that must not be shown.
    Secret,
    /// JSON that fixes a sum part.
    FixedSumPart,
    /// A prepared batch.
    Prepared,
    /// A roster.
    Roster,
    /// A sealed file that begins with these bytes.
    Sealed(&'static [u8]),
}

/// The kind of an object of the own bucket.
#[derive(Debug)]
pub(super) struct OwnKind {
    /// The kind, for machines.
    pub(super) name: &'static str,
    /// The kind, for people.
    pub(super) title: &'static str,
    pub(super) content: Content,
    /// True if an object of this kind is a record wherever it is found.
    is_record: bool,
}

impl OwnKind {
    pub(super) fn new(object: &OwnObject) -> Self {
        use Content::{FixedSumPart, Prepared, Secret, Text};
        let (name, title, content) = match object {
            OwnObject::Prepared { .. } => ("prepared-batch", "prepared batch", Prepared),
            OwnObject::FixedSumPart => ("fixed-sum-part", FIXED_TITLE, FixedSumPart),
            OwnObject::Point => ("pinned-point", "evaluation point of a packet key", Secret),
            OwnObject::FirstSeen => ("first-seen-date", "date when a batch was first seen", Text),
            OwnObject::Summed => ("summed-batch", "window that sums a batch", Text),
            OwnObject::FailedProofs(_) => {
                ("failed-proofs", "failed proofs under a packet key", Text)
            }
            OwnObject::Unconfirmed => ("unconfirmed-object", "note on an unconfirmed object", Text),
            OwnObject::BucketCreated => ("bucket-created", "time of a bucket's first use", Text),
            OwnObject::Chain => ("roster-chain", "first window with rosters", Text),
            OwnObject::Window(_, object) => return Self::of_window(*object),
            OwnObject::SecondRoster => ("second-roster", "second roster of the peer", Text),
            OwnObject::WindowBatches => ("window-batches", "batches of a window's task", Text),
            OwnObject::Released => ("window-released", "mark of a released window", Text),
            OwnObject::GivenUp => ("window-given-up", "mark of an unsummed window", Text),
            OwnObject::Acknowledged => {
                ("window-acknowledged", "acknowledged unsummed window", Text)
            }
            OwnObject::RosterSwitch => ("roster-switch", "announced or fixed use of rosters", Text),
            OwnObject::TaskMarker => ("task-marker", "marker of a started task", Text),
            OwnObject::Leader => ("leader", "leading workflow manager", Text),
        };
        Self {
            name,
            title,
            content,
            // ENPA also writes task markers, without the trailer of a record. Prepared batches have
            // a protection of their own.
            is_record: content != Prepared && *object != OwnObject::TaskMarker,
        }
    }

    fn of_window(object: RosterObject) -> Self {
        use Content::{Roster, Sealed, Text};
        let (name, title, content) = match object {
            RosterObject::Roster(_) => ("roster", "roster of a window", Roster),
            RosterObject::Verdicts => ("window-verdicts", "sealed verdicts", Sealed(b"TALLYVD1")),
            RosterObject::Agreed => ("agreed-window", "batches that both rosters agree on", Text),
            RosterObject::Counted => ("window-counted", "sealed packet list", Sealed(b"TALLYCT1")),
            RosterObject::Held => ("window-held", "mark of a window to be released", Text),
            RosterObject::Done => ("window-done", "mark of a completed window", Text),
        };
        Self {
            name,
            title,
            content,
            // A roster in a mailbox is not a record; sealed files have a protection of their own.
            is_record: content == Text,
        }
    }
}

impl Inspector {
    /// Inspects an object whose name is not a batch's name: a record by its payload, any other
    /// object by its content.
    pub(super) async fn object(&self, bucket: &SharedBucket, found: &Found) -> Result<Item, Error> {
        let Found { key, bytes } = found;
        let payload_bytes = bytes.saturating_sub(TRAILER_BYTES as u64);
        let trailer = bucket.get_range(key, payload_bytes..*bytes).await?;
        if let Some(id) = Records::claimed_key(&trailer).filter(|_| *bytes <= RECORD_BYTES) {
            return Ok(Item::Object(self.record(bucket, key, &id).await?));
        }
        let mut item = self.content(bucket, found).await?;
        if own_object(key).is_some_and(|own| OwnKind::new(&own).is_record) {
            let message =
                "the object does not end with the trailer of a record, so a processor rejects it";
            item.problems()
                .push(ObjectProblem::rejected("unverified", key, message));
        }
        Ok(item)
    }

    async fn record(
        &self,
        bucket: &SharedBucket,
        key: &str,
        id: &str,
    ) -> Result<ObjectFinding, Error> {
        let object = read_all(&**bucket, key, RECORD_BYTES).await?;
        let payload = object.slice(..object.len() - TRAILER_BYTES);
        let mut finding = if payload.is_empty() {
            ObjectFinding::new("record", "empty record", key, Facts::size(0))
        } else {
            let opened = memory("record");
            let found = Found {
                key: key.to_owned(),
                bytes: payload.len() as u64,
            };
            publish_bytes(&*opened, key, payload, false).await?;
            self.content(&opened, &found).await?.finding()
        };
        let Some(processor) = self.processor.as_deref() else {
            finding.note(format!(
                "a record made with key {id}; give --config FILE to verify it"
            ));
            return Ok(finding);
        };
        // The trailer authenticates the name inside the own bucket, which may begin anywhere in a
        // path.
        let records = &processor.buckets.records;
        if let Some(name) = possible_keys(key).find(|name| records.open(name, &object).is_ok()) {
            let note =
                format!("a record of this processor for the name {name}, made with key {id}");
            finding.note(note);
        } else if let Err(fault) = records.open(key, &object) {
            let is_unknown = matches!(fault, RecordFault::UnknownKey { .. });
            if is_unknown && own_object(key).is_none() {
                let note =
                    format!("a record made with key {id}, which is not a key of this processor");
                finding.note(note);
            } else {
                let message = format!("not a record of this processor under this name: {fault}");
                finding.reject("unverified", message);
            }
        }
        Ok(finding)
    }
}
