//! The pin of a packet key: a lost pin, a replaced pin, and a pin that the configuration
//! contradicts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod offered;

use futures::TryStreamExt as _;
use offered::{
    FIRST_POINT, OTHER_POINT, opened, processor, restarted, run_intake, two_batches,
    with_other_bins,
};
use std::sync::Arc;
use tallybox_crypto::prio2::{Point, Prio2};
use tallybox_facilitator::config::{Config, Points};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::{BatchPoints, find_prepared, intake};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::role::Role;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::forge::Batch;
use tallybox_tests::vectors::{BucketPaths, Case, packet_documents, write_config};
use tallybox_transport::{BucketError, ListRange, publish_bytes};

/// Runs the intake of a batch that must fail.
async fn refused(processor: &Arc<Processor>, batch: &Batch) -> Error {
    batch.write(&*processor.buckets.ingestion).await;
    intake(processor, &batch.name, no_progress())
        .await
        .unwrap_err()
}

async fn pins(processor: &Processor) -> Vec<String> {
    let listed = processor
        .buckets
        .own
        .list("points", ListRange::default())
        .await
        .unwrap();
    listed
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_removed_is_missed_and_no_other_point_is_taken() {
    let case = Case::load("dim8");
    for role in Role::ALL {
        let processor = processor(&case, role, Points::Pinned);
        let [first, second] = two_batches(&case, role);
        run_intake(&processor, &first).await;
        for pin in pins(&processor).await {
            processor.buckets.own.delete(&pin).await.unwrap();
        }
        let fresh = restarted(&case, &processor, Points::Pinned, 8);
        let missed = refused(&fresh, &second).await;
        assert!(matches!(missed, Error::PinMissing { .. }), "{missed}");
        assert_eq!(
            (missed.exit(), missed.reason().as_str()),
            (Exit::Retry, "pin-missing")
        );
        // The pin has been restored from the footer of the first batch, and is enforced.
        let fresh = restarted(&case, &processor, Points::Pinned, 8);
        let summary = intake(&fresh, &second.name, no_progress()).await.unwrap();
        assert_eq!(
            summary.rejected_by_reason.count(PacketReason::PointChanged),
            100
        );
    }
}

/// A batch may be dated up to two days before the creation of its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pin_is_missed_if_its_batch_is_dated_before_the_key() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [first, second] = two_batches(&case, Role::First);
    run_intake(&processor, &first).await;
    for pin in pins(&processor).await {
        processor.buckets.own.delete(&pin).await.unwrap();
    }
    let mut fresh = opened(&case, Role::First, Points::Pinned, 8).unwrap();
    fresh.buckets = processor.buckets.clone();
    // The batches are of 2023/11/14.
    for key in &mut fresh.keys.packet {
        key.created = Some("2023/11/16/12/00".parse().unwrap());
    }
    let missed = refused(&Arc::new(fresh), &second).await;
    assert!(matches!(missed, Error::PinMissing { .. }), "{missed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_batch_that_is_read_witnesses_its_pins() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [first, _] = two_batches(&case, Role::First);
    run_intake(&processor, &first).await;
    let pin = pins(&processor).await.remove(0);
    let text = processor
        .buckets
        .read_record(&pin, 4096)
        .await
        .unwrap()
        .unwrap();
    processor.buckets.own.delete(&pin).await.unwrap();
    let read = async || {
        let fresh = restarted(&case, &processor, Points::Pinned, 8);
        find_prepared(&fresh, &first.name)
            .await
            .map(|found| found.is_some())
    };
    assert!(matches!(read().await, Err(Error::PinMissing { .. })));
    assert!(read().await.unwrap(), "the pin was restored");
    assert_eq!(
        processor.buckets.read_record(&pin, 4096).await.unwrap(),
        Some(text.clone())
    );
    // Replace the pin by another one.
    processor.buckets.own.delete(&pin).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let other = text.replace(&FIRST_POINT.to_string(), &OTHER_POINT.to_string());
    assert_ne!(other, text);
    // No other party can create a valid record; a misconfigured own bucket could contain one.
    processor
        .buckets
        .create_record(&pin, other.as_bytes())
        .await
        .unwrap();
    let contradicted = read().await.unwrap_err();
    assert!(
        matches!(contradicted, Error::PinContradicted { .. }),
        "{contradicted}"
    );
    assert_eq!(contradicted.exit(), Exit::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_another_wrote_is_not_believed() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::Pinned);
    let [first, second] = two_batches(&case, Role::First);
    run_intake(&processor, &first).await;
    let pin = pins(&processor).await.remove(0);
    let text = processor
        .buckets
        .read_record(&pin, 4096)
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let other = text.replace(&FIRST_POINT.to_string(), &OTHER_POINT.to_string());
    processor.buckets.own.delete(&pin).await.unwrap();
    publish_bytes(&*processor.buckets.own, &pin, other.into(), false)
        .await
        .unwrap();
    let fresh = restarted(&case, &processor, Points::Pinned, 8);
    let refused = refused(&fresh, &second).await;
    assert!(
        matches!(refused, Error::Bucket(BucketError::Unverified { .. })),
        "{refused}"
    );
}

/// Another process fixes a pin, and is killed before it has written a prepared batch with the same
/// point.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_fixed_meanwhile_is_read_by_the_next_try() {
    let case = Case::load("dim8");
    let late = processor(&case, Role::First, Points::Pinned);
    let [first, second] = two_batches(&case, Role::First);
    // A separate processor creates the other pin, which is copied after the late processor has
    // looked for it.
    let other = processor(&case, Role::First, Points::Pinned);
    run_intake(&other, &second).await;
    let mut unreadable = with_other_bins(&first, 8);
    unreadable
        .packets
        .iter_mut()
        .for_each(|packet| packet.payload.clear());
    run_intake(&late, &unreadable).await;
    for pin in pins(&other).await {
        let text = other
            .buckets
            .read_record(&pin, 4096)
            .await
            .unwrap()
            .unwrap();
        late.buckets.create_record(&pin, &text).await.unwrap();
    }
    let raced = refused(&late, &first).await;
    assert!(matches!(raced, Error::PointRace { .. }), "{raced}");
    assert_eq!(raced.exit(), Exit::Retry);
    let summary = intake(&late, &first.name, no_progress()).await.unwrap();
    let changed = summary.rejected_by_reason.count(PacketReason::PointChanged);
    assert_eq!(
        changed, summary.packets_read,
        "the existing pin is enforced"
    );
}

/// Another process completes the intake of a batch, so a prepared batch names the key as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_fixed_with_a_batch_meanwhile_holds_for_the_same_point_only() {
    let case = Case::load("dim8");
    let prio2 = Prio2::new(8).unwrap();
    for (point, good) in [(FIRST_POINT, true), (OTHER_POINT, false)] {
        let late = processor(&case, Role::First, Points::Pinned);
        let [first, _] = two_batches(&case, Role::First);
        let points = BatchPoints::load(&late, &prio2).await.unwrap();
        let other = restarted(&case, &late, Points::Pinned, 8);
        run_intake(&other, &first).await;
        let pin = pins(&late).await.remove(0);
        let used = late
            .keys
            .packet
            .iter()
            .position(|key| pin.contains(&key.fingerprint));
        points.pin(used.unwrap(), Point::new(point, &prio2).unwrap(), &prio2);
        let fixed = points.fix(&late, &first.name.aggregation).await;
        match fixed {
            Ok(()) => assert!(good, "{point}"),
            Err(error) => assert!(!good && matches!(error, Error::PointRace { .. }), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_be_given_other_bins_or_a_point_after_it_was_used() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::Second, Points::Pinned);
    let [first, second] = two_batches(&case, Role::Second);
    run_intake(&processor, &first).await;
    let other = restarted(&case, &processor, Points::Pinned, 9);
    let misused = refused(&other, &with_other_bins(&second, 9)).await;
    assert!(matches!(misused, Error::KeyMisused { .. }), "{misused}");
    assert_eq!(misused.exit(), Exit::Usage);
    // Without the pin, the prepared batch has the same information.
    for pin in pins(&processor).await {
        processor.buckets.own.delete(&pin).await.unwrap();
    }
    let other = restarted(&case, &processor, Points::Pinned, 9);
    let misused = refused(&other, &with_other_bins(&second, 9)).await;
    assert!(matches!(misused, Error::KeyMisused { .. }), "{misused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_with_a_point_for_each_packet_is_never_pinned() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::Second, Points::PerPacket);
    let [first, second] = two_batches(&case, Role::Second);
    run_intake(&processor, &first).await;
    let pinned = restarted(&case, &processor, Points::Pinned, 8);
    let misused = refused(&pinned, &second).await;
    assert!(matches!(misused, Error::KeyMisused { .. }), "{misused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_has_a_point_keeps_it_whatever_the_configuration_says() {
    let case = Case::load("dim8");
    let root = tempfile::tempdir().unwrap();
    let processor = processor(&case, Role::Second, Points::Pinned);
    let [first, second] = two_batches(&case, Role::Second);
    run_intake(&processor, &first).await;
    let config = write_config(
        root.path(),
        Role::Second,
        &BucketPaths::beside_predecessor(&case, root.path(), Role::Second),
        "",
    );
    let mut config = load::<Config>(&config).unwrap();
    config.value.packet_decryption_keys = packet_documents(root.path(), Role::Second, 8);
    let mut free = Processor::open(&config).unwrap();
    free.buckets = processor.buckets.clone();
    free.limits.wrong_key.accept = true;
    let summary = run_intake(&Arc::new(free), &second).await;
    assert_eq!(
        summary.rejected_by_reason.count(PacketReason::PointChanged),
        100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_names_one_key_and_is_sealed_to_another_pins_nothing() {
    let case = Case::load("dim8");
    let mut undecryptable = Vec::new();
    for named in ["pha-packet-1", "pha-packet-2"] {
        let processor = processor(&case, Role::First, Points::Pinned);
        let [mut first, _] = two_batches(&case, Role::First);
        for packet in &mut first.packets {
            packet.key = Some(named.to_owned());
        }
        let summary = run_intake(&processor, &first).await;
        undecryptable.push(
            summary
                .rejected_by_reason
                .count(PacketReason::Undecryptable),
        );
        assert_eq!(
            pins(&processor).await.is_empty(),
            summary.packets_accepted == 0
        );
    }
    undecryptable.sort_unstable();
    assert_eq!(undecryptable, [0, 100]);
}

/// A share has to fit into one chunk of a prepared batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_too_many_bins_is_refused() {
    let case = Case::load("dim8");
    let processor = processor(&case, Role::First, Points::PerPacket);
    let [first, _] = two_batches(&case, Role::First);
    let error = refused(&processor, &with_other_bins(&first, (1 << 18) + 1)).await;
    assert_eq!(error.reason(), "bins", "{error}");
}
