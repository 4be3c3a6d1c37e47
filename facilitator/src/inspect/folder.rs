//! Lists a folder with its subfolders by kind of object, without opening any object.

use super::facts::{Fact, Facts};
use super::family::Family;
use super::located::own_object;
use super::own_bucket::OwnKind;
use super::report::ObjectFinding;
use crate::error::Error;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use tallybox_model::path::{BatchKind, BatchPart};
use tallybox_transport::{ListRange, SharedBucket};

/// How many unsigned batches and other objects are named.
const MOST_NAMED_OBJECTS: usize = 10;

/// Lists a folder; `None` if it is empty.
pub(super) async fn inspect(
    bucket: &SharedBucket,
    folder: &str,
) -> Result<Option<ObjectFinding>, Error> {
    let mut listing = bucket.list(folder, ListRange::default()).await?;
    let mut census = Census::default();
    while let Some(entry) = listing.try_next().await? {
        census.add(&entry.key, entry.size);
    }
    if census.objects == 0 {
        return Ok(None);
    }
    let shown = if folder.is_empty() { "." } else { folder };
    let mut finding = ObjectFinding::new("folder", "folder", shown, census.finish());
    finding.note("no object was opened; give the path of a batch to verify it");
    Ok(Some(finding))
}

/// The counts of a sorted listing. The objects of a batch are adjacent, except those of sum parts.
#[derive(Default)]
struct Census {
    objects: u64,
    bytes: u64,
    batches: BTreeMap<BatchKind, Batches>,
    /// The batches of the directory that is being listed, and whether they are signed.
    open: BTreeMap<(String, BatchKind), bool>,
    /// The first batches without a signature.
    unsigned: Vec<String>,
    /// Objects of a processor's own bucket, by kind.
    own: BTreeMap<String, u64>,
    others: u64,
    /// The first of the other objects.
    some_others: Vec<String>,
}

/// The batches of one kind.
#[derive(Default)]
struct Batches {
    signed: u64,
    unsigned: u64,
    bytes: u64,
    first: String,
}

impl Census {
    fn add(&mut self, key: &str, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
        if let Some((stem, kind, part)) = BatchKind::split(key) {
            self.add_batch(stem, kind, part, bytes);
        } else if let Some(own) = own_object(key) {
            *self
                .own
                .entry(OwnKind::new(&own).name.to_owned())
                .or_default() += 1;
        } else {
            self.others += 1;
            if self.some_others.len() < MOST_NAMED_OBJECTS {
                self.some_others.push(key.to_owned());
            }
        }
    }

    fn add_batch(&mut self, stem: &str, kind: BatchKind, part: BatchPart, bytes: u64) {
        let mut open = self.open.keys();
        if open
            .next()
            .is_some_and(|(other, _)| directory(other) != directory(stem))
        {
            self.close();
        }
        let batches = self.batches.entry(kind).or_default();
        batches.bytes += bytes;
        if batches.first.is_empty() {
            stem.clone_into(&mut batches.first);
        }
        let is_signed = self.open.entry((stem.to_owned(), kind)).or_default();
        *is_signed |= part == BatchPart::Signature;
    }

    /// Counts the batches of a directory whose listing is complete.
    fn close(&mut self) {
        for ((stem, kind), is_signed) in std::mem::take(&mut self.open) {
            let batches = self.batches.entry(kind).or_default();
            if is_signed {
                batches.signed += 1;
                continue;
            }
            batches.unsigned += 1;
            if self.unsigned.len() < MOST_NAMED_OBJECTS {
                self.unsigned.push(stem);
            }
        }
    }

    fn finish(mut self) -> Facts {
        self.close();
        let size = [
            Fact::new("objects", self.objects).unit("objects"),
            Fact::new("bytes", self.bytes).unit("bytes"),
        ];
        let batches = self
            .batches
            .into_iter()
            .map(|(kind, batches)| batches.facts(kind));
        let mut facts = Facts::default();
        facts.row("size", size);
        facts.add(Fact::groups("batches", batches.collect()));
        facts.add(Fact::counts("own", self.own).row("own bucket"));
        facts.add(Fact::new("unsigned", self.unsigned).row("not signed"));
        let others = Fact::new("others", self.others);
        facts.add(match self.others {
            0 => others.hidden(),
            _ => others,
        });
        facts.add(Fact::new("some-others", self.some_others).row("such as"));
        facts
    }
}

impl Batches {
    fn facts(self, kind: BatchKind) -> Facts {
        let family = Family::of_name(kind);
        let writer = kind.writer().map(|writer| writer.to_string());
        let title = family.title(kind.writer());
        let mut facts = Facts::default();
        facts.row(
            "",
            [
                Fact::new("family", family.name()).shown(title),
                Fact::new("writer", writer).hidden(),
                Fact::new("signed", self.signed).unit("signed"),
                Fact::new("unsigned", self.unsigned).unit("unsigned"),
                Fact::new("bytes", self.bytes).unit("bytes"),
            ],
        );
        facts.add(Fact::new("first", self.first));
        facts
    }
}

fn directory(stem: &str) -> Option<&str> {
    stem.rsplit_once('/').map(|(directory, _)| directory)
}
