//! Rosters of two processors that start at different times, or that lack each other's objects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use futures::TryStreamExt as _;
use pair::{Pair, copy_all};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{Alarm, roster, rostered, show};
use tallybox_model::extensions::{ROSTERS_FROM, ROSTERS_UNTIL, RosterSwitch};
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, ListingStatus, OpenReason};
use tallybox_tests::vectors::Case;
use tallybox_transport::faults::FlippedReads;
use tallybox_transport::{BucketError, ListRange, memory, publish_bytes, read_all};

/// Returns the status of a batch in the first processor's rosters of the windows up to `last`.
async fn statuses(pair: &Pair, batch: DatedBatch, last: u32) -> Vec<Option<ListingStatus>> {
    let mut statuses = Vec::new();
    for later in 0..=last {
        let view = show(&pair.get(Role::First), &pair.window(later))
            .await
            .unwrap();
        let listed = view.batches.into_iter().find(|view| view.batch == batch);
        let side = listed.and_then(|view| view.sides[0].clone());
        statuses.push(side.map(|side| side.status));
    }
    statuses
}

/// A batch stays open for three windows after its own. As long as the windows are not agreed on,
/// three further rosters report that it is too late. Before the peer has written its first roster,
/// every roster does.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_late_is_reported_until_it_is_forgotten() {
    for peer_has_started in [true, false] {
        let mut pair = Pair::new("dim8");
        let batches = pair.case.batches();
        let (late, rest) = batches.split_last().unwrap();
        pair.intake(Role::First, &batches).await;
        if peer_has_started {
            let ingestion = memory("ingestion");
            copy_all(&pair.buckets[1].ingestion, &ingestion, &late.to_string()).await;
            pair.buckets[1].ingestion = ingestion;
            pair.intake(Role::Second, rest).await;
            pair.agree(0).await;
        }
        pair.roster(Role::First, 8).await;
        let no_validation = Some(ListingStatus::Open(OpenReason::NoValidation));
        let too_late = Some(ListingStatus::Open(OpenReason::TooLate));
        let forgotten = if peer_has_started { None } else { too_late };
        let mut expected = vec![no_validation; 4];
        expected.extend([too_late; 3]);
        expected.extend([forgotten; 2]);
        let found = statuses(&pair, DatedBatch::from_batch(late), 8).await;
        assert_eq!(found, expected, "peer has started: {peer_has_started}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_before_the_peers_first_roster_are_agreed_on_as_empty() {
    let mut pair = Pair::new("dim8");
    // The second knows no batch of windows 0 and 1.
    pair.buckets[1].ingestion = memory("none");
    pair.roster(Role::Second, 2).await;
    pair.intake(Role::First, &pair.case.batches()).await;
    let summary = pair.roster(Role::First, 2).await;
    let windows = [0, 1, 2].map(|later| pair.window(later).window);
    assert_eq!(summary.written, windows);
    assert_eq!(summary.agreed, windows);
    assert_eq!(summary.waits_for, None);
    assert!(pair.agreed(Role::First, 0).await.batches.is_empty());
}

/// A window of which the peer has written a roster is never agreed on without it.
#[tokio::test(flavor = "multi_thread")]
async fn the_peers_first_roster_is_not_taken_for_empty_when_it_is_lost() {
    let pair = Pair::new("dim8");
    for later in [0, 1] {
        pair.roster(Role::Second, later).await;
    }
    let lost = pair.window(0).roster(Role::Second);
    let mailbox = &pair.buckets[0].peer_validation_in;
    mailbox.delete(&lost).await.unwrap();
    let summary = pair.roster(Role::First, 1).await;
    assert_eq!(summary.agreed, []);
    assert_eq!(summary.waits_for, Some(pair.window(0).window));
}

/// The peer lacks a validation batch, and our pin of its packet key is damaged. The window waits,
/// because agreeing on it without publishing the batch again would leave the batch to one side.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_waits_while_a_missing_validation_cannot_be_published() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    let lost = batches[0].validation(Role::First);
    for key in [&lost.packets, &lost.header, &lost.signature] {
        let mailbox = &pair.buckets[1].peer_validation_in;
        mailbox.delete(key).await.unwrap();
    }
    for role in Role::ALL {
        pair.roster(role, 0).await;
    }
    let own = &pair.buckets[0].own;
    let listed = own.list("points", ListRange::default()).await.unwrap();
    let pins: Vec<_> = listed
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap();
    for pin in &pins {
        let mut bytes = read_all(&**own, pin, 1 << 12).await.unwrap().to_vec();
        bytes[0] ^= 1;
        own.delete(pin).await.unwrap();
        publish_bytes(&**own, pin, bytes.into(), false)
            .await
            .unwrap();
    }
    let refused = roster(&pair.get(Role::First), &pair.window(0), no_progress()).await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, Error::Bucket(BucketError::Unverified { .. })),
        "{error}"
    );
    assert!(own.size(&pair.window(0).agreed()).await.is_err());
}

/// Without an origin in the configuration, the switches that the workflow manager records decide.
#[tokio::test]
async fn rosters_are_written_between_the_recorded_switches() {
    let pair = Pair::new("dim8");
    let first = pair.with(Role::First, |processor| {
        let rules = processor.limits.rosters.as_mut().unwrap();
        rules.origin = None;
    });
    let windows = [0, 1, 2, 3].map(|later| pair.window(later).window);
    for window in windows {
        assert!(
            !rostered(&first.buckets, &first.limits, window)
                .await
                .unwrap(),
            "{window}"
        );
    }
    let [from, until] = [windows[0].start(), windows[3].start()];
    for (object, time) in [(ROSTERS_FROM, from), (ROSTERS_UNTIL, until)] {
        let switch = RosterSwitch::from_announcements(time, time, 60, time).unwrap();
        let created = first.buckets.create_record(object, &switch.to_json()).await;
        created.unwrap();
    }
    let mut decided = Vec::new();
    for window in windows {
        decided.push(
            rostered(&first.buckets, &first.limits, window)
                .await
                .unwrap(),
        );
    }
    assert_eq!(decided, [true, true, true, false]);
}

/// A name without a valid signature does not decide where the rosters start, and neither do signed
/// batches behind more of such names than are read.
#[tokio::test(flavor = "multi_thread")]
async fn rosters_start_with_the_first_signed_batch() {
    for (unsigned, windows) in [(1, 3), (256, 1)] {
        let mut pair = Pair::new("dim8");
        let ingestion = memory("ingestion");
        copy_all(&pair.buckets[0].ingestion, &ingestion, "-").await;
        let before = Case::window().start().plus_minutes(-60).unwrap();
        for id in 0..unsigned {
            let name = BatchName {
                aggregation: pair.case.aggregation(),
                date: before,
                id: BatchId::from_bytes([u8::try_from(id).unwrap(); 16]),
            };
            let signature = name.ingestion().signature;
            publish_bytes(&*ingestion, &signature, b"none".as_slice().into(), false)
                .await
                .unwrap();
        }
        pair.buckets[0].ingestion = ingestion;
        let first = pair.with(Role::First, |processor| {
            processor.limits.rosters.as_mut().unwrap().origin = Some(before);
        });
        let summary = roster(&first, &pair.window(2), no_progress())
            .await
            .unwrap();
        assert_eq!(summary.written.len(), windows, "{unsigned} unsigned names");
        assert_eq!(summary.written.last(), Some(&pair.window(2).window));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_read_of_a_copied_roster_is_no_damage() {
    let pair = Pair::new("dim8");
    pair.roster(Role::Second, 0).await;
    let object = pair.window(0).roster(Role::Second);
    let own = FlippedReads::new(pair.buckets[0].own.clone(), move |key| key == object);
    let first = pair.with(Role::First, |processor| {
        processor.buckets.own = own.clone();
    });
    let summary = roster(&first, &pair.window(0), no_progress())
        .await
        .unwrap();
    assert_eq!(summary.agreed, [pair.window(0).window]);
    assert_eq!(own.flipped().len(), 1);
}

/// The peer has agreed on the window before, so it does not need our roster of it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_the_peer_has_agreed_on_is_not_published_again() {
    let pair = Pair::new("dim8");
    for later in [0, 1] {
        pair.agree(later).await;
    }
    let mailbox = &pair.buckets[1].peer_validation_in;
    let [old, new] = [0, 1].map(|later| pair.window(later).roster(Role::First));
    for object in [&old, &new] {
        mailbox.delete(object).await.unwrap();
    }
    pair.roster(Role::First, 2).await;
    assert!(mailbox.size(&old).await.is_err());
    assert!(mailbox.size(&new).await.is_ok());
}

/// The peer chooses the names in the mailbox, so their number is limited.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_only_the_peer_knows_is_listed_and_too_many_are_not() {
    let mut pair = Pair::new("dim8");
    pair.intake(Role::Second, &pair.case.batches()).await;
    pair.buckets[0].ingestion = memory("none");
    let mailbox = pair.buckets[0].peer_validation_in.clone();
    for id in 0..4097_u32 {
        let mut bytes = [0xff; 16];
        bytes[..4].copy_from_slice(&id.to_be_bytes());
        let name = BatchName {
            aggregation: pair.case.aggregation(),
            date: "2023/11/14/22/59".parse().unwrap(),
            id: BatchId::from_bytes(bytes),
        };
        let signature = name.validation(Role::Second).signature;
        publish_bytes(&*mailbox, &signature, b"none".as_slice().into(), false)
            .await
            .unwrap();
    }
    let summary = pair.roster(Role::First, 0).await;
    let view = show(&pair.get(Role::First), &pair.window(0)).await.unwrap();
    assert_eq!(view.batches.len(), pair.case.batches().len());
    let is_left_out = |alarm: &&Alarm| matches!(alarm, Alarm::LeftOut { .. });
    assert_eq!(summary.alarms.iter().find(is_left_out), None);
}
