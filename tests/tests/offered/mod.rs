//! A processor to which tests repeatedly offer packets of the predecessor: in other batches, at
//! other evaluation points and with other numbers of bins.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;
use tallybox_facilitator::config::{Config, Points};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::{IntakeSummary, find_prepared, intake};
use tallybox_facilitator::prepared::{ChunkKind, PreparedMessage};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_service::config::load;
use tallybox_tests::forge::Batch;
use tallybox_tests::vectors::{BucketPaths, Case, packet_documents, write_config};
use tallybox_transport::memory;

/// The evaluation point of the predecessor's packets.
pub(crate) const FIRST_POINT: i64 = 998_314_904;
/// Another evaluation point.
pub(crate) const OTHER_POINT: i64 = 123_456_789;

/// Returns a processor whose buckets are all in memory. With pinned points, its keys are for 8
/// bins.
pub(crate) fn processor(case: &Case, role: Role, points: Points) -> Arc<Processor> {
    Arc::new(opened(case, role, points, 8).unwrap())
}

pub(crate) fn opened(
    case: &Case,
    role: Role,
    points: Points,
    bins: u32,
) -> Result<Processor, Error> {
    let root = tempfile::tempdir().unwrap();
    let config = write_config(
        root.path(),
        role,
        &BucketPaths::beside_predecessor(case, root.path(), role),
        "",
    );
    let mut config = load::<Config>(&config).unwrap();
    config.value.points = points;
    if points == Points::Pinned {
        config.value.packet_decryption_keys = packet_documents(root.path(), role, bins);
    }
    let mut processor = Processor::open(&config)?;
    processor.buckets.ingestion = memory("ingestion");
    processor.buckets.own = memory("own");
    processor.buckets.peer_validation_out = memory("out");
    processor.buckets.sum_parts = memory("sums");
    // Without this confirmation, the wrong-key rule would hold back a batch all of whose packets
    // fail, and these tests could not examine the result.
    processor.limits.wrong_key.accept = true;
    Ok(processor)
}

/// Returns another process of the same processor: with empty memory, and with the same buckets.
pub(crate) fn restarted(
    case: &Case,
    before: &Processor,
    points: Points,
    bins: u32,
) -> Arc<Processor> {
    let mut processor = opened(case, before.buckets.role, points, bins).unwrap();
    processor.buckets = before.buckets.clone();
    Arc::new(processor)
}

/// Returns the first batch of the case, and a second batch with the same packets under new
/// identifiers and another evaluation point.
pub(crate) fn two_batches(case: &Case, role: Role) -> [Batch; 2] {
    let first = Batch::read(case, &case.batches()[0], role);
    let name = BatchName {
        id: "0badcafe-0001-4000-8000-000000000001".parse().unwrap(),
        ..first.name.clone()
    };
    let mut second = first.clone().renamed(name);
    for (i, packet) in second.packets.iter_mut().enumerate() {
        packet.r_pit = OTHER_POINT;
        packet.id = format!("0badcafe-0002-4000-8000-{i:012x}");
    }
    [first, second]
}

pub(crate) async fn run_intake(processor: &Arc<Processor>, batch: &Batch) -> IntakeSummary {
    batch.write(&*processor.buckets.ingestion).await;
    intake(processor, &batch.name, no_progress()).await.unwrap()
}

pub(crate) async fn messages(processor: &Processor, batch: &Batch) -> Vec<PreparedMessage> {
    let prepared = find_prepared(processor, &batch.name)
        .await
        .unwrap()
        .unwrap();
    let mut all = Vec::new();
    for chunk in prepared.chunks(ChunkKind::Messages) {
        all.extend(prepared.messages(chunk).await.unwrap());
    }
    all
}

/// Returns a batch of another metric with the same packets, under new identifiers and with another
/// number of bins.
pub(crate) fn with_other_bins(batch: &Batch, bins: i32) -> Batch {
    let mut other = batch.clone().renamed(BatchName {
        aggregation: "org.example.other".parse().unwrap(),
        id: format!("0badcafe-0004-4000-8000-{bins:012x}")
            .parse()
            .unwrap(),
        ..batch.name.clone()
    });
    other.header.bins = bins;
    for (i, packet) in other.packets.iter_mut().enumerate() {
        packet.id = format!("0badcafe-0005-4000-8000-{i:012x}");
    }
    other
}
