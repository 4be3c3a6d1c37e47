//! The sum part of a window: recorded in the own bucket, then published to the portal.

use super::{Group, Releasable};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::prepared::FixedFile;
use crate::processor::Processor;
use crate::published::has_published;
use crate::unconfirmed;
use serde::{Deserialize, Serialize};
use tallybox_model::avro::{AvroError, ContainerWriter, RecordKind, encode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::SumPart;
use tallybox_model::marker::sync_marker;
use tallybox_model::packet::InvalidPacket;
use tallybox_model::path::{BatchObjects, SumPartName, Unconfirmed};
use tallybox_model::roster::WindowName;
use tallybox_transport::batch::{BatchError, signature_file};
use tallybox_transport::{BucketError, publish_bytes};

/// The record of a sum part, written before its first byte is published: `sum-parts/….fixed` in the
/// own bucket, JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FixedSumPart {
    /// The generation of the encoders.
    pub generation: u32,
    /// The summed batches, `{agg}/{DATE}/{id}`, sorted by identifier.
    pub batches: Vec<String>,
    /// The number of packets that count.
    pub accepted: u64,
    /// The file of invalid packets.
    pub invalid_packets: FixedFile,
    /// The header file.
    pub header: FixedFile,
}

impl FixedSumPart {
    /// Reads the record of a sum part.
    pub(crate) async fn read(buckets: &Buckets, name: &SumPartName) -> Result<Self, Error> {
        let text = buckets.need_record(&name.fixed(), FIXED_BYTES).await?;
        Self::parse(name, &text)
    }

    fn parse(name: &SumPartName, text: &[u8]) -> Result<Self, Error> {
        let malformed =
            |_| Error::Internal(format!("{} in the own bucket is malformed", name.fixed()));
        serde_json::from_slice(text).map_err(malformed)
    }

    /// Returns whether both describe the same packets, regardless of their encoding.
    fn same_content(&self, other: &Self) -> bool {
        self.batches == other.batches && self.accepted == other.accepted
    }
}

/// The largest size of a record, in bytes.
const FIXED_BYTES: u64 = 64 << 20;

/// The files of a sum part.
struct Files {
    objects: BatchObjects,
    packets: Vec<u8>,
    header: Vec<u8>,
    signature: Vec<u8>,
}

impl Files {
    fn fixed(&self, limits: &Limits, group: &Group) -> FixedSumPart {
        FixedSumPart {
            generation: limits.generation,
            batches: sorted(group).into_iter().map(|(_, name)| name).collect(),
            accepted: group.accepted(),
            invalid_packets: FixedFile::parse(&self.objects.packets, &self.packets),
            header: FixedFile::parse(&self.objects.header, &self.header),
        }
    }
}

/// Records and publishes the sum part. Returns `true` if it was already published.
pub(crate) async fn publish(
    processor: &Processor,
    name: &SumPartName,
    Releasable(group): Releasable<'_>,
) -> Result<bool, Error> {
    let files = encode(&processor.keys, &processor.limits, name, group)?;
    let fixed = files.fixed(&processor.limits, group);
    let bucket = &*processor.buckets.sum_parts;
    let then = fix(&processor.buckets, name, &fixed).await?;
    let rerun = then.is_some();
    if let Some(then) = then {
        // A newer program with other encoders does not replace a sum part that an older one has
        // completely published.
        if then.same_content(&fixed)
            && has_published(
                &processor.keys.own,
                bucket,
                &files.objects,
                then.header.sha256,
            )
            .await?
        {
            return Ok(true);
        }
        if then != fixed {
            return Err(conflict(name, &then, &fixed));
        }
    }
    let Files {
        objects,
        packets,
        header,
        signature,
    } = files;
    let packets = publish_bytes(bucket, &objects.packets, packets.into(), true).await?;
    let header = publish_bytes(bucket, &objects.header, header.into(), true).await?;
    let signature = publish_bytes(bucket, &objects.signature, signature.into(), true).await?;
    let window = WindowName {
        aggregation: name.aggregation.clone(),
        window: name.window,
    };
    let put = Unconfirmed::of_sum_part(&window).into_iter();
    let put: Vec<_> = put.zip([packets, header, signature]).collect();
    unconfirmed::note(&processor.buckets, &put, rerun).await?;
    Ok(false)
}

/// Checks that no sum part of the window is recorded with other content.
pub(crate) async fn check_fixed(
    processor: &Processor,
    name: &SumPartName,
    group: &Group,
) -> Result<(), Error> {
    let then = match FixedSumPart::read(&processor.buckets, name).await {
        Err(Error::Bucket(BucketError::NotFound { .. })) => return Ok(()),
        other => other?,
    };
    let now =
        encode(&processor.keys, &processor.limits, name, group)?.fixed(&processor.limits, group);
    match then.same_content(&now) {
        true => Ok(()),
        false => Err(conflict(name, &then, &now)),
    }
}

/// Identifiers and names of the batches, sorted by identifier.
fn sorted(group: &Group) -> Vec<(tallybox_model::id::BatchId, String)> {
    let mut names: Vec<_> = group
        .results
        .iter()
        .map(|result| (result.name.id, result.name.to_string()))
        .collect();
    names.sort();
    names
}

fn encode(keys: &Keys, limits: &Limits, name: &SumPartName, group: &Group) -> Result<Files, Error> {
    let objects = name.objects();
    // The sync marker depends on the inputs only, so that every run encodes the same bytes.
    let inputs: Vec<Digest> = group
        .results
        .iter()
        .flat_map(|result| result.inputs)
        .collect();
    let marker = |object: &str| sync_marker(limits.generation, object, &inputs);
    let bad = |object: &str| {
        let object = object.to_owned();
        move |source: AvroError| BatchError::Encode { object, source }
    };
    let mut writer = ContainerWriter::new(
        Vec::new(),
        RecordKind::InvalidPacket,
        marker(&objects.packets),
    );
    for id in group.invalid() {
        writer
            .append(&InvalidPacket { id })
            .map_err(bad(&objects.packets))?;
    }
    let packets = writer.finish().map_err(bad(&objects.packets))?;
    let parameters = group.parameters.clone();
    let clients = if limits.legacy_count {
        group.with_both_messages()
    } else {
        group.accepted()
    };
    let header = SumPart {
        batch_uuids: sorted(group).into_iter().map(|(id, _)| id).collect(),
        name: parameters.name,
        bins: parameters.bins,
        epsilon: parameters.epsilon,
        prime: parameters.prime,
        number_of_servers: parameters.number_of_servers,
        hamming_weight: parameters.hamming_weight,
        sum: group
            .sum()
            .values()
            .iter()
            .map(|value| i64::from(*value))
            .collect(),
        aggregation_start_time: name.window.start().millis(),
        aggregation_end_time: name.window.end().millis(),
        packet_file_digest: Digest::sha256(&packets),
        total_individual_clients: i64::try_from(clients).unwrap_or(i64::MAX),
    };
    let header = encode_one(&header, marker(&objects.header)).map_err(bad(&objects.header))?;
    let key = (keys.signing_id.as_str(), &keys.signing);
    let signature = signature_file(&objects.signature, limits.generation, &header, None, key)?;
    Ok(Files {
        objects,
        packets,
        header,
        signature,
    })
}

/// Records the sum part. Returns the existing record, if there is one.
async fn fix(
    buckets: &Buckets,
    name: &SumPartName,
    fixed: &FixedSumPart,
) -> Result<Option<FixedSumPart>, Error> {
    let text =
        serde_json::to_vec_pretty(fixed).map_err(|error| Error::Internal(error.to_string()))?;
    let then = buckets
        .fix_record(&name.fixed(), &text, FIXED_BYTES)
        .await?;
    then.map(|then| FixedSumPart::parse(name, &then))
        .transpose()
}

fn conflict(name: &SumPartName, then: &FixedSumPart, now: &FixedSumPart) -> Error {
    let object = name.objects().header;
    if then.generation != now.generation && then.same_content(now) {
        return Error::Generation {
            object,
            ours: now.generation,
            theirs: then.generation,
        };
    }
    let show = |part: &FixedSumPart| {
        let sha256 = part.header.sha256.to_hex();
        format!(
            "{} packets of {} (sha256 {})",
            part.accepted,
            part.batches.join(", "),
            &sha256[..16]
        )
    };
    Error::OtherSumPart {
        object,
        then: show(then),
        now: show(now),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_model::role::Role;
    use tallybox_model::time::Window;

    #[test]
    fn only_the_same_content_of_another_generation_is_a_matter_of_encoders() {
        let name = SumPartName {
            instance: "us-aa-ingestor".parse().unwrap(),
            aggregation: "a".parse().unwrap(),
            window: Window::new(
                "2026/01/31/12/00".parse().unwrap(),
                "2026/01/31/13/00".parse().unwrap(),
            )
            .unwrap(),
            writer: Role::First,
        };
        let part = |generation, batch: &str, accepted| FixedSumPart {
            generation,
            batches: vec![batch.to_owned()],
            accepted,
            invalid_packets: FixedFile::parse("packets", b""),
            header: FixedFile::parse("header", b""),
        };
        let then = part(1, "a", 5);
        for (now, encoders) in [
            (part(2, "a", 5), true),
            (part(1, "a", 5), false),
            (part(2, "b", 5), false),
            (part(2, "a", 6), false),
        ] {
            let error = conflict(&name, &then, &now);
            assert_eq!(
                matches!(error, Error::Generation { .. }),
                encoders,
                "{error}"
            );
        }
    }
}
