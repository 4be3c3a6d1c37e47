//! A processor whose own rosters lie: what it has fixed of a window is changed before its peer copies it, in its own bucket
//! and in the mailbox alike, so that both sides compute with the lie.

use bytes::Bytes;
use tallybox_model::avro::{Limits, decode_one, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::roster::{
    AgreedWindow, DatedBatch, Listing, OpenReason, RosterEntry, RosterHeader, RosterObject, WindowName,
};
use tallybox_model::signature::BatchSignature;
use tallybox_transport::read_all;

use crate::dice::Dice;
use crate::evidence::payload;
use crate::machine::{Places, own_records};
use crate::schedule::Millis;
use crate::tamper::{LIMIT, Lie, Told, put, read_records, sign, write_records};
use crate::time::HOUR;

/// Forges the roster that this liar has just put into its peer's mailbox, if nobody has used it yet.
pub async fn forge(places: &Places, liar: Role, dice: &mut Dice, now: Millis) -> Option<Told> {
    let victim = liar.peer();
    let mailbox = &places.validation[victim.index()];
    let (name, what) = RosterObject::parse(&mailbox.newest()?)?;
    if what != RosterObject::Roster(liar) || is_used(places, liar, &name) {
        return None;
    }
    let key = name.roster(liar);
    let limits = Limits::default();
    let old = read_all(&*mailbox.inner, &key, LIMIT).await.ok()?;
    // Another lie may stand in the mailbox.
    if payload(&read_all(&*places.own[liar.index()].inner, &key, LIMIT).await.ok()?) != old {
        return None;
    }
    let (header, entries) = decode_one::<BatchSignature>(&old, &limits).ok()?.inline()?;
    let mut header: RosterHeader = decode_one(&header, &limits).ok()?;
    let mut entries: Vec<RosterEntry> = read_records(&entries, &limits);
    let lie = if dice.chance(500) {
        let age = i64::from(header.maximum_age);
        let batch = false_entry(places, &name, (&entries, age), dice)?;
        let listing = Listing::Open(*dice.pick(&[OpenReason::NoValidation, OpenReason::TooLate])?);
        entries.push(RosterEntry::new(batch, &listing));
        entries.sort_by_key(|entry| (entry.batch_date, entry.batch_uuid));
        Lie::Entry(BatchName {
            aggregation: name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        })
    } else {
        if !terms_are_fixed(places, &name).await {
            return None;
        }
        change_terms(&mut header, dice);
        Lie::Terms(name.clone())
    };
    let entries = write_records(&entries);
    header.packet_file_digest = Digest::of(&entries);
    let header = encode_one(&header, [6; 16]).ok()?;
    let new = Bytes::from(sign(liar, &key, &header, Some(entries))?);
    let record = own_records(liar).seal(&key, &new);
    put(&places.own[liar.index()], &key, Some(record), now).await;
    put(mailbox, &key, Some(new), now).await;
    Some(Told { lie, victim, at: now })
}

/// Whether one of the sides may have computed with the roster already: the victim has copied it, or the liar holds a
/// roster of the victim's with which it could.
fn is_used(places: &Places, liar: Role, name: &WindowName) -> bool {
    let victim = liar.peer();
    let is_there = |key: &String| {
        let parsed = RosterObject::parse(key);
        parsed.is_some_and(|(other, what)| {
            what == RosterObject::Roster(victim) && other.aggregation == name.aggregation && other.window >= name.window
        })
    };
    let copied = places.own[victim.index()].made_at(&name.roster(liar)).is_some();
    let seen = |keys: Vec<String>| keys.iter().any(is_there);
    copied || seen(places.validation[liar.index()].keys()) || seen(places.own[liar.index()].keys())
}

/// One of the ingestor's last batches, which no window has settled yet, under a date at which it has no window any more.
fn false_entry(
    places: &Places,
    name: &WindowName,
    (entries, age): (&[RosterEntry], i64),
    dice: &mut Dice,
) -> Option<DatedBatch> {
    let keys = places.ingestion[0].keys();
    let batches = keys.iter().filter_map(|key| BatchName::from_ingestion_signature(key));
    let mut batches: Vec<BatchName> = batches.filter(|batch| batch.aggregation == name.aggregation).collect();
    batches.sort_by_key(|batch| (batch.date, batch.id));
    let batch = dice.pick(&batches[batches.len().saturating_sub(3)..])?;
    let back = dice.between(age, age + 1) * HOUR / 60_000;
    let date = name.window.start().plus_minutes(-back)?;
    let forged = DatedBatch { date, id: batch.id };
    // What is there under this name, or was listed before, is no invention.
    let is_real = keys.iter().any(|key| {
        let real = BatchName::from_ingestion_object(key);
        real.is_some_and(|real| DatedBatch::of(&real) == forged)
    });
    let is_listed = entries.iter().any(|entry| entry.batch() == Some(forged));
    (!is_real && !is_listed).then_some(forged)
}

/// Whether both sides have agreed on an earlier window of both.
async fn terms_are_fixed(places: &Places, name: &WindowName) -> bool {
    for role in Role::ALL {
        let own = &places.own[role.index()];
        let keys = own.keys();
        let agreed = keys.iter().filter_map(|key| match RosterObject::parse(key)? {
            (other, RosterObject::Agreed) if other.aggregation == name.aggregation && other.window < name.window => {
                Some(key)
            }
            _ => None,
        });
        let Some(last) = agreed.max() else {
            return false;
        };
        let Ok(text) = read_all(&*own.inner, last, LIMIT).await else {
            return false;
        };
        let agreed: Option<AgreedWindow> = serde_json::from_slice(&payload(&text)).ok();
        if agreed.is_none_or(|agreed| agreed.terms.is_none()) {
            return false;
        }
    }
    true
}

/// Any but the minimum, which every side may change.
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
