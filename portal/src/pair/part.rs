//! One sum part: its three files, and their verification.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;
use tallybox_crypto::prio2::MODULUS;
use tallybox_model::avro::FileLimits;
use tallybox_model::digest::Digest;
use tallybox_model::header::SumPart;
use tallybox_model::id::{AggregationId, Instance, PacketId};
use tallybox_model::packet::InvalidPacket;
use tallybox_model::path::{BatchKind, BatchObjects, BatchPart, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::batch::{BatchError, SignedBatch};
use tallybox_transport::{Bucket, BucketError, read_all};

use super::finding::Finding;
use crate::keys::PortalKeys;

/// Size of a sum part's largest object in bytes: 64 MiB, which is a header of 262,143 bins, or the
/// identifiers of four million rejected packets.
const MAX_OBJECT_BYTES: u64 = 64 << 20;

/// What the name of a sum part states: the writer, the files, and the window if the name is
/// complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartKind {
    /// The processor that writes the sum part.
    pub writer: Role,
    /// The names of its three objects.
    pub objects: BatchObjects,
    /// Instance, aggregation and window, if the path contains them.
    pub name: Option<SumPartName>,
}

impl PartKind {
    /// Derives the names of all three objects from the name of one; `None` for an object that does
    /// not belong to a sum part.
    ///
    /// ```
    /// use tallybox_portal::pair::PartKind;
    /// let part = PartKind::parse("202311142200-202311142300.sum_1.sig").unwrap();
    /// assert_eq!(part.objects.header, "202311142200-202311142300.sum_1");
    /// assert!(PartKind::parse("notes.txt").is_none());
    /// ```
    #[must_use]
    pub fn parse(object: &str) -> Option<Self> {
        let (stem, kind, _) = BatchKind::split(object)?;
        let BatchKind::SumPart(writer) = kind else {
            return None;
        };
        // A path may begin with folders that are not part of the name.
        let name = tallybox_model::path::possible_keys(stem)
            .find_map(|stem| SumPartName::parse(stem, writer));
        Some(Self {
            writer,
            objects: kind.objects(stem),
            name,
        })
    }

    /// Returns the names of the objects of a sum part.
    #[must_use]
    pub fn of(name: SumPartName) -> Self {
        Self {
            writer: name.writer,
            objects: name.objects(),
            name: Some(name),
        }
    }
}

/// The content of a sum part's objects, as they were read. Absent header and packets are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFiles {
    /// The signature object.
    pub signature: Bytes,
    /// The header object.
    pub header: Bytes,
    /// The identifiers of rejected packets.
    pub packets: Bytes,
}

impl PartFiles {
    /// Returns the content of one object.
    #[must_use]
    pub fn get(&self, part: BatchPart) -> &Bytes {
        match part {
            BatchPart::Signature => &self.signature,
            BatchPart::Header => &self.header,
            BatchPart::Packets => &self.packets,
        }
    }
}

/// Reads the three objects of a sum part.
///
/// # Errors
/// [`BatchError::NotThere`] without a signature object; otherwise the error of the bucket.
pub async fn read_files(
    bucket: &dyn Bucket,
    objects: &BatchObjects,
) -> Result<PartFiles, BatchError> {
    let optional = |read: Result<Bytes, BucketError>| match read {
        Err(BucketError::NotFound { .. }) => Ok(Bytes::new()),
        read => read,
    };
    let signature = match read_all(bucket, &objects.signature, MAX_OBJECT_BYTES).await {
        Err(BucketError::NotFound { key, .. }) => return Err(BatchError::NotThere { object: key }),
        read => read?,
    };
    Ok(PartFiles {
        signature,
        header: optional(read_all(bucket, &objects.header, MAX_OBJECT_BYTES).await)?,
        packets: optional(read_all(bucket, &objects.packets, MAX_OBJECT_BYTES).await)?,
    })
}

/// A sum part whose signature and digests have been verified.
#[derive(Clone, Debug)]
pub struct Part {
    /// The names.
    pub kind: PartKind,
    /// The window in the header.
    pub window: Window,
    /// The header.
    pub header: SumPart,
    /// The identifiers of the packets that the processor did not count.
    pub rejected: BTreeSet<PacketId>,
    /// The key that signed it.
    pub signed_by: SignedBy,
    /// SHA-256 of each object, by its name. An object that does not exist has no entry.
    pub digests: Vec<FileDigest>,
}

/// The key that signed a sum part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignedBy {
    /// The identifier in the signature.
    pub key: String,
    /// The fingerprint of the public key.
    pub fingerprint: String,
}

/// The name and the digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileDigest {
    /// The object's name.
    pub file: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// Its SHA-256 digest.
    pub sha256: Digest,
}

impl Part {
    /// Verifies the files of a sum part with the keys of its writer.
    ///
    /// # Errors
    /// [`Finding`]: the signature, a digest or the content is wrong, or the header contradicts the
    /// name.
    pub fn verify(kind: PartKind, files: &PartFiles, keys: &PortalKeys) -> Result<Self, Finding> {
        let writer = kind.writer;
        let unverified = |source| Finding::Unverified { writer, source };
        let trusted = keys.of(writer);
        let separate = (files.header.clone(), files.packets.clone());
        let batch = match SignedBatch::from_files(
            kind.objects.clone(),
            &files.signature,
            separate,
            trusted,
            &limits(),
        ) {
            Err(error) if is_of(&kind, files, keys, writer.peer()) => {
                return Err(Finding::WrongSide {
                    object: kind.objects.signature,
                    writer,
                    source: error,
                });
            }
            // Without a header, the signature would seem to be wrong.
            Err(BatchError::BadSignature { .. }) if files.header.is_empty() => {
                return Err(unverified(BatchError::Incomplete {
                    object: kind.objects.header,
                }));
            }
            other => other.map_err(unverified)?,
        };
        let header: SumPart = batch.header().map_err(unverified)?;
        let rejected = read_rejected(&batch, &header).map_err(unverified)?;
        // `from_files` finds only keys of this map.
        let fingerprint = trusted.get(batch.key()).map(|key| key.fingerprint());
        let window = check_content(&kind, &header)?;
        Ok(Self {
            signed_by: SignedBy {
                key: batch.key().to_owned(),
                fingerprint: fingerprint.unwrap_or_default(),
            },
            digests: digests(&kind.objects, files),
            window,
            header,
            rejected,
            kind,
        })
    }

    /// Returns the instance, if the name contains it.
    #[must_use]
    pub fn instance(&self) -> Option<&Instance> {
        self.kind.name.as_ref().map(|name| &name.instance)
    }
}

/// Limits of a sum part's files, far below those of ingestion batches.
fn limits() -> FileLimits {
    FileLimits {
        object_bytes: MAX_OBJECT_BYTES,
        record_bytes: 16 << 20,
        file_bytes: MAX_OBJECT_BYTES,
        records: 1 << 22,
        ..FileLimits::default()
    }
}

/// Returns whether the other processor has signed the files.
fn is_of(kind: &PartKind, files: &PartFiles, keys: &PortalKeys, other: Role) -> bool {
    let separate = (files.header.clone(), files.packets.clone());
    SignedBatch::from_files(
        kind.objects.clone(),
        &files.signature,
        separate,
        keys.of(other),
        &limits(),
    )
    .is_ok()
}

/// Reads the identifiers of rejected packets, and verifies the digest of their file.
fn read_rejected(batch: &SignedBatch, header: &SumPart) -> Result<BTreeSet<PacketId>, BatchError> {
    let mut packets = batch.inline_packets(header.packet_file_digest);
    let limits = packets.limits().clone();
    let mut ids = BTreeSet::new();
    while let Some(block) = packets.next_block()? {
        for record in block.records::<InvalidPacket>(&limits) {
            match record {
                Ok(InvalidPacket { id }) => ids.insert(id),
                Err(error) => return Err(packets.blame_record(error)),
            };
        }
    }
    packets.finish()?;
    Ok(ids)
}

/// Checks what a header states about itself, and against the object's name; returns the window.
fn check_content(kind: &PartKind, header: &SumPart) -> Result<Window, Finding> {
    let writer = kind.writer;
    let malformed = |problem: String| Finding::Malformed {
        object: kind.objects.header.clone(),
        writer,
        problem,
    };
    let time = |millis| {
        BatchTime::from_millis(millis)
            .ok_or_else(|| malformed(format!("{millis} is not a whole minute in milliseconds")))
    };
    let start = time(header.aggregation_start_time)?;
    let end = time(header.aggregation_end_time)?;
    let window = Window::new(start, end).map_err(|error| malformed(error.to_string()))?;
    if header.prime != i64::from(MODULUS) {
        return Err(malformed(format!(
            "prime {} is not {MODULUS}",
            header.prime
        )));
    }
    if usize::try_from(header.bins).ok() != Some(header.sum.len()) || header.sum.is_empty() {
        let (found, bins) = (header.sum.len(), header.bins);
        return Err(malformed(format!("{found} sums for {bins} bins")));
    }
    let elements = 0..i64::from(MODULUS);
    if let Some(bin) = header.sum.iter().position(|sum| !elements.contains(sum)) {
        let sum = header.sum[bin];
        return Err(malformed(format!(
            "the sum of bin {bin}, {sum}, is no field element"
        )));
    }
    if !header.epsilon.is_finite() || header.epsilon < 0.0 {
        return Err(malformed(format!(
            "epsilon {} is not possible",
            header.epsilon
        )));
    }
    if header.total_individual_clients < 0 {
        return Err(malformed("the number of clients is negative".to_owned()));
    }
    let mut batches = BTreeSet::new();
    if let Some(twice) = header
        .batch_uuids
        .iter()
        .find(|batch| !batches.insert(**batch))
    {
        return Err(malformed(format!("batch {twice} is listed twice")));
    }
    let aggregation: AggregationId = header
        .name
        .parse()
        .map_err(|error: tallybox_model::id::IdError| malformed(error.to_string()))?;
    match &kind.name {
        Some(name) if name.aggregation != aggregation || name.window != window => {
            Err(Finding::Renamed {
                object: kind.objects.header.clone(),
                writer,
                stated: format!("{aggregation} {window}"),
            })
        }
        _ => Ok(window),
    }
}

fn digests(objects: &BatchObjects, files: &PartFiles) -> Vec<FileDigest> {
    let digest = |part| {
        let content = files.get(part);
        FileDigest {
            file: objects.get(part).to_owned(),
            bytes: content.len(),
            sha256: Digest::sha256(content),
        }
    };
    let all = BatchPart::ALL.into_iter().map(digest);
    all.filter(|digest| digest.bytes > 0).collect()
}
