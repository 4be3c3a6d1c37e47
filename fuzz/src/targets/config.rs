//! Configuration files of a processor and of an ingestor: strict parsing, with errors of one line.

use crate::forge::{printable, yaml};
use tallybox_facilitator::config::Config;
use tallybox_service::config::Loaded;
use tallybox_transport::BucketUrl;

pub fn run(data: &[u8]) {
    match yaml::<Config>(data) {
        Ok(Loaded { value, directory }) => {
            for location in [&value.buckets.ingestion, &value.buckets.own, &value.buckets.sum_parts] {
                drop(BucketUrl::parse(location.parts().0, &directory));
            }
        }
        Err(error) => printable(&error),
    }
    if let Err(error) = yaml::<tallybox_ingestor::config::Config>(data) {
        printable(&error);
    }
}
