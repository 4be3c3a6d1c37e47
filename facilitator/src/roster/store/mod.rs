//! The store of an aggregation's rosters: every read and write of a roster object, in the own
//! bucket and in the mailboxes.
//!
//! | file | content |
//! |---|---|
//! | `listing` | the windows for which objects exist |
//! | `start` | the records that fix when rosters start |
//! | `rosters`, `document` | our rosters, the peer's and their copies; encoding and decoding |
//! | `verdicts`, `listed`, `verdict_files` | the sealed record of each batch that our rosters list |
//! | `agreed`, `counted` | the agreed sets; the packets that count in a window |
//!
//! Reads are retried here: an agreed set depends on dozens of small objects; if one read in fifty
//! failed, hardly any task would complete without retries.

pub(crate) mod agreed;
mod counted;
mod document;
mod listed;
mod listing;
mod rosters;
mod start;
mod verdict_files;
mod verdicts;

pub(crate) use agreed::not_agreed;
pub(crate) use listed::Listed;
pub(crate) use listing::WindowListing;
pub(crate) use rosters::CopyOutcome;
pub(crate) use start::read_policy;
pub(crate) use verdict_files::VerdictFiles;
pub(crate) use verdicts::{Verdicts, VerdictsWriter};

use crate::error::Error;
use crate::processor::Processor;
use crate::sealed::Sealed;
use std::sync::Arc;
use std::time::Duration;
use tallybox_model::cause::chain;
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::roster::{DatedBatch, WindowName};
use tallybox_model::time::Window;

/// The most attempts for one read.
const READ_ATTEMPTS: u32 = 4;

/// The roster objects of an aggregation.
#[derive(Clone, Copy)]
pub(crate) struct RosterStore<'a> {
    pub(crate) processor: &'a Arc<Processor>,
    pub(crate) aggregation: &'a AggregationId,
}

impl<'a> RosterStore<'a> {
    pub(crate) fn new(processor: &'a Arc<Processor>, aggregation: &'a AggregationId) -> Self {
        Self {
            processor,
            aggregation,
        }
    }

    /// Returns the name of a window of the aggregation.
    pub(crate) fn window(&self, window: Window) -> WindowName {
        WindowName {
            aggregation: self.aggregation.clone(),
            window,
        }
    }

    /// Returns the name of a batch of the aggregation.
    pub(crate) fn batch(&self, batch: DatedBatch) -> BatchName {
        BatchName {
            aggregation: self.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        }
    }

    /// Returns the identity of a sealed file.
    fn sealed<'s>(&'s self, magic: [u8; 8], object: &'s str) -> Sealed<'s> {
        Sealed {
            magic,
            instance: &self.processor.buckets.instance,
            role: self.processor.buckets.role,
            object,
        }
    }
}

/// Reads, and reads again at once while a bucket fails temporarily.
async fn retry_read<T, F>(read: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    tallybox_transport::retry(READ_ATTEMPTS, Duration::ZERO, should_retry, read).await
}

fn should_retry(error: &Error) -> bool {
    let is_temporary = error.is_passing();
    if is_temporary {
        tracing::debug!(error = chain(error), "read failed; trying again");
    }
    is_temporary
}
