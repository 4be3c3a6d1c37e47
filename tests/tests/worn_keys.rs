//! Wear of a packet key: failed proofs are counted once for each batch and key, and a key with too
//! many failed proofs decrypts no further packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod offered;

use futures::TryStreamExt as _;
use offered::{opened, run_intake};
use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::config::Points;
use tallybox_facilitator::limits::WearLimits;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::path::{BatchName, FailedProofs};
use tallybox_model::role::Role;
use tallybox_tests::forge::Batch;
use tallybox_tests::vectors::Case;
use tallybox_transport::ListRange;

/// A case of 20 packets with 8 bins, two of them with an invalid proof.
const CASE: &str = "bad/invalid-proof";

/// Opens a processor that refuses keys after 16 times `refuse` failed proofs.
fn processor(case: &Case, before: Option<&Processor>, refuse: u64) -> Arc<Processor> {
    let mut processor = opened(case, Role::First, Points::Pinned, 8).unwrap();
    // 16 is the smallest power of two above 8 bins.
    processor.limits.wear = WearLimits {
        alarm: 16,
        refuse: 16 * refuse,
    };
    if let Some(before) = before {
        processor.buckets = before.buckets.clone();
    }
    Arc::new(processor)
}

async fn sum(processor: &Arc<Processor>, batch: &BatchName) -> u64 {
    let task = AggregateTask {
        aggregation: batch.aggregation.clone(),
        window: Case::window(),
        batches: Vec::new(),
        dry_run: false,
    };
    let summary = aggregate(processor, &task, no_progress()).await.unwrap();
    summary.rejected_by_reason.count(PacketReason::InvalidProof)
}

async fn counts(processor: &Processor) -> Vec<FailedProofs> {
    let own = &processor.buckets.own;
    let listed = own
        .list("failed-proofs", ListRange::default())
        .await
        .unwrap();
    let keys: Vec<String> = listed
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap();
    keys.iter()
        .map(|key| FailedProofs::parse(key).unwrap())
        .collect()
}

/// Returns the batch under another identifier.
fn renamed(batch: &Batch) -> Batch {
    batch.clone().renamed(BatchName {
        id: "0badcafe-0006-4000-8000-000000000006".parse().unwrap(),
        ..batch.name.clone()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_proofs_count_once_however_often_their_batch_is_judged() {
    let case = Case::load(CASE);
    let first = processor(&case, None, 100);
    let batch = Batch::read(&case, &case.batches()[0], Role::First);
    run_intake(&first, &batch).await;
    assert!(counts(&first).await.is_empty(), "no batch is evaluated yet");
    for _ in 0..2 {
        let restarted = processor(&case, Some(&first), 100);
        assert_eq!(sum(&restarted, &batch.name).await, 2);
        let counts = counts(&restarted).await;
        assert_eq!(counts.len(), 1, "{counts:?}");
        assert_eq!((counts[0].failed, &counts[0].batch), (2, &batch.name));
        let fingerprints: Vec<&str> = first
            .keys
            .packet
            .iter()
            .map(|key| key.fingerprint.as_str())
            .collect();
        assert!(fingerprints.contains(&counts[0].key.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_worn_out_opens_no_packet_any_more() {
    let case = Case::load(CASE);
    for (refuse, refused) in [(2, 20), (3, 0)] {
        let first = processor(&case, None, refuse);
        let batch = Batch::read(&case, &case.batches()[0], Role::First);
        run_intake(&first, &batch).await;
        sum(&first, &batch.name).await;
        // The first processor has the count in its cache; the second reads it from the own bucket.
        for (index, processor) in [first.clone(), processor(&case, Some(&first), refuse)]
            .iter()
            .enumerate()
        {
            let mut other = renamed(&batch);
            other.name.date = other.name.date.plus_minutes(index as i64).unwrap();
            other.name.id = format!("0badcafe-0007-4000-8000-{index:012x}")
                .parse()
                .unwrap();
            let summary = run_intake(processor, &other.clone().renamed(other.name.clone())).await;
            let worn_out = summary.rejected_by_reason.count(PacketReason::KeyWornOut);
            assert_eq!(
                (worn_out, summary.packets_rejected),
                (refused, refused),
                "{refuse}, {index}"
            );
        }
    }
}
