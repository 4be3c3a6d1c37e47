//! Two processors whose buckets are in memory.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::sync::Arc;
use tallybox_crypto::prio2::Sum;
use tallybox_facilitator::buckets::Buckets;
use tallybox_facilitator::config::Config;
use tallybox_facilitator::intake::intake;
use tallybox_facilitator::limits::RosterRules;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{RosterSummary, aggregate_agreed, roster};
use tallybox_model::avro::{FileLimits, decode_one};
use tallybox_model::header::SumPart;
use tallybox_model::path::{BatchName, SumPartName};
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, WindowName};
use tallybox_model::time::next_window;
use tallybox_service::config::load;
use tallybox_tests::vectors::{BucketPaths, Case, write_config};
use tallybox_transport::{SharedBucket, memory, publish_bytes, read_all};

/// Two processors. Their buckets are in memory, except for the ingestion batches, which are the
/// files of a test case.
pub struct Pair {
    pub case: Case,
    pub buckets: [Buckets; 2],
    configs: [std::path::PathBuf; 2],
    _root: tempfile::TempDir,
}

impl Pair {
    pub fn new(case: &str) -> Self {
        let case = Case::load(case);
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
        Self {
            case,
            buckets,
            configs,
            _root: root,
        }
    }

    /// Returns a processor from its configuration, after `change`.
    pub fn with(&self, role: Role, change: impl FnOnce(&mut Processor)) -> Arc<Processor> {
        let mut processor =
            Processor::open(&load::<Config>(&self.configs[role.index()]).unwrap()).unwrap();
        processor.buckets = self.buckets[role.index()].clone();
        processor.limits.rosters = Some(RosterRules {
            origin: Some(Case::window().start()),
            period_minutes: 60,
            grace_minutes: 0,
            replay_horizon: 10,
            minimum: 1,
            maximum_age: 3,
        });
        change(&mut processor);
        Arc::new(processor)
    }

    pub fn get(&self, role: Role) -> Arc<Processor> {
        self.with(role, |_| {})
    }

    /// Returns the window that is `later` windows after that of the case.
    pub fn window(&self, later: u32) -> WindowName {
        let next = |window, _| next_window(window, 60).unwrap();
        WindowName {
            aggregation: self.case.aggregation(),
            window: (0..later).fold(Case::window(), next),
        }
    }

    pub async fn intake(&self, role: Role, batches: &[BatchName]) {
        for batch in batches {
            intake(&self.get(role), batch, no_progress()).await.unwrap();
        }
    }

    pub async fn roster(&self, role: Role, later: u32) -> RosterSummary {
        roster(&self.get(role), &self.window(later), no_progress())
            .await
            .unwrap()
    }

    /// Runs roster tasks until both processors have written their rosters and agreed.
    pub async fn agree(&self, later: u32) {
        for role in [Role::First, Role::Second, Role::First] {
            self.roster(role, later).await;
        }
    }

    pub async fn agreed(&self, role: Role, later: u32) -> AgreedWindow {
        let text = self
            .get(role)
            .buckets
            .read_record(&self.window(later).agreed(), 1 << 20)
            .await;
        let text = text.unwrap().unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Writes both sum parts. Returns them with their sum.
    pub async fn sums(&self, later: u32) -> ([SumPart; 2], Vec<u32>) {
        let mut parts = Vec::new();
        for role in Role::ALL {
            let processor = self.get(role);
            let name = self.window(later);
            let summary = aggregate_agreed(&processor, &name, no_progress())
                .await
                .unwrap();
            let header = summary.sum_part.unwrap();
            let part = SumPartName {
                instance: processor.buckets.instance.clone(),
                aggregation: name.aggregation,
                window: name.window,
                writer: role,
            };
            assert_eq!(header, part.objects().header);
            let file = read_all(&*processor.buckets.sum_parts, &header, 1 << 20)
                .await
                .unwrap();
            parts.push(decode_one::<SumPart>(&file, &FileLimits::default()).unwrap());
        }
        let mut sum = Sum::new(usize::try_from(parts[0].bins).unwrap());
        for part in &parts {
            let values = part
                .sum
                .iter()
                .map(|value| u32::try_from(*value).unwrap())
                .collect();
            sum.merge(&Sum::from_values(values).unwrap());
        }
        assert_eq!(parts[0].batch_uuids, parts[1].batch_uuids);
        assert_eq!(
            parts[0].total_individual_clients,
            parts[1].total_individual_clients
        );
        let values = sum.values().to_vec();
        (parts.try_into().unwrap(), values)
    }

    pub fn expected(&self) -> Vec<u32> {
        serde_json::from_value(self.case.expected["expected_sum"].clone()).unwrap()
    }
}

/// Copies every object whose key does not start with `without`.
pub async fn copy_all(from: &SharedBucket, to: &SharedBucket, without: &str) {
    use futures::TryStreamExt as _;
    let keys: Vec<_> = from
        .list("", Default::default())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    for entry in keys
        .into_iter()
        .filter(|entry| !entry.key.starts_with(without))
    {
        let bytes = read_all(&**from, &entry.key, 1 << 24).await.unwrap();
        publish_bytes(&**to, &entry.key, bytes, false)
            .await
            .unwrap();
    }
}
