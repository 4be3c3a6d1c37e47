//! Buckets with wrong answers: "exists" for an object that does not exist, and a wrong byte in one
//! read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::{Config, ValidationForm};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::put_again::put_again;
use tallybox_facilitator::roster::roster;
use tallybox_model::avro::{FileLimits, decode_one};
use tallybox_model::header::SumPart;
use tallybox_model::path::{BatchName, SumPartName, Unconfirmed};
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_service::config::load;
use tallybox_tests::snapshot::all;
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::faults::{FlippedReads, Phantoms, WriteOnly};
use tallybox_transport::{BucketError, SharedBucket, memory, publish_bytes, read_all};

/// Two processors with all buckets between them in memory.
struct Pair {
    case: Case,
    buckets: [Buckets; 2],
    configs: [PathBuf; 2],
    _root: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let (case, root) = (Case::load("dim8"), tempfile::tempdir().unwrap());
        let configs = Role::ALL.map(|role| {
            let paths = BucketPaths::beside_tallybox(&case, root.path(), role);
            write_config(&root.path().join(role.to_string()), role, &paths, "")
        });
        let mailboxes = Role::ALL.map(|_| memory("mailbox"));
        let buckets = Role::ALL.map(|role| {
            let opened = Processor::open(&load::<Config>(&configs[role.index()]).unwrap()).unwrap();
            Buckets {
                ingestion: opened.buckets.ingestion,
                own: memory("own"),
                peer_validation_in: mailboxes[role.index()].clone(),
                peer_validation_out: mailboxes[role.peer().index()].clone(),
                sum_parts: memory("sum"),
                ..opened.buckets
            }
        });
        Self {
            case,
            buckets,
            configs,
            _root: root,
        }
    }

    fn with(&self, role: Role, change: impl FnOnce(&mut Processor)) -> Arc<Processor> {
        let mut processor =
            Processor::open(&load::<Config>(&self.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = self.buckets[role.index()].clone();
        change(&mut processor);
        Arc::new(processor)
    }

    /// Returns a processor that may not read its peer's mailboxes. The buckets claim once for each
    /// of these objects that it exists.
    fn deceived(&self, role: Role, suffixes: &'static [&'static str]) -> Arc<Processor> {
        self.with(role, |processor| {
            let buckets = &mut processor.buckets;
            for bucket in [&mut buckets.peer_validation_out, &mut buckets.sum_parts] {
                let phantoms = Phantoms::wrap(bucket.clone(), |key| {
                    suffixes.iter().any(|suffix| key.ends_with(suffix))
                });
                *bucket = WriteOnly::wrap(phantoms);
            }
        })
    }

    fn task(&self) -> AggregateTask {
        AggregateTask {
            aggregation: self.case.aggregation(),
            window: Case::window(),
            batches: self.case.batches(),
            dry_run: false,
        }
    }

    async fn intakes(&self, role: Role) {
        for batch in self.case.batches() {
            intake(&self.with(role, |_| {}), &batch, no_progress())
                .await
                .unwrap();
        }
    }

    async fn accepted(&self, role: Role, processor: &Arc<Processor>) -> u64 {
        aggregate(processor, &self.task(), no_progress())
            .await
            .unwrap();
        let part = SumPartName {
            instance: processor.buckets.instance.clone(),
            aggregation: self.case.aggregation(),
            window: Case::window(),
            writer: role,
        };
        let sums = &*self.buckets[role.index()].sum_parts;
        let file = read_all(sums, &part.objects().header, 1 << 20)
            .await
            .unwrap();
        let part = decode_one::<SumPart>(&file, &FileLimits::default()).unwrap();
        u64::try_from(part.total_individual_clients).unwrap()
    }
}

/// Returns the notes of unconfirmed objects in a bucket.
async fn notes(own: &SharedBucket) -> Vec<String> {
    let objects = all(&[("own", own)]).await;
    let keys = objects.keys().filter(|key| key.contains("unconfirmed/"));
    keys.cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_of_which_a_mailbox_only_says_that_it_exists_is_put_again() {
    for suffix in [".validity_0.sig", ".validity_0", ".validity_0.avro"] {
        let suffixes: &'static [&'static str] = match suffix {
            ".validity_0.sig" => &[".validity_0.sig"],
            ".validity_0" => &[".validity_0"],
            _ => &[".validity_0.avro"],
        };
        let pair = Pair::new();
        let (batch, own) = (pair.case.batches().remove(0), &pair.buckets[0].own);
        let object = format!("{batch}{suffix}");
        let processor = pair.deceived(Role::First, suffixes);
        intake(&processor, &batch, no_progress()).await.unwrap();
        let mailbox = &pair.buckets[0].peer_validation_out;
        let absent = mailbox.size(&object).await;
        assert!(
            matches!(absent, Err(BucketError::NotFound { .. })),
            "{absent:?}"
        );
        assert_eq!(notes(own).await.len(), 1, "{suffix}");
        put_again(&processor, &batch.aggregation).await;
        mailbox.size(&object).await.unwrap();
        assert_eq!(notes(own).await, [""; 0], "{suffix}");
    }
}

/// Only what the own bucket holds is published: another run may have fixed other bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_batch_that_the_own_bucket_does_not_hold_publishes_nothing() {
    let pair = Pair::new();
    let batch = pair.case.batches().remove(0);
    let processor = pair.with(Role::First, |processor| {
        let own = processor.buckets.own.clone();
        processor.buckets.own = Phantoms::wrap(own, |key| BatchName::from_prepared(key).is_some());
    });
    let mailbox = [("out", &pair.buckets[0].peer_validation_out)];
    let error = intake(&processor, &batch, no_progress()).await.unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error}");
    assert!(all(&mailbox).await.is_empty());
    intake(&processor, &batch, no_progress()).await.unwrap();
    assert_eq!(all(&mailbox).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_sums_what_is_published_as_single_objects() {
    let pair = Pair::new();
    let first = pair.with(Role::First, |processor| {
        processor.limits.validation_form = ValidationForm::SingleObject;
    });
    for batch in pair.case.batches() {
        intake(&first, &batch, no_progress()).await.unwrap();
    }
    pair.intakes(Role::Second).await;
    let published = all(&[("out", &pair.buckets[0].peer_validation_out)]).await;
    assert_eq!(published.len(), pair.case.batches().len());
    let second = pair.with(Role::Second, |_| {});
    let accepted = pair.accepted(Role::Second, &second).await;
    assert_eq!(accepted, pair.accepted(Role::First, &first).await);
    assert!(accepted > 0);
}

/// A run that crashed after creating everything leaves a validation batch that exists, but that the
/// mailbox only claims to exist.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_believed_after_an_hour() {
    let pair = Pair::new();
    let (batch, own) = (pair.case.batches().remove(0), &pair.buckets[0].own);
    let processor = pair.deceived(Role::First, &[]);
    for _ in 0..2 {
        intake(&processor, &batch, no_progress()).await.unwrap();
    }
    assert_eq!(notes(own).await.len(), 3);
    put_again(&processor, &batch.aggregation).await;
    assert_eq!(notes(own).await.len(), 3);
    for note in Unconfirmed::of_validation(&batch) {
        own.delete(&note.note()).await.unwrap();
        let old = processor
            .buckets
            .records
            .create(&**own, &note.note(), b"1700000000000")
            .await;
        old.unwrap();
    }
    put_again(&processor, &batch.aggregation).await;
    assert_eq!(notes(own).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_part_of_which_a_mailbox_only_says_that_it_exists_is_put_again() {
    let pair = Pair::new();
    for role in Role::ALL {
        pair.intakes(role).await;
    }
    let processor = pair.deceived(Role::First, &[".sum_0.sig"]);
    let accepted = pair.accepted(Role::First, &processor).await;
    let name = SumPartName {
        instance: processor.buckets.instance.clone(),
        aggregation: pair.case.aggregation(),
        window: Case::window(),
        writer: Role::First,
    };
    let (sums, signature) = (&pair.buckets[0].sum_parts, name.objects().signature);
    assert!(matches!(
        sums.size(&signature).await,
        Err(BucketError::NotFound { .. })
    ));
    assert_eq!(notes(&pair.buckets[0].own).await.len(), 1);
    put_again(&processor, &pair.case.aggregation()).await;
    sums.size(&signature).await.unwrap();
    assert_eq!(
        pair.accepted(Role::Second, &pair.with(Role::Second, |_| {}))
            .await,
        accepted
    );
}

/// An edited record says nothing about the mailbox. Without its note, the sum part would never be
/// written again after an operator has restored the record.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_outlives_an_edited_record() {
    let pair = Pair::new();
    for role in Role::ALL {
        pair.intakes(role).await;
    }
    pair.accepted(Role::First, &pair.deceived(Role::First, &[".sum_0.sig"]))
        .await;
    let own = &pair.buckets[0].own;
    let window = WindowName {
        aggregation: pair.case.aggregation(),
        window: Case::window(),
    };
    let record = read_all(&**own, &window.done(), 1 << 20).await.unwrap();
    let mut edited = record.to_vec();
    edited[0] ^= 1;
    replace(own, &window.done(), edited.into()).await;
    let processor = pair.deceived(Role::First, &[".sum_0.sig"]);
    put_again(&processor, &pair.case.aggregation()).await;
    assert_eq!(notes(own).await.len(), 1);
    replace(own, &window.done(), record).await;
    put_again(&processor, &pair.case.aggregation()).await;
    assert_eq!(notes(own).await.len(), 0);
}

async fn replace(bucket: &SharedBucket, key: &str, bytes: Bytes) {
    bucket.delete(key).await.unwrap();
    publish_bytes(&**bucket, key, bytes, false).await.unwrap();
}

/// Runs the processor's readers with one wrong byte in the first read of each object with this
/// suffix.
async fn with_bad_reads(suffix: &'static str) {
    let pair = Pair::new();
    let undisturbed = pair.with(Role::Second, |_| {});
    let flip =
        |bucket: &SharedBucket| FlippedReads::new(bucket.clone(), move |key| key.ends_with(suffix));
    let (ingestion, inbox) = (
        flip(&pair.buckets[0].ingestion),
        flip(&pair.buckets[0].peer_validation_in),
    );
    let processor = pair.with(Role::First, |processor| {
        processor.buckets.ingestion = ingestion.clone();
        processor.buckets.peer_validation_in = inbox.clone();
    });
    for batch in pair.case.batches() {
        intake(&processor, &batch, no_progress()).await.unwrap();
        intake(&undisturbed, &batch, no_progress()).await.unwrap();
    }
    let accepted = pair.accepted(Role::First, &processor).await;
    assert_eq!(
        accepted,
        pair.accepted(Role::Second, &undisturbed).await,
        "{suffix}"
    );
    let flipped = ingestion.flipped().len() + inbox.flipped().len();
    assert_eq!(flipped, pair.case.batches().len(), "{suffix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_read_of_any_object_is_no_forgery() {
    for suffix in [
        ".batch",
        ".batch.avro",
        ".batch.sig",
        ".validity_1",
        ".validity_1.avro",
        ".validity_1.sig",
    ] {
        with_bad_reads(suffix).await;
    }
}

/// The own bucket was lost, so the published validation batch decides which packets count.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_read_of_what_was_published_is_no_damage() {
    let mut pair = Pair::new();
    let batch = pair.case.batches().remove(0);
    let before = pair.with(Role::First, |_| {});
    intake(&before, &batch, no_progress()).await.unwrap();
    pair.buckets[0].own = memory("own");
    let mailbox = pair.buckets[0].peer_validation_out.clone();
    let flipped = FlippedReads::new(mailbox, |key| key.ends_with(".validity_0.avro"));
    let processor = pair.with(Role::First, |processor| {
        processor.buckets.peer_validation_out = flipped.clone();
    });
    intake(&processor, &batch, no_progress()).await.unwrap();
    assert_eq!(flipped.flipped().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_read_of_a_roster_is_no_bad_roster() {
    let pair = Pair::new();
    let rules = RosterRules {
        origin: Some(Case::window().start()),
        period_minutes: 60,
        grace_minutes: 0,
        replay_horizon: 10,
        minimum: 1,
        maximum_age: 3,
    };
    for role in Role::ALL {
        pair.intakes(role).await;
    }
    let name = WindowName {
        aggregation: pair.case.aggregation(),
        window: Case::window(),
    };
    let second = pair.with(Role::Second, |processor| {
        processor.limits.rosters = Some(rules)
    });
    roster(&second, &name, no_progress()).await.unwrap();
    let inbox = FlippedReads::new(pair.buckets[0].peer_validation_in.clone(), |key| {
        key.ends_with(".roster_1")
    });
    let first = pair.with(Role::First, |processor| {
        processor.limits.rosters = Some(rules);
        processor.buckets.peer_validation_in = inbox.clone();
    });
    let summary = roster(&first, &name, no_progress()).await.unwrap();
    assert_eq!(
        (summary.agreed.len(), summary.alarms.len()),
        (1, 0),
        "{summary:?}"
    );
    assert_eq!(inbox.flipped().len(), 1);
}

/// A read that is wrong every time is treated as damage.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_stays_rejects_its_batch() {
    let pair = Pair::new();
    let batch: BatchName = pair.case.batches().remove(0);
    let ingestion = memory("ingestion");
    let objects = batch.ingestion();
    for object in [&objects.header, &objects.packets, &objects.signature] {
        let mut bytes = read_all(&*pair.buckets[0].ingestion, object, 1 << 30)
            .await
            .unwrap()
            .to_vec();
        if object.ends_with(".avro") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        publish_bytes(&*ingestion, object, bytes.into(), false)
            .await
            .unwrap();
    }
    let processor = pair.with(Role::First, |processor| {
        processor.buckets.ingestion = ingestion
    });
    let error = intake(&processor, &batch, no_progress()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Batch(error) if error.is_damage()),
        "{error}"
    );
    assert_eq!(error.reason(), "bad-digest");
}
