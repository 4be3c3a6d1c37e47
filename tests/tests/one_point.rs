//! A ciphertext is evaluated at one point, ever: what a second point would tell, and that there is never a second one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use tallybox_client::sample_bits;
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_facilitator::config::{Config, Points};
use tallybox_facilitator::intake::{IntakeSummary, find_prepared, intake, no_progress};
use tallybox_facilitator::prepared::{ChunkKind, PreparedMessage};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_service::config::load;
use tallybox_tests::forge::Batch;
use tallybox_tests::vectors::{Case, Places, write_config};
use tallybox_transport::memory;

const PRIME: u64 = 4_293_918_721;
const FIRST_POINT: i64 = 998_314_904;
const OTHER_POINT: i64 = 123_456_789;

/// A processor with all its buckets in memory.
fn processor(case: &Case, role: Role, points: Points) -> Arc<Processor> {
    let root = tempfile::tempdir().unwrap();
    let config = write_config(
        root.path(),
        role,
        &Places::beside_predecessor(case, root.path(), role),
        "",
    );
    let mut config = load::<Config>(&config).unwrap();
    config.value.points = points;
    let mut processor = Processor::open(&config).unwrap();
    processor.buckets.ingestion = memory("ingestion");
    processor.buckets.own = memory("own");
    processor.buckets.peer_validation_out = memory("out");
    // A batch of nothing but packets at another point is taken in here, to see what becomes of them.
    processor.wrong_key.accept = true;
    Arc::new(processor)
}

/// The case's first batch, and the same packets again in another one under new identifiers and with another point.
fn twice(case: &Case, role: Role) -> [Batch; 2] {
    let first = Batch::read(case, &case.batches()[0], role);
    let name = BatchName {
        id: "0badcafe-0001-4000-8000-000000000001".parse().unwrap(),
        ..first.name.clone()
    };
    let mut again = first.clone().renamed(name);
    for (i, packet) in again.packets.iter_mut().enumerate() {
        packet.r_pit = OTHER_POINT;
        packet.id = format!("0badcafe-0002-4000-8000-{i:012x}");
    }
    [first, again]
}

async fn take_in(processor: &Arc<Processor>, batch: &Batch) -> IntakeSummary {
    batch.write(&*processor.buckets.ingestion).await;
    intake(processor, &batch.name, no_progress()).await.unwrap()
}

async fn messages(processor: &Processor, batch: &Batch) -> Vec<PreparedMessage> {
    let prepared = find_prepared(processor, &batch.name).await.unwrap().unwrap();
    let mut all = Vec::new();
    for chunk in prepared.chunks(ChunkKind::Messages) {
        all.extend(prepared.messages(chunk).await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_offered_again_at_another_point_gets_no_second_message() {
    let case = Case::load("dim8");
    for role in Role::ALL {
        let processor = processor(&case, role, Points::Pinned);
        let [first, again] = twice(&case, role);
        assert_eq!(take_in(&processor, &first).await.packets_accepted, 100);
        let summary = take_in(&processor, &again).await;
        assert_eq!((summary.packets_accepted, summary.packets_rejected), (0, 100));
        assert_eq!(summary.rejected_by_reason.count(PacketReason::PointChanged), 100);
        assert!(messages(&processor, &again).await.is_empty());
        // At the first point they are welcome again: the same message tells nothing new.
        let mut third = again.clone().renamed(BatchName {
            id: "0badcafe-0001-4000-8000-000000000003".parse().unwrap(),
            ..again.name.clone()
        });
        third.packets.iter_mut().for_each(|packet| packet.r_pit = FIRST_POINT);
        assert_eq!(take_in(&processor, &third).await.packets_accepted, 100);
        let both = [messages(&processor, &first).await, messages(&processor, &third).await];
        assert!(both[0].iter().zip(&both[1]).all(|(a, b)| a.message == b.message));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_point_is_pinned_within_a_batch_too_and_by_the_order_of_the_file() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [mut batch, _] = twice(&case, Role::First);
    batch
        .packets
        .iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|packet| packet.r_pit = OTHER_POINT);
    let summary = take_in(&processor, &batch).await;
    assert_eq!(summary.packets_accepted, 50);
    assert_eq!(summary.rejected_by_reason.count(PacketReason::PointChanged), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_point_a_packet_a_ciphertext_gets_one_message_within_its_batch() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::Second, Points::PerPacket);
    let [mut batch, again] = twice(&case, Role::Second);
    batch.packets.extend(again.packets);
    let summary = take_in(&processor, &batch).await;
    assert_eq!(summary.packets_accepted, 100);
    assert_eq!(summary.rejected_by_reason.count(PacketReason::DuplicateCiphertext), 100);
}

/// a^-1 mod the prime.
fn inverse(a: u64) -> u64 {
    let (mut result, mut base, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    result
}

/// The weights that f has at a point: of the mask f(1), then of each bin.
fn weights(prio2: &Prio2, point: i64) -> (u64, Vec<u64>) {
    let evaluator = prio2.evaluator(Point::new(point, prio2).unwrap());
    let weight = |place: usize| {
        let mut unit = vec![0; prio2.proof_length()];
        unit[place] = 1;
        u64::from(evaluator.message(0, &unit).f)
    };
    (weight(prio2.bins()), (0..prio2.bins()).map(weight).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_points_would_tell_the_answer() {
    let case = Case::load("dim8");
    let prio2 = Prio2::new(8).unwrap();
    // What the predecessor does: both processors send a message for each of the two points.
    let mut f = [[0; 2]; 100];
    for role in Role::ALL {
        let processor = processor(&case, role, Points::PerPacket);
        for (turn, batch) in twice(&case, role).iter().enumerate() {
            take_in(&processor, batch).await;
            for (packet, message) in f.iter_mut().zip(messages(&processor, batch).await) {
                packet[turn] = (packet[turn] + u64::from(message.message.f)) % PRIME;
            }
        }
    }
    let (mask, bins) = weights(&prio2, FIRST_POINT);
    let (other_mask, other_bins) = weights(&prio2, OTHER_POINT);
    let (mask, other_mask) = (inverse(mask), inverse(other_mask));
    let minus = |a: u64, b: u64| (a + PRIME - b) % PRIME;
    let equation: Vec<u64> = bins
        .iter()
        .zip(&other_bins)
        .map(|(a, b)| minus(a * mask % PRIME, b * other_mask % PRIME))
        .collect();
    let batch = case.batches()[0].id;
    for (k, [one, other]) in f.into_iter().enumerate() {
        let target = minus(one * mask % PRIME, other * other_mask % PRIME);
        let fits = |answer: &u32| {
            let sum = (0..8)
                .filter(|bin| answer >> bin & 1 == 1)
                .map(|bin| equation[bin])
                .sum::<u64>();
            sum % PRIME == target
        };
        let answers: Vec<u32> = (0..256).filter(fits).collect();
        let bits = sample_bits(batch, k as u64, 8).unwrap();
        let truth = bits
            .iter()
            .enumerate()
            .map(|(bin, bit)| u32::from(*bit) << bin)
            .sum::<u32>();
        assert_eq!(answers, [truth], "packet {k}: one answer fits, the client's");
    }
}
