//! Parses an object's name: the kind of batch, the part of it, and the names of its siblings.
//!
//! No suffix is spelled out here. All follow from the names that [`tallybox_model::path`] creates
//! for a sample.

use super::own_object::OwnObject;
use serde::Serialize;
use std::sync::OnceLock;
use tallybox_model::avro::RecordKind;
use tallybox_model::path::{BatchName, BatchObjects, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};

/// The components of a batch's name: aggregation, five of the date, identifier.
pub(super) const BATCH_COMPONENTS: usize = 7;
/// The components of a sum part's name: instance, aggregation, window.
pub(super) const SUM_PART_COMPONENTS: usize = 3;

/// The three kinds of batch, in the order of the flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Written by the ingestor for a processor.
    IngestionBatch,
    /// Written by a processor for its peer.
    ValidationBatch,
    /// Written by a processor for the portal.
    SumPart,
}

impl Family {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::IngestionBatch, Self::ValidationBatch, Self::SumPart];

    /// Returns the record of the header.
    #[must_use]
    pub fn header(self) -> RecordKind {
        match self {
            Self::IngestionBatch => RecordKind::IngestionHeader,
            Self::ValidationBatch => RecordKind::ValidationHeader,
            Self::SumPart => RecordKind::SumPart,
        }
    }

    /// Returns the record of the packets.
    #[must_use]
    pub fn packet(self) -> RecordKind {
        match self {
            Self::IngestionBatch => RecordKind::DataSharePacket,
            Self::ValidationBatch => RecordKind::ValidationPacket,
            Self::SumPart => RecordKind::InvalidPacket,
        }
    }

    /// Returns the kind of batch that has this record, and whether the record is its header or a
    /// packet. `None` for a signature's record, which is the same for all kinds.
    #[must_use]
    pub fn from_record(record: RecordKind) -> Option<(Self, Part)> {
        Self::ALL.into_iter().find_map(|family| match record {
            record if record == family.header() => Some((family, Part::Header)),
            record if record == family.packet() => Some((family, Part::Packets)),
            _ => None,
        })
    }

    /// Returns the kind's name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::IngestionBatch => "ingestion batch",
            Self::ValidationBatch => "validation batch",
            Self::SumPart => "sum part",
        }
    }
}

/// A part of a batch; each is an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A record with the parameters, and the digest of the packets.
    Header,
    /// Zero or more records.
    Packets,
    /// A record with the signature over the header.
    Signature,
}

/// The parsed name of one object of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectName {
    /// Everything before the suffix, including directories.
    pub stem: String,
    /// The kind of batch.
    pub family: Family,
    /// The processor that wrote the batch, if the name contains it.
    pub writer: Option<Role>,
    /// The part of the batch.
    pub part: Part,
}

/// The batch or sum part that the stem of a canonical name identifies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StemName {
    /// A batch of one aggregation and date.
    Batch(BatchName),
    /// A sum part of one aggregation and window.
    SumPart(SumPartName),
}

impl ObjectName {
    /// Parses a key by its suffix, whatever precedes the suffix; `None` if it is not the suffix of
    /// a batch's object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        suffixes().iter().find_map(|suffix| {
            let stem = key.strip_suffix(&suffix.text)?;
            let named = stem.rsplit('/').next().is_some_and(|last| !last.is_empty());
            let Suffix {
                family,
                writer,
                part,
                ..
            } = *suffix;
            named.then(|| Self {
                stem: stem.to_owned(),
                family,
                writer,
                part,
            })
        })
    }

    /// Returns the names of all three objects.
    #[must_use]
    pub fn objects(&self) -> BatchObjects {
        let same = |suffix: &&Suffix| (suffix.family, suffix.writer) == (self.family, self.writer);
        let name = |part: Part| {
            let suffix = suffixes()
                .iter()
                .filter(same)
                .find(|suffix| suffix.part == part);
            format!("{}{}", self.stem, suffix.map_or("", |suffix| &suffix.text))
        };
        BatchObjects {
            header: name(Part::Header),
            packets: name(Part::Packets),
            signature: name(Part::Signature),
        }
    }

    /// Returns the aggregation with the date or window from the end of the stem; `None` if the name
    /// is not canonical.
    #[must_use]
    pub fn parse_stem(&self) -> Option<StemName> {
        match (self.family, self.writer) {
            (Family::SumPart, Some(writer)) => {
                sum_part(tail(&self.stem, SUM_PART_COMPONENTS)?, writer).map(StemName::SumPart)
            }
            _ => BatchName::parse(tail(&self.stem, BATCH_COMPONENTS)?).map(StemName::Batch),
        }
    }
}

/// Returns how many components at the end of a path form the key of an object; the rest is its
/// bucket.
#[must_use]
pub(super) fn key_components(path: &str) -> usize {
    if let Some((_, components)) = OwnObject::parse(path) {
        return components;
    }
    let stem = ObjectName::parse(path).map_or_else(|| path.to_owned(), |name| name.stem);
    if tail(&stem, BATCH_COMPONENTS)
        .and_then(BatchName::parse)
        .is_some()
    {
        return BATCH_COMPONENTS;
    }
    let is_sum_part = tail(&stem, SUM_PART_COMPONENTS)
        .and_then(|stem| sum_part(stem, Role::First))
        .is_some();
    if is_sum_part { SUM_PART_COMPONENTS } else { 1 }
}

/// Returns the last components of a key, or `None` if it has fewer.
pub(super) fn tail(key: &str, components: usize) -> Option<&str> {
    let Some((slash, _)) = key.rmatch_indices('/').nth(components - 1) else {
        return (key.split('/').count() == components).then_some(key);
    };
    Some(&key[slash + 1..])
}

/// Parses `{instance}/{agg}/{start}-{end}`. Accepts only the canonical spelling.
pub(super) fn sum_part(stem: &str, writer: Role) -> Option<SumPartName> {
    let mut parts = stem.split('/');
    let (instance, aggregation, window) = (parts.next()?, parts.next()?, parts.next()?);
    let (start, end) = window.split_once('-')?;
    let [start, end] = [start, end].map(|time| BatchTime::from_compact(time).ok());
    let name = SumPartName {
        instance: instance.parse().ok()?,
        aggregation: aggregation.parse().ok()?,
        window: Window::new(start?, end?).ok()?,
        writer,
    };
    name.to_string()
        .starts_with(&format!("{stem}."))
        .then_some(name)
}

/// A suffix of names, and its meaning.
struct Suffix {
    text: String,
    family: Family,
    writer: Option<Role>,
    part: Part,
}

fn suffixes() -> &'static [Suffix] {
    static TABLE: OnceLock<Vec<Suffix>> = OnceLock::new();
    TABLE.get_or_init(|| sample_suffixes().unwrap_or_default())
}

/// Derives the suffixes of all names from a sample; `None` if the sample is invalid, which a test
/// excludes.
fn sample_suffixes() -> Option<Vec<Suffix>> {
    let stem = "a/2000/01/01/00/00/00000000-0000-0000-0000-000000000000";
    let batch = BatchName::parse(stem)?;
    let sum_stem = "i/a/200001010000-200001010001";
    let mut table = Vec::new();
    let mut add = |stem: &str, objects: BatchObjects, family, writer| {
        let parts = [
            (objects.header, Part::Header),
            (objects.packets, Part::Packets),
            (objects.signature, Part::Signature),
        ];
        for (name, part) in parts {
            let text = name.strip_prefix(stem).unwrap_or_default().to_owned();
            table.push(Suffix {
                text,
                family,
                writer,
                part,
            });
        }
    };
    add(stem, batch.ingestion(), Family::IngestionBatch, None);
    for role in Role::ALL {
        add(
            stem,
            batch.validation(role),
            Family::ValidationBatch,
            Some(role),
        );
        add(
            sum_stem,
            sum_part(sum_stem, role)?.objects(),
            Family::SumPart,
            Some(role),
        );
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STEM: &str = "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn every_object_of_a_batch_names_its_siblings() {
        assert_eq!(suffixes().len(), 15);
        assert!(suffixes().iter().all(|suffix| suffix.text.starts_with('.')));
        let batch = BatchName::parse(STEM).unwrap();
        let objects = batch.validation(Role::Second);
        for (key, part) in [
            (&objects.header, Part::Header),
            (&objects.packets, Part::Packets),
            (&objects.signature, Part::Signature),
        ] {
            let name = ObjectName::parse(&format!("prefix/{key}")).unwrap();
            assert_eq!(
                (name.family, name.writer, name.part),
                (Family::ValidationBatch, Some(Role::Second), part)
            );
            assert_eq!(
                name.objects().signature,
                format!("prefix/{}", objects.signature)
            );
            assert_eq!(name.parse_stem(), Some(StemName::Batch(batch.clone())));
        }
    }

    #[test]
    fn the_packets_of_a_sum_part_lead_to_its_header() {
        let stem = "interop/org.example.dim8/202311142200-202311142300";
        let name = ObjectName::parse(&format!("{stem}.invalid_uuid_1.avro")).unwrap();
        assert_eq!((name.family, name.part), (Family::SumPart, Part::Packets));
        assert_eq!(name.objects().header, format!("{stem}.sum_1"));
        assert!(
            matches!(name.parse_stem(), Some(StemName::SumPart(part)) if part.writer == Role::Second)
        );
    }

    #[test]
    fn names_without_a_place_still_have_siblings() {
        let name = ObjectName::parse("copy.batch.sig").unwrap();
        assert_eq!(
            (name.objects().header.as_str(), name.parse_stem()),
            ("copy.batch", None)
        );
        for other in ["a/.batch", "a/b", "a/b.avro", "a/b.sig", "x.prepared"] {
            assert_eq!(ObjectName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_bucket_is_what_stands_before_the_key() {
        for (path, components) in [
            (format!("/srv/in/{STEM}.batch.sig"), 7),
            (format!("/srv/in/{STEM}"), 7),
            (format!("/srv/own/{STEM}.00112233.prepared"), 7),
            (
                "/srv/sums/i/a/202311142200-202311142300.sum_0".to_owned(),
                3,
            ),
            (
                "/srv/own/sum-parts/i/a/202311142200-202311142300.fixed".to_owned(),
                4,
            ),
            ("/srv/keys/signing.pem".to_owned(), 1),
            ("x.batch".to_owned(), 1),
        ] {
            assert_eq!(key_components(&path), components, "{path}");
        }
    }
}
