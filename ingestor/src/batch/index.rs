//! The index of a plan's reports: digests of every report, in the order of the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rayon::prelude::*;
use tallybox_crypto::IngestorSecret;
use tallybox_crypto::pseudonym::Pseudonym;
use tallybox_model::avro::{
    AvroError, Block, ContainerReader, FileLimits, RecordReader, WriterSchema,
};
use tallybox_model::header::BatchParameters;
use tallybox_model::id::KeyId;
use tallybox_model::report::StoredReport;
use tallybox_model::spool::{Plan, PlannedSlab};
use tallybox_transport::{BucketError, Records};

use super::retry::RetryingBucket;
use crate::error::Error;

/// Most bytes of a slab.
const SLAB_LIMIT: u64 = 256 << 20;
/// Most slabs that are read at the same time.
const CONCURRENT_READS: usize = 8;

/// The common properties of a batch's reports, in the order in which batches are listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    /// The value of [`BatchParameters::encode`], which defines the order.
    parameters: Vec<u8>,
    /// The ids of the keys to which the shares are sealed.
    pub(super) key_ids: [KeyId; 2],
}

/// A group of reports that may be in the same batch.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) parameters: BatchParameters,
    pub(super) key_ids: [KeyId; 2],
    /// The longest sealed share for each processor, in bytes.
    pub(super) longest: [usize; 2],
}

/// A report of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The bytes of its id.
    pub(super) id: [u8; 16],
    /// Digest of the whole report.
    pub(super) digest: [u8; 16],
    /// Digest of each sealed share.
    pub(super) ciphertexts: [[u8; 16]; 2],
    /// The id of the report's packet, and its order within its group.
    pub(super) pseudonym: Pseudonym,
    /// Number of the group.
    pub(super) group: u32,
    /// Number of the slab in the plan.
    pub(super) slab: u32,
    /// Number of the record in the slab.
    pub(super) position: u32,
    /// Start of the window in which the report was first carried over, in minutes since the epoch;
    /// `i64::MAX` if it never was.
    pub(super) carried_since: i64,
}

/// The reports of a plan.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) groups: Vec<Group>,
    /// The reports in the order of the plan: slab by slab, record by record.
    pub(super) entries: Vec<Entry>,
}

/// A slab in memory, split into blocks.
#[derive(Debug)]
pub(super) struct Slab {
    schema: Arc<WriterSchema>,
    blocks: Vec<Block>,
}

/// Value of `carried_since` for a report that was never carried over.
const NEVER_CARRIED: i64 = i64::MAX;

impl Slab {
    /// Verifies a slab and splits it into blocks. Each pass over the slabs verifies again, since a
    /// bucket may return other bytes each time.
    fn open(spool: &(Records, String), key: &str, object: &Bytes) -> Result<Self, Error> {
        let (records, bucket) = spool;
        let payload = records
            .open(key, object)
            .map_err(|source| BucketError::Unverified {
                key: key.to_owned(),
                bucket: bucket.clone(),
                source,
            })?;
        Self::parse(key, &payload)
    }

    fn parse(key: &str, bytes: &Bytes) -> Result<Self, Error> {
        let damaged = |error: AvroError| damaged(key, &error);
        let mut reader =
            ContainerReader::open(bytes.as_ref(), &FileLimits::default()).map_err(damaged)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block().map_err(damaged)? {
            blocks.push(block);
        }
        let schema = Arc::clone(reader.schema());
        Ok(Self { schema, blocks })
    }

    /// Returns the reports of the slab.
    pub(super) fn reports(&self) -> impl Iterator<Item = Result<StoredReport<'_>, AvroError>> {
        let limits = FileLimits::default();
        self.blocks
            .iter()
            .flat_map(move |block| RecordReader::new(block, &self.schema, &limits))
    }
}

pub(super) fn damaged(key: &str, error: &AvroError) -> Error {
    Error::Damaged {
        object: key.to_owned(),
        problem: error.to_string(),
    }
}

/// Reads slabs, several at a time, and passes them to `process` on blocking threads, in chunks and
/// in order.
// All slabs of a chunk are read before the first is processed. The simulation, whose windows have
// fewer slabs than a chunk, relies on this: a process that waits for a bucket does nothing else in
// the meantime, so a seed always gives the same run.
pub(super) async fn each_slab<T: Send + 'static>(
    spool: RetryingBucket<'_>,
    slabs: &[PlannedSlab],
    process: impl Fn(usize, Slab) -> Result<T, Error> + Send + Sync + 'static,
) -> Result<Vec<T>, Error> {
    let process = Arc::new(process);
    let spool_context = Arc::new((spool.records.clone(), spool.bucket.location()));
    let mut results = Vec::with_capacity(slabs.len());
    let read = |(slab_number, slab): (usize, PlannedSlab)| async move {
        let bytes = spool.read(&slab.key, SLAB_LIMIT).await?;
        Ok::<_, Error>((slab_number, slab.key, bytes))
    };
    let numbered: Vec<_> = slabs.iter().cloned().enumerate().collect();
    let mut chunks = stream::iter(numbered)
        .map(read)
        .buffered(CONCURRENT_READS)
        .try_chunks(CONCURRENT_READS);
    while let Some(chunk) = chunks.try_next().await.map_err(|error| error.1)? {
        let (process, spool_context) = (Arc::clone(&process), Arc::clone(&spool_context));
        let work = move || -> Result<Vec<T>, Error> {
            let process_slab = |(slab_number, key, bytes): (usize, String, Bytes)| {
                let slab = Slab::open(&spool_context, &key, &bytes)?;
                drop(bytes);
                process(slab_number, slab)
            };
            chunk.into_par_iter().map(process_slab).collect()
        };
        results.extend(blocking(work).await?);
    }
    Ok(results)
}

/// Runs `work` on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Internal(format!("a batching task failed: {error}")))?
}

/// The index of one slab, with its own numbering of groups.
struct SlabIndex {
    groups: Vec<(GroupKey, Group)>,
    entries: Vec<Entry>,
}

impl Index {
    /// Reads all slabs of a plan.
    pub(super) async fn read(
        spool: RetryingBucket<'_>,
        plan: &Plan,
        secret: &IngestorSecret,
    ) -> Result<Self, Error> {
        let keys: Vec<String> = plan.slabs.iter().map(|slab| slab.key.clone()).collect();
        let secret = secret.clone();
        let read = move |slab_number: usize, slab: Slab| {
            index_slab(&keys[slab_number], slab_number as u32, &slab, &secret)
        };
        let slab_indexes = each_slab(spool, &plan.slabs, read).await?;
        blocking(move || Ok(Self::merge(slab_indexes))).await
    }

    /// Merges the indexes of all slabs and numbers their groups in one order.
    fn merge(slab_indexes: Vec<SlabIndex>) -> Self {
        let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
        for (key, group) in slab_indexes
            .iter()
            .flat_map(|slab_index| &slab_index.groups)
        {
            let existing = groups.entry(key.clone()).or_insert_with(|| group.clone());
            for (longest, length) in existing.longest.iter_mut().zip(group.longest) {
                *longest = length.max(*longest);
            }
        }
        let numbers: BTreeMap<&GroupKey, u32> = groups.keys().zip(0..).collect();
        let mut entries = Vec::with_capacity(
            slab_indexes
                .iter()
                .map(|slab_index| slab_index.entries.len())
                .sum(),
        );
        for slab_index in &slab_indexes {
            let renumbered: Vec<u32> = slab_index
                .groups
                .iter()
                .map(|(key, _)| numbers[key])
                .collect();
            entries.extend(slab_index.entries.iter().map(|entry| Entry {
                group: renumbered[entry.group as usize],
                ..*entry
            }));
        }
        let groups = groups.into_values().collect();
        Self { groups, entries }
    }
}

fn index_slab(
    key: &str,
    slab_number: u32,
    slab: &Slab,
    secret: &IngestorSecret,
) -> Result<SlabIndex, Error> {
    let mut groups: Vec<(GroupKey, Group)> = Vec::new();
    let mut entries = Vec::new();
    for (report, position) in slab.reports().zip(0..) {
        let report = report.map_err(|error| damaged(key, &error))?;
        // A slab has few groups, so a linear search is fast, and keys are built only once per
        // group.
        let existing = groups.iter().position(|(_, group)| group.accepts(&report));
        let group = existing.unwrap_or_else(|| {
            groups.push(Group::from_report(&report));
            groups.len() - 1
        });
        let longest = &mut groups[group].1.longest;
        longest[0] = longest[0].max(report.payload_first.len());
        longest[1] = longest[1].max(report.payload_second.len());
        entries.push(index_entry(
            key,
            &report,
            [group as u32, slab_number, position],
            secret,
        )?);
    }
    Ok(SlabIndex { groups, entries })
}

impl Group {
    fn from_report(report: &StoredReport<'_>) -> (GroupKey, Self) {
        let parameters = report.parameters();
        let key_ids = [report.key_id_first, report.key_id_second].map(str::to_owned);
        let key = GroupKey {
            parameters: parameters.encode(),
            key_ids: key_ids.clone(),
        };
        let longest = [0; 2];
        let group = Self {
            parameters,
            key_ids,
            longest,
        };
        (key, group)
    }

    /// Returns whether the report may be in the same batch as those of this group: all fields that
    /// a header contains are equal.
    fn accepts(&self, report: &StoredReport<'_>) -> bool {
        let own = &self.parameters;
        own.name == report.metric
            && own.bins == report.bins
            && own.epsilon.to_bits() == report.epsilon.to_bits()
            && own.prime == report.prime
            && own.number_of_servers == report.number_of_servers
            && own.hamming_weight == report.hamming_weight
            && self.key_ids[0] == report.key_id_first
            && self.key_ids[1] == report.key_id_second
    }
}

fn index_entry(
    key: &str,
    report: &StoredReport<'_>,
    numbers: [u32; 3],
    secret: &IngestorSecret,
) -> Result<Entry, Error> {
    let id: tallybox_model::id::PacketId = report.id.parse().map_err(|error| Error::Damaged {
        object: key.to_owned(),
        problem: format!("{error}"),
    })?;
    let digest = report.digest();
    let [group, slab, position] = numbers;
    Ok(Entry {
        id: *id.as_bytes(),
        digest: digest.report,
        ciphertexts: digest.ciphertexts,
        pseudonym: secret.packet(&digest.report),
        group,
        slab,
        position,
        carried_since: report
            .carried_since
            .map_or(NEVER_CARRIED, |millis| millis.div_euclid(60_000)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tallybox_model::header::PRIME;

    use super::*;

    fn report() -> StoredReport<'static> {
        StoredReport {
            id: "00112233-4455-4677-8899-aabbccddeeff",
            metric: "a",
            bins: 5,
            epsilon: 8.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
            key_id_first: "first",
            key_id_second: "second",
            payload_first: b"one",
            payload_second: b"two",
            carried_since: None,
        }
    }

    #[test]
    fn a_group_accepts_reports_of_the_same_header_and_keys_only() {
        let (_, group) = Group::from_report(&report());
        let same = StoredReport {
            id: "ffeeddcc-bbaa-4988-8766-554433221100",
            payload_first: b"three",
            payload_second: b"four",
            carried_since: Some(7),
            ..report()
        };
        assert!(group.accepts(&same));
        let others = [
            StoredReport {
                metric: "b",
                ..report()
            },
            StoredReport {
                bins: 6,
                ..report()
            },
            StoredReport {
                epsilon: 9.0,
                ..report()
            },
            StoredReport {
                prime: PRIME + 2,
                ..report()
            },
            StoredReport {
                number_of_servers: 3,
                ..report()
            },
            StoredReport {
                hamming_weight: Some(1),
                ..report()
            },
            StoredReport {
                key_id_first: "other",
                ..report()
            },
            StoredReport {
                key_id_second: "other",
                ..report()
            },
        ];
        for other in others {
            assert!(!group.accepts(&other), "{other:?}");
        }
    }

    #[test]
    fn the_index_numbers_the_groups_of_all_slabs_in_one_order() {
        let secret = IngestorSecret::generate(&mut rand::rng());
        let of_metric = |metric, slab: u32| -> SlabIndex {
            let stored = StoredReport { metric, ..report() };
            let numbers = [0, slab, 0];
            SlabIndex {
                groups: vec![Group::from_report(&stored)],
                entries: vec![index_entry("slab", &stored, numbers, &secret).unwrap()],
            }
        };
        let index = Index::merge(vec![of_metric("b", 0), of_metric("a", 1)]);
        let names: Vec<_> = index
            .groups
            .iter()
            .map(|group| group.parameters.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
        let groups: Vec<_> = index
            .entries
            .iter()
            .map(|entry| (entry.slab, entry.group))
            .collect();
        assert_eq!(groups, [(0, 1), (1, 0)]);
    }
}
