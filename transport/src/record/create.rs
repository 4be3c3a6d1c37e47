//! Making a record that is the same whoever of us makes it, however often, and under whichever of our keys.

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{Records, unverified};
use crate::{Bucket, BucketError, Created, Published};

impl Records {
    /// Makes a record, unless one is there.
    ///
    /// If the object is there and a record of ours, made with any of our keys, its payload decides: equal is
    /// [`Published::Same`], another is [`BucketError::Conflict`] with the digests of both payloads.
    ///
    /// # Errors
    /// [`BucketError::Conflict`]; [`BucketError::Unverified`] if what is there is no record of ours; the bucket's.
    pub async fn create(&self, bucket: &dyn Bucket, name: &str, payload: &[u8]) -> Result<Published, BucketError> {
        if self.put(bucket, name, payload).await? == Created::New {
            return Ok(Published::New);
        }
        let ours: [u8; 32] = Sha256::digest(payload).into();
        let theirs = match self.payload_digest(bucket, name).await {
            Err(BucketError::Unverified { .. }) => self.payload_digest(bucket, name).await?,
            Err(BucketError::NotFound { .. }) => return Err(BucketError::not_settled(&bucket.location(), name, None)),
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

    /// Makes a record, unless an object of this name is there, whatever it says.
    ///
    /// # Errors
    /// The bucket's.
    pub async fn put(&self, bucket: &dyn Bucket, name: &str, payload: &[u8]) -> Result<Created, BucketError> {
        let object: Bytes = self.seal(name, payload);
        let mut upload = bucket.create(name, Some(object.len() as u64)).await?;
        if let Err(error) = upload.write(object).await {
            upload.abort().await;
            return Err(error);
        }
        upload.commit().await
    }

    /// The SHA-256 of a record's payload, read through in constant memory.
    async fn payload_digest(&self, bucket: &dyn Bucket, name: &str) -> Result<[u8; 32], BucketError> {
        let mut object = bucket.get(name).await?;
        let mut opening = self.opening(name);
        while let Some(chunk) = object.body.next().await.transpose()? {
            opening.update(&chunk);
        }
        let (digest, _) = opening.finish().map_err(|fault| unverified(bucket, name, fault))?;
        Ok(digest)
    }
}
