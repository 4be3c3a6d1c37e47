//! From slabs to batches: each report is batched exactly once, whatever interrupts the batcher.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::*;
use tallybox_ingestor::attestation::{AttestedKey, Refusal, Verifier};
use tallybox_ingestor::batch::{BatchOptions, check_bins};
use tallybox_ingestor::error::Error;
use tallybox_ingestor::ingestor::{Ingestor, records};
use tallybox_model::report::ReportUpload;
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::{BucketError, Disposition, RecordFault};

/// Fills four slabs with reports of two metrics: 48 reports and 20.
async fn filled(world: &World) -> Vec<Stored> {
    let mut all = Vec::new();
    for part in 0..4 {
        let mut slab = reports(NOTIFIED, part * 12..(part + 1) * 12);
        slab.extend(reports(CODES, part * 5..(part + 1) * 5));
        world.slab(time(START), &slab).await;
        all.extend(slab);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_is_batched_once_and_a_rerun_changes_nothing() {
    let world = World::new();
    let all = filled(&world).await;
    assert!(
        world.batch().await.unwrap().windows.is_empty(),
        "the window has not ended"
    );
    world.at(64);
    assert!(
        world.batch().await.unwrap().windows.is_empty(),
        "the window has not settled"
    );
    world.at(65);
    let summary = world.batch().await.unwrap();
    assert_eq!(summary.windows.len(), 1);
    let window = &summary.windows[0];
    assert_eq!(
        (window.reports, window.batched, window.batches.len()),
        (68, 68, 4)
    );
    let batched = world.batched().await;
    batched.assert_exactly(&all);
    let sizes: Vec<usize> = batched.first.values().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 68);
    assert!(
        sizes.iter().all(|size| (5..=20).contains(size)),
        "{sizes:?}"
    );
    // Each metric has its own pair of keys and therefore one point. Ids and order differ from those
    // of the clients.
    for (name, packets) in &batched.first {
        let of_metric = batched
            .first
            .iter()
            .filter(|(other, _)| other.aggregation == name.aggregation);
        let mut points = of_metric
            .flat_map(|(_, packets)| packets)
            .map(|packet| packet.point);
        assert!(points.all(|point| point == packets[0].point));
    }
    let packets: Vec<_> = batched.first.values().flatten().collect();
    let ids: std::collections::BTreeSet<_> = all.iter().map(|report| report.id.clone()).collect();
    assert!(packets.iter().all(|packet| !ids.contains(&packet.id)));
    let before = world.snapshot().await;
    assert!(world.batch().await.unwrap().windows.is_empty());
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_are_dropped_by_id_and_by_either_share_within_and_across_windows() {
    let world = World::new();
    let honest = reports(NOTIFIED, 0..20);
    let mut slab = honest.clone();
    slab.push(honest[3].clone());
    let mut other_id = honest[4].clone();
    other_id.id = reports(NOTIFIED, 30..31)[0].id.clone();
    slab.push(other_id.clone());
    let mut first_share_only = reports(NOTIFIED, 31..32)[0].clone();
    first_share_only.payloads[0] = honest[5].payloads[0].clone();
    slab.push(first_share_only);
    let mut moved = reports(CODES, 0..1)[0].clone();
    moved.payloads[1] = honest[6].payloads[1].clone();
    slab.push(moved.clone());
    world.slab(time(START), &slab).await;
    world.at(65);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!((window.replays.report, window.replays.ciphertext), (1, 3));
    world.batched().await.assert_exactly(&honest);
    // The same reports and variants of them in later windows, together with new ones.
    let fresh = reports(NOTIFIED, 40..46);
    let mut later = fresh.clone();
    later.extend([honest[7].clone(), other_id, moved]);
    world.slab(time("2026/11/23/11/30"), &later).await;
    world.at(125);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!(
        (
            window.batched,
            window.replays.report,
            window.replays.ciphertext
        ),
        (6, 1, 2)
    );
    world
        .batched()
        .await
        .assert_exactly(&[honest, fresh].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_with_two_contents_is_batched_twice_under_two_ids() {
    let world = World::new();
    let mut two = reports(NOTIFIED, 0..10);
    two[1].id = two[0].id.clone();
    world.slab(time(START), &two).await;
    world.at(65);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!((window.batched, window.replays.conflicts), (10, 1));
    let batched = world.batched().await;
    batched.assert_exactly(&two);
    let ids: std::collections::BTreeSet<_> = batched
        .first
        .values()
        .flatten()
        .map(|packet| &packet.id)
        .collect();
    assert_eq!(ids.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_wait_and_are_dropped_in_the_end() {
    let world = World::new();
    let few = reports(CODES, 0..3);
    world.slab(time(START), &few).await;
    world.at(65);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!((window.batched, window.carried), (0, 3));
    assert!(world.published().await.is_empty());
    // Three more reports make the batch large enough. A repeated report is recognised while it is
    // carried over.
    let more = reports(CODES, 3..6);
    world
        .slab(
            time("2026/11/23/11/10"),
            &[more.clone(), few[..1].to_vec()].concat(),
        )
        .await;
    world.at(125);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!(
        (window.batched, window.carried, window.replays.report),
        (6, 0, 1)
    );
    world.batched().await.assert_exactly(&[few, more].concat());
    // Other reports are carried over until they are too old: 24 windows by default.
    let old = reports(CODES, 10..12);
    world.slab(time("2026/11/23/12/10"), &old).await;
    world.at(60 * 40 + 5);
    let windows = world.batch().await.unwrap().windows;
    let dropped: Vec<_> = windows.iter().filter(|window| window.dropped > 0).collect();
    assert_eq!((dropped.len(), dropped[0].dropped), (1, 2));
    assert_eq!(dropped[0].window.start(), time("2026/11/24/12/00"));
    assert_eq!(windows.iter().map(|window| window.batched).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_slabs_go_into_the_next_window() {
    let world = World::new();
    let early = reports(NOTIFIED, 0..10);
    world.slab(time(START), &early).await;
    world.at(65);
    world.batch().await.unwrap();
    let late = reports(NOTIFIED, 10..20);
    world.slab(time(START), &late).await;
    assert!(
        world.batch().await.unwrap().windows.is_empty(),
        "its window is done"
    );
    world.at(125);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!(
        (window.window.start(), window.batched),
        (time("2026/11/23/11/00"), 10)
    );
    world
        .batched()
        .await
        .assert_exactly(&[early, late].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slab_from_a_clock_that_was_ahead_is_not_forgotten_and_not_hurried() {
    let world = World::new();
    let (now, next, far) = (
        reports(NOTIFIED, 0..6),
        reports(NOTIFIED, 6..12),
        reports(NOTIFIED, 12..18),
    );
    world.slab(time(START), &now).await;
    world.slab(time("2026/11/23/11/05"), &next).await;
    world.slab(time("2027/11/23/11/05"), &far).await;
    world.at(65);
    let window = world.batch().await.unwrap().windows.remove(0);
    assert_eq!(window.batched, 12);
    world.batched().await.assert_exactly(&[now, far].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_windows_are_caught_up_in_order_each_with_its_own_slabs() {
    let world = World::new();
    world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    world
        .slab(time("2026/11/23/13/05"), &reports(NOTIFIED, 6..12))
        .await;
    world.at(60 * 5 + 5);
    let windows = world.batch().await.unwrap().windows;
    let batched: Vec<_> = windows.iter().map(|window| window.batched).collect();
    assert_eq!(batched, [6, 0, 0, 6], "and no plan beyond the last slab");
    let starts: Vec<_> = windows
        .windows(2)
        .map(|pair| pair[0].window.end() == pair[1].window.start())
        .collect();
    assert!(starts.iter().all(|touch| *touch), "no gap between windows");
}

/// A plan stays as it is, even if the configuration has changed since.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_record_is_completed_as_it_was_planned() {
    let world = World::new();
    let all = filled(&world).await;
    world.at(65);
    let undisturbed = {
        let twin = World::new();
        filled(&twin).await;
        twin.at(65);
        twin.batch().await.unwrap();
        twin.published().await
    };
    // A run stops before it writes to the mailboxes, which cannot be reached.
    let broken = |bucket: &tallybox_transport::SharedBucket| {
        Faults::new(1, FaultKind::Die).wrap(std::sync::Arc::clone(bucket))
    };
    let cut_off = world.ingestor_over(
        std::sync::Arc::clone(&world.spool),
        [broken(&world.mailboxes[0]), broken(&world.mailboxes[1])],
    );
    assert!(
        world
            .batch_with(&cut_off, &BatchOptions::default())
            .await
            .is_err()
    );
    // Then partition size, batch limits, date, registry and secret change.
    let mut changed = world.ingestor();
    changed.batches.partition_bytes = 1 << 20;
    changed.batches.max_packets = 1000;
    changed.batches.min_packets = 1;
    changed.batches.ingestion_date = tallybox_ingestor::config::IngestionDate::End;
    rotate(&mut changed);
    std::fs::write(
        world.directory.path().join("registry.yaml"),
        "{ version: 2, metrics: { other-v1: { state: accept, encoding: { kind: histogram, bins: 5 }, epsilon: 1.0, cadence-hours: 1 } } }",
    )
    .unwrap();
    changed.reload_registry().unwrap();
    let summary = world
        .batch_with(&changed, &BatchOptions::default())
        .await
        .unwrap();
    assert_eq!(summary.windows[0].batched, 68);
    world.batched().await.assert_exactly(&all);
    assert!(
        world.published().await == undisturbed,
        "to the byte what one run would have written"
    );
}

/// Adds a new secret in front of the earlier ones.
fn rotate(ingestor: &mut Ingestor) {
    let fresh = tallybox_crypto::IngestorSecret::generate(&mut rng(301));
    ingestor.secrets.insert(0, fresh);
    ingestor.records = records(&ingestor.secrets, &ingestor.name).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_keeps_points_and_a_lost_one_is_named() {
    let world = World::new();
    world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    world.at(65);
    world.batch().await.unwrap();
    let point = world.batched().await.first.values().next().unwrap()[0].point;
    world
        .slab(time("2026/11/23/11/05"), &reports(NOTIFIED, 6..12))
        .await;
    world.at(125);
    let mut rotated = world.ingestor();
    rotate(&mut rotated);
    world
        .batch_with(&rotated, &BatchOptions::default())
        .await
        .unwrap();
    let batched = world.batched().await;
    assert!(
        batched
            .first
            .values()
            .flatten()
            .all(|packet| packet.point == point)
    );
    // Replays are still found in records that the old secret sealed.
    world
        .slab(time("2026/11/23/12/05"), &reports(NOTIFIED, 0..8))
        .await;
    world.at(185);
    let mut lost = world.ingestor();
    rotate(&mut lost);
    lost.secrets.truncate(1);
    let error = world
        .batch_with(&lost, &BatchOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::UnknownSecret { secret, .. } if *secret == world.secrets[0].id()),
        "{error}"
    );
    // A program that starts without the old secret cannot read the objects made with it.
    lost.records = records(&lost.secrets, &lost.name).unwrap();
    let error = world
        .batch_with(&lost, &BatchOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Bucket(BucketError::Unverified {
                source: RecordFault::UnknownKey { .. },
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(
        error.disposition(),
        Disposition::Retry,
        "until the secret is there again"
    );
    let window = world
        .batch_with(&rotated, &BatchOptions::default())
        .await
        .unwrap()
        .windows
        .remove(0);
    assert_eq!((window.batched, window.replays.report), (0, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_one_after_another_keep_their_point() {
    let world = World::new();
    let mut slab = reports(NOTIFIED, 0..20);
    for (report, keys) in slab.iter_mut().zip((0..).map(|index| match index / 5 {
        0 => ["first-1", "second-1"],
        1 => ["first-2", "second-1"],
        2 => ["first-2", "second-2"],
        _ => ["first-3", "second-3"],
    })) {
        report.keys = keys.map(str::to_owned);
    }
    world.slab(time(START), &slab).await;
    world.at(65);
    assert_eq!(
        world.batch().await.unwrap().windows[0].batches.len(),
        4,
        "one pair of keys a batch"
    );
    let batched = world.batched().await;
    let points: std::collections::BTreeMap<_, _> = batched
        .first
        .values()
        .flatten()
        .map(|packet| (packet.key.clone().unwrap(), packet.point))
        .collect();
    assert_eq!(
        points["first-1"], points["first-2"],
        "a processor that kept its key would reject another"
    );
    assert_ne!(points["first-1"], points["first-3"]);
    // A pair of keys from two points is an error, since one processor would reject the packets. The
    // error names the keys.
    let mut crossed = reports(NOTIFIED, 20..25);
    for report in &mut crossed {
        report.keys = ["first-1", "second-3"].map(str::to_owned);
    }
    world.slab(time("2026/11/23/11/05"), &crossed).await;
    world.at(125);
    assert!(matches!(
        world.batch().await.unwrap_err(),
        Error::Points { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_under_one_key_never_get_into_batches_of_two_numbers_of_bins() {
    let world = World::new();
    // The state after a wrong change of the configuration: reports of six bins under keys that had
    // five.
    let under_keys_of_five = |range| {
        let mut moved = reports(CODES, range);
        moved
            .iter_mut()
            .for_each(|report| report.keys = KEYS.map(str::to_owned));
        moved
    };
    let good = reports(NOTIFIED, 0..10);
    world.slab(time(START), &good).await;
    world
        .slab(time("2026/11/23/11/05"), &under_keys_of_five(0..10))
        .await;
    world.at(125);
    let windows = world.batch().await.unwrap().windows;
    let counts: Vec<_> = windows
        .iter()
        .map(|window| (window.batched, window.other_bins))
        .collect();
    assert_eq!(counts, [(10, 0), (0, 10)]);
    world.batched().await.assert_exactly(&good);
    // A program that starts with such a configuration reports the error at once.
    let mut ingestor = world.ingestor();
    assert!(check_bins(&ingestor).await.is_ok());
    ingestor.localities.get_mut(LOCALITY).unwrap().key_pairs[0].bins = 6;
    let error = check_bins(&ingestor).await.unwrap_err().to_string();
    assert!(error.contains("key first-1 was used for 5 bins"), "{error}");
    // One key of the pair is enough, on either side.
    for (side, at) in [(0, "2026/11/23/12/05"), (1, "2026/11/23/13/05")] {
        let mut mixed = reports(CODES, 20 + 10 * side as u64..30 + 10 * side as u64);
        mixed
            .iter_mut()
            .for_each(|report| report.keys[side] = KEYS[side].to_owned());
        world.slab(time(at), &mixed).await;
    }
    world.at(245);
    let windows = world.batch().await.unwrap().windows;
    assert_eq!(
        windows
            .iter()
            .map(|window| window.other_bins)
            .collect::<Vec<_>>(),
        [10, 10]
    );
    world.batched().await.assert_exactly(&good);
}

#[tokio::test(flavor = "multi_thread")]
async fn slabs_go_when_they_are_old_and_done_and_records_keep_what_they_know() {
    let world = World::new();
    let all = filled(&world).await;
    world.at(65);
    world.batch().await.unwrap();
    world.at(60 * 50);
    let summary = world.batch().await.unwrap();
    assert!(
        summary.deleted >= 4 && summary.windows.is_empty(),
        "{summary:?}"
    );
    assert_eq!(world.batch().await.unwrap().deleted, 0, "swept once");
    let slabs = keys(&*world.spool)
        .await
        .into_iter()
        .filter(|key| key.ends_with(".slab"))
        .count();
    assert_eq!(slabs, 0);
    // The same reports again, as late as possible: they are recognised although their slabs are
    // pruned.
    world.slab(time("2026/11/25/11/05"), &all[..10]).await;
    world.at(60 * 50 + 15);
    let windows = world.batch().await.unwrap().windows;
    assert_eq!(
        windows
            .iter()
            .map(|window| window.replays.report)
            .sum::<u64>(),
        10
    );
    world.batched().await.assert_exactly(&all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_slab_stops_its_window_and_names_the_slab() {
    let world = World::new();
    let key = world.slab(time(START), &reports(NOTIFIED, 0..6)).await;
    world.at(65);
    let bytes = tallybox_transport::read_all(&*world.spool, &key, 1 << 20)
        .await
        .unwrap();
    world.spool.delete(&key).await.unwrap();
    let cut = bytes.slice(..bytes.len() - 3);
    tallybox_transport::publish_bytes(&*world.spool, &key, cut, false)
        .await
        .unwrap();
    let error = world.batch().await.unwrap_err();
    assert!(
        matches!(&error, Error::Bucket(BucketError::Unverified { key: named, .. }) if *named == key),
        "{error}"
    );
    // An operator restores the object.
    world.spool.delete(&key).await.unwrap();
    tallybox_transport::publish_bytes(&*world.spool, &key, bytes, false)
        .await
        .unwrap();
    assert_eq!(world.batch().await.unwrap().windows[0].batched, 6);
}

/// A job is suspended between listing and planning, while others complete the window and prune its
/// plan.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_comes_days_late_batches_nothing_again() {
    let world = World::new();
    let (early, late) = (reports(NOTIFIED, 0..6), reports(NOTIFIED, 6..12));
    world.slab(time(START), &early).await;
    world.at(65);
    world.batch().await.unwrap();
    world.slab(time(START), &late).await;
    world.at(125);
    world.batch().await.unwrap();
    let published = world.published().await;
    // The state after the plan of the second window has been pruned, while the slab that it names
    // still exists.
    world
        .spool
        .delete(&names().plan(time("2026/11/23/11/00")))
        .await
        .unwrap();
    world.batch().await.unwrap();
    assert!(world.published().await == published);
    world
        .batched()
        .await
        .assert_exactly(&[early, late].concat());
}

/// `serve --batch`: every window that is due is batched, and an unavailable mailbox delays it only
/// while it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_batches_does_so_when_a_window_is_due() {
    let world = World::new();
    let all = filled(&world).await;
    world.slab(time(START), &all[..3]).await;
    let away = Faults::new(1, FaultKind::Fail).wrap(std::sync::Arc::clone(&world.mailboxes[0]));
    let mailboxes = [away, std::sync::Arc::clone(&world.mailboxes[1])];
    let mut ingestor = world.ingestor_over(std::sync::Arc::clone(&world.spool), mailboxes);
    ingestor.batches.poll_secs = 1;
    world.at(64);
    let metrics = tallybox_ingestor::metrics::Metrics::new();
    let stop = tokio_util::sync::CancellationToken::new();
    let cycling = async {
        tallybox_ingestor::batch::cycle(&ingestor, &metrics, &stop).await;
    };
    let watching = async {
        assert!(world.published().await.is_empty(), "not due yet");
        world.at(65);
        let record = names().record(time(START), &world.secrets[0].id());
        while world.spool.size(&record).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stop.cancel();
    };
    tokio::join!(cycling, watching);
    world.batched().await.assert_exactly(&all);
    let text = metrics.text();
    for line in [
        r#"batch_failures_total{locality="us-xx"} 1"#,
        r#"windows_batched_total{locality="us-xx"} 1"#,
        r#"batch_reports_total{locality="us-xx",fate="batched"} 68"#,
        r#"batch_reports_total{locality="us-xx",fate="replays.report"} 3"#,
        r#"batch_reports_total{locality="us-xx",fate="dropped"} 0"#,
    ] {
        assert!(
            text.contains(&format!("ingestor_{line}\n")),
            "{line} in {text}"
        );
    }
}

/// A job whose clock is a year ahead closes windows too early, but only as many as there are slabs
/// for.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_wrong_clock_does_not_run_away() {
    let world = World::new();
    let (early, late) = (reports(NOTIFIED, 0..6), reports(NOTIFIED, 6..12));
    world.slab(time(START), &early).await;
    world.at(365 * 24 * 60);
    assert_eq!(world.batch().await.unwrap().windows.len(), 1);
    assert!(world.batch().await.unwrap().windows.is_empty());
    world.at(20);
    world.slab(time(START), &late).await;
    world.at(125);
    assert_eq!(world.batch().await.unwrap().windows[0].batched, 6);
    world
        .batched()
        .await
        .assert_exactly(&[early, late].concat());
}

/// No signature covers the time that a report states, so an attested report can be replayed for as
/// long as its key is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn replays_are_found_for_as_long_as_the_attested_key_is_taken() {
    #[derive(Debug)]
    struct LongValidity;

    impl Verifier for LongValidity {
        fn verify(&self, _: &ReportUpload, _: i64) -> Result<AttestedKey, Refusal> {
            unreachable!("the batcher sees no attestation")
        }

        fn key_minutes(&self) -> u64 {
            8 * 24 * 60
        }
    }

    let world = World::new();
    let (first, fresh) = (reports(NOTIFIED, 0..6), reports(NOTIFIED, 6..12));
    world.slab(time(START), &first).await;
    let mut ingestor = world.ingestor();
    ingestor.localities.get_mut(LOCALITY).unwrap().verifier =
        Some(std::sync::Arc::new(LongValidity));
    let run = async || {
        let options = BatchOptions::default();
        world.batch_with(&ingestor, &options).await.unwrap().windows
    };
    world.at(65);
    assert_eq!(run().await.len(), 1);
    // A week later, with a run every day, which prunes the spool.
    for day in 1..=7 {
        world
            .slab(
                time(&format!("2026/11/{}/10/05", 23 + day)),
                &reports(CODES, day * 10..day * 10 + 6),
            )
            .await;
        if day == 7 {
            world
                .slab(
                    time("2026/11/30/10/10"),
                    &[first.clone(), fresh.clone()].concat(),
                )
                .await;
        }
        world.at(day as i64 * 24 * 60 + 65);
        let windows = run().await;
        let replays: u64 = windows.iter().map(|window| window.replays.report).sum();
        assert_eq!(replays, if day == 7 { 6 } else { 0 });
    }
}

/// The window length changes from minutes to hours or days: a report is recognised for as long as
/// it can be replayed, and not for a number of windows.
#[tokio::test(flavor = "multi_thread")]
async fn replays_are_found_across_windows_of_another_length() {
    for (before, after) in [(15, 60), (60, 24 * 60), (24 * 60, 15)] {
        let world = World::new();
        let lasting = |minutes| {
            let mut ingestor = world.ingestor();
            ingestor.batches.window_minutes = minutes;
            ingestor
        };
        let (first, last, fresh) = (
            reports(NOTIFIED, 0..6),
            reports(NOTIFIED, 6..12),
            reports(NOTIFIED, 12..18),
        );
        world.slab(time(START), &first).await;
        // Almost two days later, after many windows of the first length.
        world.slab(time("2026/11/25/08/00"), &last).await;
        world.at(2 * 24 * 60);
        let options = BatchOptions {
            until: Some(time("2026/11/25/08/45")),
            ..BatchOptions::default()
        };
        world.batch_with(&lasting(before), &options).await.unwrap();
        world
            .slab(
                time("2026/11/25/09/00"),
                &[first.clone(), last.clone(), fresh.clone()].concat(),
            )
            .await;
        world.at(5 * 24 * 60);
        let windows = world
            .batch_with(&lasting(after), &BatchOptions::default())
            .await
            .unwrap()
            .windows;
        let replays: u64 = windows.iter().map(|window| window.replays.report).sum();
        assert_eq!(replays, 12, "from {before} to {after} minutes");
        world
            .batched()
            .await
            .assert_exactly(&[first, last, fresh].concat());
    }
}
