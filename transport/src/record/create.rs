//! Idempotent creation of records, independent of the process that creates them and of the key it
//! uses.

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{Records, unverified};
use crate::{Bucket, BucketError, Created, Published};

impl Records {
    /// Creates a record if the object is absent.
    ///
    /// If the object exists and is a valid record under any of the keys, its payload is compared:
    /// an equal payload is [`Published::Same`], another is [`BucketError::Conflict`] with the
    /// digests of both payloads.
    ///
    /// # Errors
    /// [`BucketError::Conflict`]; [`BucketError::Unverified`] if the existing object is not a valid
    /// record; another error of the bucket.
    pub async fn create(
        &self,
        bucket: &dyn Bucket,
        name: &str,
        payload: &[u8],
    ) -> Result<Published, BucketError> {
        if self.put(bucket, name, payload).await? == Created::New {
            return Ok(Published::New);
        }
        let ours: [u8; 32] = Sha256::digest(payload).into();
        let theirs = match self.payload_digest(bucket, name).await {
            // Read a second time, because a single read may be corrupted.
            Err(BucketError::Unverified { .. }) => self.payload_digest(bucket, name).await?,
            Err(BucketError::NotFound { .. }) => {
                return Err(BucketError::not_settled(&bucket.location(), name, None));
            }
            found => found?,
        };
        match ours == theirs {
            true => Ok(Published::Same),
            false => Err(BucketError::Conflict {
                key: name.to_owned(),
                bucket: bucket.location(),
                ours,
                theirs,
            }),
        }
    }

    /// Creates a record if no object of this name exists. The content of an existing object is not
    /// checked.
    ///
    /// # Errors
    /// The errors of the bucket.
    pub async fn put(
        &self,
        bucket: &dyn Bucket,
        name: &str,
        payload: &[u8],
    ) -> Result<Created, BucketError> {
        let object: Bytes = self.seal(name, payload);
        let mut upload = bucket.create(name, Some(object.len() as u64)).await?;
        if let Err(error) = upload.write(object).await {
            upload.abort().await;
            return Err(error);
        }
        upload.commit().await
    }

    /// Computes the SHA-256 of a record's payload, in constant memory.
    async fn payload_digest(
        &self,
        bucket: &dyn Bucket,
        name: &str,
    ) -> Result<[u8; 32], BucketError> {
        let mut object = bucket.get(name).await?;
        let mut opening = self.opening(name);
        while let Some(chunk) = object.body.next().await.transpose()? {
            opening.update(&chunk);
        }
        let (digest, _) = opening
            .finish()
            .map_err(|fault| unverified(bucket, name, fault))?;
        Ok(digest)
    }
}
