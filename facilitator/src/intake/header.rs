//! What an ingestion header has to say before a packet is opened.

use crate::error::Error;
use tallybox_crypto::prepared::CHUNK;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME};
use tallybox_model::path::BatchName;

/// The most bins that are taken: a share has to fit into a chunk of a prepared batch.
const MAX_BINS: usize = CHUNK / 4;

/// An ingestion header that this processor can work with.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// What is counted, and how.
    pub(super) parameters: BatchParameters,
    /// The scheme at this dimension.
    pub(super) prio2: Prio2,
    /// The digest of the header file.
    pub(super) digest: Digest,
}

impl Checked {
    /// Checks that the header belongs to the path and asks for what Prio2 among two can do.
    pub(super) fn new(name: &BatchName, header: &IngestionHeader, digest: Digest) -> Result<Self, Error> {
        let refuse = |reason, problem| {
            Err(Error::Header {
                batch: name.clone(),
                reason,
                problem,
            })
        };
        if header.batch_uuid != name.id {
            return refuse(
                "header-mismatch",
                format!("the header is that of batch {}", header.batch_uuid),
            );
        }
        if header.name != name.aggregation.as_str() {
            return refuse(
                "header-mismatch",
                format!("the header is of aggregation {:?}", header.name),
            );
        }
        if header.prime != PRIME {
            return refuse(
                "other-prime",
                format!("the header's prime is {}, not {PRIME}", header.prime),
            );
        }
        if header.number_of_servers != 2 {
            return refuse(
                "number-of-servers",
                format!("the header asks for {} processors", header.number_of_servers),
            );
        }
        let bins = usize::try_from(header.bins).unwrap_or(0);
        if bins > MAX_BINS {
            return refuse(
                "bins",
                format!("the header has {bins} bins; at most {MAX_BINS} are taken"),
            );
        }
        let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
            batch: name.clone(),
            source,
        })?;
        Ok(Self {
            parameters: header.parameters(),
            prio2,
            digest,
        })
    }
}
