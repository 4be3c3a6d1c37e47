//! What the mailboxes and the evidence contain of one instance and aggregation.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use tallybox_model::path::{BatchKind, BatchPart, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{Bucket, BucketError, ListRange};

use crate::evidence::EvidenceName;

/// The sizes of the objects of both sum parts of a window, in the order of [`BatchPart::ALL`]; 0
/// for an absent object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) sizes: [[u64; 3]; 2],
}

impl Listed {
    /// Returns whether a processor has published its sum part: the signature is written last.
    pub(super) fn is_published(&self, writer: Role) -> bool {
        let signature = BatchPart::ALL
            .iter()
            .position(|part| *part == BatchPart::Signature);
        signature.is_some_and(|index| self.sizes[writer.index()][index] > 0)
    }

    /// Returns the number of bytes of all objects.
    pub(super) fn bytes(&self) -> u64 {
        self.sizes.iter().flatten().sum()
    }
}

/// Adds the sum parts of one processor in a folder of its mailbox, from a start time on.
pub(super) async fn list_parts(
    mailbox: &dyn Bucket,
    folder: &str,
    writer: Role,
    since: Option<BatchTime>,
    found: &mut BTreeMap<Window, Listed>,
) -> Result<(), BucketError> {
    let mut entries = mailbox.list(folder, from(folder, since)).await?;
    while let Some(entry) = entries.try_next().await? {
        let Some((stem, kind, part)) = BatchKind::split(&entry.key) else {
            continue;
        };
        let name = SumPartName::parse(stem, writer).filter(|_| kind == BatchKind::SumPart(writer));
        let index = BatchPart::ALL.iter().position(|other| *other == part);
        if let (Some(name), Some(index)) = (name, index) {
            let listed = found.entry(name.window).or_default();
            listed.sizes[writer.index()][index] = entry.size;
        }
    }
    Ok(())
}

/// Returns the sizes of the evidence objects in a folder, by window and version.
pub(super) async fn list_evidence(
    evidence: &dyn Bucket,
    folder: &str,
    since: Option<BatchTime>,
) -> Result<BTreeMap<(Window, u32), u64>, BucketError> {
    let mut found = BTreeMap::new();
    let mut entries = evidence.list(folder, from(folder, since)).await?;
    while let Some(entry) = entries.try_next().await? {
        if let Some(name) = EvidenceName::parse(&entry.key) {
            found.insert((name.window, name.version), entry.size);
        }
    }
    Ok(found)
}

/// Names begin with the start of the window, so a listing can begin at a time.
fn from(folder: &str, since: Option<BatchTime>) -> ListRange {
    ListRange {
        start_at: since.map(|since| format!("{folder}/{}", since.compact())),
        end_before: None,
    }
}
