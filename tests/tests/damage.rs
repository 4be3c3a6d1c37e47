//! Damages each object of a small pipeline in each way at each stage: no sum is wrong, and the
//! other batches are summed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::config::Config;
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::sum::{AggregateSummary, BatchOutcome};
use tallybox_model::id::BatchId;
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_model::role::Role;
use tallybox_service::config::load;
use tallybox_tests::forge::{Batch, signing_key};
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{SharedBucket, memory, publish_bytes, read_all};

const PRIME: u64 = 4_293_918_721;

/// The object that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    IngestionPackets,
    IngestionHeader,
    IngestionSignature,
    Prepared,
    ValidationPackets,
    ValidationHeader,
    ValidationSignature,
}

use Object::{
    IngestionHeader, IngestionPackets, IngestionSignature, Prepared, ValidationHeader,
    ValidationPackets, ValidationSignature,
};

const ALL_OBJECTS: [Object; 7] = [
    IngestionPackets,
    IngestionHeader,
    IngestionSignature,
    Prepared,
    ValidationPackets,
    ValidationHeader,
    ValidationSignature,
];

/// The kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// Flips a bit at this many sixteenths of the object's length.
    Flip(usize),
    /// Truncates the object to this many sixteenths.
    Truncate(usize),
    /// Appends a byte.
    Append,
    /// Deletes the object.
    Delete,
    /// Exchanges the object with that of the next batch.
    Swap,
    /// Replaces the object by that of the next batch.
    Replace,
}

/// The time of the damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    BeforeIntake,
    BeforeAggregate,
    /// After a first aggregation, before it is repeated.
    AfterAggregate,
}

/// Two processors in memory, and three small batches.
struct World {
    processors: [Arc<Processor>; 2],
    batches: Vec<BatchName>,
}

impl World {
    async fn new(case: &Case, forged: &[[Batch; 2]]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let validations = [memory("for-first"), memory("for-second")];
        let mut processors = Vec::new();
        for role in Role::ALL {
            let config = write_config(
                root.path(),
                role,
                &BucketPaths::beside_predecessor(case, root.path(), role),
                "",
            );
            let mut processor = Processor::open(&load::<Config>(&config).unwrap()).unwrap();
            processor.buckets.ingestion = memory("ingestion");
            processor.buckets.own = memory("own");
            processor.buckets.peer_validation_in = validations[role.index()].clone();
            processor.buckets.peer_validation_out = validations[role.peer().index()].clone();
            processor.buckets.sum_parts = memory("sum");
            for batch in forged {
                batch[role.index()]
                    .write(&*processor.buckets.ingestion)
                    .await;
            }
            processors.push(Arc::new(processor));
        }
        let batches = forged.iter().map(|batch| batch[0].name.clone()).collect();
        Self {
            processors: processors.try_into().unwrap(),
            batches,
        }
    }

    async fn intake(&self) {
        for processor in &self.processors {
            for batch in &self.batches {
                let _ = intake(processor, batch, no_progress()).await;
            }
        }
    }

    async fn aggregate(
        &self,
        dry_run: bool,
    ) -> [Result<AggregateSummary, tallybox_facilitator::error::Error>; 2] {
        let [first, second] = &self.processors;
        let aggregation = self.batches[0].aggregation.clone();
        let task = AggregateTask {
            aggregation,
            window: Case::window(),
            batches: Vec::new(),
            dry_run,
        };
        [
            aggregate(first, &task, no_progress())
                .await
                .map_err(Error::from),
            aggregate(second, &task, no_progress())
                .await
                .map_err(Error::from),
        ]
    }

    /// Returns the location where the first processor reads this object of a batch.
    fn locate(&self, object: Object, batch: &BatchName) -> (SharedBucket, String) {
        let first = &self.processors[0];
        let (ingestion, validation) = (batch.ingestion(), batch.validation(Role::Second));
        let (bucket, name) = match object {
            IngestionPackets => (&first.buckets.ingestion, ingestion.packets),
            IngestionHeader => (&first.buckets.ingestion, ingestion.header),
            IngestionSignature => (&first.buckets.ingestion, ingestion.signature),
            Prepared => (
                &first.buckets.own,
                batch.prepared(&first.keys.sealing[0].id()),
            ),
            ValidationPackets => (&first.buckets.peer_validation_in, validation.packets),
            ValidationHeader => (&first.buckets.peer_validation_in, validation.header),
            ValidationSignature => (&first.buckets.peer_validation_in, validation.signature),
        };
        (bucket.clone(), name)
    }

    async fn damage(&self, object: Object, damage: Damage) {
        let (bucket, name) = self.locate(object, &self.batches[1]);
        let (_, next) = self.locate(object, &self.batches[2]);
        let Ok(bytes) = read_all(&*bucket, &name, u64::MAX).await else {
            return;
        };
        let mut bytes = bytes.to_vec();
        bucket.delete(&name).await.unwrap();
        let length = bytes.len();
        match damage {
            Damage::Delete => return,
            Damage::Flip(position) => bytes[(length * position / 16).min(length - 1)] ^= 0x10,
            Damage::Truncate(position) => bytes.truncate(length * position / 16),
            Damage::Append => bytes.push(0),
            Damage::Swap | Damage::Replace => {
                let other = read_all(&*bucket, &next, u64::MAX).await.unwrap();
                if damage == Damage::Swap {
                    bucket.delete(&next).await.unwrap();
                    put(&bucket, &next, bytes).await;
                }
                bytes = other.to_vec();
            }
        }
        put(&bucket, &name, bytes).await;
    }
}

async fn put(bucket: &SharedBucket, name: &str, bytes: Vec<u8>) {
    publish_bytes(&**bucket, name, bytes.into(), false)
        .await
        .unwrap();
}

/// Creates three batches of four packets each, for both processors.
fn forge(case: &Case) -> Vec<[Batch; 2]> {
    let small = |name: &BatchName, role| {
        let mut batch = Batch::read(case, name, role);
        batch.packets.truncate(4);
        batch
    };
    case.batches()
        .iter()
        .map(|name| Role::ALL.map(|role| small(name, role)))
        .collect()
}

/// The correct results: each processor's part of each batch's sum, and all batches.
struct Truth {
    parts: [BTreeMap<BatchId, Vec<u64>>; 2],
    all: BatchIds,
}

type BatchIds = Vec<BatchId>;

impl Truth {
    async fn compute(case: &Case, forged: &[[Batch; 2]]) -> Self {
        let mut parts = [BTreeMap::new(), BTreeMap::new()];
        for batch in forged {
            let alone = World::new(case, std::slice::from_ref(batch)).await;
            alone.intake().await;
            for (part, summary) in parts.iter_mut().zip(alone.aggregate(true).await) {
                part.insert(batch[0].name.id, widen(&summary.unwrap().sum));
            }
        }
        for (id, first) in &parts[0] {
            let plain: Vec<u64> = (0..8)
                .map(|bin| {
                    let bit = |k: u64| tallybox_client::sample_bits(*id, k, 8).unwrap()[bin];
                    (0..4).map(|k| u64::from(bit(k))).sum()
                })
                .collect();
            assert_eq!(
                add(first, &parts[1][id]),
                plain,
                "the parts add up to the plain sum"
            );
        }
        Self {
            all: forged.iter().map(|batch| batch[0].name.id).collect(),
            parts,
        }
    }

    /// Asserts that a sum is exactly that of the batches it names; returns those batches.
    fn check(&self, role: usize, summary: &AggregateSummary, context: &str) -> BatchIds {
        let summed = summary
            .batches
            .iter()
            .filter(|batch| batch.outcome == BatchOutcome::Summed);
        let summed: BatchIds = summed.map(|batch| batch.batch).collect();
        let expected = summed
            .iter()
            .fold(vec![0; 8], |sum, id| add(&sum, &self.parts[role][id]));
        assert_eq!(
            widen(&summary.sum),
            expected,
            "{context}: the sum is not that of {summed:?}"
        );
        summed
    }
}

fn widen(sum: &[u32]) -> Vec<u64> {
    sum.iter().map(|value| u64::from(*value)).collect()
}

fn add(left: &[u64], right: &[u64]) -> Vec<u64> {
    left.iter()
        .zip(right)
        .map(|(a, b)| (a + b) % PRIME)
        .collect()
}

/// Returns whether the first processor must leave out the damaged batch. Otherwise the damage comes
/// too late or affects an object that is not read.
fn must_be_left_out(object: Object, stage: Stage) -> bool {
    match stage {
        Stage::BeforeIntake => matches!(
            object,
            IngestionPackets | IngestionHeader | IngestionSignature
        ),
        Stage::BeforeAggregate => {
            matches!(
                object,
                Prepared | ValidationPackets | ValidationHeader | ValidationSignature
            )
        }
        Stage::AfterAggregate => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_one_object_costs_at_most_its_batch() {
    let case = Case::load("dim8");
    let forged = forge(&case);
    let truth = Truth::compute(&case, &forged).await;
    let flips = (0..=16).step_by(4).map(Damage::Flip);
    let cuts = [0, 1, 8, 15].map(Damage::Truncate);
    let others = [
        Damage::Append,
        Damage::Delete,
        Damage::Swap,
        Damage::Replace,
    ];
    let damages: Vec<Damage> = flips.chain(cuts).chain(others).collect();
    for stage in [
        Stage::BeforeIntake,
        Stage::BeforeAggregate,
        Stage::AfterAggregate,
    ] {
        for object in ALL_OBJECTS {
            // An object cannot be damaged before the stage that creates it.
            if stage == Stage::BeforeIntake
                && !matches!(
                    object,
                    IngestionPackets | IngestionHeader | IngestionSignature
                )
            {
                continue;
            }
            for damage in &damages {
                check_damage(&case, &forged, &truth, (stage, object, *damage)).await;
            }
        }
    }
}

async fn check_damage(
    case: &Case,
    forged: &[[Batch; 2]],
    truth: &Truth,
    (stage, object, damage): (Stage, Object, Damage),
) {
    let context = format!("{stage:?} {object:?} {damage:?}");
    let world = World::new(case, forged).await;
    if stage == Stage::BeforeIntake {
        world.damage(object, damage).await;
    }
    world.intake().await;
    if stage == Stage::AfterAggregate {
        world
            .aggregate(false)
            .await
            .into_iter()
            .for_each(|summary| drop(summary.unwrap()));
    }
    if stage != Stage::BeforeIntake {
        world.damage(object, damage).await;
    }
    let results = world.aggregate(false).await;
    for (role, result) in results.into_iter().enumerate() {
        let summary = match result {
            Ok(summary) => summary,
            // The sum part exists already. The remaining batches lead to another sum part, which
            // does not replace it.
            Err(error) if stage == Stage::AfterAggregate => {
                assert_eq!(error.reason(), "other-sum-part", "{context}");
                continue;
            }
            Err(error) => panic!("{context}: {error}"),
        };
        let summed = truth.check(role, &summary, &context);
        assert!(
            summed.contains(&truth.all[0]),
            "{context}: the first of the other batches is summed"
        );
        let swapped = damage == Damage::Swap;
        assert!(
            summed.contains(&truth.all[2]) || swapped,
            "{context}: the second of the other batches is summed"
        );
        // The file around a signature is not signed: a changed bit in its schema may leave the
        // signature valid.
        let harmless = matches!(damage, Damage::Flip(_))
            && matches!(object, IngestionSignature | ValidationSignature);
        // A batch without its signature object does not exist, and a lost prepared batch is created
        // again.
        let harmless = harmless || damage == Damage::Delete;
        if role == 0 && must_be_left_out(object, stage) && !harmless {
            assert!(
                !summed.contains(&truth.all[1]),
                "{context}: the damaged batch is left out"
            );
        }
    }
}

/// Signs the header of an object again with another party's key.
async fn replace_signature(
    bucket: &SharedBucket,
    objects: &BatchObjects,
    key_id: &str,
    key_file: &str,
) {
    let header = read_all(&**bucket, &objects.header, u64::MAX)
        .await
        .unwrap();
    let file = signature_file(
        &objects.signature,
        1,
        &header,
        None,
        (key_id, &signing_key(key_file)),
    )
    .unwrap();
    bucket.delete(&objects.signature).await.unwrap();
    put(bucket, &objects.signature, file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_by_anybody_else_is_no_signature() {
    let case = Case::load("dim8");
    let forged = forge(&case);
    let truth = Truth::compute(&case, &forged).await;
    let keys = [
        ("ingestor-key-1", "pha-signing.pkcs8.b64"),
        ("facilitator-key-1", "ingestor-signing.pkcs8.b64"),
    ];
    for (key_id, key_file) in keys {
        for before_intake in [true, false] {
            let world = World::new(&case, &forged).await;
            let buckets = &world.processors[0].buckets;
            let batch = &world.batches[1];
            if before_intake {
                replace_signature(&buckets.ingestion, &batch.ingestion(), key_id, key_file).await;
            }
            world.intake().await;
            if !before_intake {
                replace_signature(
                    &buckets.peer_validation_in,
                    &batch.validation(Role::Second),
                    key_id,
                    key_file,
                )
                .await;
            }
            let [first, _] = world.aggregate(false).await;
            let summary = first.unwrap();
            let summed = truth.check(0, &summary, key_id);
            assert_eq!(
                summed,
                [truth.all[0], truth.all[2]],
                "{key_id} {before_intake}"
            );
            let left_out = summary
                .batches
                .iter()
                .find(|batch| batch.reason.is_some())
                .unwrap();
            let reason = left_out.reason.as_deref().unwrap();
            assert!(
                ["bad-signature", "unknown-key"].contains(&reason),
                "{reason}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_copied_to_another_path_is_not_summed_again() {
    let case = Case::load("dim8");
    let forged = forge(&case);
    let truth = Truth::compute(&case, &forged).await;
    let original = &forged[1][0].name;
    let copies = [
        (
            BatchName {
                date: "2023/11/14/22/30".parse().unwrap(),
                ..original.clone()
            },
            "copied",
        ),
        (
            BatchName {
                id: "0badcafe-0001-4000-8000-000000000001".parse().unwrap(),
                ..original.clone()
            },
            "header-mismatch",
        ),
    ];
    for (copy, expected) in copies {
        let world = World::new(&case, &forged).await;
        world.intake().await;
        for (role, processor) in Role::ALL.into_iter().zip(&world.processors) {
            let pairs = [
                (
                    &processor.buckets.ingestion,
                    original.ingestion(),
                    copy.ingestion(),
                ),
                (
                    &processor.buckets.peer_validation_in,
                    original.validation(role.peer()),
                    copy.validation(role.peer()),
                ),
            ];
            for (bucket, from, to) in pairs {
                for (from, to) in [
                    (from.packets, to.packets),
                    (from.header, to.header),
                    (from.signature, to.signature),
                ] {
                    let bytes = read_all(&**bucket, &from, u64::MAX).await.unwrap();
                    put(bucket, &to, bytes.to_vec()).await;
                }
            }
        }
        for (role, result) in world.aggregate(false).await.into_iter().enumerate() {
            let summary = result.unwrap();
            assert_eq!(truth.check(role, &summary, expected), truth.all);
            let left_out: Vec<_> = summary
                .batches
                .iter()
                .filter_map(|batch| batch.reason.as_deref())
                .collect();
            assert_eq!(left_out, [expected]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_in_two_batches_counts_in_the_first() {
    let case = Case::load("dim8");
    let mut forged = forge(&case);
    for role in Role::ALL {
        let replayed = forged[0][role.index()].packets[1].clone();
        forged[2][role.index()].packets.push(replayed);
    }
    let truth = Truth::compute(&case, &crate::forge(&case)).await;
    let world = World::new(&case, &forged).await;
    world.intake().await;
    for (role, result) in world.aggregate(false).await.into_iter().enumerate() {
        let summary = result.unwrap();
        assert_eq!(truth.check(role, &summary, "replay"), truth.all);
        assert_eq!(
            (
                summary.packets_accepted,
                summary.duplicates,
                summary.packets_rejected
            ),
            (12, 1, 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_other_parameters_never_meet() {
    let case = Case::load("dim8");
    let mut forged = forge(&case);
    for batch in &mut forged[1] {
        batch.header.epsilon = 0.5;
    }
    let truth = Truth::compute(&case, &crate::forge(&case)).await;
    let world = World::new(&case, &forged).await;
    world.intake().await;
    for (role, result) in world.aggregate(false).await.into_iter().enumerate() {
        let summary = result.unwrap();
        assert_eq!(
            truth.check(role, &summary, "epsilon"),
            [truth.all[0], truth.all[2]]
        );
        let reason = summary.batches[1].reason.as_deref();
        assert_eq!(reason, Some("parameter-mismatch"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_objects_in_the_mailbox_are_passed_over() {
    let case = Case::load("dim8");
    let forged = forge(&case);
    let truth = Truth::compute(&case, &forged).await;
    let world = World::new(&case, &forged).await;
    let day = format!("{}/2023/11/14/22", case.aggregation());
    for name in [
        format!("{day}/01/notes.txt"),
        format!("{day}/xx/y"),
        format!("{day}/02/nonsense.batch.sig"),
    ] {
        put(&world.processors[0].buckets.ingestion, &name, vec![1, 2, 3]).await;
    }
    world.intake().await;
    let [first, second] = world.aggregate(false).await;
    assert_eq!(truth.check(0, &first.unwrap(), "foreign"), truth.all);
    assert_eq!(truth.check(1, &second.unwrap(), "foreign"), truth.all);
}
