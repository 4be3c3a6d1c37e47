//! Batches that one side cannot decrypt are not consumed, and block no window.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use futures::TryStreamExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::reason::PacketReason;
use tallybox_facilitator::roster::{roster, show};
use tallybox_facilitator::sum::BatchOutcome;
use tallybox_model::id::BatchId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::time::BatchTime;
use tallybox_service::clock::Clock;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::forge::Batch;
use tallybox_tests::snapshot::{difference, written};
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::{ListRange, SharedBucket, memory, publish_bytes, read_all};

/// Two processors that read the case's batches and forged ones.
struct Pair {
    case: Case,
    buckets: [Buckets; 2],
    configs: [std::path::PathBuf; 2],
    _root: tempfile::TempDir,
}

impl Pair {
    async fn new() -> Self {
        let case = Case::load("dim8");
        let root = tempfile::tempdir().unwrap();
        let configs = Role::ALL.map(|role| {
            let paths = BucketPaths::beside_tallybox(&case, root.path(), role);
            write_config(&root.path().join(role.to_string()), role, &paths, "")
        });
        let mailboxes = Role::ALL.map(|_| memory("mailbox"));
        let buckets = Role::ALL.map(|role| {
            let opened = Processor::open(&load::<Config>(&configs[role.index()]).unwrap()).unwrap();
            Buckets {
                ingestion: memory("ingestion"),
                own: memory("own"),
                peer_validation_in: mailboxes[role.index()].clone(),
                peer_validation_out: mailboxes[role.peer().index()].clone(),
                sum_parts: memory("sum"),
                ..opened.buckets
            }
        });
        let pair = Self {
            case,
            buckets,
            configs,
            _root: root,
        };
        for role in Role::ALL {
            let opened =
                Processor::open(&load::<Config>(&pair.configs[role.index()]).unwrap()).unwrap();
            copy(
                &opened.buckets.ingestion,
                &pair.buckets[role.index()].ingestion,
            )
            .await;
        }
        pair
    }

    fn with(&self, role: Role, change: impl FnOnce(&mut Processor)) -> Arc<Processor> {
        let mut processor =
            Processor::open(&load::<Config>(&self.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = self.buckets[role.index()].clone();
        change(&mut processor);
        Arc::new(processor)
    }

    /// Creates a batch from the first batch of the case, changed by `change`.
    async fn forge(&self, role: Role, name: &BatchName, change: impl FnOnce(&mut Batch)) {
        let first = &self.case.batches()[0];
        let mut batch = Batch::read(&self.case, first, role).renamed(name.clone());
        change(&mut batch);
        batch.write(&*self.buckets[role.index()].ingestion).await;
    }

    fn name(&self, id: u8) -> BatchName {
        BatchName {
            aggregation: self.case.aggregation(),
            date: "2023/11/14/22/30".parse().unwrap(),
            id: BatchId::from_bytes([id; 16]),
        }
    }
}

async fn copy(from: &SharedBucket, to: &SharedBucket) {
    let entries = from.list("", ListRange::default()).await.unwrap();
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    for entry in entries {
        let bytes = read_all(&**from, &entry.key, 1 << 20).await.unwrap();
        publish_bytes(&**to, &entry.key, bytes, false)
            .await
            .unwrap();
    }
}

/// Damages the ciphertexts of some packets, so that they fail as with a wrong key. All packets name
/// the key `id`.
fn spoil(batch: &mut Batch, packets: usize, damaged: usize, id: Option<&str>) {
    batch.packets.truncate(packets);
    for (index, packet) in batch.packets.iter_mut().enumerate() {
        packet.key = id.map(str::to_owned);
        if index < damaged {
            *packet.payload.last_mut().unwrap() ^= 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nearly_all_of_at_least_twenty_packets_and_nothing_is_fixed() {
    let pair = Pair::new().await;
    let first = pair.with(Role::First, |_| {});
    for (id, (packets, damaged, waits)) in [
        (20, 20, true),
        (20, 19, true),
        (20, 18, false),
        (19, 19, false),
        (100, 95, true),
        (100, 94, false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = pair.name(u8::try_from(id).unwrap() + 1);
        pair.forge(Role::First, &name, |batch| {
            spoil(batch, packets, damaged, Some("pha-packet-1"))
        })
        .await;
        let before = written(&pair.buckets[0]).await;
        let done = intake(&first, &name, no_progress()).await;
        if !waits {
            let summary = done.unwrap();
            let undecryptable = summary
                .rejected_by_reason
                .count(PacketReason::Undecryptable);
            assert_eq!(undecryptable, damaged as u64);
            continue;
        }
        let error = done.unwrap_err();
        assert_eq!(
            (error.exit(), error.reason().as_str()),
            (Exit::Retry, "wrong-key")
        );
        assert!(
            error
                .to_string()
                .contains(&format!("{damaged} of {packets} packets")),
            "{error}"
        );
        let changed = difference(&before, &written(&pair.buckets[0]).await);
        // The signed header binds the batch to its date, which is no result.
        let is_no_result = |name: &String| {
            name.starts_with("own:bucket-created/") || name.starts_with("own:batch-dates/")
        };
        assert!(changed.iter().all(is_no_result), "{changed:?}");
        let accepting = pair.with(Role::First, |processor| {
            processor.limits.wrong_key.accept = true
        });
        let summary = intake(&accepting, &name, no_progress()).await.unwrap();
        assert_eq!(summary.packets_rejected, damaged as u64);
    }
}

/// Repetitions of packets say nothing about the key.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_packets_do_not_hide_a_wrong_key() {
    let pair = Pair::new().await;
    let name = pair.name(1);
    pair.forge(Role::First, &name, |batch| {
        spoil(batch, 20, 20, Some("pha-packet-1"));
        let repeated = batch.packets[..10].to_vec();
        batch.packets.extend(repeated);
    })
    .await;
    let first = pair.with(Role::First, |_| {});
    let error = intake(&first, &name, no_progress()).await.unwrap_err();
    assert_eq!(error.reason(), "wrong-key");
}

/// The packets do not name a key, so only a packet that opens shows that the key is configured.
#[tokio::test(flavor = "multi_thread")]
async fn one_packet_that_opens_is_enough_to_take_a_batch_in() {
    let pair = Pair::new().await;
    let name = pair.name(1);
    pair.forge(Role::First, &name, |batch| spoil(batch, 3, 2, None))
        .await;
    let first = pair.with(Role::First, |_| {});
    let summary = intake(&first, &name, no_progress()).await.unwrap();
    assert_eq!((summary.packets_accepted, summary.packets_rejected), (1, 2));
}

/// With rosters the batch waits with the reason `wrong-key`, and no other batch is affected.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_says_that_a_key_may_be_wrong() {
    let pair = Pair::new().await;
    let bad = pair.name(7);
    for role in Role::ALL {
        let (id, damaged) = match role {
            Role::First => ("pha-packet-1", 20),
            _ => ("facilitator-packet-1", 0),
        };
        pair.forge(role, &bad, |batch| spoil(batch, 20, damaged, Some(id)))
            .await;
    }
    let window = WindowName {
        aggregation: pair.case.aggregation(),
        window: Case::window(),
    };
    let get = |role| {
        pair.with(role, |processor| {
            processor.limits.rosters = Some(RosterRules {
                origin: Some(Case::window().start()),
                period_minutes: 60,
                grace_minutes: 0,
                replay_horizon: 10,
                minimum: 1,
                maximum_age: 3,
            });
        })
    };
    for role in [Role::First, Role::Second, Role::First, Role::Second] {
        roster(&get(role), &window, no_progress()).await.unwrap();
    }
    let view = show(&get(Role::Second), &window).await.unwrap().to_string();
    assert!(view.contains("wrong-key"), "{view}");
}

/// The case that led to this test: a batch of one packet that is encrypted with a retired key and
/// does not name it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_one_side_cannot_open_is_left_out_by_both() {
    let pair = Pair::new().await;
    let stale = pair.name(9);
    pair.forge(Role::First, &stale, |batch| spoil(batch, 1, 1, None))
        .await;
    pair.forge(Role::Second, &stale, |batch| spoil(batch, 1, 0, None))
        .await;
    let mut batches = pair.case.batches();
    batches.push(stale.clone());
    let at = |text: &str| text.parse::<BatchTime>().unwrap().millis();
    let get = |role, time| {
        pair.with(role, |processor| {
            processor.resources.clock = Clock::manual(time)
        })
    };
    let early = at("2023/11/15/02/59");
    for role in Role::ALL {
        for batch in &batches {
            let done = intake(&get(role, early), batch, no_progress()).await;
            let reason = done.err().map(|error| error.reason());
            let cannot = role == Role::First && *batch == stale;
            assert_eq!(reason, cannot.then(|| "no-key".to_owned()));
        }
    }
    let task = |batches: &[BatchName]| AggregateTask {
        aggregation: pair.case.aggregation(),
        window: Case::window(),
        batches: batches.to_vec(),
        dry_run: false,
    };
    for (role, reason) in Role::ALL.into_iter().zip(["no-key", "not-there"]) {
        // The window waits, in case the key or the validation batch arrives.
        let error = aggregate(&get(role, early), &task(&batches), no_progress())
            .await
            .unwrap_err()
            .error;
        assert_eq!(
            (error.exit(), error.reason().as_str()),
            (Exit::Retry, reason)
        );
    }
    let late = at("2023/11/15/03/00");
    let mut summed = Vec::new();
    for (role, reason) in Role::ALL.into_iter().zip(["no-key", "not-there"]) {
        let summary = aggregate(&get(role, late), &task(&batches), no_progress())
            .await
            .unwrap();
        let left: Vec<_> = summary
            .batches
            .iter()
            .filter(|batch| batch.outcome != BatchOutcome::Summed)
            .map(|batch| (batch.batch, batch.reason.clone().unwrap()))
            .collect();
        assert_eq!(left, [(stale.id, reason.to_owned())]);
        assert_eq!(summary.packets_accepted, 300);
        let names = summary
            .batches
            .iter()
            .filter(|batch| batch.outcome == BatchOutcome::Summed);
        summed.push(names.map(|batch| batch.batch).collect::<BTreeSet<_>>());
    }
    assert_eq!(summed[0], summed[1]);
}
