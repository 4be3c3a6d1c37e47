//! One source: the mailboxes and keys of two processors.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::role::Role;
use tallybox_transport::{Bucket, BucketError, SharedBucket};

use crate::config::SourceConfig;
use crate::error::Error;
use crate::keys::PortalKeys;

/// The mailboxes and keys of two processors.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) mailboxes: [SharedBucket; 2],
    pub(super) keys: Arc<PortalKeys>,
}

impl Source {
    /// Opens the mailboxes and reads the keys.
    pub(super) fn open(config: &SourceConfig, directory: &Path) -> Result<Self, Error> {
        let open = |writer| config.side(writer).mailbox.open(directory);
        Ok(Self {
            name: config.name.clone(),
            mailboxes: [open(Role::First)?, open(Role::Second)?],
            keys: Arc::new(config.keys(directory)?),
        })
    }

    /// Returns all instances and aggregations of which either mailbox has a folder.
    pub(super) async fn directories(
        &self,
    ) -> Result<BTreeSet<(Instance, AggregationId)>, BucketError> {
        let mut found = BTreeSet::new();
        for mailbox in &self.mailboxes {
            // A mount that is missing must not look like an empty mailbox.
            mailbox.check_there().await?;
            found.extend(directories(mailbox.as_ref(), "").await?);
        }
        Ok(found)
    }
}

/// Returns the instances and aggregations that are folders below `root`. Other names are not those
/// of sum parts.
pub(crate) async fn directories(
    bucket: &dyn Bucket,
    root: &str,
) -> Result<Vec<(Instance, AggregationId)>, BucketError> {
    let last = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for folder in bucket.list_directories(root).await? {
        let Ok(instance) = last(&folder).parse::<Instance>() else {
            continue;
        };
        for folder in bucket.list_directories(&folder).await? {
            if let Ok(aggregation) = last(&folder).parse() {
                found.push((instance.clone(), aggregation));
            }
        }
    }
    Ok(found)
}
