//! Repeated delivery of fixed batches: because a mailbox only reported that it holds them, or at an
//! operator's request.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use support::*;
use tallybox_crypto::SigningKey;
use tallybox_ingestor::batch::{BatchOptions, Redelivery, redeliver};
use tallybox_ingestor::error::Error;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_service::exit::Exit;
use tallybox_transport::faults::{FaultKind, Faults, FlippedReads, Phantoms, WriteOnly};
use tallybox_transport::{BucketError, SharedBucket};

/// Returns a mailbox that may not be read, and that reports once for each object with this suffix
/// that it exists.
fn deceiving(mailbox: &SharedBucket, suffix: &'static str) -> SharedBucket {
    let phantoms = Phantoms::wrap(Arc::clone(mailbox), move |key| key.ends_with(suffix));
    WriteOnly::wrap(phantoms)
}

/// Returns the names of the notes in the spool.
async fn notes(world: &World) -> Vec<String> {
    let mut keys = keys(&*world.spool).await;
    keys.retain(|key| key.contains("/unconfirmed/"));
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mailbox_only_says_to_hold_is_put_again_by_the_next_run() {
    let (undisturbed, _) = World::new().with_two_windows().await;
    undisturbed.batch().await.unwrap();
    for suffix in [".batch.sig", ".batch", ".batch.avro"] {
        let (world, reports) = World::new().with_two_windows().await;
        let [first, second] = world.mailboxes.each_ref();
        let mailboxes = [
            deceiving(first, suffix),
            WriteOnly::wrap(Arc::clone(second)),
        ];
        let ingestor = world.ingestor_over(Arc::clone(&world.spool), mailboxes);
        world
            .batch_with(&ingestor, &BatchOptions::default())
            .await
            .unwrap();
        let there = keys(&**first).await;
        assert!(!there.iter().any(|key| key.ends_with(suffix)), "{suffix}");
        assert!(!notes(&world).await.is_empty(), "{suffix}");
        world
            .batch_with(&ingestor, &BatchOptions::default())
            .await
            .unwrap();
        assert_eq!(notes(&world).await, [""; 0], "{suffix}");
        world.batched().await.assert_exactly(&reports);
        assert_eq!(
            world.published().await,
            undisturbed.published().await,
            "{suffix}"
        );
    }
}

/// Returns the batches of the first window, as a processor finds them.
async fn of_first_window(world: &World) -> Vec<BatchName> {
    let all = keys(&*world.mailboxes[0]).await;
    let batches = all
        .iter()
        .filter_map(|key| BatchName::from_ingestion_signature(key));
    batches.filter(|name| name.date == time(START)).collect()
}

async fn delete(mailbox: &SharedBucket, name: &BatchName) {
    let objects = name.ingestion();
    for object in [objects.header, objects.packets, objects.signature] {
        mailbox.delete(&object).await.unwrap();
    }
}

fn redelivery(batches: &[BatchName], sides: [bool; 2]) -> Redelivery {
    Redelivery {
        window: time(START),
        batches: batches.iter().map(|name| name.id).collect::<BTreeSet<_>>(),
        sides,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_batch_is_written_again_byte_for_byte() {
    let (world, _) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let before = world.published().await;
    let batches = of_first_window(&world).await;
    let ingestor = world.ingestor();
    for mailbox in &world.mailboxes {
        delete(mailbox, &batches[0]).await;
    }
    delete(&world.mailboxes[1], &batches[1]).await;

    // One batch, to one processor.
    let asked = redelivery(&batches[..1], [false, true]);
    let summary = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap();
    assert_eq!((summary.batches, summary.objects_written), (1, 3));
    let missing = before.len() - world.published().await.len();
    assert_eq!(missing, 6, "the first processor's, and the other batch");

    // All batches of the window.
    let asked = redelivery(&[], [true; 2]);
    let summary = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap();
    assert_eq!(
        (summary.batches, summary.objects_written),
        (batches.len() as u64, 6)
    );
    assert_eq!(world.published().await, before);
    let second_summary = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap();
    assert_eq!(second_summary.objects_written, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_redelivered_is_said_and_nothing_is_written() {
    let (world, _) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let before = world.snapshot().await;
    let ingestor = world.ingestor();
    let mut asked = redelivery(&[], [true; 2]);
    asked.batches.insert(BatchId::from_bytes([9; 16]));
    let unknown = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap_err();
    assert!(matches!(unknown, Error::UnknownBatch { .. }), "{unknown}");
    asked.window = time("2026/11/23/15/00");
    let none = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap_err();
    assert!(matches!(none, Error::NotInSpool { .. }), "{none}");
    assert_eq!(none.exit(), Exit::Rejected);
    assert_eq!(world.snapshot().await, before);

    // The slabs are pruned after the retention.
    world.at(60 * 24 * 30);
    world.batch().await.unwrap();
    asked.window = time(START);
    asked.batches.clear();
    let swept = redeliver(&ingestor, locality(&ingestor), &asked)
        .await
        .unwrap_err();
    assert!(matches!(swept, Error::NotInSpool { .. }), "{swept}");
}

/// An existing signature over the same header is verified and not compared byte by byte. A single
/// bad read of it is not a conflict.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_read_of_what_is_there_is_no_conflict() {
    let (world, reports) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let flip = |side: usize| -> SharedBucket {
        FlippedReads::new(Arc::clone(&world.mailboxes[side]), |_| true)
    };
    let ingestor = world.ingestor_over(Arc::clone(&world.spool), [flip(0), flip(1)]);
    let all = redelivery(&[], [true; 2]);
    let summary = redeliver(&ingestor, locality(&ingestor), &all)
        .await
        .unwrap();
    assert_eq!(summary.objects_written, 0);
    world.batched().await.assert_exactly(&reports);
}

/// Makes every note this many minutes old.
async fn date_notes_back(world: &World, minutes: i64) {
    let now = world.spool.date().await.unwrap();
    for key in notes(world).await {
        let text = world.records().read(&*world.spool, &key, 1 << 20).await;
        let mut note: serde_json::Value = serde_json::from_slice(&text.unwrap().unwrap()).unwrap();
        note["since"] = (now - minutes * 60_000).into();
        let text = serde_json::to_vec(&note).unwrap();
        world.spool.delete(&key).await.unwrap();
        let created = world.records().create(&*world.spool, &key, &text).await;
        created.unwrap();
    }
}

/// Batches with a first mailbox that reports once again that every signature exists.
async fn batch_deceived(world: &World) {
    let [first, second] = world.mailboxes.each_ref();
    let mailboxes = [deceiving(first, ".batch.sig"), Arc::clone(second)];
    let ingestor = world.ingestor_over(Arc::clone(&world.spool), mailboxes);
    world
        .batch_with(&ingestor, &BatchOptions::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_believed_after_an_hour() {
    let (world, _) = World::new().with_two_windows().await;
    batch_deceived(&world).await;
    let noted = notes(&world).await.len();
    assert!(noted > 0);
    for (minutes, left) in [(59, noted), (61, 0)] {
        date_notes_back(&world, minutes).await;
        batch_deceived(&world).await;
        assert_eq!(notes(&world).await.len(), left, "{minutes} minutes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_stays_while_its_objects_can_be_built_and_no_longer() {
    let (world, _) = World::new().with_two_windows().await;
    batch_deceived(&world).await;
    let noted = notes(&world).await.len();
    let offline = Faults::new(1, FaultKind::Die).wrap(Arc::clone(&world.mailboxes[0]));
    let mailboxes = [offline, Arc::clone(&world.mailboxes[1])];
    let ingestor = world.ingestor_over(Arc::clone(&world.spool), mailboxes);
    world
        .batch_with(&ingestor, &BatchOptions::default())
        .await
        .unwrap();
    assert_eq!(notes(&world).await.len(), noted, "no mailbox answers");

    // This run prunes the slabs, and the next one cannot build the objects any more.
    world.at(60 * 24 * 30);
    batch_deceived(&world).await;
    assert_eq!(notes(&world).await.len(), noted);
    batch_deceived(&world).await;
    assert_eq!(notes(&world).await.len(), 0);
}

/// The signing key has changed since the batches were written.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_signature_is_accepted_while_the_manifest_lists_its_key() {
    let (world, _) = World::new().with_two_windows().await;
    world.batch().await.unwrap();
    let fresh = SigningKey::generate(&mut rng(202));
    let file = world.directory.path().join("sign");
    write_private(&file, &fresh.to_pkcs8_base64());
    let mut ingestor = world.ingestor();
    let all = redelivery(&[], [true; 2]);
    let refused = redeliver(&ingestor, locality(&ingestor), &all).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, Error::Bucket(BucketError::Conflict { .. })),
        "{refused}"
    );
    let earlier = signing_key().verifying_key();
    let keys = &mut ingestor.other_public_keys;
    keys.insert("ingestor-0".to_owned(), earlier);
    let summary = redeliver(&ingestor, locality(&ingestor), &all)
        .await
        .unwrap();
    assert_eq!(summary.objects_written, 0);
}
