//! Reads the objects at the end of a run, as any holder of the keys could: batches, records, sum
//! parts.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tallybox_model::avro::{ContainerReader, FileLimits, RecordReader, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::IngestionHeader;
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::signature::BatchSignature;
use tallybox_transport::{ListRange, Records as OwnRecords, SharedBucket, TRAILER_BYTES, read_all};

use crate::bucket::StoredBucket;
use crate::keyring::{EPOCHS, Keyring, packet_key_id};
use crate::machine::Storage;
use crate::pool::Pool;

/// The maximum size of an object, in bytes.
const MAX_OBJECT_BYTES: u64 = 1 << 30;

/// The objects of a simulated bucket by key, including those that its retention has deleted.
pub type Objects = BTreeMap<String, Bytes>;

/// The reports of each batch, as numbers in the pool, in the order of its packets.
pub type Batches = BTreeMap<BatchName, Vec<usize>>;

/// Reads every object that is present in a simulated bucket or was deleted by its retention.
/// Records are returned without their authentication code.
pub async fn objects(bucket: &StoredBucket) -> Objects {
    let mut all = bucket.deleted();
    // An object that was written again after its deletion counts with its present bytes.
    all.extend(present(&bucket.inner).await);
    all.values_mut()
        .for_each(|object| *object = payload(object));
    all
}

/// Returns the bytes of an object without the trailer (authentication code) of a record, if the
/// object has one.
pub fn payload(object: &Bytes) -> Bytes {
    let length = object.len().saturating_sub(TRAILER_BYTES);
    match OwnRecords::claimed_key(&object[length..]) {
        Some(_) => object.slice(..length),
        None => object.clone(),
    }
}

async fn present(bucket: &SharedBucket) -> Objects {
    let entries = bucket
        .list("", ListRange::default())
        .await
        .expect("a listing");
    let keys: Vec<String> = entries
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .expect("a listing");
    let mut all = Objects::new();
    for key in keys {
        let bytes = read_all(&**bucket, &key, MAX_OBJECT_BYTES)
            .await
            .expect("an object");
        all.insert(key, bytes);
    }
    all
}

/// Returns a digest of every object that is present at the end of a run.
pub async fn digest(storage: &Storage) -> u64 {
    let mut hash = DefaultHasher::new();
    for bucket in storage.stored_buckets() {
        (bucket.name, present(&bucket.inner).await).hash(&mut hash);
    }
    hash.finish()
}

/// Reads the batches of an ingestion mailbox, and adds their defects to `problems`.
pub fn batches(objects: &Objects, role: Role, problems: &mut Vec<String>) -> Batches {
    let mut all = Batches::new();
    for key in objects.keys() {
        let Some(name) = BatchName::from_ingestion_signature(key) else {
            if BatchName::from_ingestion_object(key)
                .is_none_or(|name| !objects.contains_key(&name.ingestion().signature))
            {
                problems.push(format!(
                    "{role}: object {key} does not belong to a complete batch"
                ));
            }
            continue;
        };
        match batch(objects, &name, role) {
            Ok(reports) => {
                all.insert(name, reports);
            }
            Err(problem) => problems.push(format!("{role}: batch {name}: {problem}")),
        }
    }
    all
}

fn batch(objects: &Objects, name: &BatchName, role: Role) -> Result<Vec<usize>, String> {
    let names = name.ingestion();
    let object = |key: &str| {
        objects
            .get(key)
            .ok_or_else(|| format!("object {key} does not exist"))
    };
    let (header, packets) = (object(&names.header)?, object(&names.packets)?);
    let limits = FileLimits::default();
    let signature: BatchSignature =
        decode_one(object(&names.signature)?, &limits).map_err(|error| error.to_string())?;
    let keys = Keyring::get().trusted_ingestor();
    let key = keys
        .get(&signature.key_identifier)
        .ok_or("the signature names an unknown key")?;
    key.verify(header, &signature.batch_header_signature)
        .map_err(|error| error.to_string())?;
    let header: IngestionHeader = decode_one(header, &limits).map_err(|error| error.to_string())?;
    if header.packet_file_digest != Digest::sha256(packets) || header.batch_uuid != name.id {
        return Err("the header names another batch or another packet file".to_owned());
    }
    reports(packets, role)
}

/// Returns a problem for each packet of a complete batch that names a packet key of another number
/// of bins than the header states.
pub fn keys_of_other_bins(objects: &Objects, name: &BatchName, role: Role) -> Vec<String> {
    let (names, limits) = (name.ingestion(), FileLimits::default());
    let header: IngestionHeader = decode_one(&objects[&names.header], &limits).expect("a header");
    let bins = usize::try_from(header.bins).expect("a number of bins");
    let right: Vec<String> = (0..EPOCHS)
        .map(|epoch| packet_key_id(role, bins, epoch))
        .collect();
    let mut reader =
        ContainerReader::open(&objects[&names.packets][..], &limits).expect("a packet file");
    let mut wrong = Vec::new();
    while let Some(block) = reader.next_block().expect("a block") {
        for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            let key = packet
                .expect("a packet")
                .encryption_key_id
                .unwrap_or_default();
            if !right.iter().any(|right| right == key) {
                wrong.push(format!(
                    "{role}: batch {name} of {bins} bins contains a packet sealed to key {key:?}, \
                    which is for another number of bins"
                ));
            }
        }
    }
    wrong
}

fn reports(file: &[u8], role: Role) -> Result<Vec<usize>, String> {
    let limits = FileLimits::default();
    let bad = |error: tallybox_model::avro::AvroError| error.to_string();
    let mut reader = ContainerReader::open(file, &limits).map_err(bad)?;
    let mut all = Vec::new();
    while let Some(block) = reader.next_block().map_err(bad)? {
        for packet in RecordReader::<DataSharePacket<'_>>::new(&block, reader.schema(), &limits) {
            let packet = packet.map_err(bad)?;
            let number = numbers(role).get(packet.encrypted_payload);
            all.push(*number.ok_or("the batch contains a packet that no client sent")?);
        }
    }
    Ok(all)
}

/// Returns the pool's report numbers by the sealed share for this processor.
fn numbers(role: Role) -> &'static HashMap<&'static [u8], usize> {
    static NUMBERS: LazyLock<[HashMap<&'static [u8], usize>; 2]> = LazyLock::new(|| {
        let numbers_of_side = |side: usize| {
            let reports = Pool::get().all().iter().enumerate();
            reports
                .map(|(number, report)| (report.payloads[side].as_slice(), number))
                .collect()
        };
        [numbers_of_side(0), numbers_of_side(1)]
    });
    &NUMBERS[role.index()]
}
