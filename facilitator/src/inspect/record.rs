//! Records of the own bucket: identifies the payload, and verifies the trailer.

use super::Inspector;
use super::own_object::OwnObject;
use super::report::{Facts, ObjectFinding, ObjectProblem};
use crate::error::Error;
use tallybox_model::roster::RosterObject;
use tallybox_transport::{
    RecordFault, Records, SharedBucket, TRAILER_BYTES, memory, publish_bytes, read_all,
};

/// The largest record that is opened.
const RECORD_BYTES: u64 = 64 << 20;

impl Inspector {
    /// Inspects an object whose name is not a batch's name: a record by its payload, any other
    /// object by its content.
    pub(super) async fn object(
        &self,
        bucket: &SharedBucket,
        key: &str,
        bytes: u64,
    ) -> Result<ObjectFinding, Error> {
        let payload_bytes = bytes.saturating_sub(TRAILER_BYTES as u64);
        let trailer = bucket.get_range(key, payload_bytes..bytes).await?;
        match Records::claimed_key(&trailer) {
            Some(id) if bytes <= RECORD_BYTES => self.record(bucket, key, &id).await,
            _ => {
                let mut finding = self.plain(bucket, key, bytes).await?;
                if OwnObject::parse(key).is_some_and(|(own, _)| is_always_record(&own)) {
                    let message = "the object does not end with the trailer of a record, so a processor rejects it";
                    finding
                        .problems
                        .push(ObjectProblem::rejected("unverified", key, message));
                }
                Ok(finding)
            }
        }
    }

    async fn record(
        &self,
        bucket: &SharedBucket,
        key: &str,
        id: &str,
    ) -> Result<ObjectFinding, Error> {
        let object = read_all(&**bucket, key, RECORD_BYTES).await?;
        let payload = object.slice(..object.len() - TRAILER_BYTES);
        let bytes = payload.len() as u64;
        let mut finding = if payload.is_empty() {
            let facts = Facts::Text { bytes, text: None };
            ObjectFinding::new("record", "empty record", key, facts)
        } else {
            let opened = memory("record");
            publish_bytes(&*opened, key, payload, false).await?;
            self.plain(&opened, key, bytes).await?
        };
        let Some(processor) = self.processor.as_deref() else {
            let note = format!("a record made with key {id}; give --config FILE to verify it");
            finding.notes.push(note);
            return Ok(finding);
        };
        // The trailer authenticates the name inside the own bucket, which may begin anywhere in a
        // path.
        let names =
            || std::iter::successors(Some(key), |name| name.split_once('/').map(|(_, rest)| rest));
        let verified = names().find(|name| processor.buckets.records.open(name, &object).is_ok());
        match (verified, processor.buckets.records.open(key, &object)) {
            (None, Err(RecordFault::UnknownKey { .. })) if OwnObject::parse(key).is_none() => {
                let note =
                    format!("a record made with key {id}, which is not a key of this processor");
                finding.notes.push(note);
            }
            (None, Err(fault)) => {
                let message = format!("not a record of this processor under this name: {fault}");
                finding
                    .problems
                    .push(ObjectProblem::rejected("unverified", key, message));
            }
            (name, _) => {
                let name = name.unwrap_or(key);
                finding.notes.push(format!(
                    "a record of this processor for the name {name}, made with key {id}"
                ));
            }
        }
        Ok(finding)
    }
}

/// Returns whether an object of this kind is always a record, wherever it is found.
fn is_always_record(own: &OwnObject) -> bool {
    match own {
        OwnObject::Prepared { .. } => false,
        OwnObject::Window(_, object) => matches!(object, RosterObject::Agreed | RosterObject::Done),
        // ENPA also writes task markers, without the trailer of a record.
        OwnObject::Marker => false,
        OwnObject::Fixed(_)
        | OwnObject::Point
        | OwnObject::FirstSeen
        | OwnObject::Summed
        | OwnObject::FailedProofs(_)
        | OwnObject::BucketCreated
        | OwnObject::Chain
        | OwnObject::Batches(_)
        | OwnObject::Switch
        | OwnObject::Leader => true,
    }
}
