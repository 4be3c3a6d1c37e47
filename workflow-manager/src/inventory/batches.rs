//! The objects of batches: what the ingestor has written, what the peer has validated, and what our
//! intake has prepared.

use futures::TryStreamExt as _;
use tallybox_model::path::{BatchName, BatchPart};
use tallybox_model::time::BatchTime;
use tallybox_transport::BucketError;

use super::buckets::list_keys;
use super::scan::Scanner;

impl Scanner<'_> {
    pub(super) async fn ingestion(
        &mut self,
        range: (BatchTime, BatchTime),
    ) -> Result<(), BucketError> {
        let bucket = &*self.buckets.ingestion;
        // Cloud buckets store no empty objects. A batch without packets then consists of the header
        // and the signature, which is written last.
        let may_lack_packets = !bucket.stores_empty_objects();
        let mut keys = list_keys(bucket, self.aggregation.as_str(), self.dates(range)).await?;
        while let Some(key) = keys.try_next().await? {
            let Some((name, part)) = BatchName::ingestion_part(&key) else {
                self.ignore(bucket, &key);
                continue;
            };
            let batch = self.batch(&name);
            batch.packets |= may_lack_packets;
            match part {
                BatchPart::Header => batch.header = true,
                BatchPart::Packets => batch.packets = true,
                BatchPart::Signature => batch.signature = true,
            }
        }
        Ok(())
    }

    pub(super) async fn validations(
        &mut self,
        range: (BatchTime, BatchTime),
    ) -> Result<(), BucketError> {
        let bucket = &*self.buckets.peer_validation_in;
        let peer = self.policy.role.peer();
        let mut keys = list_keys(bucket, self.aggregation.as_str(), self.dates(range)).await?;
        while let Some(key) = keys.try_next().await? {
            match BatchName::validation_part(&key, peer) {
                Some((name, BatchPart::Signature)) => self.batch(&name).validated = true,
                Some(_) => {}
                None => self.ignore(bucket, &key),
            }
        }
        Ok(())
    }

    pub(super) async fn prepared(
        &mut self,
        range: (BatchTime, BatchTime),
    ) -> Result<(), BucketError> {
        let own = &*self.buckets.own;
        let mut keys = list_keys(own, self.aggregation.as_str(), self.dates(range)).await?;
        while let Some(key) = keys.try_next().await? {
            if let Some(name) = BatchName::from_prepared(&key) {
                self.batch(&name).prepared = true;
            }
        }
        Ok(())
    }

    /// Returns the range of keys of batches with these dates.
    fn dates(&self, (from, until): (BatchTime, BatchTime)) -> (String, String) {
        let key = |time: BatchTime| format!("{}/{time}/", self.aggregation);
        (key(from), key(until))
    }
}
