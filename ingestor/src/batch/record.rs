//! The record of a window that is done: what was batched, by digest, sealed. With it, a rerun writes nothing, and the
//! same report is known again.
//!
//! ```text
//! 18 bytes   "tallybox record 1\n"
//! chunks     sealed (crypto::prepared), 1 MiB of plaintext each, the last one shorter or as long:
//!   4 bytes    length of the summary, big-endian
//!   n bytes    the summary, JSON
//!   8 bytes    number of reports batched, big-endian
//!   16 bytes   a report, for each: the digests of whole reports, sorted; of their first shares; of their second ones
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

/// What a record begins with.
const MAGIC: &[u8] = b"tallybox record 1\n";
/// Bytes that sealing adds to a chunk.
const TAG: usize = 16;

/// What was done in a window, and by which plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// SHA-256 of its plan.
    pub plan: Digest,
    /// What became of its reports.
    #[serde(flatten)]
    pub summary: WindowSummary,
}

/// A batch of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowBatch {
    /// What it counts for.
    pub aggregation: AggregationId,
    /// Its id.
    pub id: BatchId,
    /// How many packets are in it.
    pub packets: u64,
}

fn file_key(secret: &IngestorSecret, instance: &Instance, window: BatchTime) -> FileKey {
    let window = window.to_string();
    secret.file_key(&[b"ingestor record", instance.as_str().as_bytes(), window.as_bytes()])
}

/// The bytes of a record. Blocking.
pub(super) fn seal(
    record: &WindowRecord,
    instance: &Instance,
    secret: &IngestorSecret,
    index: &Index,
    cutting: &Cutting,
) -> Result<Vec<u8>, Error> {
    let bug = |problem: String| Error::Internal(format!("record of {}: {problem}", record.summary.window));
    let summary = serde_json::to_vec(record).map_err(|error| bug(error.to_string()))?;
    let mut plain = Vec::with_capacity(summary.len() + 12 + 16 * KEYS * record.summary.batched as usize);
    let length = u32::try_from(summary.len()).map_err(|_| bug("the summary is too long".to_owned()))?;
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
            .map_err(|error| bug(error.to_string()))?;
        file.extend(chunk);
    }
    Ok(file)
}

/// A record, opened.
#[derive(Debug)]
pub(super) struct OpenRecord {
    /// What was done.
    pub(super) record: WindowRecord,
    /// The digests, [`KEYS`] times as many as reports were batched.
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
        let sealed = file.strip_prefix(MAGIC).ok_or_else(|| damaged("it is no record"))?;
        let key = file_key(secret, instance, window);
        let chunks = sealed.chunks(CHUNK + TAG);
        let last = (chunks.len() as u32)
            .checked_sub(1)
            .ok_or_else(|| damaged("it is cut off"))?;
        let mut plain = Vec::with_capacity(sealed.len());
        for (chunk, number) in chunks.zip(0..) {
            let mut chunk = chunk.to_vec();
            key.open_chunk(number, number == last, &mut chunk)
                .map_err(|error| damaged(&error.to_string()))?;
            plain.extend(chunk);
        }
        let (length, rest) = plain.split_first_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let (summary, rest) = rest.split_at_checked(length).ok_or_else(|| damaged("it is cut off"))?;
        let record: WindowRecord = serde_json::from_slice(summary).map_err(|error| damaged(&error.to_string()))?;
        let (count, rest) = rest.split_first_chunk::<8>().ok_or_else(|| damaged("it is cut off"))?;
        let (digests, left) = rest.as_chunks::<16>();
        let expected = u64::from_be_bytes(*count).checked_mul(KEYS as u64);
        if expected != Some(digests.len() as u64) || !left.is_empty() {
            return Err(damaged("it holds another number of digests than it says"));
        }
        let digests = digests.to_vec();
        Ok(Self { record, digests })
    }

    /// Marks what this record knows.
    pub(super) fn mark(&self, replays: &mut Replays) {
        let each = self.digests.len() / KEYS;
        for which in 0..KEYS {
            replays.earlier(which, &self.digests[which * each..(which + 1) * each], &mut 0);
        }
    }
}
