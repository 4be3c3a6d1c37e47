//! Names without a signature, false entries and changed terms do not affect a batch that both
//! processors can sum.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{Pair, copy_all};
use std::sync::Arc;
use tallybox_facilitator::processor::Processor;
use tallybox_facilitator::progress::no_progress;
use tallybox_facilitator::roster::{Alarm, RosterSummary, roster};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{DatedBatch, Listing, OpenReason, RosterEntry, RosterHeader};
use tallybox_tests::forged;
use tallybox_transport::{memory, publish_bytes, read_all};

impl Pair {
    /// Replaces the ingestion mailboxes by copies that tests can write to.
    async fn open_mailboxes(mut self) -> Self {
        for buckets in &mut self.buckets {
            let ingestion = memory("ingestion");
            copy_all(&buckets.ingestion, &ingestion, "-").await;
            buckets.ingestion = ingestion;
        }
        self
    }

    /// Returns the processor with a maximum age of one window.
    fn young(&self, role: Role) -> Arc<Processor> {
        self.with(role, |processor| {
            let rules = processor.limits.rosters.as_mut().unwrap();
            rules.maximum_age = 1;
        })
    }

    async fn run(&self, processor: &Arc<Processor>, later: u32) -> RosterSummary {
        roster(processor, &self.window(later), no_progress())
            .await
            .unwrap()
    }

    /// Makes the second processor dishonest: changes its roster of a window, in its own bucket and
    /// in the mailbox.
    async fn forge(
        &self,
        later: u32,
        change: impl FnOnce(&mut RosterHeader, &mut Vec<RosterEntry>),
    ) {
        let (second, object) = (
            self.get(Role::Second),
            self.window(later).roster(Role::Second),
        );
        let (own, mailbox) = (&self.buckets[1].own, &self.buckets[0].peer_validation_in);
        let old = read_all(&**mailbox, &object, 1 << 20).await.unwrap();
        let key = (second.keys.signing_id.as_str(), &second.keys.signing);
        let new = forged::roster(&old, key, change);
        for bucket in [own, mailbox] {
            bucket.delete(&object).await.unwrap();
        }
        second
            .buckets
            .records
            .create(&**own, &object, &new)
            .await
            .unwrap();
        publish_bytes(&**mailbox, &object, new.into(), false)
            .await
            .unwrap();
    }

    /// Asserts that both processors have the same agreed set, and returns the set.
    async fn same(&self, later: u32) -> tallybox_model::roster::AgreedWindow {
        let [first, second] = [
            self.agreed(Role::First, later).await,
            self.agreed(Role::Second, later).await,
        ];
        assert_eq!(first, second);
        first
    }
}

fn later(batch: &BatchName, minutes: i64) -> BatchName {
    BatchName {
        date: batch.date.plus_minutes(minutes).unwrap(),
        ..batch.clone()
    }
}

/// Eight bytes under an old date, and valid objects of another batch under this batch's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_a_signature_is_not_listed_and_costs_no_batch() {
    let pair = Pair::new("dim8").open_mailboxes().await;
    let batches = pair.case.batches();
    let (victim, other) = (&batches[0], &batches[1]);
    // The old names belong to the window before that of the batches. With a maximum age of one
    // window, the window of the batches is the last one that can list them.
    let (garbage, copied) = (later(victim, -60), later(victim, -59));
    let early = |processor: &mut Processor| {
        let rules = processor.limits.rosters.as_mut().unwrap();
        rules.origin = rules.origin.and_then(|origin| origin.plus_minutes(-120));
        rules.maximum_age = 1;
    };
    for role in Role::ALL {
        let ingestion = &*pair.buckets[role.index()].ingestion;
        let file = garbage.ingestion().signature;
        publish_bytes(ingestion, &file, "garbage!".into(), false)
            .await
            .unwrap();
        let (from, to) = (other.ingestion(), copied.ingestion());
        for (from, to) in [
            (from.packets, to.packets),
            (from.header, to.header),
            (from.signature, to.signature),
        ] {
            let bytes = read_all(ingestion, &from, 1 << 20).await.unwrap();
            publish_bytes(ingestion, &to, bytes, false).await.unwrap();
        }
        // A validation of an unknown batch without the peer's signature.
        let unknown = later(victim, 1).validation(role.peer()).signature;
        let mailbox = &*pair.buckets[role.index()].peer_validation_in;
        publish_bytes(mailbox, &unknown, "garbage!".into(), false)
            .await
            .unwrap();
    }
    let processors = Role::ALL.map(|role| pair.with(role, early));
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    let mut alarms = Vec::new();
    for processor in [&processors[0], &processors[1], &processors[0]] {
        alarms.extend(pair.run(processor, 0).await.alarms);
    }
    let unsigned = |object: &str| {
        let is_it = |alarm: &&Alarm| matches!(alarm, Alarm::Unsigned { object: found, .. } if found == object);
        alarms.iter().filter(is_it).count()
    };
    for object in [
        garbage.ingestion().signature,
        copied.ingestion().signature,
        later(victim, 1).validation(Role::Second).signature,
    ] {
        assert!(unsigned(&object) > 0, "{object} is reported: {alarms:?}");
    }
    let agreed = pair.same(0).await;
    assert_eq!(agreed.batches.len(), batches.len());
    assert!(
        agreed.expired.is_empty() && agreed.excluded.is_empty() && agreed.several_dates.is_empty()
    );
}

/// A peer lists a batch under a date that is too old, before the batch is summed.
#[tokio::test(flavor = "multi_thread")]
async fn a_false_entry_closes_nothing_but_itself() {
    let pair = Pair::new("dim8");
    let batches = pair.case.batches();
    for role in Role::ALL {
        pair.intake(role, &batches).await;
    }
    let victim = &batches[0];
    let lost = victim.validation(Role::First);
    // The second lacks a validation, so that the batch waits for the next window.
    let mailbox = &pair.buckets[1].peer_validation_in;
    for key in [&lost.packets, &lost.header, &lost.signature] {
        mailbox.delete(key).await.unwrap();
    }
    let [first, second] = Role::ALL.map(|role| {
        pair.with(role, |processor| {
            let rules = processor.limits.rosters.as_mut().unwrap();
            rules.origin = rules.origin.and_then(|origin| origin.plus_minutes(-180));
            rules.maximum_age = 1;
        })
    });
    pair.run(&second, 0).await;
    let old = DatedBatch::from_batch(&later(victim, -120));
    let entry = RosterEntry::new(old, &Listing::Open(OpenReason::TooLate));
    pair.forge(0, |_, entries| entries.insert(0, entry)).await;
    let mut alarms = pair.run(&first, 0).await.alarms;
    pair.run(&second, 0).await;
    let agreed = pair.same(0).await;
    assert_eq!(agreed.batches.len(), batches.len() - 1);
    assert_eq!(agreed.several_dates.len(), 1, "{agreed:?}");
    alarms.retain(|alarm| matches!(alarm, Alarm::SeveralDates { .. }));
    assert_eq!(alarms.len(), 1);
    for processor in [&first, &second, &first] {
        pair.run(processor, 1).await;
    }
    let agreed = pair.same(1).await;
    assert_eq!(agreed.batches.len(), 1);
    assert_eq!(agreed.batches[0].batch, DatedBatch::from_batch(victim));
}

/// In a later window, one roster states a maximum age of zero windows.
#[tokio::test(flavor = "multi_thread")]
async fn terms_that_a_roster_changes_do_not_hold() {
    let pair = Pair::new("dim8").open_mailboxes().await;
    let batches = pair.case.batches();
    let (late, rest) = batches.split_last().unwrap();
    for buckets in &pair.buckets {
        let objects = late.ingestion();
        for key in [&objects.packets, &objects.header, &objects.signature] {
            buckets.ingestion.delete(key).await.unwrap();
        }
    }
    for role in Role::ALL {
        pair.intake(role, rest).await;
    }
    pair.agree(0).await;
    let terms = pair.same(0).await.terms.expect("both have begun");
    // The late batch arrives only at the first.
    let complete = Pair::new("dim8");
    copy_all(
        &complete.buckets[0].ingestion,
        &pair.buckets[0].ingestion,
        "-",
    )
    .await;
    pair.intake(Role::First, std::slice::from_ref(late)).await;
    pair.roster(Role::Second, 1).await;
    pair.forge(1, |header, _| {
        (
            header.maximum_age,
            header.replay_horizon,
            header.period_minutes,
        ) = (0, 1, 30);
        header.origin += 60_000;
    })
    .await;
    let alarms = pair.roster(Role::First, 1).await.alarms;
    let is_changed = |alarm: &&Alarm| {
        matches!(
            alarm,
            Alarm::TermsChanged {
                writer: Role::Second,
                ..
            }
        )
    };
    assert_eq!(alarms.iter().filter(is_changed).count(), 1, "{alarms:?}");
    pair.roster(Role::Second, 1).await;
    let agreed = pair.same(1).await;
    assert!(agreed.expired.is_empty(), "{:?}", agreed.expired);
    assert_eq!(agreed.terms, Some(terms));
    copy_all(
        &complete.buckets[1].ingestion,
        &pair.buckets[1].ingestion,
        "-",
    )
    .await;
    pair.intake(Role::Second, std::slice::from_ref(late)).await;
    pair.agree(2).await;
    assert_eq!(
        pair.same(2).await.batches.len(),
        1,
        "the late batch is summed"
    );
    // A changed configuration does not change the terms of the windows either, and is reported.
    let alarms = pair.run(&pair.young(Role::First), 3).await.alarms;
    assert!(
        alarms
            .iter()
            .any(|alarm| matches!(alarm, Alarm::TermsConfigured { .. })),
        "{alarms:?}"
    );
}
