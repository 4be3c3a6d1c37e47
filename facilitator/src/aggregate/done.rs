//! The mark that nothing is left to do for a window, for whoever looks for what is due.

use super::Group;
use crate::error::Error;
use crate::processor::Processor;
use serde::{Deserialize, Serialize};
use tallybox_model::path::SumPartName;
use tallybox_model::roster::WindowName;
use tallybox_transport::BucketError;

/// `windows/{agg}/{start}-{end}.done` in the own bucket, JSON: nothing is left to do for the window.
///
/// It is made once, and what it says is for people: only that it is there counts. A window that is summed all the same
/// later, because an operator asks for it, leaves it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DoneMark {
    /// The header of the sum part; none if the window has nothing to sum for good.
    pub sum_part: Option<String>,
    /// Batches in it.
    pub batches: u64,
    /// Packets that count in it.
    pub accepted: u64,
    /// Why there is no sum part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DoneMark {
    /// The window has this sum part.
    pub(crate) fn of_sum_part(name: &SumPartName, group: &Group) -> Self {
        Self {
            sum_part: Some(name.objects().header),
            batches: group.verdicts.len() as u64,
            accepted: group.accepted(),
            reason: None,
        }
    }

    /// The window has no sum part, and never will have one by itself.
    #[must_use]
    pub fn nothing(reason: impl Into<String>) -> Self {
        Self {
            sum_part: None,
            batches: 0,
            accepted: 0,
            reason: Some(reason.into()),
        }
    }
}

/// Makes the mark, unless there is one.
///
/// # Errors
/// The own bucket's.
pub async fn mark_done(processor: &Processor, window: &WindowName, mark: &DoneMark) -> Result<(), Error> {
    let text = serde_json::to_vec(mark).map_err(|error| Error::Internal(error.to_string()))?;
    match processor.create_record(&window.done(), &text).await {
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Marks a window that has nothing to sum for good, for this reason.
///
/// # Errors
/// The own bucket's.
pub async fn mark_nothing(processor: &Processor, window: &WindowName, error: &Error) -> Result<(), Error> {
    mark_done(processor, window, &DoneMark::nothing(error.reason())).await
}
