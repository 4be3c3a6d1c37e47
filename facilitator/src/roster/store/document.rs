//! Encodes and decodes rosters.

use super::RosterStore;
use super::listed::Listed;
use crate::error::Error;
use crate::roster::agreement::Roster;
use std::collections::BTreeMap;
use tallybox_model::avro::{ContainerWriter, FileLimits, Record as _, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::marker::sync_marker;
use tallybox_model::path::BatchObjects;
use tallybox_model::role::Role;
use tallybox_model::roster::{
    ChainReach, DatedBatch, Listing, RosterEntry, RosterHeader, RosterTerms,
};
use tallybox_model::time::Window;
use tallybox_transport::batch::{BatchError, SignedBatch, signature_file};

/// The largest block of entries that is read, in bytes. Our writer's blocks have 16,000 bytes.
const BLOCK_BYTES: u64 = 4 << 20;

/// Names the objects of a roster. A roster is a single object; the names of its inner files are
/// only used in messages.
fn inner_objects(signature: String) -> BatchObjects {
    BatchObjects {
        header: format!("{signature} (header)"),
        packets: format!("{signature} (entries)"),
        signature,
    }
}

fn invalid(object: &str, problem: &'static str) -> Error {
    Error::Roster {
        object: object.to_owned(),
        problem,
    }
}

impl RosterStore<'_> {
    /// Returns the largest size of a stored roster, in bytes.
    pub(super) fn max_roster_bytes(&self) -> u64 {
        self.processor.limits.files.for_roster().object_bytes
    }

    /// Encodes our roster of a window. The same list gives the same bytes, as long as the signing
    /// key is the same.
    pub(crate) fn encode(
        &self,
        window: Window,
        reach: ChainReach,
        terms: &RosterTerms,
        listed: &[Listed],
    ) -> Result<Vec<u8>, Error> {
        let buckets = &self.processor.buckets;
        let keys = &self.processor.keys;
        let generation = self.processor.limits.generation;
        let objects = inner_objects(self.roster_object(window, buckets.role));
        let bad = |object: &str| {
            let object = object.to_owned();
            move |source| BatchError::Encode { object, source }
        };
        let entries: BTreeMap<DatedBatch, &Listed> = listed
            .iter()
            .map(|listed| (listed.batch(), listed))
            .collect();
        let marker = sync_marker(generation, &objects.packets, &[]);
        let mut writer = ContainerWriter::new(Vec::new(), RosterEntry::KIND, marker);
        for (batch, listed) in entries {
            let entry = RosterEntry::new(batch, &listed.listing());
            writer.append(&entry).map_err(bad(&objects.packets))?;
        }
        let packets = writer.finish().map_err(bad(&objects.packets))?;
        let digest = Digest::sha256(&packets);
        let name = self.window(window);
        let header =
            RosterHeader::new(&buckets.instance, &name, buckets.role, reach, terms, digest);
        let marker = sync_marker(generation, &objects.header, &[digest]);
        let header = encode_one(&header, marker).map_err(bad(&objects.header))?;
        let key = (keys.signing_id.as_str(), &keys.signing);
        let object = &objects.signature;
        Ok(signature_file(
            object,
            generation,
            &header,
            Some(packets),
            key,
        )?)
    }

    /// Decodes a roster: verifies its signature and its header against its name, and reads every
    /// entry.
    ///
    /// # Errors
    /// [`Error::Batch`] if the signature does not verify or the file is malformed;
    /// [`Error::Roster`] if the content is invalid.
    pub(crate) fn decode(
        &self,
        window: Window,
        writer: Role,
        file: &[u8],
    ) -> Result<Roster, Error> {
        let buckets = &self.processor.buckets;
        let object = &self.roster_object(window, writer);
        let keys = match writer == buckets.role {
            true => &self.processor.keys.own,
            false => &self.processor.keys.peer,
        };
        let limits = self.processor.limits.files.for_roster();
        let batch = SignedBatch::inline(inner_objects(object.clone()), file, keys, &limits)?;
        let header: RosterHeader = batch.header()?;
        if !header.is_of(&buckets.instance, &self.window(window), writer) {
            let problem = "the header names another window, aggregation, instance or processor";
            return Err(invalid(object, problem));
        }
        let chain = header
            .chain()
            .ok_or_else(|| invalid(object, "chain_start or agreed_until is not a valid time"))?;
        if chain.start > window.start() {
            return Err(invalid(object, "chain_start is after the window"));
        }
        let terms = header
            .terms()
            .ok_or_else(|| invalid(object, "a rule in the header is out of range"))?;
        Ok(Roster {
            window,
            writer,
            chain,
            terms,
            entries: read_entries(object, &batch, &header, limits)?,
        })
    }
}

/// Reads the entries of a roster and verifies their digest.
fn read_entries(
    object: &str,
    batch: &SignedBatch,
    header: &RosterHeader,
    limits: FileLimits,
) -> Result<BTreeMap<DatedBatch, Listing>, Error> {
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
            let entry = entry.map_err(|source| BatchError::Malformed {
                object: object.to_owned(),
                source,
            })?;
            let dated = entry
                .batch()
                .ok_or_else(|| invalid(object, "the date of a batch is not a valid minute"))?;
            let listing = entry
                .listing()
                .ok_or_else(|| invalid(object, "the count of a batch is negative"))?;
            if entries.insert(dated, listing).is_some() {
                return Err(invalid(object, "a batch is listed twice"));
            }
        }
    }
    packets.finish()?;
    Ok(entries)
}
