//! Prepared batches: any bytes, damaged files, and files with a damaged footer under a valid seal.

use crate::forge::{damage, take_bytes};
use crate::world::{INVALID_PROOF, World};
use bytes::Bytes;
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::prio2::Message;
use tallybox_facilitator::prepared::{ChunkKind, Owner, PreparedError, PreparedReader};
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::id::PacketId;
use tallybox_model::role::Role;
use tallybox_transport::{memory, publish_bytes};

/// Number of bytes of magic and header digest before the first chunk.
const HEAD: usize = 40;
/// Number of bytes of the footer's offset and chunk number at the end.
const TAIL: usize = 12;

thread_local! {
    static FILE: PreparedFile = PreparedFile::new();
}

pub fn run(mut data: &[u8]) {
    let [mode] = take_bytes(&mut data);
    FILE.with(|file| match mode % 3 {
        0 => drop(file.read(data.to_vec())),
        1 => {
            let mut bytes = file.honest.to_vec();
            let changed = damage(&mut bytes, data);
            assert_eq!(file.read(bytes).is_err(), changed, "damage has to show, and nothing else");
        }
        _ => {
            let mut footer = file.footer.clone();
            let changed = damage(&mut footer, data);
            let content = file.read(file.with_footer(footer));
            assert!(changed || content.is_ok(), "the honest footer, sealed again, has to be read");
        }
    });
}

/// A prepared batch that an intake wrote to the own bucket.
struct PreparedFile {
    world: World,
    honest: Bytes,
    footer: Vec<u8>,
}

/// The whole content of a prepared batch.
#[derive(Debug, Default, PartialEq)]
struct Content {
    messages: Vec<(PacketId, Message)>,
    rejects: Vec<(PacketId, PacketReason)>,
    shares: Vec<Vec<u8>>,
    sum: Vec<u32>,
}

impl PreparedFile {
    fn new() -> Self {
        let world = World::new(Role::First);
        let honest = world.runtime.block_on(world.take_in(INVALID_PROOF));
        let mut file = Self { world, honest, footer: Vec::new() };
        let reader = file.world.runtime.block_on(file.open(file.honest.clone())).expect("a file of ours");
        file.footer = serde_json::to_vec(reader.footer()).expect("a footer of ours");
        let content = file.read(file.honest.to_vec()).expect("a file of ours");
        assert!(content.messages.len() == content.shares.len() && content.sum.len() == 8);
        file
    }

    /// Returns a file with the honest chunks and this footer, correctly sealed. An attacker cannot
    /// create such a file, but a bug could.
    fn with_footer(&self, mut footer: Vec<u8>) -> Vec<u8> {
        let World { name, processor, .. } = &self.world;
        let tail = &self.honest[self.honest.len() - TAIL..];
        let (offset, number) = tail.split_first_chunk::<8>().expect("twelve bytes");
        let offset = u64::from_le_bytes(*offset) as usize;
        let number = u32::from_le_bytes(number.try_into().expect("four bytes"));
        let (role, batch) = (processor.buckets.role.to_string(), name.to_string());
        let context: [&[u8]; 5] = [
            b"tallybox prepared batch",
            processor.buckets.instance.as_str().as_bytes(),
            role.as_bytes(),
            batch.as_bytes(),
            &self.honest[HEAD - 32..HEAD],
        ];
        let key = FileKey::derive(&processor.keys.sealing[0], &context);
        key.seal_chunk(number, true, &mut footer).expect("a short chunk");
        [&self.honest[..offset], &footer, tail].concat()
    }

    async fn open(&self, file: Bytes) -> Result<PreparedReader, PreparedError> {
        let World { name, processor, .. } = &self.world;
        let bucket = memory("");
        let object = name.prepared(&processor.keys.sealing[0].id());
        publish_bytes(&*bucket, &object, file, false).await.expect("an empty bucket");
        let owner = Owner { instance: &processor.buckets.instance, role: processor.buckets.role };
        let reader = PreparedReader::open(&bucket, owner, &processor.keys.sealing, name).await?;
        Ok(reader.expect("it was put there"))
    }

    fn read(&self, file: Vec<u8>) -> Result<Content, PreparedError> {
        self.world.runtime.block_on(async {
            let reader = self.open(file.into()).await?;
            let mut content = Content { sum: reader.sum().await?, ..Content::default() };
            for chunk in reader.chunks(ChunkKind::Messages) {
                let messages = reader.messages(chunk).await?;
                content.messages.extend(messages.into_iter().map(|item| (item.id, item.message)));
            }
            for chunk in reader.chunks(ChunkKind::Rejects) {
                content.rejects.extend(reader.rejects(chunk).await?);
            }
            let positions: Vec<u64> = (0..content.messages.len() as u64).collect();
            reader.shares(&positions, |share| content.shares.push(share.to_vec())).await?;
            Ok(content)
        })
    }
}
