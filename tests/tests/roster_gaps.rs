//! Rosters of two processors that start at different times, or that lack each other's objects.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use pair::{Pair, copy_all};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{Alarm, roster, rostered, show};
use tallybox_model::extensions::{ROSTERS_FROM, ROSTERS_UNTIL, RosterSwitch};
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, ListingStatus, OpenReason, WindowName};
use tallybox_model::time::{BatchTime, aligned_window};
use tallybox_tests::vectors::Case;
use tallybox_transport::faults::FlippedReads;
use tallybox_transport::intercept::{Decision, Intercepted, Interceptor, OperationKind, Request};
use tallybox_transport::{BucketError, ListRange, SharedBucket, memory, publish_bytes, read_all};

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

/// Changes a byte of a batch's prepared batch.
async fn damage_prepared(own: &SharedBucket, batch: &BatchName) {
    let listed = own.list("", ListRange::default()).await.unwrap();
    let keys = listed.map_ok(|entry| entry.key);
    let keys: Vec<_> = keys.try_collect().await.unwrap();
    let prepared = |key: &&String| BatchName::from_prepared(key).as_ref() == Some(batch);
    let key = keys.iter().find(prepared).unwrap();
    let mut bytes = read_all(&**own, key, 1 << 20).await.unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    own.delete(key).await.unwrap();
    publish_bytes(&**own, key, bytes.into(), false)
        .await
        .unwrap();
}

/// An earlier roster has listed the batch, so its signature needs no proof any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_late_is_reported_after_its_objects_are_lost() {
    let mut pair = Pair::new("dim8");
    let batches = pair.case.batches();
    let late = batches.last().unwrap();
    pair.intake(Role::First, &batches).await;
    pair.roster(Role::First, 0).await;
    pair.buckets[0].ingestion = memory("none");
    damage_prepared(&pair.buckets[0].own, late).await;
    pair.roster(Role::First, 4).await;
    let found = statuses(&pair, DatedBatch::from_batch(late), 4).await;
    let expected = [
        OpenReason::NoValidation,
        OpenReason::Conflict,
        OpenReason::Conflict,
        OpenReason::Conflict,
        OpenReason::TooLate,
    ];
    assert_eq!(
        found,
        expected.map(|reason| Some(ListingStatus::Open(reason)))
    );
}

/// A bucket that cannot read prepared batches.
#[derive(Debug)]
struct Unreachable;

#[async_trait]
impl Interceptor for Unreachable {
    async fn before(&self, request: &Request<'_>) -> Result<Decision, BucketError> {
        match (request.kind, BatchName::from_prepared(request.key)) {
            (OperationKind::Get, Some(_)) => Err(request.unavailable("timeout")),
            _ => Ok(Decision::Proceed),
        }
    }
}

/// Of a batch that no roster has listed, and whose ingestion objects are deleted, only the prepared
/// batch proves that it was signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_batch_that_can_be_opened_proves_a_signature() {
    for is_damaged in [false, true] {
        let mut pair = Pair::new("dim8");
        let late = pair.case.batches().remove(0);
        let none = memory("none");
        let ingestion = std::mem::replace(&mut pair.buckets[0].ingestion, none.clone());
        pair.roster(Role::First, 3).await;
        pair.buckets[0].ingestion = ingestion;
        pair.intake(Role::First, std::slice::from_ref(&late)).await;
        pair.buckets[0].ingestion = none;
        let unreachable = pair.with(Role::First, |processor| {
            let own = processor.buckets.own.clone();
            processor.buckets.own = Intercepted::wrap(own, Unreachable);
        });
        let waits = roster(&unreachable, &pair.window(4), no_progress()).await;
        assert!(waits.is_err(), "nothing is known of the batch");
        if is_damaged {
            damage_prepared(&pair.buckets[0].own, &late).await;
        }
        pair.roster(Role::First, 4).await;
        let found = statuses(&pair, DatedBatch::from_batch(&late), 4).await;
        let too_late = ListingStatus::Open(OpenReason::TooLate);
        let expected = if is_damaged { None } else { Some(too_late) };
        assert_eq!(found, [None, None, None, None, expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_listed_until_it_is_summed_without_its_ingestion_objects() {
    let mut pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    pair.buckets[0].ingestion = memory("none");
    pair.agree(0).await;
    pair.roster(Role::First, 1).await;
    let found = statuses(&pair, DatedBatch::from_batch(&batches[0]), 1).await;
    assert_eq!(found, [Some(ListingStatus::Summable), None]);
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
async fn rosters_start_with_the_first_prepared_batch_after_the_mailbox_deleted_it() {
    let mut pair = Pair::new("dim8");
    pair.intake(Role::First, &pair.case.batches()).await;
    pair.buckets[0].ingestion = memory("none");
    let summary = pair.roster(Role::First, 2).await;
    assert_eq!(summary.written.first(), Some(&pair.window(0).window));
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

/// Writes signature files that are no signatures, of batches that do not exist.
async fn write_unsigned(mailbox: &SharedBucket, count: u32, object: impl Fn(u32) -> String) {
    for number in 0..count {
        let bytes = b"none".as_slice().into();
        publish_bytes(&**mailbox, &object(number), bytes, false)
            .await
            .unwrap();
    }
}

fn unsigned_name(pair: &Pair, number: u32, date: &str) -> BatchName {
    let mut id = [0xff; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    BatchName {
        aggregation: pair.case.aggregation(),
        date: date.parse().unwrap(),
        id: BatchId::from_bytes(id),
    }
}

/// The peer chooses the names in the mailbox, so their number is limited.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_only_the_peer_knows_is_listed_and_too_many_are_not() {
    let mut pair = Pair::new("dim8");
    let batches = pair.case.batches();
    pair.intake(Role::Second, &batches).await;
    pair.buckets[0].ingestion = memory("none");
    write_unsigned(&pair.buckets[0].peer_validation_in, 4097, |number| {
        let name = unsigned_name(&pair, number, "2023/11/14/22/59");
        name.validation(Role::Second).signature
    })
    .await;
    let summary = pair.roster(Role::First, 0).await;
    let view = show(&pair.get(Role::First), &pair.window(0)).await.unwrap();
    assert_eq!(view.batches.len(), batches.len());
    let alarms = summary.alarms.len() as u64 + summary.more_alarms;
    assert_eq!(alarms, 4096 - batches.len() as u64);
}

/// A limited number of names is read, after the batches that are known to be signed.
#[tokio::test(flavor = "multi_thread")]
async fn names_without_a_signature_displace_no_batch() {
    let mut pair = Pair::new("dim8");
    let batches = pair.case.batches();
    pair.intake(Role::First, &batches).await;
    pair.buckets[0].ingestion = memory("ingestion");
    write_unsigned(&pair.buckets[0].ingestion, 4098, |number| {
        let name = unsigned_name(&pair, number, "2023/11/14/22/00");
        name.ingestion().signature
    })
    .await;
    let summary = pair.roster(Role::First, 0).await;
    let view = show(&pair.get(Role::First), &pair.window(0)).await.unwrap();
    assert_eq!(view.batches.len(), batches.len());
    // One alarm reports the two names that are left out.
    let alarms = summary.alarms.len() as u64 + summary.more_alarms;
    assert_eq!(alarms, 4096 + 1);
}

/// No honest clock is a day ahead of ours, so later rosters are not read.
#[tokio::test(flavor = "multi_thread")]
async fn the_peers_rosters_are_read_up_to_a_day_ahead() {
    let pair = Pair::new("dim8");
    let now = pair.get(Role::First).resources.clock.millis();
    let windows = [-1, 22, 25].map(|hours| WindowName {
        aggregation: pair.case.aggregation(),
        window: aligned_window(BatchTime::of_clock(now + hours * 3_600_000), 60).unwrap(),
    });
    let first = pair.with(Role::First, |processor| {
        let rules = processor.limits.rosters.as_mut().unwrap();
        rules.origin = Some(windows[0].window.start());
    });
    let rosters = windows.each_ref().map(|name| name.roster(Role::Second));
    for object in &rosters {
        let mailbox = &*pair.buckets[0].peer_validation_in;
        publish_bytes(mailbox, object, b"none".as_slice().into(), false)
            .await
            .unwrap();
    }
    let summary = roster(&first, &windows[0], no_progress()).await.unwrap();
    let read = summary.alarms.iter().filter_map(|alarm| match alarm {
        Alarm::BadRoster { object, .. } => Some(object),
        _ => None,
    });
    assert_eq!(read.collect::<Vec<_>>(), [&rosters[0], &rosters[1]]);
}
