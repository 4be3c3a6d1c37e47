//! One evaluation point for each pair of packet keys.
//!
//! A processor takes one point under a packet key and no other. So a point belongs to both keys of its pair for as long
//! as either is in use: a pair that shares a key with an earlier one has that one's point. Which pair a key's point was
//! drawn for is fixed in the spool, a small object for each key, so that it also survives a change of the secret. The
//! object also fixes the number of bins of the key: packets under one key never get into batches of two numbers of bins.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tallybox_model::digest::Digest;
use tallybox_model::id::KeyId;
use tallybox_service::fault;
use tallybox_transport::BucketError;

use super::index::Group;
use super::patient::Patient;
use crate::error::Error;
use crate::ingestor::{Ingestor, KeyPair, Locality};

/// Most bytes of the object.
const LIMIT: u64 = 64 << 10;
/// How long a start waits for the spool to compare the bins of packet keys.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// Which pair of keys a point was drawn for, with which secret, and the number of bins of its packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Origin {
    secret: String,
    key_ids: [KeyId; 2],
    bins: i32,
}

/// Returns the point of a group's pair of keys, or nothing if one of the keys belongs to another number of bins than the
/// group has. The first batch under a key fixes its number of bins. The windows of a locality are batched in order and
/// the groups of a window are asked for in order, so every job gets the same answers.
pub(super) async fn point(ingestor: &Ingestor, locality: &Locality, group: &Group) -> Result<Option<i64>, Error> {
    let (spool, key_ids, bins) = (Patient::spool(ingestor), &group.key_ids, group.parameters.bins);
    let fits = |origin: &Origin| origin.bins == bins || fault::is_on("keys-of-any-bins");
    let objects = [0, 1].map(|side| object(locality, side, &key_ids[side]));
    let known = [read(spool, &objects[0]).await?, read(spool, &objects[1]).await?];
    if !known.iter().flatten().all(fits) {
        return Ok(None);
    }
    let origin = match known.iter().flatten().next() {
        Some(origin) => origin.clone(),
        // The configuration knows the bins of its keys before the first batch does, which may hold what must not count.
        None if !fits_configuration(locality, group) && !fault::is_on("keys-of-any-bins") => return Ok(None),
        None => Origin {
            // `config::check` has made sure that there is a secret.
            secret: ingestor
                .secrets
                .first()
                .map(tallybox_crypto::IngestorSecret::id)
                .unwrap_or_default(),
            key_ids: key_ids.clone(),
            bins,
        },
    };
    // The first key's object is written first, so that two jobs with different secrets agree on it or fail.
    let origin = fix(spool, &objects[0], origin).await?;
    if fix(spool, &objects[1], origin.clone()).await? != origin {
        let [first, second] = key_ids.clone();
        return Err(Error::Points { first, second });
    }
    let secret = ingestor.secret(&origin.secret).ok_or_else(|| {
        let secret = &origin.secret;
        Error::Setting(format!(
            "the evaluation point of packet keys {} and {} was drawn with secret {secret}, which the configuration \
             does not name: add its file until both keys have been changed",
            key_ids[0], key_ids[1]
        ))
    })?;
    let [first, second] = &origin.key_ids;
    Ok(fits(&origin).then(|| secret.point([first, second])))
}

/// Whether no pair of the configuration lists a key of the group with other bins than the group has.
fn fits_configuration(locality: &Locality, group: &Group) -> bool {
    let bins = u32::try_from(group.parameters.bins);
    let names = |pair: &&KeyPair| pair.keys.iter().zip(&group.key_ids).any(|(key, id)| key.id == *id);
    locality
        .key_pairs
        .iter()
        .filter(names)
        .all(|pair| bins == Ok(pair.bins))
}

/// Checks that no packet key of the configuration had another number of bins before: its reports would be dropped. A
/// spool that cannot be read now is no reason not to start, since the batcher compares the bins again.
///
/// # Errors
/// [`Error::Setting`] that names the locality, the key and both numbers of bins.
pub async fn check_bins(ingestor: &Ingestor) -> Result<(), Error> {
    match tokio::time::timeout(CHECK_TIME, compare_bins(ingestor)).await {
        Ok(Err(error @ Error::Setting(_))) => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "bins of packet keys not compared with the spool"
            );
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
        Err(_) => {
            tracing::warn!("bins of packet keys not compared with the spool: it does not answer");
            Ok(())
        }
    }
}

async fn compare_bins(ingestor: &Ingestor) -> Result<(), Error> {
    for (name, locality) in &ingestor.localities {
        for pair in &locality.key_pairs {
            for (side, key) in pair.keys.iter().enumerate() {
                let origin = read(Patient::spool(ingestor), &object(locality, side, &key.id)).await?;
                if let Some(Origin { bins, .. }) = origin
                    && u32::try_from(bins) != Ok(pair.bins)
                {
                    return Err(Error::Setting(format!(
                        "localities.{name}.packet-keys: key {} has had packets of {bins} bins, it cannot have {} now: list \
                         another key",
                        key.id, pair.bins
                    )));
                }
            }
        }
    }
    Ok(())
}

/// The object of a processor's packet key.
fn object(locality: &Locality, side: usize, key: &KeyId) -> String {
    let digest = Digest::of(key.as_bytes()).to_hex();
    locality.names.point(&format!("{side}-{}", &digest[..32]))
}

async fn read(spool: Patient<'_>, object: &str) -> Result<Option<Origin>, Error> {
    let Some(bytes) = spool.record(object, LIMIT).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Damaged {
            object: object.to_owned(),
            problem: error.to_string(),
        })
}

/// Creates the object, or takes the one that is there.
async fn fix(spool: Patient<'_>, object: &str, origin: Origin) -> Result<Origin, Error> {
    let bytes = serde_json::to_vec(&origin).map_err(|error| Error::Internal(format!("{object}: {error}")))?;
    match spool.create(object, &bytes).await {
        Ok(_) => Ok(origin),
        Err(BucketError::Conflict { .. }) => {
            let vanished = || Error::Internal(format!("{object} has vanished"));
            read(spool, object).await?.ok_or_else(vanished)
        }
        Err(error) => Err(error.into()),
    }
}
