//! The sealed record of a complete window, with digests of its batched reports. If a window has a
//! record, a later run writes nothing, and its reports are recognised as replays.
//!
//! ```text
//! 18 bytes   "tallybox record 1\n"
//! chunks     sealed (crypto::prepared), 1 MiB of plaintext each, the last one shorter or as long:
//!   4 bytes    length of the summary, big-endian
//!   n bytes    the summary, JSON
//!   8 bytes    number of reports batched, big-endian
//!   16 bytes   for each report, three times: the digests of whole reports, sorted; then those of
//!              their first shares; then those of their second shares
//! ```

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tallybox_crypto::IngestorSecret;
use tallybox_crypto::prepared::{CHUNK, FileKey};
use tallybox_model::digest::Digest;
use tallybox_model::id::{AggregationId, BatchId, Instance};
use tallybox_model::time::BatchTime;

use super::cut::Cutting;
use super::index::Index;
use super::replay::{KEYS, Replays, key};
use super::summary::WindowSummary;
use crate::error::Error;

/// First bytes of a record.
const MAGIC: &[u8] = b"tallybox record 1\n";
/// Bytes that sealing adds to a chunk.
const TAG_BYTES: usize = 16;

/// The result of a window, and the plan that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// SHA-256 of the window's plan.
    pub plan: Digest,
    /// Counts of the window's reports, and its batches.
    #[serde(flatten)]
    pub summary: WindowSummary,
}

/// A batch of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowBatch {
    /// The aggregation to which the batch belongs.
    pub aggregation: AggregationId,
    /// Id of the batch.
    pub id: BatchId,
    /// Number of packets in the batch.
    pub packets: u64,
}

fn file_key(secret: &IngestorSecret, instance: &Instance, window: BatchTime) -> FileKey {
    let window = window.to_string();
    secret.file_key(&[
        b"ingestor record",
        instance.as_str().as_bytes(),
        window.as_bytes(),
    ])
}

/// Returns the bytes of a record. Blocking.
pub(super) fn seal(
    record: &WindowRecord,
    instance: &Instance,
    secret: &IngestorSecret,
    index: &Index,
    cutting: &Cutting,
) -> Result<Vec<u8>, Error> {
    let internal_error = |problem: String| {
        Error::Internal(format!("record of {}: {problem}", record.summary.window))
    };
    let summary = serde_json::to_vec(record).map_err(|error| internal_error(error.to_string()))?;
    let mut plain =
        Vec::with_capacity(summary.len() + 12 + 16 * KEYS * record.summary.batched as usize);
    let length = u32::try_from(summary.len())
        .map_err(|_| internal_error("the summary is too long".to_owned()))?;
    plain.extend(length.to_be_bytes());
    plain.extend(summary);
    plain.extend(record.summary.batched.to_be_bytes());
    for which in 0..KEYS {
        let entries = cutting.batches.iter().flat_map(|batch| &batch.entries);
        let mut keys: Vec<_> = entries
            .map(|entry| key(&index.entries[*entry as usize], which))
            .collect();
        keys.par_sort_unstable();
        plain.extend(keys.as_flattened());
    }
    let key = file_key(secret, instance, record.summary.window.start());
    let mut file = MAGIC.to_vec();
    let chunks = plain.chunks(CHUNK);
    let last = chunks.len() as u32 - 1;
    for (chunk, number) in chunks.zip(0..) {
        let mut chunk = chunk.to_vec();
        key.seal_chunk(number, number == last, &mut chunk)
            .map_err(|error| internal_error(error.to_string()))?;
        file.extend(chunk);
    }
    Ok(file)
}

/// A record that has been opened.
#[derive(Debug)]
pub(super) struct OpenRecord {
    /// The result of the window.
    pub(super) record: WindowRecord,
    /// The digests: [`KEYS`] for each batched report.
    digests: Vec<[u8; 16]>,
}

impl OpenRecord {
    /// Opens the bytes of a record. Blocking.
    pub(super) fn open(
        object: &str,
        file: &[u8],
        instance: &Instance,
        window: BatchTime,
        secret: &IngestorSecret,
    ) -> Result<Self, Error> {
        let damaged = |problem: &str| Error::Damaged {
            object: object.to_owned(),
            problem: problem.to_owned(),
        };
        let sealed = file
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("the file is not a window record"))?;
        let key = file_key(secret, instance, window);
        let chunks = sealed.chunks(CHUNK + TAG_BYTES);
        let last = (chunks.len() as u32)
            .checked_sub(1)
            .ok_or_else(|| damaged("the file is truncated"))?;
        let mut plain = Vec::with_capacity(sealed.len());
        for (chunk, number) in chunks.zip(0..) {
            let mut chunk = chunk.to_vec();
            key.open_chunk(number, number == last, &mut chunk)
                .map_err(|error| damaged(&error.to_string()))?;
            plain.extend(chunk);
        }
        let (length, rest) = plain
            .split_first_chunk::<4>()
            .ok_or_else(|| damaged("the file is truncated"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let (summary, rest) = rest
            .split_at_checked(length)
            .ok_or_else(|| damaged("the file is truncated"))?;
        let record: WindowRecord =
            serde_json::from_slice(summary).map_err(|error| damaged(&error.to_string()))?;
        let (count, rest) = rest
            .split_first_chunk::<8>()
            .ok_or_else(|| damaged("the file is truncated"))?;
        let (digests, left) = rest.as_chunks::<16>();
        let expected = u64::from_be_bytes(*count).checked_mul(KEYS as u64);
        if expected != Some(digests.len() as u64) || !left.is_empty() {
            return Err(damaged(
                "the number of digests differs from the number stated",
            ));
        }
        let digests = digests.to_vec();
        Ok(Self { record, digests })
    }

    /// Marks the reports of this record as replays.
    pub(super) fn mark(&self, replays: &mut Replays) {
        let each = self.digests.len() / KEYS;
        for which in 0..KEYS {
            replays.mark_earlier(
                which,
                &self.digests[which * each..(which + 1) * each],
                &mut 0,
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_crypto::pseudonym::Pseudonym;
    use tallybox_model::time::Window;

    use super::super::cut::CutBatch;
    use super::super::index::Entry;
    use super::super::replay::ReplayCounts;
    use super::*;

    fn entry(number: u32) -> Entry {
        let digest = |kind: u8| {
            let mut digest = [kind; 16];
            digest[..4].copy_from_slice(&number.to_be_bytes());
            digest
        };
        Entry {
            id: digest(1),
            digest: digest(2),
            ciphertexts: [digest(3), digest(4)],
            pseudonym: Pseudonym {
                packet: digest(5),
                order: digest(6),
            },
            group: 0,
            slab: 0,
            position: number,
            carried_since: i64::MAX,
        }
    }

    #[test]
    fn a_record_of_several_chunks_is_read_back_and_marks_its_reports() {
        let count = CHUNK as u32 / 16;
        let index = Index {
            groups: Vec::new(),
            entries: (0..count).map(entry).collect(),
        };
        let cutting = Cutting {
            batches: vec![CutBatch {
                group: 0,
                ordinal: 0,
                entries: (0..count).collect(),
                partition: 0,
            }],
            ..Cutting::default()
        };
        let [start, end] =
            ["2026/11/23/10/00", "2026/11/23/11/00"].map(|time| time.parse().unwrap());
        let record = WindowRecord {
            plan: Digest::sha256(b"plan"),
            summary: WindowSummary {
                window: Window::new(start, end).unwrap(),
                reports: count.into(),
                batched: count.into(),
                replays: ReplayCounts::default(),
                carried: 0,
                dropped: 0,
                other_bins: 0,
                batches: Vec::new(),
            },
        };
        let secret = IngestorSecret::generate(&mut rand::rng());
        let instance = "us-xx-ingestor".parse().unwrap();
        let file = seal(&record, &instance, &secret, &index, &cutting).unwrap();
        assert!(file.len() > 3 * CHUNK);
        let open = |file: &[u8]| OpenRecord::open("record", file, &instance, start, &secret);
        let opened = open(&file).unwrap();
        assert_eq!(opened.record, record);
        let mut replays = Replays::within(&[entry(7), entry(count), entry(count - 1)]);
        opened.mark(&mut replays);
        assert_eq!(replays.finish().0, [false, true, false]);

        let chunk = MAGIC.len() + CHUNK + TAG_BYTES;
        assert!(open(&file[..chunk]).is_err(), "only the first chunk");

        let mut other = record;
        other.summary.batched += 1;
        let file = seal(&other, &instance, &secret, &index, &cutting).unwrap();
        assert!(open(&file).is_err(), "fewer digests than it states");
    }
}
