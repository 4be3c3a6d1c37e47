//! The names of all objects in buckets. No other module composes or parses an object name.
//!
//! Names are relative to a bucket and its prefix. `DATE` stands for `YYYY/MM/DD/HH/MM`; ids are
//! lower-case and hyphenated.

use crate::id::{AggregationId, BatchId, Instance};
use crate::role::Role;
use crate::roster::WindowName;
use crate::time::{BatchTime, Window};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a batch: an aggregation, a date and an identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BatchName {
    /// The aggregation to which the batch belongs.
    pub aggregation: AggregationId,
    /// The date in the batch's path.
    pub date: BatchTime,
    /// The batch's identifier, also contained in its header.
    pub id: BatchId,
}

impl fmt::Display for BatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.aggregation, self.date, self.id)
    }
}

/// The names of the three objects that make up a signed batch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BatchObjects {
    /// The header, one Avro record.
    pub header: String,
    /// The packets, zero or more Avro records. The object is absent if there are none.
    pub packets: String,
    /// The signature over the header, one Avro record. A batch exists as soon as this object does.
    pub signature: String,
}

/// One of the three objects of a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BatchPart {
    /// The header.
    Header,
    /// The packets.
    Packets,
    /// The signature.
    Signature,
}

impl BatchPart {
    /// All three parts, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Packets, Self::Header, Self::Signature];

    fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Packets => "packets",
            Self::Signature => "signature",
        }
    }

    /// Splits an object name into its part and the name of the batch's header object.
    fn split(key: &str) -> (Self, &str) {
        if let Some(header) = key.strip_suffix(SIGNATURE) {
            (Self::Signature, header)
        } else if let Some(header) = key.strip_suffix(PACKETS) {
            (Self::Packets, header)
        } else {
            (Self::Header, key)
        }
    }
}

/// The suffix of a packet object.
const PACKETS: &str = ".avro";
/// The suffix of a signature object.
const SIGNATURE: &str = ".sig";
/// The suffix of an ingestion batch's header.
const INGESTION: &str = ".batch";
/// The suffix of a prepared batch.
const PREPARED: &str = ".prepared";
/// The directory, in the processor's own bucket, of the records that assign each batch to a window.
const SUMMED: &str = "summed";

impl BatchObjects {
    fn from_header(header: String) -> Self {
        Self {
            packets: format!("{header}{PACKETS}"),
            signature: format!("{header}{SIGNATURE}"),
            header,
        }
    }
}

impl BatchName {
    /// Returns `{agg}/{DATE}/{id}.batch`, `.batch.avro`, `.batch.sig`.
    #[must_use]
    pub fn ingestion(&self) -> BatchObjects {
        BatchObjects::from_header(format!("{self}{INGESTION}"))
    }

    /// Returns `{agg}/{DATE}/{id}.validity_{i}` and so on, where `i` is the index of the processor
    /// that writes the validation.
    #[must_use]
    pub fn validation(&self, writer: Role) -> BatchObjects {
        BatchObjects::from_header(format!("{self}.validity_{}", writer.index()))
    }

    /// Returns `{agg}/{DATE}/{id}.{sealing key id}.prepared`, in the processor's own bucket.
    #[must_use]
    pub fn prepared(&self, sealing_key: &str) -> String {
        format!("{self}.{sealing_key}{PREPARED}")
    }

    /// Returns `batch-dates/{agg}/{id}`, in the processor's own bucket: the record of the date at
    /// which a batch was first seen.
    #[must_use]
    pub fn first_seen(&self) -> String {
        format!("batch-dates/{}/{}", self.aggregation, self.id)
    }

    /// Returns `summed/{agg}/{DATE}/{id}`, in the processor's own bucket: the record of the window
    /// that sums the batch, used without rosters.
    #[must_use]
    pub fn summed(&self) -> String {
        format!("{SUMMED}/{self}")
    }

    /// Parses a name written by [`Self::summed`]; returns `None` for any other object.
    #[must_use]
    pub fn from_summed(key: &str) -> Option<Self> {
        Self::parse(key.strip_prefix(SUMMED)?.strip_prefix('/')?)
    }

    /// Parses the name of an ingestion signature object; returns `None` for any other object.
    #[must_use]
    pub fn from_ingestion_signature(key: &str) -> Option<Self> {
        let stem = key.strip_suffix(SIGNATURE)?.strip_suffix(INGESTION)?;
        Self::parse(stem)
    }

    /// Parses the name of any of a batch's ingestion objects; returns `None` for any other object.
    #[must_use]
    pub fn from_ingestion_object(key: &str) -> Option<Self> {
        Self::ingestion_part(key).map(|(name, _)| name)
    }

    /// Returns the batch and the part to which the name of an ingestion object refers; `None` for
    /// any other object.
    #[must_use]
    pub fn ingestion_part(key: &str) -> Option<(Self, BatchPart)> {
        let (part, header) = BatchPart::split(key);
        Some((Self::parse(header.strip_suffix(INGESTION)?)?, part))
    }

    /// Returns the batch and the part to which the name of a validation object of `writer` refers;
    /// `None` for any other object.
    #[must_use]
    pub fn validation_part(key: &str, writer: Role) -> Option<(Self, BatchPart)> {
        let (part, header) = BatchPart::split(key);
        let suffix = match writer {
            Role::First => ".validity_0",
            Role::Second => ".validity_1",
        };
        Some((Self::parse(header.strip_suffix(suffix)?)?, part))
    }

    /// Returns the batch to which the name of a prepared batch refers; `None` for any other object.
    #[must_use]
    pub fn from_prepared(key: &str) -> Option<Self> {
        let (stem, _sealing_key) = key.strip_suffix(PREPARED)?.rsplit_once('.')?;
        Self::parse(stem)
    }

    /// Parses `{agg}/{DATE}/{id}`. Only the canonical spelling is accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (aggregation, rest) = text.split_once('/')?;
        let (date, id) = rest.rsplit_once('/')?;
        let name = Self {
            aggregation: aggregation.parse().ok()?,
            date: date.parse().ok()?,
            id: id.parse().ok()?,
        };
        // Another spelling of the same id would be a second object name for one batch.
        (name.to_string() == text).then_some(name)
    }
}

/// The name of a sum part: an instance, an aggregation, a window and the processor that writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SumPartName {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The aggregation that is summed.
    pub aggregation: AggregationId,
    /// The window that is summed.
    pub window: Window,
    /// The processor that writes the sum part.
    pub writer: Role,
}

impl SumPartName {
    /// Returns `{instance}/{agg}/{start}-{end}.sum_{i}`, `.invalid_uuid_{i}.avro` (the packets),
    /// `.sum_{i}.sig`.
    #[must_use]
    pub fn objects(&self) -> BatchObjects {
        let (stem, i) = (self.stem(), self.writer.index());
        BatchObjects {
            header: format!("{stem}.sum_{i}"),
            packets: format!("{stem}.invalid_uuid_{i}.avro"),
            signature: format!("{stem}.sum_{i}.sig"),
        }
    }

    /// Returns `sum-parts/{instance}/{agg}/{start}-{end}.fixed`, in the processor's own bucket: the
    /// fixed content of the sum part, written before it is published.
    #[must_use]
    pub fn fixed(&self) -> String {
        format!("sum-parts/{}.fixed", self.stem())
    }

    fn stem(&self) -> String {
        let (start, end) = (self.window.start().compact(), self.window.end().compact());
        format!("{}/{}/{start}-{end}", self.instance, self.aggregation)
    }
}

impl fmt::Display for SumPartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.sum_{}", self.stem(), self.writer.index())
    }
}

/// An object in a peer's mailbox of which this processor knows only that the bucket answered
/// "exists" to a create-if-absent request. A write-only mailbox gives no stronger confirmation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unconfirmed {
    /// A part of our validation of a batch.
    Validation(BatchName, BatchPart),
    /// A part of our sum part of a window.
    SumPart(WindowName, BatchPart),
}

impl Unconfirmed {
    /// Returns the notes on the objects of a batch's validation.
    #[must_use]
    pub fn of_validation(name: &BatchName) -> [Self; 3] {
        BatchPart::ALL.map(|part| Self::Validation(name.clone(), part))
    }

    /// Returns the notes on the objects of a window's sum part.
    #[must_use]
    pub fn of_sum_part(name: &WindowName) -> [Self; 3] {
        BatchPart::ALL.map(|part| Self::SumPart(name.clone(), part))
    }

    /// Returns `unconfirmed/{agg}`, in the processor's own bucket: the directory of the notes on an
    /// aggregation's objects.
    #[must_use]
    pub fn directory(aggregation: &AggregationId) -> String {
        format!("{UNCONFIRMED}/{aggregation}")
    }

    /// Returns the name of the note in the processor's own bucket:
    /// `unconfirmed/{agg}/{DATE}/{id}.{part}` for a validation,
    /// `unconfirmed/{agg}/{start}-{end}.{part}` for a sum part. The note contains the time at which
    /// it was written.
    #[must_use]
    pub fn note(&self) -> String {
        match self {
            Self::Validation(name, part) => format!("{UNCONFIRMED}/{name}.{}", part.as_str()),
            Self::SumPart(name, part) => format!("{UNCONFIRMED}/{name}.{}", part.as_str()),
        }
    }

    /// Parses the name of a note; returns `None` for any other object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (stem, suffix) = key
            .strip_prefix(UNCONFIRMED)?
            .strip_prefix('/')?
            .rsplit_once('.')?;
        let part = BatchPart::ALL
            .into_iter()
            .find(|part| part.as_str() == suffix)?;
        let found = match BatchName::parse(stem) {
            Some(name) => Self::Validation(name, part),
            None => {
                let (aggregation, window) = stem.split_once('/')?;
                let (start, end) = window.split_once('-')?;
                let time = |text| BatchTime::from_compact(text).ok();
                let name = WindowName {
                    aggregation: aggregation.parse().ok()?,
                    window: Window::new(time(start)?, time(end)?).ok()?,
                };
                Self::SumPart(name, part)
            }
        };
        (found.note() == key).then_some(found)
    }
}

/// The directory, in the processor's own bucket, of notes on objects that a mailbox reports as
/// existing.
const UNCONFIRMED: &str = "unconfirmed";

/// Returns `points/{instance}/{fingerprint of the packet key}`, in the processor's own bucket. The
/// object contains the instance, the number of bins and the only evaluation point that packets may
/// have under this key.
#[must_use]
pub fn pinned_point(instance: &Instance, packet_key: &str) -> String {
    format!("points/{instance}/{packet_key}")
}

/// Returns the directory, in the processor's own bucket, of an instance's counts of failed proofs.
#[must_use]
pub fn failed_proofs_directory(instance: &Instance) -> String {
    format!("failed-proofs/{instance}")
}

/// The number of failed proofs in a batch, under one packet key that decrypted packets of it. The
/// object's name contains all of this information, so a listing is enough to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedProofs {
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// The fingerprint of the packet key.
    pub key: String,
    /// The batch.
    pub batch: BatchName,
    /// The number of failed proofs.
    pub failed: u64,
}

impl FailedProofs {
    /// Returns `failed-proofs/{instance}/{fingerprint of the packet
    /// key}/{agg}/{DATE}/{id}.{count}`, in the processor's own bucket.
    #[must_use]
    pub fn object(&self) -> String {
        let directory = failed_proofs_directory(&self.instance);
        format!("{directory}/{}/{}.{}", self.key, self.batch, self.failed)
    }

    /// Parses a name written by [`object`](Self::object); returns `None` for any other name.
    #[must_use]
    pub fn parse(object: &str) -> Option<Self> {
        let rest = object.strip_prefix("failed-proofs/")?;
        let (instance, rest) = rest.split_once('/')?;
        let (key, rest) = rest.split_once('/')?;
        let (batch, failed) = rest.rsplit_once('.')?;
        let parsed = Self {
            instance: instance.parse().ok()?,
            key: key.to_owned(),
            batch: BatchName::parse(batch)?,
            failed: failed.parse().ok()?,
        };
        (parsed.object() == object).then_some(parsed)
    }
}

/// Returns `bucket-created/{instance}`, in the processor's own bucket: the record of when the
/// bucket was first used.
#[must_use]
pub fn bucket_created(instance: &Instance) -> String {
    format!("bucket-created/{instance}")
}

/// The directory, in the processor's own bucket, of the objects with which schedulers elect a
/// leader.
pub const LEADER_DIRECTORY: &str = "leader";

/// Returns `leader/{epoch, 16 digits}`, in the processor's own bucket. The object names the leader
/// from this epoch on and the end of its lease.
#[must_use]
pub fn leader(epoch: u64) -> String {
    // A fixed width, so that the byte order of the keys is the order of the epochs.
    format!("{LEADER_DIRECTORY}/{epoch:016}")
}

/// Parses a name written by [`leader`]; returns `None` for any other name.
#[must_use]
pub fn leader_epoch(key: &str) -> Option<u64> {
    let digits = key.strip_prefix(LEADER_DIRECTORY)?.strip_prefix('/')?;
    digits.parse().ok().filter(|epoch| leader(*epoch) == key)
}

/// Returns the half-open range of keys, `{agg}/{start DATE}/` to `{agg}/{end DATE}/`, that contains
/// a window's batches.
#[must_use]
pub fn window_range(aggregation: &AggregationId, window: &Window) -> (String, String) {
    (
        format!("{aggregation}/{}/", window.start()),
        format!("{aggregation}/{}/", window.end()),
    )
}

/// Returns the directory `summed/{agg}`, and the half-open range of keys in it for the batches of a
/// window.
#[must_use]
pub fn summed_range(aggregation: &AggregationId, window: &Window) -> (String, (String, String)) {
    let (start, end) = window_range(aggregation, window);
    let below = |key: String| format!("{SUMMED}/{key}");
    (below(aggregation.to_string()), (below(start), below(end)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name() -> BatchName {
        BatchName::parse("kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff")
            .unwrap()
    }

    #[test]
    fn directories_of_the_own_bucket_cannot_be_aggregations() {
        let time = |text: &str| text.parse().unwrap();
        let window = WindowName {
            aggregation: name().aggregation,
            window: Window::new(time("2020/10/31/20/00"), time("2020/10/31/21/00")).unwrap(),
        };
        let instance = "us-xx-ingestor".parse().unwrap();
        let sum_part = SumPartName {
            instance: "us-xx-ingestor".parse().unwrap(),
            aggregation: name().aggregation,
            window: window.window,
            writer: Role::First,
        };
        let [note, ..] = Unconfirmed::of_validation(&name());
        let keys = [
            name().first_seen(),
            name().summed(),
            sum_part.fixed(),
            note.note(),
            pinned_point(&instance, "key"),
            failed_proofs_directory(&instance),
            bucket_created(&instance),
            leader(1),
            window.roster(Role::First),
            window.done(),
            window.given_up(),
            crate::extensions::ANNOUNCED.to_owned(),
            crate::task::TaskMarker::DIRECTORY.to_owned(),
        ];
        for key in keys {
            let directory = key.split('/').next().unwrap();
            assert!(directory.parse::<AggregationId>().is_err(), "{key}");
        }
    }

    #[test]
    fn notes_on_unconfirmed_objects_are_read_as_they_are_written() {
        let time = |text: &str| text.parse().unwrap();
        let window = WindowName {
            aggregation: name().aggregation,
            window: Window::new(time("2020/10/31/20/00"), time("2020/10/31/21/00")).unwrap(),
        };
        let notes = Unconfirmed::of_validation(&name()).into_iter();
        for note in notes.chain(Unconfirmed::of_sum_part(&window)) {
            let key = note.note();
            assert!(key.starts_with("unconfirmed/kittens-seen/"), "{key}");
            assert_eq!(Unconfirmed::parse(&key), Some(note));
        }
        for other in [
            "unconfirmed/kittens-seen/x.header",
            "unconfirmed/kittens-seen/2020.other",
            "rosters/a/b.header",
        ] {
            assert_eq!(Unconfirmed::parse(other), None, "{other}");
        }
    }

    #[test]
    fn batches_are_named_as_the_predecessor_names_them() {
        let stem = "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff";
        let ingestion = name().ingestion();
        assert_eq!(ingestion.header, format!("{stem}.batch"));
        assert_eq!(ingestion.packets, format!("{stem}.batch.avro"));
        assert_eq!(ingestion.signature, format!("{stem}.batch.sig"));
        assert_eq!(
            name().validation(Role::Second).packets,
            format!("{stem}.validity_1.avro")
        );
        assert_eq!(
            BatchName::from_ingestion_signature(&ingestion.signature),
            Some(name())
        );
    }

    #[test]
    fn every_object_of_a_batch_is_known_by_its_name() {
        let (ingestion, validation) = (name().ingestion(), name().validation(Role::First));
        let parts = [BatchPart::Header, BatchPart::Packets, BatchPart::Signature];
        let keys = |objects: BatchObjects| [objects.header, objects.packets, objects.signature];
        for (key, part) in keys(ingestion).iter().zip(parts) {
            assert_eq!(
                BatchName::ingestion_part(key),
                Some((name(), part)),
                "{key}"
            );
            assert_eq!(BatchName::from_ingestion_object(key), Some(name()), "{key}");
            assert_eq!(BatchName::validation_part(key, Role::First), None, "{key}");
        }
        for (key, part) in keys(validation).iter().zip(parts) {
            assert_eq!(
                BatchName::validation_part(key, Role::First),
                Some((name(), part)),
                "{key}"
            );
            assert_eq!(BatchName::validation_part(key, Role::Second), None, "{key}");
            assert_eq!(BatchName::ingestion_part(key), None, "{key}");
        }
        assert_eq!(
            BatchName::from_prepared(&name().prepared("0123abcd")),
            Some(name())
        );
        for key in [format!("{}.prepared", name()), format!("{}.k", name())] {
            assert_eq!(BatchName::from_prepared(&key), None, "{key}");
        }
        assert_eq!(BatchName::from_summed(&name().summed()), Some(name()));
        assert_eq!(BatchName::from_summed(&name().to_string()), None);
    }

    #[test]
    fn foreign_names_are_no_batches() {
        for key in [
            "x.batch.sig",
            "kittens-seen/2020/10/31/20/29/00112233445566778899aabbccddeeff.batch.sig",
            "kittens-seen/2020/10/31/20/00112233-4455-6677-8899-aabbccddeeff.batch.sig",
            "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff.batch",
            "task-markers/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff.batch.sig",
        ] {
            assert_eq!(BatchName::from_ingestion_signature(key), None, "{key}");
        }
    }

    #[test]
    fn epochs_are_read_as_they_are_written() {
        assert_eq!(leader(7), "leader/0000000000000007");
        assert_eq!(leader_epoch(&leader(7)), Some(7));
        for key in [
            "leader/7",
            "leader/000000000000000x",
            "leaders/0000000000000007",
        ] {
            assert_eq!(leader_epoch(key), None, "{key}");
        }
    }

    #[test]
    fn counts_of_failed_proofs_are_read_as_they_are_written() {
        let object = format!(
            "failed-proofs/us-xx-ingestor/2bad0fd610d99eae/{}.17",
            name()
        );
        let count = FailedProofs::parse(&object).unwrap();
        assert_eq!((count.failed, count.key.as_str()), (17, "2bad0fd610d99eae"));
        assert_eq!(count.batch, name());
        assert_eq!(count.object(), object);
        for other in [
            format!("{object}0x"),
            object.replace(".17", ".017"),
            object.replace(".17", ""),
            object.replace("kittens", "org/kittens"),
            object.replace("failed-proofs", "points"),
        ] {
            assert_eq!(FailedProofs::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn the_packets_of_a_sum_part_have_a_name_of_their_own() {
        let window = Window::new(
            "2023/11/14/22/00".parse().unwrap(),
            "2023/11/14/23/00".parse().unwrap(),
        )
        .unwrap();
        let part = SumPartName {
            instance: "interop".parse().unwrap(),
            aggregation: "org.example.dim8".parse().unwrap(),
            window,
            writer: Role::First,
        };
        let stem = "interop/org.example.dim8/202311142200-202311142300";
        assert_eq!(part.objects().header, format!("{stem}.sum_0"));
        assert_eq!(
            part.objects().packets,
            format!("{stem}.invalid_uuid_0.avro")
        );
        assert_eq!(part.objects().signature, format!("{stem}.sum_0.sig"));
    }
}
