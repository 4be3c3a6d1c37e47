//! A dishonest processor with false rosters: the roster of a window is changed before its peer
//! copies it, in the own bucket and in the mailbox, so that both sides use the false roster.

use bytes::Bytes;
use tallybox_model::avro::{FileLimits, decode_one, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{
    AgreedWindow, DatedBatch, Listing, OpenReason, RosterEntry, RosterHeader, RosterObject,
    WindowName,
};
use tallybox_model::signature::BatchSignature;
use tallybox_transport::read_all;

use crate::dice::Dice;
use crate::dishonest_processor::{
    MAX_OBJECT_BYTES, Tampering, TamperingKind, put, read_records, sign, write_records,
};
use crate::evidence::payload;
use crate::machine::{Storage, own_records};
use crate::schedule::Millis;
use crate::time::HOUR_MILLIS;

/// Changes the roster that this dishonest processor has just written to its peer's mailbox, if no
/// side has used it yet.
pub async fn forge(
    storage: &Storage,
    tamperer: Role,
    dice: &mut Dice,
    now: Millis,
) -> Option<Tampering> {
    let victim = tamperer.peer();
    let mailbox = &storage.validation[victim.index()];
    let (name, what) = RosterObject::parse(&mailbox.newest()?)?;
    if what != RosterObject::Roster(tamperer) || is_used(storage, tamperer, &name) {
        return None;
    }
    let key = name.roster(tamperer);
    let limits = FileLimits::default();
    let old = read_all(&*mailbox.inner, &key, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    // The roster in the mailbox may already have been replaced.
    if payload(
        &read_all(
            &*storage.own[tamperer.index()].inner,
            &key,
            MAX_OBJECT_BYTES,
        )
        .await
        .ok()?,
    ) != old
    {
        return None;
    }
    let (header, entries) = decode_one::<BatchSignature>(&old, &limits).ok()?.inline()?;
    let mut header: RosterHeader = decode_one(&header, &limits).ok()?;
    let mut entries: Vec<RosterEntry> = read_records(&entries, &limits);
    let kind = if dice.chance(550) {
        let age = i64::from(header.maximum_age);
        let batch = false_entry(storage, &name, (&entries, age), dice)?;
        let listing = Listing::Open(*dice.pick(&[OpenReason::NoValidation, OpenReason::TooLate])?);
        entries.push(RosterEntry::new(batch, &listing));
        entries.sort_by_key(|entry| (entry.batch_date, entry.batch_uuid));
        TamperingKind::Entry(BatchName {
            aggregation: name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        })
    } else {
        if !terms_are_fixed(storage, &name).await {
            return None;
        }
        change_terms(&mut header, dice);
        TamperingKind::Terms(name.clone())
    };
    let entries = write_records(&entries);
    header.packet_file_digest = Digest::sha256(&entries);
    let header = encode_one(&header, [6; 16]).ok()?;
    let new = Bytes::from(sign(tamperer, &key, &header, Some(entries))?);
    let record = own_records(tamperer).seal(&key, &new);
    put(&storage.own[tamperer.index()], &key, Some(record), now).await;
    put(mailbox, &key, Some(new), now).await;
    Some(Tampering {
        kind,
        victim,
        at: now,
    })
}

/// Returns whether a side may already have used the roster: the victim has copied it, or the
/// dishonest processor has a roster of the victim with which it could agree.
fn is_used(storage: &Storage, tamperer: Role, name: &WindowName) -> bool {
    let victim = tamperer.peer();
    let is_there = |key: &String| {
        let parsed = RosterObject::parse(key);
        parsed.is_some_and(|(other, what)| {
            what == RosterObject::Roster(victim)
                && other.aggregation == name.aggregation
                && other.window >= name.window
        })
    };
    let copied = storage.own[victim.index()]
        .made_at(&name.roster(tamperer))
        .is_some();
    let any_roster = |keys: Vec<String>| keys.iter().any(is_there);
    copied
        || any_roster(storage.validation[tamperer.index()].keys())
        || any_roster(storage.own[tamperer.index()].keys())
}

/// Returns one of the ingestor's last batches under a date that is at least the maximum age before the
/// window of the roster: preferably one that this window cannot sum, because only such a batch has
/// another outcome if the false entry closes its identifier.
fn false_entry(
    storage: &Storage,
    name: &WindowName,
    (entries, age): (&[RosterEntry], i64),
    dice: &mut Dice,
) -> Option<DatedBatch> {
    let keys = storage.ingestion[0].keys();
    let batches = keys
        .iter()
        .filter_map(|key| BatchName::from_ingestion_signature(key));
    let mut batches: Vec<BatchName> = batches
        .filter(|batch| batch.aggregation == name.aggregation)
        .collect();
    batches.sort_by_key(|batch| (batch.date, batch.id));
    let open: Vec<BatchName> = batches
        .iter()
        .filter(|batch| batch.date >= name.window.end() || !is_validated(storage, batch))
        .cloned()
        .collect();
    let batches = if open.is_empty() { batches } else { open };
    let batch = dice.pick(&batches[batches.len().saturating_sub(3)..])?;
    let back = dice.between(age, age + 1) * HOUR_MILLIS / 60_000;
    let date = name.window.start().plus_minutes(-back)?;
    let forged = DatedBatch { date, id: batch.id };
    // The entry would not be false if the batch existed under this date or were listed already.
    let is_real = keys.iter().any(|key| {
        let real = BatchName::from_ingestion_object(key);
        real.is_some_and(|real| DatedBatch::from_batch(&real) == forged)
    });
    let is_listed = entries.iter().any(|entry| entry.batch() == Some(forged));
    (!is_real && !is_listed).then_some(forged)
}

/// Returns whether both validation batches of a batch are complete.
fn is_validated(storage: &Storage, batch: &BatchName) -> bool {
    Role::ALL.into_iter().all(|victim| {
        let signature = batch.validation(victim.peer()).signature;
        storage.validation[victim.index()]
            .made_at(&signature)
            .is_some()
    })
}

/// Returns whether both sides have agreed on an earlier window, and have thereby fixed the terms.
async fn terms_are_fixed(storage: &Storage, name: &WindowName) -> bool {
    for role in Role::ALL {
        let own = &storage.own[role.index()];
        let keys = own.keys();
        let agreed = keys
            .iter()
            .filter_map(|key| match RosterObject::parse(key)? {
                (other, RosterObject::Agreed)
                    if other.aggregation == name.aggregation && other.window < name.window =>
                {
                    Some(key)
                }
                _ => None,
            });
        let Some(last) = agreed.max() else {
            return false;
        };
        let Ok(text) = read_all(&*own.inner, last, MAX_OBJECT_BYTES).await else {
            return false;
        };
        let agreed: Option<AgreedWindow> = serde_json::from_slice(&payload(&text)).ok();
        if agreed.is_none_or(|agreed| agreed.terms.is_none()) {
            return false;
        }
    }
    true
}

/// Changes one or two of the terms, except the minimum, which each side may change.
fn change_terms(header: &mut RosterHeader, dice: &mut Dice) {
    match dice.below(4) {
        0 | 1 => header.maximum_age = 0,
        2 => header.maximum_age = 1,
        _ => header.replay_horizon = 1,
    }
    if dice.chance(300) {
        header.period_minutes = 30;
    }
}
