//! A peer that rejects nearly all packets of a sum: the window is held until an operator releases
//! it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use tallybox_facilitator::aggregate::{AggregateTask, aggregate};
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::error::Error;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{aggregate_agreed, roster};
use tallybox_facilitator::sum::release;
use tallybox_facilitator::worker::{Outcome, handle};
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, Record as _, RecordReader, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::ValidationHeader;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::WindowName;
use tallybox_model::task::{QueueKind, Task, TaskName, WindowKind};
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_tests::forge::signing_key;
use tallybox_tests::snapshot::written;
use tallybox_tests::vectors::{BucketPaths, Case, side, write_config};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{Bucket, memory, publish_bytes, read_all};

/// Two processors with a case of three batches of a hundred packets each.
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
                ingestion: opened.buckets.ingestion,
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
            for batch in pair.case.batches() {
                intake(&pair.get(role, false), &batch, no_progress())
                    .await
                    .unwrap();
            }
        }
        pair
    }

    fn get(&self, role: Role, rosters: bool) -> Arc<Processor> {
        let mut processor =
            Processor::open(&load::<Config>(&self.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = self.buckets[role.index()].clone();
        processor.limits.rosters = rosters.then(|| RosterRules {
            origin: Some(Case::window().start()),
            period_minutes: 60,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: 1,
            maximum_age: 3,
        });
        Arc::new(processor)
    }

    fn name(&self) -> WindowName {
        WindowName {
            aggregation: self.case.aggregation(),
            window: Case::window(),
        }
    }

    /// Reduces the verification messages of each batch to the first `count`, in what each side
    /// reads.
    async fn choose(&self, counts: [usize; 3]) {
        for (batch, count) in self.case.batches().iter().zip(counts) {
            let mut ids = None;
            for reader in Role::ALL {
                let mailbox = &*self.buckets[reader.index()].peer_validation_in;
                ids = Some(keep_messages(mailbox, batch, reader.peer(), count, ids).await);
            }
        }
    }

    fn task(&self) -> AggregateTask {
        AggregateTask {
            aggregation: self.case.aggregation(),
            window: Case::window(),
            batches: Vec::new(),
            dry_run: false,
        }
    }

    async fn has_sum(&self) -> bool {
        written(&self.buckets[0])
            .await
            .keys()
            .any(|key| key.starts_with("sum:"))
    }

    async fn has(&self, object: &str) -> bool {
        self.buckets[0].own.size(object).await.is_ok()
    }
}

type Ids = Vec<tallybox_model::id::PacketId>;

/// Rewrites a validation batch with fewer messages, signed by its writer; returns the remaining
/// packets.
async fn keep_messages(
    mailbox: &dyn Bucket,
    batch: &BatchName,
    writer: Role,
    count: usize,
    ids: Option<Ids>,
) -> Ids {
    let (objects, limits) = (batch.validation(writer), FileLimits::default());
    let header = read_all(mailbox, &objects.header, 1 << 20).await.unwrap();
    let file = read_all(mailbox, &objects.packets, 1 << 20).await.unwrap();
    let header: ValidationHeader = decode_one(&header, &limits).unwrap();
    let mut packets: Vec<ValidationPacket> = Vec::new();
    // A file without packets has no bytes at all.
    if !file.is_empty() {
        let mut reader = ContainerReader::open(&file[..], &limits).unwrap();
        while let Some(block) = reader.next_block().unwrap() {
            packets.extend(
                RecordReader::<ValidationPacket>::new(&block, reader.schema(), &limits)
                    .map(Result::unwrap),
            );
        }
    }
    let ids = ids.unwrap_or_else(|| packets.iter().take(count).map(|packet| packet.id).collect());
    let mut out = ContainerWriter::new(Vec::new(), ValidationPacket::KIND, [9; 16]);
    for packet in packets.iter().filter(|packet| ids.contains(&packet.id)) {
        out.append(packet).unwrap();
    }
    let packets = out.finish().unwrap();
    let header = ValidationHeader {
        packet_file_digest: Digest::sha256(&packets),
        ..header
    };
    let header = encode_one(&header, [6; 16]).unwrap();
    let (id, key) = (
        format!("{}-key-1", side(writer)),
        format!("{}-signing.pkcs8.b64", side(writer)),
    );
    let signature = signature_file(
        &objects.signature,
        1,
        &header,
        None,
        (&id, &signing_key(&key)),
    )
    .unwrap();
    for (object, bytes) in [
        (objects.packets, packets),
        (objects.header, header),
        (objects.signature, signature),
    ] {
        mailbox.delete(&object).await.unwrap();
        publish_bytes(mailbox, &object, bytes.into(), false)
            .await
            .unwrap();
    }
    ids
}

fn rejections(error: &Error) -> (u64, u64) {
    assert_eq!(
        (error.exit(), error.reason().as_str()),
        (Exit::Held, "held"),
        "{error}"
    );
    match error {
        Error::Held { rejections, .. } => (rejections.rejected, rejections.messages),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_the_peers_choice_is_held_without_rosters() {
    let pair = Pair::new().await;
    let first = pair.get(Role::First, false);
    // The rejected fraction is that of the window. An empty validation batch, which excludes its
    // batch from the sum, counts, too.
    pair.choose([70, 1, 0]).await;
    let error = aggregate(&first, &pair.task(), no_progress())
        .await
        .unwrap_err()
        .error;
    assert_eq!(rejections(&error), (229, 300));
    assert!(!pair.has_sum().await);
    assert!(pair.has(&pair.name().held()).await && !pair.has(&pair.name().done()).await);
    // The task is done and not retried.
    let task = Task {
        trace_id: uuid::Uuid::nil(),
        name: TaskName::Window(WindowKind::Aggregate, pair.name()),
        batches: Some(pair.case.batches()),
    };
    assert_eq!(
        handle(&first, QueueKind::Aggregate, &task.to_json()).await,
        Outcome::Done
    );
    assert!(!pair.has(&pair.name().done()).await && !pair.has_sum().await);
    // A release applies to the counts that the operator has seen. With fewer remaining packets the
    // window is held again.
    let Error::Held {
        rejections: counts, ..
    } = error
    else {
        panic!("{error}");
    };
    release(&first.buckets, &pair.name(), counts).await.unwrap();
    pair.choose([69, 1, 0]).await;
    let error = aggregate(&first, &pair.task(), no_progress())
        .await
        .unwrap_err()
        .error;
    assert_eq!(rejections(&error), (230, 300));
    let Error::Held {
        rejections: counts, ..
    } = error
    else {
        panic!("{error}");
    };
    release(&first.buckets, &pair.name(), counts).await.unwrap();
    // The restarted task finds the release.
    assert_eq!(
        handle(&first, QueueKind::Aggregate, &task.to_json()).await,
        Outcome::Done
    );
    assert!(pair.has(&pair.name().done()).await && pair.has_sum().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_at_the_limit_is_released() {
    let pair = Pair::new().await;
    pair.choose([73, 1, 1]).await;
    let summary = aggregate(&pair.get(Role::First, false), &pair.task(), no_progress()).await;
    let summary = summary.unwrap();
    assert_eq!(
        (summary.rejections.rejected, summary.rejections.messages),
        (225, 300)
    );
    assert!(summary.rejections.is_alarming());
}

/// A validation batch that does not verify rejects every packet of its batch, as an empty one does.
#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_damaged_validation_batch_count_as_rejected() {
    let pair = Pair::new().await;
    let mailbox = &*pair.buckets[0].peer_validation_in;
    let object = pair.case.batches()[0].validation(Role::Second).packets;
    mailbox.delete(&object).await.unwrap();
    publish_bytes(mailbox, &object, b"damaged".as_slice().into(), false)
        .await
        .unwrap();
    let summary = aggregate(&pair.get(Role::First, false), &pair.task(), no_progress()).await;
    let summary = summary.unwrap();
    assert_eq!(
        (summary.rejections.rejected, summary.rejections.messages),
        (100, 300)
    );
}

/// The peer has rejected nothing of a batch for which it has written no validation batch.
#[tokio::test(flavor = "multi_thread")]
async fn packets_without_a_validation_batch_do_not_count_as_rejected() {
    for rosters in [false, true] {
        let pair = Pair::new().await;
        let mailbox = &*pair.buckets[0].peer_validation_in;
        let missing = pair.case.batches()[0].validation(Role::Second);
        for object in [&missing.packets, &missing.header, &missing.signature] {
            mailbox.delete(object).await.unwrap();
        }
        let first = pair.get(Role::First, rosters);
        let summary = if rosters {
            for role in [Role::First, Role::Second, Role::First] {
                roster(&pair.get(role, true), &pair.name(), no_progress())
                    .await
                    .unwrap();
            }
            aggregate_agreed(&first, &pair.name(), no_progress()).await
        } else {
            aggregate(&first, &pair.task(), no_progress()).await
        };
        let rejections = summary.unwrap().rejections;
        assert_eq!(
            (rejections.rejected, rejections.messages),
            (0, 200),
            "with rosters: {rosters}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_the_peers_choice_is_held_with_rosters() {
    let pair = Pair::new().await;
    pair.choose([70, 1, 0]).await;
    for role in [Role::First, Role::Second, Role::First] {
        roster(&pair.get(role, true), &pair.name(), no_progress())
            .await
            .unwrap();
    }
    let first = pair.get(Role::First, true);
    let error = aggregate_agreed(&first, &pair.name(), no_progress())
        .await
        .unwrap_err()
        .error;
    // The batch that the rosters do not agree on, because the peer has rejected all its packets,
    // counts, too.
    assert_eq!(rejections(&error), (229, 300));
    assert!(!pair.has_sum().await && pair.has(&pair.name().held()).await);
    let Error::Held {
        rejections: counts, ..
    } = error
    else {
        panic!("{error}");
    };
    release(&first.buckets, &pair.name(), counts).await.unwrap();
    let summary = aggregate_agreed(&first, &pair.name(), no_progress())
        .await
        .unwrap();
    assert_eq!(summary.packets_accepted, 71);
    assert!(pair.has_sum().await && pair.has(&pair.name().done()).await);
}
