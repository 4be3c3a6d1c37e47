//! A dishonest ingestor, which puts packets into a second batch, of their metric or of one with
//! other bins, and batches under a second date.

use tallybox_client::traffic::Metric;
use tallybox_model::avro::{
    ContainerReader, ContainerWriter, FileLimits, Record as _, RecordReader, decode_one, encode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::{BatchName, BatchObjects};
use tallybox_transport::batch::signature_file;
use tallybox_transport::{publish_bytes, read_all};

use crate::bucket::StoredBucket;
use crate::dice::Dice;
use crate::keyring::{Keyring, ingestor_key_id};
use crate::pool::METRICS;
use crate::schedule::Millis;

/// The maximum size of an object, in bytes.
const MAX_OBJECT_BYTES: u64 = 1 << 20;

/// A copy of a batch.
#[derive(Clone, Debug)]
pub struct CopiedBatch {
    /// The original batch.
    pub original: BatchName,
    /// The copy. With the same identifier, it is the original batch under another date.
    pub to: BatchName,
    /// The packets that are copied: those at the positions of the set bits.
    pub packets: u64,
    /// The processors whose mailboxes receive the copy.
    pub sides: [bool; 2],
}

/// Returns the other metric of the run, and its number of bins.
fn other_metric(aggregation: &AggregationId) -> Option<(AggregationId, i32)> {
    let index = METRICS
        .iter()
        .position(|metric| *metric == aggregation.as_str())?;
    let other = METRICS[1 - index];
    let bins = Metric::named(other)?.bins();
    Some((other.parse().ok()?, i32::try_from(bins).ok()?))
}

impl CopiedBatch {
    /// Draws a copy in a batch of the other metric, with that metric's number of bins. A second
    /// evaluation of the packets would reveal the clients' answers.
    pub fn misplaced(original: &BatchName, dice: &mut Dice) -> Option<Self> {
        let (aggregation, _) = other_metric(&original.aggregation)?;
        let to = BatchName {
            aggregation,
            date: original.date,
            id: BatchId::from_bytes(dice.bytes()),
        };
        Some(Self {
            original: original.clone(),
            to,
            packets: u64::MAX,
            sides: [true, true],
        })
    }

    /// Draws a copy of an existing batch, of the same metric.
    pub fn draw(original: &BatchName, dice: &mut Dice) -> Self {
        let minutes = 60 * dice.between(0, 2);
        let same = dice.chance(250);
        let to = BatchName {
            date: original
                .date
                .plus_minutes(if same { minutes.max(60) } else { minutes })
                .unwrap_or(original.date),
            id: if same {
                original.id
            } else {
                BatchId::from_bytes(dice.bytes())
            },
            aggregation: original.aggregation.clone(),
        };
        let sides = *dice
            .pick(&[
                [true, true],
                [true, true],
                [true, true],
                [true, false],
                [false, true],
            ])
            .unwrap_or(&[true, true]);
        Self {
            original: original.clone(),
            to,
            packets: if same { u64::MAX } else { 1 | dice.below(64) },
            sides,
        }
    }

    /// Writes the copy to the mailboxes that receive it.
    pub async fn write(&self, mailboxes: &[std::sync::Arc<StoredBucket>; 2], now: Millis) {
        for (mailbox, gets) in mailboxes.iter().zip(self.sides) {
            if gets {
                self.write_to_mailbox(mailbox, false, now).await;
            }
        }
    }

    /// Writes the copy to one mailbox. With `retired`, its shares are as if sealed to a key that no
    /// processor has. Returns whether the original batch existed.
    pub(crate) async fn write_to_mailbox(
        &self,
        mailbox: &StoredBucket,
        retired: bool,
        now: Millis,
    ) -> bool {
        let read = async |key: &str| read_all(&*mailbox.inner, key, MAX_OBJECT_BYTES).await;
        let from = self.original.ingestion();
        let (Ok(header), Ok(packets)) = (read(&from.header).await, read(&from.packets).await)
        else {
            // The retention has deleted the original batch.
            return false;
        };
        let to = self.to.ingestion();
        let header: IngestionHeader =
            decode_one(&header, &FileLimits::default()).expect("the ingestor's header");
        for (key, bytes) in self.files(&to, header, &packets, retired) {
            // A second copy under the same name has the same bytes.
            if publish_bytes(&*mailbox.inner, &key, bytes.into(), false)
                .await
                .is_ok()
            {
                mailbox.note(&key, now);
            }
        }
        true
    }

    fn files(
        &self,
        to: &BatchObjects,
        header: IngestionHeader,
        packets: &[u8],
        retired: bool,
    ) -> [(String, Vec<u8>); 3] {
        let limits = FileLimits::default();
        let mut reader = ContainerReader::open(packets, &limits).expect("the ingestor's packets");
        let mut file = ContainerWriter::new(Vec::new(), DataSharePacket::KIND, [9; 16]);
        let mut index = 0_u32;
        while let Some(block) = reader.next_block().expect("a block") {
            for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits)
            {
                let mut packet = packet.expect("a packet");
                let mut sealed = packet.encrypted_payload.to_vec();
                if retired && let Some(last) = sealed.last_mut() {
                    // Like a share sealed to an unknown key, the changed share cannot be decrypted.
                    // The changed bits differ from those that hostile reports change.
                    *last ^= 0x5a;
                    packet.encryption_key_id = Some("retired");
                }
                packet.encrypted_payload = &sealed;
                if self
                    .packets
                    .checked_shr(index)
                    .is_some_and(|bits| bits & 1 == 1)
                {
                    file.append(&packet).expect("a packet");
                }
                index += 1;
            }
        }
        let packets = file.finish().expect("packets");
        let bins = match other_metric(&self.original.aggregation) {
            Some((aggregation, bins)) if aggregation == self.to.aggregation => bins,
            _ => header.bins,
        };
        let header = IngestionHeader {
            batch_uuid: self.to.id,
            name: self.to.aggregation.to_string(),
            bins,
            packet_file_digest: Digest::sha256(&packets),
            ..header
        };
        let header = encode_one(&header, [8; 16]).expect("a header");
        let (id, key) = (ingestor_key_id(0), &Keyring::get().ingestor[0]);
        let signature = signature_file(&to.signature, 1, &header, None, (id.as_str(), key))
            .expect("a signature");
        [
            (to.packets.clone(), packets),
            (to.header.clone(), header),
            (to.signature.clone(), signature),
        ]
    }
}
