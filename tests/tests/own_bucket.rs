//! Modifies each small object of a processor's own bucket in turn, as a party with write access but
//! without a key could. The processor rejects the object by name, and signs no sum.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::config::Points;
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{aggregate_agreed, roster};
use tallybox_model::path::{BatchName, bucket_created};
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, WindowName};
use tallybox_model::time::{BatchTime, Window, aligned_window, next_window};
use tallybox_sandbox::generate::{GenerateOptions, GeneratedBatches, generate};
use tallybox_sandbox::layout::Layout;
use tallybox_service::clock::Clock;
use tallybox_service::output::Output;
use tallybox_transport::recorded::{OperationKind, RecordedBucket};
use tallybox_transport::{
    BucketError, Records, SharedBucket, TRAILER_BYTES, memory, publish_bytes, read_all,
};

/// The length of a window in minutes. All batches are in the first window.
const PERIOD_MINUTES: u32 = 480;
/// The minimum number of packets of a sum. One batch has 20 packets, all batches have 80.
const MIN_PACKETS: u64 = 50;

/// The batches and configurations that all worlds share.
struct Setup {
    layout: Layout,
    generated: GeneratedBatches,
    _root: tempfile::TempDir,
}

/// The buckets of two processors.
struct World {
    own: [SharedBucket; 2],
    validations: [SharedBucket; 2],
    sums: [SharedBucket; 2],
}

impl Setup {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = root.path().join("world");
        let options = GenerateOptions {
            packets: 20,
            batches: 4,
            bins: 2,
            seed: 21,
            points: Points::Pinned,
            aggregation: "org.example.small".parse().unwrap(),
        };
        let generated = generate(&world, &options, Output::default())
            .await
            .unwrap()
            .generated;
        Self {
            layout: Layout::at(&world),
            generated,
            _root: root,
        }
    }

    fn window(&self, later: u32) -> WindowName {
        let first = aligned_window(self.generated.batches[0].date, PERIOD_MINUTES).unwrap();
        WindowName {
            aggregation: self.generated.aggregation.clone(),
            window: (0..later).fold(first, |window, _| {
                next_window(window, PERIOD_MINUTES).unwrap()
            }),
        }
    }

    fn batches(&self) -> Vec<BatchName> {
        let name = |(date, id)| BatchName {
            aggregation: self.generated.aggregation.clone(),
            date,
            id,
        };
        self.generated
            .batches
            .iter()
            .map(|batch| name((batch.date, batch.id)))
            .collect()
    }

    /// Opens a processor, as at a program start.
    fn processor(&self, world: &World, role: Role) -> Processor {
        let config = tallybox_service::config::load(&self.layout.config(role)).unwrap();
        let mut processor = Processor::open(&config).unwrap();
        processor.buckets.own = world.own[role.index()].clone();
        processor.buckets.peer_validation_in = world.validations[role.index()].clone();
        processor.buckets.peer_validation_out = world.validations[role.peer().index()].clone();
        processor.buckets.sum_parts = world.sums[role.index()].clone();
        processor.limits.minimum_contributions = MIN_PACKETS;
        processor.limits.rosters = Some(RosterRules {
            origin: Some(self.window(0).window.start()),
            period_minutes: PERIOD_MINUTES,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: MIN_PACKETS,
            maximum_age: 3,
        });
        processor
    }

    /// Runs everything that both processors do with the first window and the one after it.
    /// Completed steps change nothing.
    async fn run(&self, world: &World) -> Result<(), Error> {
        let [first, second] = Role::ALL.map(|role| Arc::new(self.processor(world, role)));
        for name in &self.batches() {
            intake(&first, name, no_progress()).await?;
            intake(&second, name, no_progress()).await.unwrap();
        }
        for later in 0..2 {
            let window = self.window(later);
            roster(&first, &window, no_progress()).await?;
            roster(&second, &window, no_progress()).await.unwrap();
            roster(&first, &window, no_progress()).await?;
        }
        aggregate_agreed(&first, &self.window(0), no_progress()).await?;
        Ok(())
    }

    /// Creates a world in which both processors have reached this stage.
    async fn at(&self, stage: Stage) -> World {
        let world = World::new();
        let [first, second] = Role::ALL.map(|role| Arc::new(self.processor(&world, role)));
        for name in &self.batches() {
            intake(&first, name, no_progress()).await.unwrap();
            intake(&second, name, no_progress()).await.unwrap();
            if stage == Stage::PreparedLost {
                let prepared = name.prepared(&first.keys.sealing[0].id());
                first.buckets.own.delete(&prepared).await.unwrap();
            }
        }
        let window = self.window(0);
        if stage >= Stage::Written {
            roster(&first, &window, no_progress()).await.unwrap();
            roster(&second, &window, no_progress()).await.unwrap();
        }
        if stage >= Stage::Agreed {
            roster(&first, &window, no_progress()).await.unwrap();
        }
        if stage >= Stage::Summed {
            aggregate_agreed(&first, &window, no_progress())
                .await
                .unwrap();
        }
        world
    }
}

/// The progress of the first processor when its own bucket is modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The intake is complete, and the prepared batches are lost, so that they are created again.
    PreparedLost,
    /// Both rosters are written.
    Written,
    /// The first has fixed the agreed set.
    Agreed,
    /// The first has published its sum part.
    Summed,
}

/// The modification of a record.
#[derive(Clone, Copy, Debug)]
enum Edit {
    /// Another payload in the same form.
    Payload,
    /// The payload without a trailer, as a program without records would write it.
    NoTrailer,
    /// A valid record of another name.
    Moved,
}

impl World {
    fn new() -> Self {
        let pair = |name: &str| [memory(name), memory(name)];
        Self {
            own: pair("own"),
            validations: pair("validation"),
            sums: pair("sum"),
        }
    }

    async fn copy(&self) -> Self {
        let copy = Self::new();
        let pairs = [
            (&self.own, &copy.own),
            (&self.validations, &copy.validations),
            (&self.sums, &copy.sums),
        ];
        for (from, to) in pairs.into_iter().flat_map(|(from, to)| from.iter().zip(to)) {
            for (key, bytes) in objects(from).await {
                publish_bytes(&**to, &key, bytes, false).await.unwrap();
            }
        }
        copy
    }

    async fn replace(&self, key: &str, bytes: Bytes) {
        self.own[0].delete(key).await.unwrap();
        publish_bytes(&*self.own[0], key, bytes, false)
            .await
            .unwrap();
    }
}

async fn objects(bucket: &SharedBucket) -> BTreeMap<String, Bytes> {
    let entries = bucket.list("", Default::default()).await.unwrap();
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for entry in entries {
        all.insert(
            entry.key.clone(),
            read_all(&**bucket, &entry.key, u64::MAX).await.unwrap(),
        );
    }
    all
}

/// Returns the records among objects, with their payloads.
fn records_in(objects: BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    let payload = |object: Bytes| {
        let length = object.len().checked_sub(TRAILER_BYTES)?;
        Records::claimed_key(&object[length..]).map(|_| object.slice(..length))
    };
    objects
        .into_iter()
        .filter_map(|(key, object)| Some((key, payload(object)?)))
        .collect()
}

/// Returns the modified bytes. Another last digit of the payload keeps JSON valid, and mostly
/// dates, too.
fn edited(edit: Edit, key: &str, payload: &[u8], records: &Records) -> Bytes {
    let mut changed = payload.to_vec();
    let digit = changed
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_digit())
        .unwrap();
    *digit = if *digit == b'1' { b'2' } else { b'1' };
    let trailer = records.seal(key, payload).slice(payload.len()..);
    match edit {
        Edit::Payload => [&changed[..], &trailer].concat().into(),
        Edit::NoTrailer => changed.into(),
        Edit::Moved => records.seal(&format!("{key}.other"), payload),
    }
}

fn is_refused(error: &Error, named: &str) -> bool {
    matches!(error, Error::Bucket(BucketError::Unverified { key, .. }) if key == named)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_object_is_refused_by_name_wherever_it_is_read() {
    let setup = Setup::new().await;
    let (mut all, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for stage in [
        Stage::PreparedLost,
        Stage::Written,
        Stage::Agreed,
        Stage::Summed,
    ] {
        let before = setup.at(stage).await;
        setup.run(&before.copy().await).await.unwrap();
        let records = setup.processor(&before, Role::First).buckets.records;
        let sums = objects(&before.sums[0]).await;
        for (key, payload) in records_in(objects(&before.own[0]).await) {
            for edit in [Edit::Payload, Edit::NoTrailer, Edit::Moved] {
                let context = format!("{stage:?} {edit:?} {key}");
                let mut world = before.copy().await;
                world
                    .replace(&key, edited(edit, &key, &payload, &records))
                    .await;
                let own = RecordedBucket::new(world.own[0].clone());
                world.own[0] = own.clone();
                match setup.run(&world).await {
                    Ok(()) => assert!(
                        !own.keys(OperationKind::Get).contains(&key),
                        "{context}: the modified record was accepted"
                    ),
                    Err(error) => {
                        assert!(is_refused(&error, &key), "{context}: {error}");
                        assert_eq!(
                            objects(&world.sums[0]).await,
                            sums,
                            "{context}: a sum was signed"
                        );
                        refused.insert(key.clone());
                    }
                }
            }
            all.insert(key);
        }
    }
    let kinds = [
        "points/",
        "batch-dates/",
        "/chain",
        ".roster_0",
        ".roster_1",
        ".agreed",
        ".fixed",
        ".done",
    ];
    for kind in kinds {
        assert!(
            refused.iter().any(|key| key.contains(kind)),
            "{kind} among {refused:?}"
        );
    }
    let unread: Vec<_> = all.difference(&refused).collect();
    assert_eq!(unread, [""; 0], "some objects are read by no stage");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_birth_of_the_bucket_is_refused_when_it_is_edited() {
    let setup = Setup::new().await;
    let world = World::new();
    let mut first = setup.processor(&world, Role::First);
    let name = setup.batches().remove(0);
    // Only a batch of today needs the time of the bucket's first use.
    let now: BatchTime = name.date.plus_minutes(120).unwrap();
    first.resources.clock = Clock::manual(now.millis());
    let key = bucket_created(&first.buckets.instance);
    publish_bytes(&*world.own[0], &key, "2025/12/01/00/00".into(), false)
        .await
        .unwrap();
    let error = intake(&Arc::new(first), &name, no_progress())
        .await
        .unwrap_err();
    assert!(is_refused(&error, &key), "{error}");
}

/// The case that led to this test: without the check, the first processor signs a sum of one batch,
/// far below the minimum.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_agreed_set_makes_nobody_sign_a_small_sum() {
    let setup = Setup::new().await;
    let before = setup.at(Stage::Agreed).await;
    let first = setup.processor(&before, Role::First);
    let key = setup.window(0).agreed();
    let payload = first
        .buckets
        .read_record(&key, 1 << 20)
        .await
        .unwrap()
        .unwrap();
    let agreed: AgreedWindow = serde_json::from_slice(&payload).unwrap();
    assert_eq!(
        (agreed.batches.len(), agreed.counted, agreed.minimum),
        (4, 80, MIN_PACKETS)
    );
    let mut small = agreed.clone();
    small.batches.truncate(1);
    small.counted = 20;
    let trailer = first
        .buckets
        .records
        .seal(&key, &payload)
        .slice(payload.len()..);
    let text = serde_json::to_vec_pretty(&small).unwrap();
    for object in [text.clone(), [&text[..], &trailer].concat()] {
        let world = before.copy().await;
        world.replace(&key, object.into()).await;
        let processor = Arc::new(setup.processor(&world, Role::First));
        let error = aggregate_agreed(&processor, &setup.window(0), no_progress())
            .await
            .unwrap_err()
            .error;
        assert!(is_refused(&error, &key), "{error}");
        assert!(objects(&world.sums[0]).await.is_empty());
    }
    // Even a set that verifies, as after a bug, leads neither to a sum below the current or the
    // former minimum, nor to one that contradicts the processor's own verdicts.
    let mut lower = small.clone();
    lower.minimum = 1;
    let mut other_count = agreed.clone();
    other_count.counted = 81;
    let mut other_claim = agreed.clone();
    other_claim.batches[0].claim.accepted += 1;
    for (set, reason) in [
        (&small, "below-minimum"),
        (&lower, "below-minimum"),
        (&other_count, "internal"),
        (&other_claim, "internal"),
    ] {
        let world = before.copy().await;
        let text = serde_json::to_vec_pretty(set).unwrap();
        world
            .replace(&key, first.buckets.records.seal(&key, &text))
            .await;
        let processor = Arc::new(setup.processor(&world, Role::First));
        let error = aggregate_agreed(&processor, &setup.window(0), no_progress())
            .await
            .unwrap_err()
            .error;
        assert_eq!(error.reason(), reason, "{error}");
        assert!(objects(&world.sums[0]).await.is_empty());
    }
}

/// Without rosters, a batch that cannot be evaluated is left out of the sum. A batch with a
/// modified record is not left out: otherwise the party that modifies records could select what is
/// summed.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_object_takes_no_batch_out_of_a_sum() {
    let setup = Setup::new().await;
    let world = setup.at(Stage::PreparedLost).await;
    let mut first = setup.processor(&world, Role::First);
    first.limits.rosters = None;
    let name = setup.batches().remove(1);
    world
        .replace(&name.first_seen(), "2026/01/01/00/00".into())
        .await;
    let window: Window = setup.window(0).window;
    let task = AggregateTask {
        aggregation: name.aggregation.clone(),
        window,
        batches: Vec::new(),
        dry_run: false,
    };
    let error = aggregate(&Arc::new(first), &task, no_progress())
        .await
        .unwrap_err()
        .error;
    assert!(is_refused(&error, &name.first_seen()), "{error}");
    assert_eq!(error.reason(), "unverified");
    assert!(objects(&world.sums[0]).await.is_empty());
}
