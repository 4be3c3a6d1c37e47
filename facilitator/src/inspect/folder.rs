//! Lists a folder with its subfolders by kind of object, without opening any object.

use super::name::{Family, ObjectName, Part};
use super::own_object::OwnObject;
use super::report::{Facts, ObjectFinding};
use crate::error::Error;
use futures::TryStreamExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use tallybox_model::role::Role;
use tallybox_model::roster::RosterObject;
use tallybox_transport::{ListRange, SharedBucket};

/// How many unsigned batches and other objects are named.
const MOST_NAMED_OBJECTS: usize = 10;

/// The content of a folder.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FolderFacts {
    /// The number of objects in the folder and its subfolders.
    pub objects: u64,
    /// The total length of the objects in bytes.
    pub bytes: u64,
    /// Signed batches, by kind and writer.
    pub batches: Vec<FolderBatches>,
    /// Objects of a processor's own bucket, by kind.
    pub own: BTreeMap<&'static str, u64>,
    /// The number of other objects.
    pub others: u64,
    /// The first batches without a signature.
    pub unsigned: Vec<String>,
    /// The first of the other objects.
    pub some_others: Vec<String>,
}

/// The batches of one kind in a folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FolderBatches {
    /// The kind of batch.
    pub family: Family,
    /// The processor that wrote the batches, if the names contain it.
    pub writer: Option<Role>,
    /// The number of batches with a signature.
    pub signed: u64,
    /// The number of batches without a signature.
    pub unsigned: u64,
    /// The total length of their objects in bytes.
    pub bytes: u64,
    /// The first batch.
    pub first: String,
}

#[derive(Default)]
struct Counts {
    signed: u64,
    unsigned: u64,
    bytes: u64,
    first: String,
}

/// Lists a folder; `None` if it is empty.
pub(super) async fn inspect(
    bucket: &SharedBucket,
    folder: &str,
) -> Result<Option<ObjectFinding>, Error> {
    let mut listing = bucket.list(folder, ListRange::default()).await?;
    let mut walk = Walk::default();
    while let Some(entry) = listing.try_next().await? {
        walk.object(&entry.key, entry.size);
    }
    let facts = walk.finish();
    if facts.objects == 0 {
        return Ok(None);
    }
    let shown = if folder.is_empty() { "." } else { folder };
    let mut finding = ObjectFinding::new("folder", "folder", shown, Facts::Folder(facts));
    finding
        .notes
        .push("no object was opened; give the path of a batch to verify it".to_owned());
    Ok(Some(finding))
}

/// Walks through a sorted listing. The objects of a batch are adjacent, except those of sum parts.
#[derive(Default)]
struct Walk {
    facts: FolderFacts,
    counts: BTreeMap<(Family, Option<Role>), Counts>,
    /// The batches of the directory that is being listed, and whether they are signed.
    open: BTreeMap<(String, Family, Option<Role>), bool>,
}

impl Walk {
    fn object(&mut self, key: &str, bytes: u64) {
        self.facts.objects += 1;
        self.facts.bytes += bytes;
        if let Some(name) = ObjectName::parse(key) {
            self.batch(name, bytes);
        } else if let Some((own, _)) = OwnObject::parse(key) {
            *self.facts.own.entry(object_kind(&own)).or_default() += 1;
        } else {
            self.facts.others += 1;
            if self.facts.some_others.len() < MOST_NAMED_OBJECTS {
                self.facts.some_others.push(key.to_owned());
            }
        }
    }

    fn batch(&mut self, name: ObjectName, bytes: u64) {
        let directory = |stem: &str| {
            stem.rsplit_once('/')
                .map(|(directory, _)| directory.to_owned())
        };
        if self
            .open
            .keys()
            .next()
            .is_some_and(|(stem, ..)| directory(stem) != directory(&name.stem))
        {
            self.close();
        }
        let counts = self.counts.entry((name.family, name.writer)).or_default();
        counts.bytes += bytes;
        if counts.first.is_empty() {
            counts.first.clone_from(&name.stem);
        }
        let signed = name.part == Part::Signature;
        *self
            .open
            .entry((name.stem, name.family, name.writer))
            .or_default() |= signed;
    }

    /// Counts the batches of a directory whose listing is complete.
    fn close(&mut self) {
        for ((stem, family, writer), signed) in std::mem::take(&mut self.open) {
            let counts = self.counts.entry((family, writer)).or_default();
            if signed {
                counts.signed += 1;
            } else {
                counts.unsigned += 1;
                if self.facts.unsigned.len() < MOST_NAMED_OBJECTS {
                    self.facts.unsigned.push(stem);
                }
            }
        }
    }

    fn finish(mut self) -> FolderFacts {
        self.close();
        let batches = |((family, writer), counts): ((Family, Option<Role>), Counts)| {
            let Counts {
                signed,
                unsigned,
                bytes,
                first,
            } = counts;
            FolderBatches {
                family,
                writer,
                signed,
                unsigned,
                bytes,
                first,
            }
        };
        self.facts.batches = self.counts.into_iter().map(batches).collect();
        self.facts
    }
}

fn object_kind(object: &OwnObject) -> &'static str {
    match object {
        OwnObject::Prepared { .. } => "prepared-batch",
        OwnObject::Fixed(_) => "fixed-sum-part",
        OwnObject::Point => "pinned-point",
        OwnObject::FirstSeen => "first-seen-date",
        OwnObject::Summed => "summed-batch",
        OwnObject::FailedProofs(_) => "failed-proofs",
        OwnObject::BucketCreated => "bucket-created",
        OwnObject::Chain => "roster-chain",
        OwnObject::Window(_, object) => match object {
            RosterObject::Roster(_) => "roster",
            RosterObject::Verdicts => "window-verdicts",
            RosterObject::Agreed => "agreed-window",
            RosterObject::Counted => "window-counted",
            RosterObject::Held => "window-held",
            RosterObject::Done => "window-done",
        },
        OwnObject::Batches(_) => "window-batches",
        OwnObject::Switch => "roster-switch",
        OwnObject::Marker => "task-marker",
        OwnObject::Leader => "leader",
    }
}
