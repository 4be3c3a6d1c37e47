//! The packets that count in a window, sealed in the own bucket. Later windows search them for
//! repetitions.

use super::super::agreement::Count;
use crate::error::Error;
use crate::ids::IdSet;
use crate::processor::Processor;
use crate::sealed::{Sealed, SealedChunk, SealedReader, SealedWriter};
use serde::{Deserialize, Serialize};
use tallybox_model::id::PacketId;
use tallybox_model::roster::WindowName;

const MAGIC: [u8; 8] = *b"TALLYCT1";
/// The size of an entry: the index of a batch in the agreed set, and an identifier.
const DUPLICATE_BYTES: usize = 20;

/// The content of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// Identifiers of the packets that count, 16 bytes each, sorted.
    Counted,
    /// Packets of the agreed batches that do not count, each after the index of its batch (4 bytes,
    /// little-endian).
    Duplicates,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Footer {
    counted: u64,
    duplicates: u64,
    chunks: Vec<SealedChunk<Part>>,
}

fn sealed<'a>(processor: &'a Processor, object: &'a str) -> Sealed<'a> {
    Sealed {
        magic: MAGIC,
        instance: &processor.buckets.instance,
        role: processor.buckets.role,
        object,
    }
}

/// Writes the packets that count. An existing file was computed from the same rosters, so it has
/// the same content.
pub(crate) async fn write_counted(
    processor: &Processor,
    name: &WindowName,
    count: Count,
) -> Result<(), Error> {
    let object = name.counted();
    let (own, sealing) = (&*processor.buckets.own, &processor.keys.sealing[0]);
    let parts = [Part::Counted, Part::Duplicates];
    let mut file = SealedWriter::create(own, sealed(processor, &object), sealing, &parts).await?;
    let mut ids = count.counted;
    ids.sort_unstable();
    for id in &ids {
        file.append(Part::Counted, id.as_bytes()).await?;
    }
    let mut duplicates = 0;
    for (index, ids) in (0_u32..).zip(&count.duplicates) {
        for id in ids {
            duplicates += 1;
            file.append(Part::Duplicates, &index.to_le_bytes()).await?;
            file.append(Part::Duplicates, id.as_bytes()).await?;
        }
    }
    let counted = ids.len() as u64;
    file.finish(|chunks| Footer {
        counted,
        duplicates,
        chunks,
    })
    .await?;
    Ok(())
}

async fn open(processor: &Processor, name: &WindowName) -> Result<SealedReader<Footer>, Error> {
    let object = name.counted();
    let (own, keys) = (&processor.buckets.own, &processor.keys.sealing);
    let file = SealedReader::open(own, sealed(processor, &object), keys).await?;
    file.ok_or_else(|| {
        Error::Internal(format!(
            "{object} is missing, although an agreed set depends on it"
        ))
    })
}

/// Returns the packets among `wanted` that count in a window.
pub(crate) async fn read_counted(
    processor: &Processor,
    name: &WindowName,
    wanted: &IdSet,
) -> Result<Vec<[u8; 16]>, Error> {
    let file = open(processor, name).await?;
    let Footer {
        counted, chunks, ..
    } = file.footer();
    let mut found = Vec::new();
    let add_wanted = |bytes: &[u8]| {
        let ids = bytes.as_chunks::<16>().0.iter();
        found.extend(ids.filter(|id| wanted.contains(**id)));
    };
    file.read(chunks, Part::Counted, 0..counted * 16, add_wanted)
        .await?;
    Ok(found)
}

/// Returns, for each batch of an agreed set, the packets that do not count.
pub(crate) async fn read_duplicates(
    processor: &Processor,
    name: &WindowName,
    batches: usize,
) -> Result<Vec<Vec<PacketId>>, Error> {
    let file = open(processor, name).await?;
    let Footer {
        duplicates, chunks, ..
    } = file.footer();
    let wanted = 0..duplicates * DUPLICATE_BYTES as u64;
    let bytes = file.bytes(chunks, Part::Duplicates, wanted).await?;
    let mut by_batch = vec![Vec::new(); batches];
    for item in bytes.as_chunks::<DUPLICATE_BYTES>().0 {
        let parts = item.split_first_chunk::<4>().and_then(|(index, id)| {
            let batch = by_batch.get_mut(u32::from_le_bytes(*index) as usize)?;
            Some((batch, <[u8; 16]>::try_from(id).ok()?))
        });
        let (batch, id) = parts.ok_or_else(|| file.malformed("duplicates"))?;
        batch.push(PacketId::from_bytes(id));
    }
    Ok(by_batch)
}
