//! The verdicts of a window: the contributions of the batches that its roster lists for the first
//! time, sealed in the own bucket before the roster is written.
//!
//! The file also names the batches that are listed again and those that cannot be summed, so that
//! it determines the roster completely. Two runs that know different batches publish the same
//! roster: that of the file which was created first.

use super::RosterStore;
use super::listed::{Listed, Span, Verdict};
use crate::error::Error;
use crate::reason::PacketReason;
use crate::sealed::{SealedChunk, SealedReader, SealedWriter};
use crate::sum::BatchResult;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tallybox_crypto::prio2::Sum;
use tallybox_model::id::PacketId;
use tallybox_model::path::BatchName;
use tallybox_model::roster::{Claim, DatedBatch};
use tallybox_model::time::Window;

const MAGIC: [u8; 8] = *b"TALLYVD1";
/// The size of an identifier with a reason.
const INVALID_BYTES: usize = 17;

/// The content of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// One line of JSON for each batch.
    Listed,
    /// Identifiers of accepted packets, 16 bytes each, sorted within a batch.
    Accepted,
    /// Identifiers of packets that do not count, each with its reason code.
    Invalid,
    /// Sums of the shares of accepted packets, one element of 4 bytes per bin.
    Sums,
}

impl Part {
    const ALL: [Self; 4] = [Self::Listed, Self::Accepted, Self::Invalid, Self::Sums];
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Footer {
    /// The number of batches in the file.
    batches: u64,
    chunks: Vec<SealedChunk<Part>>,
}

impl RosterStore<'_> {
    /// Starts the file of verdicts of a window.
    pub(crate) async fn create_verdicts(&self, window: Window) -> Result<VerdictsWriter, Error> {
        let object = self.window(window).verdicts();
        let own = &*self.processor.buckets.own;
        let sealing = &self.processor.keys.sealing[0];
        let sealed = self.sealed(MAGIC, &object);
        let file = SealedWriter::create(own, sealed, sealing, &Part::ALL).await?;
        Ok(VerdictsWriter { file, batches: 0 })
    }

    /// Opens the file of verdicts of a window. Returns `None` if it does not exist.
    pub(crate) async fn find_verdicts(&self, window: Window) -> Result<Option<Verdicts>, Error> {
        let object = self.window(window).verdicts();
        let own = &self.processor.buckets.own;
        let keys = &self.processor.keys.sealing;
        let file = SealedReader::open(own, self.sealed(MAGIC, &object), keys).await?;
        match file {
            Some(file) => Ok(Some(Verdicts::read(file).await?)),
            None => Ok(None),
        }
    }
}

/// A file of verdicts that is being written.
pub(crate) struct VerdictsWriter {
    file: SealedWriter<Part>,
    batches: u64,
}

impl VerdictsWriter {
    /// Adds a batch with a new verdict. `accepted` are its accepted packets, sorted.
    pub(crate) async fn judged(
        &mut self,
        result: &BatchResult,
        accepted: &[PacketId],
        claim: Claim,
    ) -> Result<(), Error> {
        let ids = flat(accepted.iter().map(|id| *id.as_bytes()));
        let invalid: Vec<u8> = result.invalid.iter().flat_map(invalid_bytes).collect();
        let sum = flat(
            result
                .sum
                .values()
                .iter()
                .map(|element| element.to_le_bytes()),
        );
        let listed = Listed::New(Box::new(Verdict {
            batch: DatedBatch::from_batch(&result.name),
            claim,
            packets: result.packets,
            both_messages: result.both_messages,
            rejections: result.rejections.clone(),
            inputs: result.inputs,
            accepted: self.span(Part::Accepted, ids.len()),
            invalid: self.span(Part::Invalid, invalid.len()),
            sum: self.span(Part::Sums, sum.len()),
        }));
        self.file.append(Part::Accepted, &ids).await?;
        self.file.append(Part::Invalid, &invalid).await?;
        self.file.append(Part::Sums, &sum).await?;
        self.listed(&listed).await
    }

    /// Adds a batch that needs only its line.
    pub(crate) async fn listed(&mut self, listed: &Listed) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(listed).map_err(|error| Error::Internal(error.to_string()))?;
        line.push(b'\n');
        self.batches += 1;
        Ok(self.file.append(Part::Listed, &line).await?)
    }

    /// Returns the number of batches added.
    pub(crate) fn batches(&self) -> u64 {
        self.batches
    }

    /// Creates the file. If it already exists, the existing one counts.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let batches = self.batches;
        self.file
            .finish(|chunks| Footer { batches, chunks })
            .await?;
        Ok(())
    }

    fn span(&self, part: Part, length: usize) -> Span {
        Span {
            first: self.file.len(part),
            bytes: length as u64,
        }
    }
}

fn flat<const N: usize>(items: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    items.flatten().collect()
}

fn invalid_bytes((id, reason): &(PacketId, PacketReason)) -> [u8; INVALID_BYTES] {
    let mut bytes = [reason.code(); INVALID_BYTES];
    bytes[..16].copy_from_slice(id.as_bytes());
    bytes
}

/// The verdicts of a window, open for reading.
pub(crate) struct Verdicts {
    file: SealedReader<Footer>,
    /// Every batch of the roster, in the order of the file.
    pub(crate) listed: Vec<Listed>,
    /// The indices in `listed` of the batches whose verdicts are in this file.
    indices: HashMap<DatedBatch, usize>,
}

impl Verdicts {
    /// Reads the lines of the file.
    async fn read(file: SealedReader<Footer>) -> Result<Self, Error> {
        let footer = file.footer();
        let line_chunks = footer
            .chunks
            .iter()
            .filter(|chunk| chunk.kind == Part::Listed);
        let end = line_chunks.map(|chunk| chunk.bytes).sum();
        let lines = file.bytes(&footer.chunks, Part::Listed, 0..end).await?;
        let lines = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let listed: Result<Vec<Listed>, _> = lines.map(serde_json::from_slice).collect();
        let listed = listed.map_err(|_| file.malformed("batches"))?;
        if listed.len() as u64 != footer.batches {
            return Err(file.malformed("number of batches").into());
        }
        let judged = listed
            .iter()
            .enumerate()
            .filter_map(|(index, listed)| match listed {
                Listed::New(verdict) => Some((verdict.batch, index)),
                Listed::Relisted { .. } | Listed::Open { .. } => None,
            });
        let indices = judged.collect();
        Ok(Self {
            file,
            listed,
            indices,
        })
    }

    /// Returns the verdict of a batch, if it is in this file.
    pub(crate) fn verdict(&self, batch: DatedBatch) -> Option<&Verdict> {
        match self.listed.get(*self.indices.get(&batch)?)? {
            Listed::New(verdict) => Some(&**verdict),
            Listed::Relisted { .. } | Listed::Open { .. } => None,
        }
    }

    /// Returns the accepted packets of a batch, sorted.
    pub(crate) async fn accepted(&self, verdict: &Verdict) -> Result<Vec<PacketId>, Error> {
        let bytes = self.part(Part::Accepted, verdict.accepted).await?;
        let (ids, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(self.file.malformed("accepted packets").into());
        }
        Ok(ids.iter().map(|id| PacketId::from_bytes(*id)).collect())
    }

    /// Returns the result of a batch, as an aggregation needs it.
    pub(crate) async fn result(
        &self,
        name: &BatchName,
        verdict: &Verdict,
    ) -> Result<BatchResult, Error> {
        let invalid = self.part(Part::Invalid, verdict.invalid).await?;
        let (items, _) = invalid.as_chunks::<INVALID_BYTES>();
        let invalid = |item: &[u8; INVALID_BYTES]| {
            let (id, reason) = item.split_first_chunk::<16>()?;
            Some((
                PacketId::from_bytes(*id),
                PacketReason::from_code(*reason.first()?)?,
            ))
        };
        let invalid: Option<Vec<_>> = items.iter().map(invalid).collect();
        let invalid = invalid.ok_or_else(|| self.file.malformed("invalid packets"))?;
        let sum = self.part(Part::Sums, verdict.sum).await?;
        let (elements, _) = sum.as_chunks::<4>();
        let sum = Sum::from_values(
            elements
                .iter()
                .map(|element| u32::from_le_bytes(*element))
                .collect(),
        );
        Ok(BatchResult {
            name: name.clone(),
            packets: verdict.packets,
            accepted: verdict.claim.accepted,
            both_messages: verdict.both_messages,
            sum: sum.map_err(|_| self.file.malformed("sum"))?,
            invalid,
            rejections: verdict.rejections.clone(),
            inputs: verdict.inputs,
        })
    }

    async fn part(&self, part: Part, span: Span) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        let wanted = span.first..span.first.saturating_add(span.bytes);
        Ok(self
            .file
            .bytes(&self.file.footer().chunks, part, wanted)
            .await?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_invalid_packet_is_its_identifier_and_its_reason() {
        let bytes = invalid_bytes(&(PacketId::from_bytes([5; 16]), PacketReason::InvalidProof));
        assert_eq!(bytes[..16], [5; 16]);
        assert_eq!(
            PacketReason::from_code(bytes[16]),
            Some(PacketReason::InvalidProof)
        );
    }
}
