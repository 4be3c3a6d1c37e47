//! The packets that count in a window, sealed in the own bucket. Later windows search them for
//! repetitions.

use super::{RosterStore, retry_read};
use crate::error::Error;
use crate::ids::IdSet;
use crate::roster::agreement::Count;
use crate::sealed::{SealedChunk, SealedReader, SealedWriter};
use serde::{Deserialize, Serialize};
use tallybox_model::id::PacketId;
use tallybox_model::time::Window;

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

impl RosterStore<'_> {
    /// Records the packets that count in a window. An existing file was computed from the same
    /// rosters, so it has the same content.
    pub(crate) async fn record_counted(&self, window: Window, count: Count) -> Result<(), Error> {
        let object = self.window(window).counted();
        let own = &*self.processor.buckets.own;
        let sealing = &self.processor.keys.sealing[0];
        let parts = [Part::Counted, Part::Duplicates];
        let sealed = self.sealed(MAGIC, &object);
        let mut file = SealedWriter::create(own, sealed, sealing, &parts).await?;
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

    /// Returns the packets among `wanted` that count in a window.
    pub(crate) async fn read_counted(
        &self,
        window: Window,
        wanted: &IdSet,
    ) -> Result<Vec<[u8; 16]>, Error> {
        let read = || async {
            let file = self.open_counted(window).await?;
            let footer = file.footer();
            let mut found = Vec::new();
            let add_wanted = |bytes: &[u8]| {
                let ids = bytes.as_chunks::<16>().0.iter();
                found.extend(ids.filter(|id| wanted.contains(**id)));
            };
            let all = 0..footer.counted * 16;
            file.read(&footer.chunks, Part::Counted, all, add_wanted)
                .await?;
            Ok(found)
        };
        retry_read(read).await
    }

    /// Returns, for each batch of an agreed set, the packets that do not count.
    pub(crate) async fn read_duplicates(
        &self,
        window: Window,
        batches: usize,
    ) -> Result<Vec<Vec<PacketId>>, Error> {
        let file = self.open_counted(window).await?;
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

    async fn open_counted(&self, window: Window) -> Result<SealedReader<Footer>, Error> {
        let object = self.window(window).counted();
        let own = &self.processor.buckets.own;
        let keys = &self.processor.keys.sealing;
        let file = SealedReader::open(own, self.sealed(MAGIC, &object), keys).await?;
        file.ok_or_else(|| {
            Error::Internal(format!(
                "{object} is missing, although an agreed set depends on it"
            ))
        })
    }
}
