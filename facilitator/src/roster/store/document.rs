//! Encodes and decodes rosters.

use super::super::agreement::Roster;
use super::listed::Listed;
use crate::error::Error;
use crate::limits::Limits;
use crate::processor::Processor;
use std::collections::BTreeMap;
use tallybox_model::avro::{ContainerWriter, FileLimits, Record as _, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::marker::sync_marker;
use tallybox_model::path::BatchObjects;
use tallybox_model::role::Role;
use tallybox_model::roster::{
    ChainReach, DatedBatch, RosterEntry, RosterHeader, RosterTerms, WindowName,
};
use tallybox_transport::batch::{BatchError, SignedBatch, TrustedKeys, signature_file};

/// The largest block of entries that is read, in bytes. Our writer's blocks have 16,000 bytes.
const BLOCK_BYTES: u64 = 4 << 20;

/// Names the objects of a roster. A roster is a single object; the names of its inner files are
/// only used in messages.
fn objects(name: &WindowName, writer: Role) -> BatchObjects {
    let signature = name.roster(writer);
    BatchObjects {
        header: format!("{signature} (header)"),
        packets: format!("{signature} (entries)"),
        signature,
    }
}

/// Returns the largest size of a stored roster, in bytes.
pub(crate) fn roster_bytes(limits: &Limits) -> u64 {
    limits.files.for_roster().object_bytes
}

/// Encodes our roster of a window. The same list gives the same bytes, as long as the signing key
/// is the same.
pub(crate) fn encode(
    processor: &Processor,
    name: &WindowName,
    chain: ChainReach,
    terms: &RosterTerms,
    listed: &[Listed],
) -> Result<Vec<u8>, Error> {
    let objects = objects(name, processor.buckets.role);
    let bad = |object: &str| {
        let object = object.to_owned();
        move |source| BatchError::Encode { object, source }
    };
    let entries: BTreeMap<DatedBatch, &Listed> = listed
        .iter()
        .map(|listed| (listed.batch(), listed))
        .collect();
    let marker = sync_marker(processor.limits.generation, &objects.packets, &[]);
    let mut writer = ContainerWriter::new(Vec::new(), RosterEntry::KIND, marker);
    for (batch, listed) in entries {
        let entry = RosterEntry::new(batch, &listed.listing());
        writer.append(&entry).map_err(bad(&objects.packets))?;
    }
    let packets = writer.finish().map_err(bad(&objects.packets))?;
    let digest = Digest::sha256(&packets);
    let header = RosterHeader::new(
        &processor.buckets.instance,
        name,
        processor.buckets.role,
        chain,
        terms,
        digest,
    );
    let marker = sync_marker(processor.limits.generation, &objects.header, &[digest]);
    let header = encode_one(&header, marker).map_err(bad(&objects.header))?;
    let key = (processor.keys.signing_id.as_str(), &processor.keys.signing);
    let file = signature_file(
        &objects.signature,
        processor.limits.generation,
        &header,
        Some(packets),
        key,
    )?;
    Ok(file)
}

/// Decodes a roster: verifies its signature and its header against its name, and reads every entry.
///
/// # Errors
/// [`Error::Batch`] if the signature does not verify or the file is malformed; [`Error::Roster`] if
/// the content is invalid.
pub(crate) fn decode(
    processor: &Processor,
    name: &WindowName,
    writer: Role,
    keys: &TrustedKeys,
    file: &[u8],
) -> Result<Roster, Error> {
    let objects = objects(name, writer);
    let object = objects.signature.clone();
    let bad = |problem: &'static str| Error::Roster {
        object: object.clone(),
        problem,
    };
    let limits = processor.limits.files.for_roster();
    let batch = SignedBatch::inline(objects, file, keys, &limits)?;
    let header: RosterHeader = batch.header()?;
    if !header.is_of(&processor.buckets.instance, name, writer) {
        return Err(bad(
            "the header names another window, aggregation, instance or processor",
        ));
    }
    let chain = header
        .chain()
        .ok_or_else(|| bad("chain_start or agreed_until is not a valid time"))?;
    if chain.start > name.window.start() {
        return Err(bad("chain_start is after the window"));
    }
    let terms = header
        .terms()
        .ok_or_else(|| bad("a rule in the header is out of range"))?;
    let limits = FileLimits {
        block_bytes: limits.block_bytes.min(BLOCK_BYTES),
        ..limits
    };
    let mut packets = batch
        .inline_packets(header.packet_file_digest)
        .within(limits.clone());
    let mut entries = BTreeMap::new();
    while let Some(block) = packets.next_block()? {
        for entry in block.records::<RosterEntry>(&limits) {
            let entry = entry.map_err(|error| BatchError::Malformed {
                object: object.clone(),
                source: error,
            })?;
            let dated = entry
                .batch()
                .ok_or_else(|| bad("the date of a batch is not a valid minute"))?;
            let listing = entry
                .listing()
                .ok_or_else(|| bad("the count of a batch is negative"))?;
            if entries.insert(dated, listing).is_some() {
                return Err(bad("a batch is listed twice"));
            }
        }
    }
    packets.finish()?;
    Ok(Roster {
        window: name.window,
        writer,
        chain,
        terms,
        entries,
    })
}
