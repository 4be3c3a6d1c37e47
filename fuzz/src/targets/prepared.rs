//! Prepared batches: any bytes, damaged ones, and ones that were sealed with a footer of nonsense.

use crate::forge::{damage, take};
use std::sync::OnceLock;
use tallybox_crypto::SealingKey;
use tallybox_crypto::prepared::FileKey;
use tallybox_crypto::prio2::Message;
use tallybox_facilitator::prepared::{
    ChunkKind, FixedObject, FixedValidation, Footer, Owner, PreparedError, PreparedReader, PreparedWriter,
};
use tallybox_facilitator::reason::PacketReason;
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, PRIME};
use tallybox_model::id::{Instance, PacketId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_transport::{memory, publish_bytes};

/// Packets with a message in the honest file.
const MESSAGES: u8 = 5;

/// What the file and its reader have in common.
struct World {
    instance: Instance,
    batch: BatchName,
    key: SealingKey,
    honest: Vec<u8>,
}

/// Everything that can be read from a prepared batch.
#[derive(Debug, PartialEq)]
struct Content {
    footer: String,
    messages: Vec<(PacketId, Message)>,
    rejects: Vec<(PacketId, PacketReason)>,
    shares: Vec<Vec<u8>>,
}

pub fn run(mut data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let [mode] = take(&mut data);
    match mode % 3 {
        0 => drop(world.read(data.to_vec())),
        1 => {
            let mut file = world.honest.clone();
            let changed = damage(&mut file, data);
            assert_eq!(world.read(file).is_err(), changed, "damage has to show, and nothing else");
        }
        _ => drop(world.read(world.forged(data))),
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            instance: "fuzz".parse().expect("a name"),
            batch: BatchName::parse("a/2023/11/14/22/01/00000008-0001-4000-8000-000000001f41").expect("a name"),
            key: SealingKey::parse("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").expect("32 bytes"),
            honest: Vec::new(),
        };
        world.honest = world.written();
        world
    }

    fn owner(&self) -> Owner<'_> {
        Owner { instance: &self.instance, role: Role::Second }
    }

    fn written(&self) -> Vec<u8> {
        let header = Digest::of(b"header");
        let writer = PreparedWriter::new(Vec::new(), self.owner(), &self.key, &self.batch, header);
        let mut writer = writer.expect("a vector takes everything");
        for i in 0..MESSAGES {
            let message = Message { f: u32::from(i), g: 2, h: 3 };
            writer.message(PacketId::from_bytes([i; 16]), message, &[i; 32]).expect("a vector takes everything");
        }
        for i in MESSAGES..2 * MESSAGES {
            let reason = PacketReason::InvalidProof;
            writer.reject(PacketId::from_bytes([i; 16]), reason).expect("a vector takes everything");
        }
        let fixed = || FixedObject { object: "x".to_owned(), bytes: 0, sha256: Digest::empty() };
        let footer = |chunks| Footer {
            batch: self.batch.clone(),
            parameters: BatchParameters {
                name: "a".to_owned(),
                bins: 2,
                epsilon: 1.0,
                prime: PRIME,
                number_of_servers: 2,
                hamming_weight: None,
            },
            packets: u64::from(2 * MESSAGES),
            messages: u64::from(MESSAGES),
            rejections: Default::default(),
            sum: vec![1, 2],
            ingestion_bytes: 0,
            validation: FixedValidation { generation: 1, packets: fixed(), header: fixed() },
            chunks,
        };
        writer.finish(footer).expect("a vector takes everything")
    }

    /// A file of three chunks of the input and a footer of it, each sealed as it should be: no attacker can make
    /// one, but a program of ours with a fault could.
    fn forged(&self, data: &[u8]) -> Vec<u8> {
        let header = Digest::of(b"header");
        let context: [&[u8]; 5] =
            [b"tallybox prepared batch", b"fuzz", b"second", &self.batch.to_string().into_bytes(), &header.0];
        let key = FileKey::derive(&self.key, &context);
        let mut parts = data.splitn(4, |byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let mut footer = parts.pop().unwrap_or_default();
        let mut file = [&b"TALLYPB1"[..], &header.0].concat();
        for (number, mut part) in (0..).zip(parts) {
            key.seal_chunk(number, false, &mut part).expect("a short chunk");
            file.extend(part);
        }
        let offset = file.len() as u64;
        key.seal_chunk(3, true, &mut footer).expect("a short chunk");
        file.extend(footer);
        file.extend(offset.to_le_bytes());
        file.extend(3_u32.to_le_bytes());
        file
    }

    fn read(&self, file: Vec<u8>) -> Result<Content, PreparedError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without threads");
        runtime.block_on(async {
            let bucket = memory("");
            let object = self.batch.prepared(&self.key.id());
            publish_bytes(&*bucket, &object, file.into(), false).await.expect("a bucket of our own");
            let keys = std::slice::from_ref(&self.key);
            let reader = PreparedReader::open(&bucket, self.owner(), keys, &self.batch).await?;
            content(&reader.expect("it was put there")).await
        })
    }
}

async fn content(reader: &PreparedReader) -> Result<Content, PreparedError> {
    let footer = format!("{:?}", reader.footer());
    let mut content = Content { footer, messages: Vec::new(), rejects: Vec::new(), shares: Vec::new() };
    for chunk in reader.chunks(ChunkKind::Messages) {
        let messages = reader.messages(chunk).await?;
        content.messages.extend(messages.into_iter().map(|item| (item.id, item.message)));
    }
    for chunk in reader.chunks(ChunkKind::Rejects) {
        content.rejects.extend(reader.rejects(chunk).await?);
    }
    let places: Vec<u64> = (0..content.messages.len() as u64).collect();
    reader.shares(&places, |share| content.shares.push(share.to_vec())).await?;
    Ok(content)
}
