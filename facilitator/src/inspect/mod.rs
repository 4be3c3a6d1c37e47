//! Identifies files and objects, shows who signed them, and verifies them. Writes nothing.
//!
//! | module | responsibility |
//! |---|---|
//! | [`Target`] | resolves a path or URL to a bucket and a key |
//! | `located` | finds the batches and objects to which a key refers |
//! | `batch`, `signer` | read and verify signed batches |
//! | `content`, `own_bucket`, `roster`, `prepared`, `manifest`, `key`, `folder` | all others |
//! | `facts`, [`InspectionReport`] | the tree of facts that each of these modules builds |
//! | `text` | formats facts for people |
//! | `diff` | compares the facts about two objects or batches |
//!
//! Everything except verification works without a configuration; explicitly given keys enable
//! verification, too. Secrets are never shown: no share, no verification message, no evaluation
//! point, no private key.

mod batch;
mod content;
mod diff;
mod facts;
mod family;
mod folder;
mod inspector;
mod key;
mod located;
mod manifest;
mod own_bucket;
mod prepared;
mod report;
mod roster;
mod signer;
mod target;
mod text;

pub use inspector::Inspector;
pub use report::{InspectionReport, ObjectFinding, ObjectProblem};
pub use target::Target;

use crate::error::Error;
use located::{Located, not_found};

impl Inspector {
    /// Inspects the target of a path or URL: an object, a whole batch (by any of its objects or the
    /// common prefix of their names), or a folder.
    ///
    /// # Errors
    /// [`Error::Bucket`] with [`BucketError::NotFound`](tallybox_transport::BucketError::NotFound)
    /// if nothing exists there, and the bucket's errors. Problems of the inspected object itself are
    /// part of the report.
    pub async fn inspect(&self, target: &Target) -> Result<InspectionReport, Error> {
        let Target { bucket, key, shown } = target;
        let mut found = Vec::new();
        for located in Located::find(bucket, key).await? {
            found.push(self.read(bucket, located).await?.finding());
        }
        if found.is_empty() {
            let folder = folder::inspect(bucket, key).await?;
            found.push(folder.ok_or_else(|| not_found(bucket, key))?);
        }
        Ok(InspectionReport::new(shown, found))
    }
}
