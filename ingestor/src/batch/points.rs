//! One evaluation point for each pair of packet keys.
//!
//! A processor takes one point under a packet key and no other. So a point belongs to both keys of its pair for as long
//! as either is in use: a pair that shares a key with an earlier one has that one's point. Which pair a key's point was
//! drawn for is fixed in the spool, a small object for each key, so that it also survives a change of the secret.

use serde::{Deserialize, Serialize};
use tallybox_model::digest::Digest;
use tallybox_model::id::KeyId;
use tallybox_transport::{BucketError, publish_bytes};

use super::patient::Patient;
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// Most bytes of the object.
const LIMIT: u64 = 64 << 10;

/// Which pair of keys a point was drawn for, and with which secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Origin {
    secret: String,
    key_ids: [KeyId; 2],
}

/// The point of a pair of keys.
pub(super) async fn point(ingestor: &Ingestor, locality: &Locality, key_ids: &[KeyId; 2]) -> Result<i64, Error> {
    let spool = Patient::spool(ingestor);
    let objects = [0, 1].map(|side| {
        let digest = Digest::of(key_ids[side].as_bytes()).to_hex();
        locality.names.point(&format!("{side}-{}", &digest[..32]))
    });
    let known = [read(spool, &objects[0]).await?, read(spool, &objects[1]).await?];
    let origin = match known.iter().flatten().next() {
        Some(origin) => origin.clone(),
        None => Origin {
            // `config::check` has made sure that there is a secret.
            secret: ingestor
                .secrets
                .first()
                .map(tallybox_crypto::IngestorSecret::id)
                .unwrap_or_default(),
            key_ids: key_ids.clone(),
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
    Ok(secret.point([first, second]))
}

async fn read(spool: Patient<'_>, object: &str) -> Result<Option<Origin>, Error> {
    let bytes = match spool.read(object, LIMIT).await {
        Err(BucketError::NotFound { .. }) => return Ok(None),
        bytes => bytes?,
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
    match publish_bytes(spool.bucket, object, bytes.into(), false).await {
        Ok(_) => Ok(origin),
        Err(BucketError::Conflict { .. }) => {
            let vanished = || Error::Internal(format!("{object} has vanished"));
            read(spool, object).await?.ok_or_else(vanished)
        }
        Err(error) => Err(error.into()),
    }
}
