//! A dishonest processor, which replaces the rosters and validation batches that it sent to its
//! peer with others, under valid signatures of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, Record, RecordKind, RecordReader, decode_one,
    encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::ValidationHeader;
use tallybox_model::id::BatchId;
use tallybox_model::packet::ValidationPacket;
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::role::Role;
use tallybox_model::roster::{
    DatedBatch, Listing, OpenReason, RosterEntry, RosterHeader, RosterObject, WindowName,
};
use tallybox_model::signature::BatchSignature;
use tallybox_model::time::aligned_window;
use tallybox_transport::batch::signature_file;
use tallybox_transport::{publish_bytes, read_all};

use crate::bucket::StoredBucket;
use crate::dice::Dice;
use crate::evidence::payload;
use crate::forger::forge;
use crate::keyring::{Keyring, signing_key_id};
use crate::machine::Storage;
use crate::scenario::{MAX_ROSTER_ENTRIES, PERIOD_MINUTES};
use crate::schedule::Millis;

/// The maximum size of an object, in bytes.
pub(crate) const MAX_OBJECT_BYTES: u64 = 1 << 20;

/// A kind of tampering.
#[derive(Clone, Debug)]
pub enum TamperingKind {
    /// The written roster was replaced by one that lacks an entry.
    Roster(WindowName),
    /// A roster of another window was written under the name of this window's roster, before that
    /// existed.
    Replay(WindowName),
    /// The written validation batch was replaced by another one.
    Validation(BatchName),
    /// The written validation batch was replaced by one with many more messages than the batch has
    /// packets.
    Oversized(BatchName),
    /// A roster with more entries than allowed was written, before the real one existed.
    Flood(WindowName),
    /// The roster lists a batch under a date under which no batch exists.
    Entry(BatchName),
    /// The roster states other terms than the rosters before it.
    Terms(WindowName),
}

/// An act of tampering, with its victim and time.
#[derive(Clone, Debug)]
pub struct Tampering {
    /// The kind of tampering.
    pub kind: TamperingKind,
    /// The processor whose mailbox contains the manipulated object.
    pub victim: Role,
    /// The time of the act.
    pub at: Millis,
}

/// Tampers with one object, if a suitable one exists.
pub async fn tamper(storage: &Storage, dice: &mut Dice, now: Millis) -> Vec<Tampering> {
    let victim = if dice.chance(500) {
        Role::First
    } else {
        Role::Second
    };
    match dice.below(6) {
        5 => flood(storage, victim, dice, now)
            .await
            .into_iter()
            .collect(),
        0 | 1 => replay(storage, victim, dice, now)
            .await
            .into_iter()
            .collect(),
        2 => roster(storage, victim, dice, now)
            .await
            .into_iter()
            .collect(),
        _ => validation(storage, victim, dice, now).await,
    }
}

/// Restores a replaced roster in the mailbox from the copy in the writer's own bucket, or deletes
/// it if there is none.
pub async fn restore(storage: &Storage, tampering: &Tampering, now: Millis) {
    let (TamperingKind::Roster(name) | TamperingKind::Replay(name) | TamperingKind::Flood(name)) =
        &tampering.kind
    else {
        return;
    };
    let (tamperer, mailbox) = (
        tampering.victim.peer(),
        &storage.validation[tampering.victim.index()],
    );
    let key = name.roster(tamperer);
    let right = read_all(
        &*storage.own[tamperer.index()].inner,
        &key,
        MAX_OBJECT_BYTES,
    )
    .await
    .ok();
    let right = right.map(|record| payload(&record));
    put(mailbox, &key, right, now).await;
}

/// Replaces an object, or deletes it if `bytes` is `None`.
pub(crate) async fn put(mailbox: &StoredBucket, key: &str, bytes: Option<Bytes>, now: Millis) {
    // Deletion from memory does not fail.
    let _ = mailbox.inner.delete(key).await;
    if let Some(bytes) = bytes {
        let _ = publish_bytes(&*mailbox.inner, key, bytes, false).await;
        mailbox.note(key, now);
    }
}

/// Returns the rosters in a mailbox, with their windows.
fn rosters(mailbox: &StoredBucket, writer: Role) -> Vec<(String, WindowName)> {
    let mut all: Vec<_> = mailbox
        .keys()
        .into_iter()
        .filter_map(|key| match RosterObject::parse(&key)? {
            (name, RosterObject::Roster(role)) if role == writer => Some((key, name)),
            _ => None,
        })
        .collect();
    all.sort();
    all
}

async fn roster(
    storage: &Storage,
    victim: Role,
    dice: &mut Dice,
    now: Millis,
) -> Option<Tampering> {
    let all = rosters(&storage.validation[victim.index()], victim.peer());
    // Only the last rosters can still matter to the victim.
    let recent = &all[all.len().saturating_sub(4)..];
    let (_, name) = dice.pick(recent)?;
    shorten(storage, victim, name, dice, now).await
}

/// A write after which a dishonest processor tampers at once.
#[derive(Clone, Copy, Debug)]
pub enum TimedTampering {
    /// This side copies a roster into its own bucket. The roster is replaced before the side uses
    /// its copy.
    Copy(Role),
    /// The second validation batch of a batch is written for this side. The validation batches for
    /// both sides are replaced.
    Validation(Role),
    /// This dishonest processor writes a roster. The roster is replaced by one with a false entry
    /// or false terms.
    Roster(Role),
}

impl TimedTampering {
    /// All kinds, from which one is drawn.
    pub const ALL: [Self; 14] = [
        Self::Copy(Role::First),
        Self::Copy(Role::First),
        Self::Copy(Role::Second),
        Self::Copy(Role::Second),
        Self::Validation(Role::First),
        Self::Validation(Role::First),
        Self::Validation(Role::Second),
        Self::Validation(Role::Second),
        // Listed three times, because suitable rosters are rare.
        Self::Roster(Role::First),
        Self::Roster(Role::First),
        Self::Roster(Role::First),
        Self::Roster(Role::Second),
        Self::Roster(Role::Second),
        Self::Roster(Role::Second),
    ];
}

/// Tampers, if the expected write has just happened.
pub async fn timed_tampering(
    storage: &Storage,
    tampering: TimedTampering,
    dice: &mut Dice,
    now: Millis,
) -> Vec<Tampering> {
    match tampering {
        TimedTampering::Copy(victim) => {
            let copied = storage.own[victim.index()].newest();
            match copied.and_then(|key| RosterObject::parse(&key)) {
                Some((name, RosterObject::Roster(writer))) if writer == victim.peer() => {
                    // One millisecond after the copy, which was written at this moment, so that the
                    // audit sees that the copy came first.
                    let act = shorten(storage, victim, &name, dice, now + 1).await;
                    act.into_iter().collect()
                }
                _ => Vec::new(),
            }
        }
        TimedTampering::Roster(tamperer) => forge(storage, tamperer, dice, now)
            .await
            .into_iter()
            .collect(),
        TimedTampering::Validation(victim) => {
            let written = storage.validation[victim.index()].newest();
            match written.and_then(|key| BatchName::validation_part(&key, victim.peer())) {
                Some((name, BatchPart::Signature))
                    if written_last(storage, &name, &Role::ALL).is_some() =>
                {
                    falsify_each(storage, &name, &Role::ALL, now).await
                }
                _ => Vec::new(),
            }
        }
    }
}

/// Replaces a roster by one that lacks an entry.
async fn shorten(
    storage: &Storage,
    victim: Role,
    name: &WindowName,
    dice: &mut Dice,
    now: Millis,
) -> Option<Tampering> {
    let (tamperer, mailbox) = (victim.peer(), &storage.validation[victim.index()]);
    let key = &name.roster(tamperer);
    let old = read_all(&*mailbox.inner, key, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    let limits = FileLimits::default();
    let signature: BatchSignature = decode_one(&old, &limits).ok()?;
    let (header, entries) = signature.inline()?;
    let header: RosterHeader = decode_one(&header, &limits).ok()?;
    let mut remaining: Vec<RosterEntry> = read_records(&entries, &limits);
    if remaining.is_empty() {
        return None;
    }
    remaining.remove(dice.size(0, remaining.len() - 1));
    let entries = write_records(&remaining);
    let header = RosterHeader {
        packet_file_digest: Digest::sha256(&entries),
        ..header
    };
    let header = encode_one(&header, [6; 16]).ok()?;
    let new = sign(tamperer, key, &header, Some(entries))?;
    put(mailbox, key, Some(new.into()), now).await;
    Some(Tampering {
        kind: TamperingKind::Roster(name.clone()),
        victim,
        at: now,
    })
}

/// Returns a roster in a mailbox, and the name of the roster that its aggregation needs next.
fn before_next(
    mailbox: &StoredBucket,
    tamperer: Role,
    dice: &mut Dice,
) -> Option<(String, WindowName)> {
    let all = rosters(mailbox, tamperer);
    let (key, name) = dice.pick(&all)?;
    let (_, last) = all
        .iter()
        .filter(|(_, other)| other.aggregation == name.aggregation)
        .max()?;
    let next = WindowName {
        window: aligned_window(last.window.end(), PERIOD_MINUTES)?,
        aggregation: name.aggregation.clone(),
    };
    Some((key.clone(), next))
}

async fn flood(storage: &Storage, victim: Role, dice: &mut Dice, now: Millis) -> Option<Tampering> {
    let (tamperer, mailbox) = (victim.peer(), &storage.validation[victim.index()]);
    let (key, next) = before_next(mailbox, tamperer, dice)?;
    let limits = FileLimits::default();
    let old = read_all(&*mailbox.inner, &key, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    let (header, _) = decode_one::<BatchSignature>(&old, &limits).ok()?.inline()?;
    let header: RosterHeader = decode_one(&header, &limits).ok()?;
    let listing = Listing::Open(OpenReason::NoIngestion);
    let entry = |number: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let batch = DatedBatch {
            date: next.window.start(),
            id: BatchId::from_bytes(id),
        };
        RosterEntry::new(batch, &listing)
    };
    let entries = write_records(&(0..=MAX_ROSTER_ENTRIES).map(entry).collect::<Vec<_>>());
    let header = RosterHeader {
        window_start: next.window.start().millis(),
        window_end: next.window.end().millis(),
        packet_file_digest: Digest::sha256(&entries),
        ..header
    };
    let header = encode_one(&header, [6; 16]).ok()?;
    let key = next.roster(tamperer);
    let new = sign(tamperer, &key, &header, Some(entries))?;
    put(mailbox, &key, Some(new.into()), now).await;
    Some(Tampering {
        kind: TamperingKind::Flood(next),
        victim,
        at: now,
    })
}

async fn replay(
    storage: &Storage,
    victim: Role,
    dice: &mut Dice,
    now: Millis,
) -> Option<Tampering> {
    let (tamperer, mailbox) = (victim.peer(), &storage.validation[victim.index()]);
    let (key, next) = before_next(mailbox, tamperer, dice)?;
    let bytes = read_all(&*mailbox.inner, &key, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    let key = next.roster(tamperer);
    put(mailbox, &key, Some(bytes), now).await;
    Some(Tampering {
        kind: TamperingKind::Replay(next),
        victim,
        at: now,
    })
}

async fn validation(
    storage: &Storage,
    victim: Role,
    dice: &mut Dice,
    now: Millis,
) -> Vec<Tampering> {
    let victims = [victim, victim.peer()];
    let victims = &victims[..if dice.chance(500) { 2 } else { 1 }];
    let name = |key: &String| BatchName::validation_part(key, victim.peer()).map(|(name, _)| name);
    let names: BTreeSet<BatchName> = storage.validation[victim.index()]
        .keys()
        .iter()
        .filter_map(name)
        .collect();
    let written = names
        .into_iter()
        .filter_map(|name| Some((written_last(storage, &name, victims)?, name)));
    let mut batches: Vec<(Millis, BatchName)> = written.collect();
    batches.sort();
    // The last batches are those that no roster lists yet.
    match dice.pick(&batches[batches.len().saturating_sub(4)..]) {
        Some((_, name)) => falsify_each(storage, name, victims, now).await,
        None => Vec::new(),
    }
}

/// Returns the time at which the last of the victims' validation batches of a batch was written, or
/// `None` if one of them does not exist.
fn written_last(storage: &Storage, name: &BatchName, victims: &[Role]) -> Option<Millis> {
    let times = victims.iter().map(|victim| {
        let signature = name.validation(victim.peer()).signature;
        storage.validation[victim.index()].made_at(&signature)
    });
    times.collect::<Option<Vec<Millis>>>()?.into_iter().max()
}

/// Falsifies a verification message for each victim, on a different packet for each. With two
/// victims, both sides then accept the same number of packets, but not the same packets.
async fn falsify_each(
    storage: &Storage,
    name: &BatchName,
    victims: &[Role],
    now: Millis,
) -> Vec<Tampering> {
    let mut all = Vec::new();
    for (index, victim) in victims.iter().copied().enumerate() {
        let mailbox = &storage.validation[victim.index()];
        if falsify(mailbox, name, victim.peer(), index, now)
            .await
            .is_some()
        {
            all.push(Tampering {
                kind: TamperingKind::Validation(name.clone()),
                victim,
                at: now,
            });
        }
    }
    all
}

/// Changes the verification message on one packet of a validation batch.
async fn falsify(
    mailbox: &Arc<StoredBucket>,
    name: &BatchName,
    tamperer: Role,
    index: usize,
    now: Millis,
) -> Option<()> {
    rewrite(mailbox, name, tamperer, now, |messages| {
        let message = messages.get_mut(index)?;
        message.h_r = (message.h_r + 1) % 1000;
        Some(())
    })
    .await
}

/// Selects which packets are in a sum. Of every batch that both sides have validated, only the
/// packet with the smallest identifier keeps its verification messages, on both sides. Skips the
/// batches in `before`.
pub async fn choose(
    storage: &Storage,
    before: &BTreeSet<BatchName>,
    now: Millis,
) -> Vec<Tampering> {
    let first = Role::First;
    let names = storage.validation[first.index()].keys();
    let names =
        names
            .iter()
            .filter_map(|key| match BatchName::validation_part(key, first.peer()) {
                Some((name, BatchPart::Signature)) => Some(name),
                _ => None,
            });
    let mut all = Vec::new();
    for name in names.filter(|name| !before.contains(name)) {
        if written_last(storage, &name, &Role::ALL).is_none() {
            continue;
        }
        for victim in Role::ALL {
            let keep_first = |messages: &mut Vec<ValidationPacket>| {
                let chosen = messages.iter().map(|message| message.id).min()?;
                messages.retain(|message| message.id == chosen);
                Some(())
            };
            let mailbox = &storage.validation[victim.index()];
            if rewrite(mailbox, &name, victim.peer(), now, keep_first)
                .await
                .is_some()
            {
                all.push(Tampering {
                    kind: TamperingKind::Validation(name.clone()),
                    victim,
                    at: now,
                });
            }
        }
    }
    all
}

/// Replaces a validation batch by one with changed messages.
pub(crate) async fn rewrite(
    mailbox: &Arc<StoredBucket>,
    name: &BatchName,
    tamperer: Role,
    now: Millis,
    change: impl FnOnce(&mut Vec<ValidationPacket>) -> Option<()>,
) -> Option<()> {
    let (objects, limits) = (name.validation(tamperer), FileLimits::default());
    let header = read_all(&*mailbox.inner, &objects.header, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    let old = read_all(&*mailbox.inner, &objects.packets, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    read_all(&*mailbox.inner, &objects.signature, MAX_OBJECT_BYTES)
        .await
        .ok()?;
    let header: ValidationHeader = decode_one(&header, &limits).ok()?;
    let mut messages: Vec<ValidationPacket> = read_records(&old, &limits);
    change(&mut messages)?;
    let packets = write_records(&messages);
    let header = ValidationHeader {
        packet_file_digest: Digest::sha256(&packets),
        ..header
    };
    let header = encode_one(&header, [6; 16]).ok()?;
    let signature = sign(tamperer, &objects.signature, &header, None)?;
    for (key, bytes) in [
        (&objects.packets, packets),
        (&objects.header, header),
        (&objects.signature, signature),
    ] {
        put(mailbox, key, Some(bytes.into()), now).await;
    }
    Some(())
}

pub(crate) fn sign(
    tamperer: Role,
    key: &str,
    header: &[u8],
    packets: Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let signing = &Keyring::get().processors[tamperer.index()].signing[0];
    let id = signing_key_id(tamperer, 0);
    signature_file(key, 1, header, packets, (id.as_str(), signing)).ok()
}

pub(crate) fn read_records<T: Record + for<'a> serde::Deserialize<'a>>(
    file: &[u8],
    limits: &FileLimits,
) -> Vec<T> {
    let mut all = Vec::new();
    if file.is_empty() {
        // A file without records has no bytes.
        return all;
    }
    let mut reader = ContainerReader::open(file, limits).expect("a processor's file");
    while let Some(block) = reader.next_block().expect("a block") {
        let records = RecordReader::<T>::new(&block, reader.schema(), limits);
        all.extend(records.map(|record| record.expect("a record")));
    }
    all
}

pub(crate) fn write_records<T: Record + serde::Serialize>(records: &[T]) -> Vec<u8> {
    let kind: RecordKind = T::KIND;
    let mut file = ContainerWriter::new(Vec::new(), kind, [9; 16]);
    for record in records {
        file.append(record).expect("a record");
    }
    file.finish().expect("records")
}
