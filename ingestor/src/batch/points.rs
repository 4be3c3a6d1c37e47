//! Evaluation points, one for each pair of packet keys.
//!
//! A processor accepts one point per packet key. A point therefore belongs to both keys of its pair
//! for as long as either is in use: a pair that shares a key with an earlier pair has the same
//! point. A small object per key in the spool fixes the pair for which the point was drawn, so the
//! point also survives a change of the secret. The object fixes the key's number of bins as well,
//! so packets under one key never get into batches of two numbers of bins.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tallybox_model::digest::Digest;
use tallybox_model::id::KeyId;
use tallybox_transport::BucketError;

use super::index::Group;
use super::retry::RetryingBucket;
use crate::error::Error;
use crate::ingestor::{Ingestor, KeyPair, Locality};

/// Most bytes of the object.
const ORIGIN_LIMIT: u64 = 64 << 10;
/// Longest time that a start waits for the spool to compare the bins of packet keys.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// The pair of keys for which a point was drawn, the secret that was used, and the number of bins
/// of its packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Origin {
    secret: String,
    key_ids: [KeyId; 2],
    bins: i32,
}

/// Returns the point of a group's pair of keys, or `None` if one of the keys belongs to another
/// number of bins than the group has.
///
/// The first batch under a key fixes its number of bins. The windows of a locality are batched in
/// order, and so are the groups of a window, so every job gets the same result.
pub(super) async fn point(
    ingestor: &Ingestor,
    locality: &Locality,
    group: &Group,
) -> Result<Option<i64>, Error> {
    let (spool, key_ids, bins) = (
        RetryingBucket::spool(ingestor),
        &group.key_ids,
        group.parameters.bins,
    );
    let fits = |origin: &Origin| origin.bins == bins;
    let objects = [0, 1].map(|side| object(locality, side, &key_ids[side]));
    let origins = [
        read(spool, &objects[0]).await?,
        read(spool, &objects[1]).await?,
    ];
    if !origins.iter().flatten().all(fits) {
        return Ok(None);
    }
    let origin = match origins.iter().flatten().next() {
        Some(origin) => origin.clone(),
        // For a key without an object, the configured bins decide: the first batch may contain
        // reports of the wrong number of bins.
        None if !fits_configuration(locality, group) => {
            return Ok(None);
        }
        None => Origin {
            // `config::check` ensures that there is a secret.
            secret: ingestor
                .secrets
                .first()
                .map(tallybox_crypto::IngestorSecret::id)
                .unwrap_or_default(),
            key_ids: key_ids.clone(),
            bins,
        },
    };
    // The object of the first key is written first, so two jobs with different secrets agree on it
    // or fail.
    let origin = fix(spool, &objects[0], origin).await?;
    if fix(spool, &objects[1], origin.clone()).await? != origin {
        let [first, second] = key_ids.clone();
        return Err(Error::Points { first, second });
    }
    let secret = ingestor.secret(&origin.secret).ok_or_else(|| {
        let secret = &origin.secret;
        Error::Setting(format!(
            "the evaluation point of packet keys {} and {} was drawn with secret {secret}, which the configuration \
             does not name; add its file to secrets until both keys have been changed",
            key_ids[0], key_ids[1]
        ))
    })?;
    let [first, second] = &origin.key_ids;
    Ok(fits(&origin).then(|| secret.point([first, second])))
}

/// Returns whether all configured pairs with a key of the group have the group's number of bins.
fn fits_configuration(locality: &Locality, group: &Group) -> bool {
    let bins = u32::try_from(group.parameters.bins);
    let names = |pair: &&KeyPair| {
        pair.keys
            .iter()
            .zip(&group.key_ids)
            .any(|(key, id)| key.id == *id)
    };
    locality
        .key_pairs
        .iter()
        .filter(names)
        .all(|pair| bins == Ok(pair.bins))
}

/// Checks that no packet key of the configuration had another number of bins before, since its
/// reports would be dropped. If the spool cannot be read, the check passes: the batcher compares
/// the bins again.
///
/// # Errors
/// [`Error::Setting`] that names the locality, the key and both numbers of bins.
pub async fn check_bins(ingestor: &Ingestor) -> Result<(), Error> {
    match tokio::time::timeout(CHECK_TIMEOUT, compare_bins(ingestor)).await {
        Ok(Err(error @ Error::Setting(_))) => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read the spool; the bins of packet keys are not checked at start"
            );
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
        Err(_) => {
            tracing::warn!(
                "the spool does not answer; the bins of packet keys are not checked at start"
            );
            Ok(())
        }
    }
}

async fn compare_bins(ingestor: &Ingestor) -> Result<(), Error> {
    for (name, locality) in &ingestor.localities {
        for pair in &locality.key_pairs {
            for (side, key) in pair.keys.iter().enumerate() {
                let origin = read(
                    RetryingBucket::spool(ingestor),
                    &object(locality, side, &key.id),
                )
                .await?;
                if let Some(Origin { bins, .. }) = origin
                    && u32::try_from(bins) != Ok(pair.bins)
                {
                    return Err(Error::Setting(format!(
                        "localities.{name}.packet-keys: key {} was used for {bins} bins and cannot be used for {} \
                         bins: list another key",
                        key.id, pair.bins
                    )));
                }
            }
        }
    }
    Ok(())
}

/// Returns the name of the object for a processor's packet key.
fn object(locality: &Locality, side: usize, key: &KeyId) -> String {
    let digest = Digest::sha256(key.as_bytes()).to_hex();
    locality.names.point(&format!("{side}-{}", &digest[..32]))
}

async fn read(spool: RetryingBucket<'_>, object: &str) -> Result<Option<Origin>, Error> {
    let Some(bytes) = spool.record(object, ORIGIN_LIMIT).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Damaged {
            object: object.to_owned(),
            problem: error.to_string(),
        })
}

/// Creates the object, or returns the existing one.
async fn fix(spool: RetryingBucket<'_>, object: &str, origin: Origin) -> Result<Origin, Error> {
    let bytes = serde_json::to_vec(&origin)
        .map_err(|error| Error::Internal(format!("{object}: {error}")))?;
    match spool.create(object, &bytes).await {
        Ok(_) => Ok(origin),
        Err(BucketError::Conflict { .. }) => {
            let vanished = || Error::Internal(format!("{object} has vanished"));
            read(spool, object).await?.ok_or_else(vanished)
        }
        Err(error) => Err(error.into()),
    }
}
