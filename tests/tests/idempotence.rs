//! Idempotence: after any failure at any time, a repeated run ends in the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::{Config, ValidationForm};
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::{IntakeSummary, intake};
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::sum::AggregateSummary;
use tallybox_model::path::bucket_created;
use tallybox_model::role::Role;
use tallybox_model::time::BatchTime;
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::snapshot::{Snapshot, difference, written};
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::faults::{FaultKind, Faults};
use tallybox_transport::{memory, publish_bytes};

/// A Tallybox processor with ENPA's as its peer; its own buckets are in memory.
struct World {
    case: Case,
    config: std::path::PathBuf,
    form: ValidationForm,
    /// True if today is the day of the batches, and the own bucket is older than they are.
    young: bool,
    pool: Option<Arc<rayon::ThreadPool>>,
    _root: tempfile::TempDir,
}

impl World {
    fn new(case: &str, role: Role, form: ValidationForm) -> Self {
        let case = Case::load(case);
        let root = tempfile::tempdir().unwrap();
        let config = write_config(
            root.path(),
            role,
            &BucketPaths::beside_predecessor(&case, root.path(), role),
            "",
        );
        let mut world = Self {
            case,
            config,
            form,
            young: false,
            pool: None,
            _root: root,
        };
        world.pool = Some(Arc::clone(
            &world.processor(1, |buckets| buckets).resources.pool,
        ));
        world
    }

    /// Sets today to the day of the batches, so that the processor skips searches for objects that
    /// cannot exist.
    fn young(mut self) -> Self {
        self.young = true;
        self
    }

    /// Returns one world with old batches, and one with batches of today.
    fn both(case: &str, role: Role, form: ValidationForm) -> [Self; 2] {
        [
            Self::new(case, role, form),
            Self::new(case, role, form).young(),
        ]
    }

    /// Opens a processor of this encoder generation, with new buckets in memory that `change` may
    /// wrap.
    fn processor(
        &self,
        generation: u32,
        change: impl FnOnce(Buckets) -> Buckets,
    ) -> Arc<Processor> {
        let mut processor = Processor::open(&load::<Config>(&self.config).unwrap()).unwrap();
        processor.buckets.own = memory("own");
        processor.buckets.peer_validation_out = memory("out");
        processor.buckets.sum_parts = memory("sum");
        if self.young {
            let now: BatchTime = "2023/11/15/01/00".parse().unwrap();
            processor.resources.clock = Clock::manual(now.millis());
            let (own, key) = (
                &*processor.buckets.own,
                bucket_created(&processor.buckets.instance),
            );
            let created = processor
                .buckets
                .records
                .create(own, &key, b"2023/11/01/00/00");
            futures::executor::block_on(created).unwrap();
        }
        processor.buckets = change(processor.buckets);
        processor.limits.generation = generation;
        processor.limits.validation_form = self.form;
        if let Some(pool) = &self.pool {
            processor.resources.pool = Arc::clone(pool);
        }
        Arc::new(processor)
    }

    async fn intake(&self, processor: &Arc<Processor>) -> Result<Vec<IntakeSummary>, Error> {
        let mut summaries = Vec::new();
        for batch in self.case.batches() {
            summaries.push(intake(processor, &batch, no_progress()).await?);
        }
        Ok(summaries)
    }

    async fn aggregate(&self, processor: &Arc<Processor>) -> Result<AggregateSummary, Error> {
        let (aggregation, window) = (self.case.aggregation(), Case::window());
        let task = AggregateTask {
            aggregation,
            window,
            batches: Vec::new(),
            dry_run: false,
        };
        Ok(aggregate(processor, &task, no_progress()).await?)
    }

    /// Returns the objects after a run without failures.
    async fn reference(&self) -> Snapshot {
        let processor = self.processor(1, |buckets| buckets);
        self.intake(&processor).await.unwrap();
        self.aggregate(&processor).await.unwrap();
        written(&processor.buckets).await
    }
}

fn wrap(faults: &Faults, buckets: &Buckets) -> Buckets {
    buckets.clone().wrap(|bucket| faults.wrap(bucket))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_can_be_run_again_and_changes_nothing() {
    for (name, role) in [
        ("dim8", Role::First),
        ("key-rotation", Role::Second),
        ("bad/invalid-proof", Role::First),
    ] {
        let world = World::new(name, role, ValidationForm::ThreeObjects);
        let processor = world.processor(1, |buckets| buckets);
        assert!(
            world
                .intake(&processor)
                .await
                .unwrap()
                .iter()
                .all(|summary| !summary.done_before)
        );
        assert!(!world.aggregate(&processor).await.unwrap().done_before);
        let before = written(&processor.buckets).await;
        assert!(
            world
                .intake(&processor)
                .await
                .unwrap()
                .iter()
                .all(|summary| summary.done_before)
        );
        assert!(world.aggregate(&processor).await.unwrap().done_before);
        assert_eq!(
            difference(&before, &written(&processor.buckets).await),
            [""; 0]
        );
        // Another machine with the same inputs and keys writes the same bytes.
        assert_eq!(difference(&before, &world.reference().await), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_any_bucket_operation_leaves_nothing_that_a_rerun_does_not_heal() {
    let forms = [
        (Role::First, ValidationForm::ThreeObjects),
        (Role::Second, ValidationForm::SingleObject),
    ];
    let worlds = forms
        .into_iter()
        .flat_map(|(role, form)| World::both("dim2", role, form));
    for (world, (role, form)) in worlds.zip(forms.into_iter().flat_map(|form| [form, form])) {
        let reference = world.reference().await;
        for kind in [FaultKind::Fail, FaultKind::FailAfterEffect, FaultKind::Die] {
            let mut n = 1;
            loop {
                let faults = Faults::new(n, kind);
                let sound = world.processor(1, |buckets| buckets);
                let buckets = wrap(&faults, &sound.buckets);
                let faulty = world.processor(1, |_| buckets);
                let first = world.intake(&faulty).await;
                let second = world.aggregate(&faulty).await;
                let through = faults.operations() < n;
                assert!(
                    through || first.is_err() || second.is_err() || kind != FaultKind::Die,
                    "the failure of operation {n} had no effect"
                );
                for error in [first.err(), second.err()].into_iter().flatten() {
                    assert_eq!(error.exit(), Exit::Retry, "{kind:?} at {n}: {error:?}");
                }
                world.intake(&sound).await.unwrap();
                world.aggregate(&sound).await.unwrap();
                let changed = difference(&reference, &written(&sound.buckets).await);
                assert_eq!(
                    changed, [""; 0],
                    "{role} {form:?} {kind:?} at operation {n}"
                );
                if through {
                    break;
                }
                n += 1;
            }
            assert!(n > 20, "only {n} operations");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_encoder_generation_publishes_nothing_of_what_an_older_one_began() {
    for world in World::both("dim2", Role::First, ValidationForm::ThreeObjects) {
        another_generation(&world).await;
    }
}

async fn another_generation(world: &World) {
    let (mut conflicts, mut n) = (0, 1);
    loop {
        let faults = Faults::new(n, FaultKind::Die);
        let old = world.processor(1, |buckets| buckets);
        let faulty = world.processor(1, |_| wrap(&faults, &old.buckets));
        let _ = world.intake(&faulty).await;
        let _ = world.aggregate(&faulty).await;
        let before = written(&old.buckets).await;
        let new = world.processor(2, |_| old.buckets.clone());
        let has = |name: &str| before.keys().any(|key| key.ends_with(name));
        // If nothing is fixed yet, the new generation runs; if everything is published, it has
        // nothing to do.
        let expected = if !has(".prepared") || has(".validity_0.sig") {
            Exit::Done
        } else {
            Exit::Conflict
        };
        let intake = world
            .intake(&new)
            .await
            .map_or_else(|error| error.exit(), |_| Exit::Done);
        assert_eq!(intake, expected, "intake after a crash at operation {n}");
        if intake == Exit::Conflict {
            conflicts += 1;
            assert_eq!(difference(&before, &written(&old.buckets).await), [""; 0]);
        } else if has(".fixed") {
            let part = world
                .aggregate(&new)
                .await
                .map_or_else(|error| error.exit(), |_| Exit::Done);
            assert_eq!(
                part,
                if has(".sum_0.sig") {
                    Exit::Done
                } else {
                    Exit::Conflict
                },
                "sum part at {n}"
            );
            conflicts += u32::from(part == Exit::Conflict);
            let changed = difference(&before, &written(&old.buckets).await);
            // If the sum part is published completely, only the marker of completion may be added.
            let allowed = |name: &String| part == Exit::Done && name.ends_with(".done");
            assert!(changed.iter().all(allowed), "{changed:?}");
        }
        if faults.operations() < n {
            break;
        }
        n += 1;
    }
    assert!(
        conflicts >= 6,
        "only {conflicts} crashes were between fixing and publishing"
    );
}

/// A single object has no announced digest that would refuse the bytes of the new generation.
#[tokio::test(flavor = "multi_thread")]
async fn another_encoder_generation_signs_no_single_object_of_an_older_one() {
    let world = World::new("dim2", Role::First, ValidationForm::SingleObject);
    let old = world.processor(1, |buckets| buckets);
    world.intake(&old).await.unwrap();
    let mailbox = &old.buckets.peer_validation_out;
    for batch in world.case.batches() {
        let object = batch.validation(Role::First).signature;
        mailbox.delete(&object).await.unwrap();
    }
    let before = written(&old.buckets).await;
    let new = world.processor(2, |_| old.buckets.clone());
    let error = world.intake(&new).await.unwrap_err();
    assert!(matches!(error, Error::Generation { .. }), "{error}");
    assert_eq!(written(&old.buckets).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_part_of_other_batches_is_a_conflict_that_names_both() {
    let world = World::new("dim8", Role::Second, ValidationForm::ThreeObjects);
    let processor = world.processor(1, |buckets| buckets);
    let (aggregation, window, batches) = (
        world.case.aggregation(),
        Case::window(),
        world.case.batches(),
    );
    let task = |batches| AggregateTask {
        aggregation: aggregation.clone(),
        window,
        batches,
        dry_run: false,
    };
    let two = task(batches[..2].to_vec());
    assert_eq!(
        aggregate(&processor, &two, no_progress())
            .await
            .unwrap()
            .packets_accepted,
        200
    );
    let before = written(&processor.buckets).await;
    let error = aggregate(&processor, &task(Vec::new()), no_progress())
        .await
        .unwrap_err()
        .error;
    assert_eq!(
        (error.exit(), error.reason().as_str()),
        (Exit::Conflict, "other-sum-part")
    );
    let message = error.to_string();
    assert!(
        message.contains("200 packets") && message.contains("300 packets"),
        "{message}"
    );
    assert!(message.contains(&batches[2].id.to_string()), "{message}");
    let changed: Vec<_> = difference(&before, &written(&processor.buckets).await);
    assert!(
        changed.iter().all(|name| !name.starts_with("sum:")),
        "{changed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_other_bytes_is_never_overwritten() {
    let world = World::new("dim2", Role::First, ValidationForm::ThreeObjects);
    let processor = world.processor(1, |buckets| buckets);
    let objects = world.case.batches()[0].validation(Role::First);
    let other = publish_bytes(
        &*processor.buckets.peer_validation_out,
        &objects.header,
        b"something else".to_vec().into(),
        false,
    );
    other.await.unwrap();
    let error = world.intake(&processor).await.unwrap_err();
    assert_eq!(
        (error.exit(), error.reason().as_str()),
        (Exit::Conflict, "conflict")
    );
    assert!(error.to_string().contains(&objects.header), "{error}");
    let out = &processor.buckets.peer_validation_out;
    let bytes = tallybox_transport::read_all(&**out, &objects.header, 100)
        .await
        .unwrap();
    assert_eq!(&bytes[..], b"something else");
    assert!(
        out.size(&objects.signature).await.is_err(),
        "the batch does not exist"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_prepared_batch_is_made_again() {
    for world in World::both("key-rotation", Role::First, ValidationForm::ThreeObjects) {
        let processor = world.processor(1, |buckets| buckets);
        let reference = world.reference().await;
        world.intake(&processor).await.unwrap();
        let prepared = written(&processor.buckets).await;
        for key in prepared.keys().filter_map(|key| {
            key.strip_prefix("own:")
                .filter(|key| key.ends_with(".prepared"))
        }) {
            processor.buckets.own.delete(key).await.unwrap();
        }
        world.aggregate(&processor).await.unwrap();
        assert_eq!(
            difference(&reference, &written(&processor.buckets).await),
            [""; 0]
        );
    }
}

/// The mailbox deletes first the packets of each batch, then the other objects.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_done_needs_no_ingestion_objects() {
    for world in World::both("dim2", Role::First, ValidationForm::ThreeObjects) {
        let ingestion = memory("ingestion");
        let processor = world.processor(1, |buckets| Buckets {
            ingestion: ingestion.clone(),
            ..buckets
        });
        let objects = || {
            world
                .case
                .batches()
                .into_iter()
                .map(|name| name.ingestion())
        };
        for name in objects() {
            for object in [name.header, name.packets, name.signature] {
                let file = world.case.ingestion(Role::First).join(&object);
                let bytes = std::fs::read(file).unwrap();
                publish_bytes(&*ingestion, &object, bytes.into(), false)
                    .await
                    .unwrap();
            }
        }
        world.intake(&processor).await.unwrap();
        let done = written(&processor.buckets).await;
        for name in objects() {
            ingestion.delete(&name.packets).await.unwrap();
        }
        world.intake(&processor).await.unwrap();
        for name in objects() {
            ingestion.delete(&name.header).await.unwrap();
            ingestion.delete(&name.signature).await.unwrap();
        }
        world.intake(&processor).await.unwrap();
        assert_eq!(written(&processor.buckets).await, done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_made_again_holds_what_was_published_and_no_other_packet() {
    use tallybox_model::avro::{ContainerWriter, FileLimits, Record as _, decode_one, encode_one};
    use tallybox_model::digest::Digest;
    use tallybox_model::header::ValidationHeader;
    use tallybox_model::packet::ValidationPacket;
    use tallybox_transport::batch::signature_file;

    let world = World::new("dim2", Role::First, ValidationForm::ThreeObjects);
    let batch = world.case.batches().remove(0);
    let objects = batch.validation(Role::First);
    let peer_folder = world.case.validation_for(Role::Second);
    let read = |name: &str| std::fs::read(peer_folder.join(name)).unwrap();
    for dropped in [0, 3] {
        // ENPA's processor, with the same key, has published all of its messages or all but three;
        // the own bucket is empty.
        let mut packets = ContainerWriter::new(Vec::new(), ValidationPacket::KIND, [9; 16]);
        let file = read(&objects.packets);
        let mut reader =
            tallybox_model::avro::ContainerReader::open(&file[..], &FileLimits::default()).unwrap();
        let block = reader.next_block().unwrap().unwrap();
        let limits = FileLimits::default();
        let records = tallybox_model::avro::RecordReader::<ValidationPacket>::new(
            &block,
            reader.schema(),
            &limits,
        );
        records
            .skip(dropped)
            .for_each(|packet| packets.append(&packet.unwrap()).unwrap());
        let packets = packets.finish().unwrap();
        let header: ValidationHeader = decode_one(&read(&objects.header), &limits).unwrap();
        let header = ValidationHeader {
            packet_file_digest: Digest::sha256(&packets),
            ..header
        };
        let header = encode_one(&header, [9; 16]).unwrap();
        let key = tallybox_tests::forge::signing_key("pha-signing.pkcs8.b64");
        let signature =
            signature_file(&objects.signature, 1, &header, None, ("pha-key-1", &key)).unwrap();
        let processor = world.processor(1, |buckets| buckets);
        let out = &processor.buckets.peer_validation_out;
        for (name, file) in [
            (&objects.packets, packets),
            (&objects.header, header),
            (&objects.signature, signature),
        ] {
            publish_bytes(&**out, name, file.into(), false)
                .await
                .unwrap();
        }
        let before = written(&processor.buckets).await;
        let summary = world.intake(&processor).await.unwrap().remove(0);
        assert_eq!(
            (summary.packets_accepted, summary.packets_rejected),
            (20 - dropped as u64, dropped as u64)
        );
        let changed = difference(&before, &written(&processor.buckets).await);
        assert!(
            changed.iter().all(|name| name.starts_with("own:")),
            "{changed:?}"
        );
        let summary = world.aggregate(&processor).await.unwrap();
        assert_eq!(summary.packets_accepted, 20 - dropped as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_for_a_moment_costs_the_run_and_not_a_batch() {
    let world = World::new("dim8", Role::First, ValidationForm::ThreeObjects).young();
    let sound = world.processor(1, |buckets| buckets);
    world.intake(&sound).await.unwrap();
    let mut n = 1;
    loop {
        let faults = Faults::new(n, FaultKind::Fail);
        // No sum part is fixed yet, so a fixed one must contain all three batches.
        let faulty = world.processor(1, |fresh| {
            let Buckets { sum_parts, .. } = fresh;
            wrap(
                &faults,
                &Buckets {
                    sum_parts,
                    ..sound.buckets.clone()
                },
            )
        });
        match world.aggregate(&faulty).await {
            Ok(summary) => assert_eq!(summary.packets_accepted, 300, "operation {n}"),
            Err(error) => assert_eq!(error.exit(), Exit::Retry, "operation {n}: {error:?}"),
        }
        for key in written(&sound.buckets)
            .await
            .keys()
            .filter_map(|key| key.strip_prefix("own:sum-parts/"))
        {
            sound
                .buckets
                .own
                .delete(&format!("sum-parts/{key}"))
                .await
                .unwrap();
        }
        if faults.operations() < n {
            break;
        }
        n += 1;
    }
    assert!(n > 12, "only {n} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_the_signing_key_what_is_published_stands_and_what_is_not_is_completed() {
    for world in World::both("dim2", Role::First, ValidationForm::ThreeObjects) {
        another_signing_key(&world).await;
    }
}

async fn another_signing_key(world: &World) {
    let (mut n, mut completed) = (1, 0);
    loop {
        let faults = Faults::new(n, FaultKind::Die);
        let old = world.processor(1, |buckets| buckets);
        let faulty = world.processor(1, |_| wrap(&faults, &old.buckets));
        let _ = world.intake(&faulty).await;
        let _ = world.aggregate(&faulty).await;
        let before = written(&old.buckets).await;
        let mut new = Arc::into_inner(world.processor(1, |_| old.buckets.clone())).unwrap();
        new.keys.signing = tallybox_tests::forge::signing_key("facilitator-signing.pkcs8.b64");
        new.keys.signing_id = "pha-key-2".to_owned();
        new.keys
            .own
            .insert("pha-key-2".to_owned(), new.keys.signing.verifying_key());
        let new = Arc::new(new);
        world.intake(&new).await.unwrap();
        world.aggregate(&new).await.unwrap();
        let after = written(&old.buckets).await;
        assert!(
            before
                .iter()
                .all(|(name, bytes)| after.get(name) == Some(bytes)),
            "nothing is overwritten"
        );
        completed += u32::from(before != after);
        if faults.operations() < n {
            break;
        }
        n += 1;
    }
    assert!(
        completed > 10,
        "only {completed} crashes left something to complete"
    );
}
