//! Two processors agree by rosters on ENPA's batches, although objects are late, lost or forged, or
//! runs are interrupted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{Pair, copy_all};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{
    AgreementOutcome, Alarm, Whereabouts, aggregate_agreed, explain, roster, show,
};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::next_window;
use tallybox_tests::forge::Batch;
use tallybox_tests::snapshot::{difference, written};
use tallybox_tests::vectors::Case;
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::{memory, publish_bytes, read_all};

fn add(left: &[u32], right: &[u32]) -> Vec<u32> {
    left.iter()
        .zip(right)
        .map(|(left, right)| left + right)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sum_what_both_can() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    let first = pair.roster(Role::First, 0).await;
    assert_eq!((first.written.len(), first.agreed.len()), (1, 0));
    assert_eq!(
        first.waits_for,
        Some(Case::window()),
        "the peer's roster is not there yet"
    );
    let second = pair.roster(Role::Second, 0).await;
    assert_eq!(
        (second.written.len(), second.agreed.len(), second.waits_for),
        (1, 1, None)
    );
    let repeated = pair.roster(Role::First, 0).await;
    assert_eq!((repeated.written.len(), repeated.agreed.len()), (0, 1));
    let agreed = pair.agreed(Role::First, 0).await;
    assert_eq!(agreed, pair.agreed(Role::Second, 0).await);
    assert_eq!(agreed.batches.len(), batches.len());
    let (parts, sum) = pair.sums(0).await;
    assert_eq!(sum, pair.expected());
    assert_eq!(parts[0].total_individual_clients as u64, agreed.counted);
    // A repeated run changes nothing.
    let before = written(&pair.buckets[0]).await;
    pair.agree(0).await;
    pair.sums(0).await;
    assert_eq!(
        difference(&before, &written(&pair.buckets[0]).await),
        [""; 0]
    );
    // The next window does not list summed batches again.
    pair.agree(1).await;
    let next = show(&pair.get(Role::First), &pair.window(1)).await.unwrap();
    assert!(next.batches.is_empty(), "{next}");
}

/// An operator who asks why a window waits sees the peer's roster before it is copied into the own
/// bucket.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_sees_of_a_window() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    let (late, rest) = batches.split_last().unwrap();
    pair.intake(Role::First, &batches).await;
    let (name, first) = (pair.window(0), pair.get(Role::First));
    let empty = show(&first, &name).await.unwrap();
    assert_eq!(empty.rosters, [Whereabouts::Missing, Whereabouts::Missing]);
    assert!(
        empty.to_string().contains("no roster lists a batch"),
        "{empty}"
    );
    // The second never receives the late batch.
    let ingestion = memory("ingestion");
    copy_all(&pair.buckets[1].ingestion, &ingestion, &late.to_string()).await;
    let mut pair = pair;
    pair.buckets[1].ingestion = ingestion;
    pair.intake(Role::Second, rest).await;
    pair.roster(Role::Second, 0).await;
    let waiting = show(&first, &name).await.unwrap();
    assert_eq!(
        waiting.rosters,
        [Whereabouts::Missing, Whereabouts::Mailbox]
    );
    assert_eq!(
        waiting.batches.len(),
        batches.len(),
        "the second says that it lacks the late one"
    );
    assert!(
        waiting
            .batches
            .iter()
            .all(|view| view.outcome == AgreementOutcome::Waiting)
    );
    assert!(
        waiting.to_string().contains("the next run copies it"),
        "{waiting}"
    );
    pair.agree(0).await;
    let agreed = show(&first, &name).await.unwrap();
    assert_eq!(agreed.rosters, [Whereabouts::Own, Whereabouts::Own]);
    let outcomes = |outcome| {
        agreed
            .batches
            .iter()
            .filter(|view| view.outcome == outcome)
            .count()
    };
    assert_eq!(
        (
            outcomes(AgreementOutcome::Summed),
            outcomes(AgreementOutcome::Open)
        ),
        (rest.len(), 1)
    );
    // Continue window by window until the batch has expired.
    for later in 1..=3 {
        pair.agree(later).await;
    }
    let views = explain(&first, &name.aggregation, late.date, late.id)
        .await
        .unwrap();
    let outcomes: Vec<AgreementOutcome> = views.iter().map(|view| view.outcome).collect();
    assert_eq!(
        outcomes.last(),
        Some(&AgreementOutcome::Expired),
        "{views:?}"
    );
    assert_eq!(
        views[0].sides[0].as_ref().unwrap().accepted,
        views[1].sides[0].as_ref().unwrap().accepted
    );
    // A roster with an unknown signer is shown as refused.
    let pair = Pair::new("dim8");
    let forged = pair.with(Role::Second, |processor| {
        processor.keys.signing_id = "who".to_owned()
    });
    roster(&forged, &name, no_progress()).await.unwrap();
    let refused = show(&pair.get(Role::First), &name).await.unwrap();
    assert!(
        matches!(
            refused.rosters,
            [Whereabouts::Missing, Whereabouts::Refused(_)]
        ),
        "{refused:?}"
    );
}

/// A processor that catches up writes the rosters of several windows before it agrees on the first.
/// The later rosters list batches that the first window then sums.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_an_earlier_window_has_summed_is_marked() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    pair.agree(2).await;
    for later in [1, 2] {
        let view = show(&pair.get(Role::First), &pair.window(later))
            .await
            .unwrap();
        assert_eq!(view.batches.len(), batches.len(), "{view}");
        for batch in &view.batches {
            let earlier = batch.earlier.unwrap();
            assert_eq!(
                (earlier.window, earlier.outcome),
                (pair.window(0).window, AgreementOutcome::Summed)
            );
        }
        let marked = format!("summed earlier, in {}", pair.window(0).window);
        assert_eq!(
            view.to_string().matches(&marked).count(),
            batches.len(),
            "{view}"
        );
    }
    let own = show(&pair.get(Role::First), &pair.window(0)).await.unwrap();
    assert!(
        own.batches.iter().all(|batch| batch.earlier.is_none()),
        "{own}"
    );
}

/// A packet that an earlier window has counted is subtracted from a later batch that contains it
/// again, whether one run agrees on both windows or each has its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_an_earlier_window_has_counted_does_not_count_again() {
    for windows_of_runs in [vec![0, 1], vec![1]] {
        let mut pair = Pair::new("dim8");
        let mut batches = pair.case.batches();
        let last = batches.pop().unwrap();
        // The last batch never arrives. Its packets come in the next window, in a batch that repeats
        // the packets of an earlier batch.
        let later = BatchName {
            date: pair.window(1).window.start(),
            id: "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a".parse().unwrap(),
            ..last.clone()
        };
        for role in Role::ALL {
            let repeated = Batch::read(&pair.case, &batches[0], role);
            let mut batch = Batch::read(&pair.case, &last, role).renamed(later.clone());
            batch.packets.extend(repeated.packets);
            let ingestion = memory("ingestion");
            copy_all(
                &pair.buckets[role.index()].ingestion,
                &ingestion,
                &last.to_string(),
            )
            .await;
            batch.write(&*ingestion).await;
            pair.buckets[role.index()].ingestion = ingestion;
        }
        for role in Role::ALL {
            pair.intake(role, &batches).await;
            pair.intake(role, std::slice::from_ref(&later)).await;
        }
        for window in windows_of_runs {
            pair.agree(window).await;
        }
        let (first, sum) = pair.sums(0).await;
        let (second, rest) = pair.sums(1).await;
        assert_eq!(add(&sum, &rest), pair.expected());
        for (window, parts) in [(0, first), (1, second)] {
            let agreed = pair.agreed(Role::First, window).await;
            assert_eq!(parts[0].total_individual_clients as u64, agreed.counted);
        }
        assert_eq!(pair.agreed(Role::First, 1).await.batches.len(), 1);
    }
}

/// Case W3: ENPA's processors select their batches independently, so that one late validation makes
/// a window useless.
#[tokio::test(flavor = "multi_thread")]
async fn w3_a_late_batch_is_summed_by_both_in_the_next_window() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    let (late, rest) = batches.split_last().unwrap();
    for role in Role::ALL {
        pair.intake(role, rest).await;
    }
    // The first has completed the intake, but its validation and the batch have not reached the
    // second.
    pair.intake(Role::First, std::slice::from_ref(late)).await;
    let mailbox = &pair.buckets[1].peer_validation_in;
    let objects = late.validation(Role::First);
    let mut removed = Vec::new();
    for key in [objects.packets, objects.header, objects.signature] {
        removed.push((
            key.clone(),
            read_all(&**mailbox, &key, 1 << 20).await.unwrap(),
        ));
        mailbox.delete(&key).await.unwrap();
    }
    pair.agree(0).await;
    let (_, now) = pair.sums(0).await;
    assert_eq!(pair.agreed(Role::First, 0).await.batches.len(), rest.len());
    for (key, bytes) in removed {
        publish_bytes(&**mailbox, &key, bytes, false).await.unwrap();
    }
    pair.agree(1).await;
    let (parts, later) = pair.sums(1).await;
    assert_eq!(parts[0].batch_uuids, [late.id]);
    assert_eq!(
        add(&now, &later),
        pair.expected(),
        "each batch once, over both windows"
    );
    pair.agree(2).await;
    let third = pair.agreed(Role::Second, 2).await;
    assert!(third.batches.is_empty() && third.expired.is_empty());
    let done = pair.buckets[1].own.size(&pair.window(2).done()).await;
    assert!(done.is_ok(), "an empty window is complete");
}

/// A verdict replaces the objects from which it was computed: an open batch is listed again after
/// they are deleted, and summed as soon as the peer lists it, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_batch_is_listed_again_after_its_objects_are_deleted() {
    let mut pair = Pair::new("dim8");
    let batches = pair.case.batches();
    let late = batches.last().unwrap();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    // The validation of the first has not reached the second, which therefore cannot list the batch.
    let lost = late.validation(Role::First);
    for key in [&lost.packets, &lost.header, &lost.signature] {
        pair.buckets[1]
            .peer_validation_in
            .delete(key)
            .await
            .unwrap();
    }
    pair.agree(0).await;
    let (_, now) = pair.sums(0).await;
    let buckets = &mut pair.buckets[0];
    for bucket in [&mut buckets.ingestion, &mut buckets.own] {
        let rest = memory("rest");
        copy_all(bucket, &rest, &late.to_string()).await;
        *bucket = rest;
    }
    let read = late.validation(Role::Second);
    for key in [&read.packets, &read.header, &read.signature] {
        pair.buckets[0]
            .peer_validation_in
            .delete(key)
            .await
            .unwrap();
    }
    pair.agree(1).await;
    let (parts, later) = pair.sums(1).await;
    assert_eq!(parts[0].batch_uuids, [late.id]);
    assert_eq!(add(&now, &later), pair.expected());
}

/// A roster of a later window is copied as soon as it is seen, because the mailbox may delete it.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_roster_is_copied_before_the_mailbox_deletes_it() {
    let pair = Pair::new("dim8");
    pair.roster(Role::Second, 1).await;
    pair.roster(Role::First, 0).await;
    let object = pair.window(1).roster(Role::Second);
    pair.buckets[0]
        .peer_validation_in
        .delete(&object)
        .await
        .unwrap();
    let summary = pair.roster(Role::First, 1).await;
    assert_eq!((summary.waits_for, summary.agreed.len()), (None, 1));
}

/// A mailbox deletes a roster that an offline peer does not fetch in time. The next run publishes
/// it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_the_peer_may_lack_is_published_again() {
    let pair = Pair::new("dim8");
    pair.roster(Role::First, 0).await;
    let (mailbox, object) = (
        &pair.buckets[1].peer_validation_in,
        pair.window(0).roster(Role::First),
    );
    mailbox.delete(&object).await.unwrap();
    let again = pair.roster(Role::First, 0).await;
    assert!(again.written.is_empty());
    assert!(mailbox.size(&object).await.is_ok());
}

/// After a pause that is longer than the replay horizon, rosters continue where they ended.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_pause_rosters_continue_with_the_next_window() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    pair.agree(0).await;
    let first = pair.roster(Role::First, 15).await;
    assert_eq!((first.written.len(), first.agreed.len()), (15, 0));
    let second = pair.roster(Role::Second, 15).await;
    assert_eq!((second.written.len(), second.agreed.len()), (15, 15));
    assert_eq!(second.agreed[0], pair.window(1).window);
}

/// The intake crashed between the prepared batch and the validation batch, and its task was lost.
/// The peer's roster lists the batch as lacking a validation, and so the validation is published.
#[tokio::test(flavor = "multi_thread")]
async fn a_validation_that_never_went_out_is_published_when_the_peer_misses_it() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    let lost = batches.last().unwrap().validation(Role::First);
    for key in [&lost.packets, &lost.header, &lost.signature] {
        pair.buckets[1]
            .peer_validation_in
            .delete(key)
            .await
            .unwrap();
    }
    pair.agree(0).await;
    let (_, now) = pair.sums(0).await;
    assert!(
        pair.buckets[1]
            .peer_validation_in
            .size(&lost.signature)
            .await
            .is_ok()
    );
    pair.agree(1).await;
    let (_, later) = pair.sums(1).await;
    assert_eq!(add(&now, &later), pair.expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_one_side_never_gets_expires_on_both_and_says_why() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    let (lost, rest) = batches.split_last().unwrap();
    pair.intake(Role::First, &batches).await;
    // Roster tasks run missing intakes, so the second's mailbox must not contain the batch.
    let ingestion = memory("ingestion");
    copy_all(&pair.buckets[1].ingestion, &ingestion, &lost.to_string()).await;
    let mut pair = pair;
    pair.buckets[1].ingestion = ingestion;
    pair.intake(Role::Second, rest).await;
    let mut alarms = Vec::new();
    for later in 0..=3 {
        pair.roster(Role::First, later).await;
        alarms.extend(pair.roster(Role::Second, later).await.alarms);
        alarms.extend(pair.roster(Role::First, later).await.alarms);
    }
    let expired = alarms
        .iter()
        .filter(|alarm| matches!(alarm, Alarm::Expired { batch, .. } if batch.id == lost.id));
    assert_eq!(expired.count(), 2, "{alarms:?}");
    assert_eq!(
        pair.agreed(Role::First, 3).await,
        pair.agreed(Role::Second, 3).await
    );
    assert_eq!(
        pair.agreed(Role::First, 3).await.expired[0].batch.id,
        lost.id
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_is_replaced_is_an_alarm_and_changes_nothing() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    pair.agree(0).await;
    let before = pair.agreed(Role::First, 0).await;
    // The second signs another roster for the same window.
    let mailbox = &pair.buckets[0].peer_validation_in;
    let object = pair.window(0).roster(Role::Second);
    mailbox.delete(&object).await.unwrap();
    let mut other = Pair::new("dim8");
    other.buckets[1].peer_validation_out = mailbox.clone();
    other.roster(Role::Second, 0).await;
    let summary = pair.roster(Role::First, 0).await;
    let [Alarm::SecondRoster { second, .. }] = summary.alarms.as_slice() else {
        panic!("{summary:?}");
    };
    assert!(
        pair.buckets[0].own.size(second).await.is_ok(),
        "expected the second roster as evidence"
    );
    assert_eq!(pair.agreed(Role::First, 0).await, before);
    // A roster with an unknown signer is invalid, and the window waits.
    let pair = Pair::new("dim8");
    let mailbox = &pair.buckets[0].peer_validation_in;
    let forged = pair.with(Role::Second, |processor| {
        processor.keys.signing_id = "who".to_owned()
    });
    roster(&forged, &pair.window(0), no_progress())
        .await
        .unwrap();
    assert!(mailbox.size(&object).await.is_ok());
    let summary = pair.roster(Role::First, 0).await;
    assert!(
        matches!(summary.alarms.as_slice(), [Alarm::BadRoster { .. }]),
        "{summary:?}"
    );
    assert_eq!(summary.waits_for, Some(Case::window()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_waits_for_its_time_and_for_equal_rules() {
    let pair = Pair::new("dim8");
    let early = pair.with(Role::First, |processor| {
        let policy = processor.limits.rosters.as_mut().unwrap();
        policy.grace_minutes = 100 * 365 * 24 * 60;
    });
    let error = roster(&early, &pair.window(0), no_progress())
        .await
        .unwrap_err();
    let Error::TooEarly { due, now, .. } = &error else {
        panic!("{error}")
    };
    // The message contains dates in a readable form.
    assert!(
        error
            .to_string()
            .contains(&format!("is due at {due}; it is {now} by")),
        "{error}"
    );
    let stepped = pair.with(Role::First, |processor| {
        let now = processor.resources.clock.millis();
        processor.resources.clock = tallybox_service::clock::Clock::manual(now + 10 * 60_000);
    });
    let error = roster(&stepped, &pair.window(0), no_progress())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Clocks {
                seconds: 590..=600,
                ..
            }
        ),
        "{error}"
    );
    let mut name = pair.window(0);
    name.window = next_window(name.window, 30).unwrap();
    let error = roster(&pair.get(Role::First), &name, no_progress())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "no-such-window");
    let other = pair.with(Role::Second, |processor| {
        let policy = processor.limits.rosters.as_mut().unwrap();
        policy.replay_horizon = 11;
    });
    roster(&other, &pair.window(0), no_progress())
        .await
        .unwrap();
    let error = roster(&pair.get(Role::First), &pair.window(0), no_progress())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "terms-differ");
}

/// Both clocks have to be past the due time. A difference of some minutes between them is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_is_due_by_both_clocks() {
    let pair = Pair::new("dim8");
    let name = pair.window(0);
    let end = name.window.end().millis();
    let now = pair.get(Role::First).resources.clock.millis();
    // The roster is due in about three minutes by the clock of the own bucket.
    let grace = u32::try_from((now - end) / 60_000 + 3).unwrap();
    let due = end + i64::from(grace) * 60_000;
    for (millis, late) in [
        (due - 1, "the clock of this machine"),
        (due, "the clock of the own bucket"),
    ] {
        let processor = pair.with(Role::First, |processor| {
            processor.limits.rosters.as_mut().unwrap().grace_minutes = grace;
            processor.resources.clock = tallybox_service::clock::Clock::manual(millis);
        });
        let error = roster(&processor, &name, no_progress()).await.unwrap_err();
        assert!(
            matches!(&error, Error::TooEarly { clock, .. } if *clock == late),
            "{error}"
        );
    }
}

/// Each operation of the first processor on a bucket fails in turn, in each way. A repeated run
/// ends in the same bytes. `idempotence.rs` does the same for an intake.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_broken_off_ends_in_the_same_bytes() {
    let taken_in = Pair::new("dim8");
    let batches = taken_in.case.batches();
    for role in Role::ALL {
        taken_in.intake(role, &batches).await;
    }
    let reference = taken_in.copy().await;
    rosters_and_sums(&reference, None).await.unwrap();
    let reference = written(&reference.buckets[0]).await;
    for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
        let mut at = 1;
        loop {
            let pair = taken_in.copy().await;
            let faults = Faults::new(at, kind);
            let broken = rosters_and_sums(&pair, Some(&faults)).await;
            if faults.operations() < at {
                broken.unwrap();
                break;
            }
            rosters_and_sums(&pair, None).await.unwrap();
            let now = written(&pair.buckets[0]).await;
            assert_eq!(difference(&reference, &now), [""; 0], "{kind:?} at {at}");
            at += 1;
        }
        assert!(at > 40, "{at} operations");
    }
}

impl Pair {
    /// Returns the same state in new buckets.
    async fn copy(&self) -> Self {
        let copy = Self::new("dim8");
        for (from, to) in self.buckets.iter().zip(&copy.buckets) {
            copy_all(&from.own, &to.own, "-").await;
            copy_all(&from.peer_validation_in, &to.peer_validation_in, "-").await;
        }
        copy
    }
}

/// Runs rosters and aggregations on both sides. The first processor's buckets fail according to
/// `faults`.
async fn rosters_and_sums(pair: &Pair, faults: Option<&Faults>) -> Result<(), Error> {
    let first = pair.with(Role::First, |processor| {
        if let Some(faults) = faults {
            let buckets = &mut processor.buckets;
            for bucket in [
                &mut buckets.own,
                &mut buckets.peer_validation_out,
                &mut buckets.peer_validation_in,
                &mut buckets.sum_parts,
            ] {
                *bucket = faults.wrap(bucket.clone());
            }
        }
    });
    let second = pair.get(Role::Second);
    for processor in [&first, &second, &first] {
        roster(processor, &pair.window(0), no_progress()).await?;
    }
    for processor in [&first, &second] {
        aggregate_agreed(processor, &pair.window(0), no_progress()).await?;
    }
    Ok(())
}
