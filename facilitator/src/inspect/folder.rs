//! A folder: what stands in it and below, by kind, without opening any of it.

use super::name::{Family, ObjectName, Part};
use super::own_object::OwnObject;
use super::report::{Facts, Finding};
use crate::error::Error;
use futures::TryStreamExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use tallybox_model::role::Role;
use tallybox_model::roster::RosterObject;
use tallybox_transport::{ListRange, SharedBucket};

/// Unsigned batches and other objects that are named.
const NAMED: usize = 10;

/// What stands in a folder.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FolderFacts {
    /// Objects in it and below.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches that are signed, by kind and writer.
    pub batches: Vec<FolderBatches>,
    /// Objects of a processor's own bucket, by kind.
    pub own: BTreeMap<&'static str, u64>,
    /// Objects that are none of these.
    pub others: u64,
    /// Batches that are not signed (yet), and other objects: some of them.
    pub unsigned: Vec<String>,
    /// Other objects: some of them.
    pub some_others: Vec<String>,
}

/// Batches of one kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FolderBatches {
    /// Which kind.
    pub family: Family,
    /// Who wrote them, where the names say so.
    pub writer: Option<Role>,
    /// How many there are that have a signature.
    pub signed: u64,
    /// How many there are that have none.
    pub unsigned: u64,
    /// Bytes of all their objects.
    pub bytes: u64,
    /// The first one.
    pub first: String,
}

#[derive(Default)]
struct Counts {
    signed: u64,
    unsigned: u64,
    bytes: u64,
    first: String,
}

/// Goes through a folder; `None` if there is nothing in it.
pub(super) async fn inspect(bucket: &SharedBucket, folder: &str) -> Result<Option<Finding>, Error> {
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
    let mut finding = Finding::new("folder", "folder", shown, Facts::Folder(facts));
    finding
        .notes
        .push("nothing was opened: name a batch to have it verified".to_owned());
    Ok(Some(finding))
}

/// The walk through a listing, which is sorted: the objects of a batch stand together, but for sum parts.
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
            *self.facts.own.entry(word(&own)).or_default() += 1;
        } else {
            self.facts.others += 1;
            if self.facts.some_others.len() < NAMED {
                self.facts.some_others.push(key.to_owned());
            }
        }
    }

    fn batch(&mut self, name: ObjectName, bytes: u64) {
        let directory = |stem: &str| stem.rsplit_once('/').map(|(directory, _)| directory.to_owned());
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
        *self.open.entry((name.stem, name.family, name.writer)).or_default() |= signed;
    }

    /// Counts the batches of a directory that has been listed.
    fn close(&mut self) {
        for ((stem, family, writer), signed) in std::mem::take(&mut self.open) {
            let counts = self.counts.entry((family, writer)).or_default();
            if signed {
                counts.signed += 1;
            } else {
                counts.unsigned += 1;
                if self.facts.unsigned.len() < NAMED {
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

fn word(object: &OwnObject) -> &'static str {
    match object {
        OwnObject::Prepared { .. } => "prepared-batch",
        OwnObject::Fixed(_) => "fixed-sum-part",
        OwnObject::Point => "pinned-point",
        OwnObject::FirstSeen => "first-seen-date",
        OwnObject::Summed => "summed-batch",
        OwnObject::FailedProofs(_) => "failed-proofs",
        OwnObject::Birth => "own-bucket-birth",
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
