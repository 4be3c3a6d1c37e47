//! The mark of a finished window, which lets the scheduler skip the window.

use super::Group;
use crate::buckets::Buckets;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use tallybox_model::path::SumPartName;
use tallybox_model::roster::WindowName;
use tallybox_transport::BucketError;

/// The content of `windows/{agg}/{start}-{end}.done` in the own bucket, JSON: nothing is left to do
/// for the window.
///
/// The mark is written once. Its content is informative; only its existence counts. If an operator
/// has the window summed later nevertheless, the mark is not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DoneMark {
    /// The header object of the sum part, or `None` if the window will never have anything to sum.
    pub sum_part: Option<String>,
    /// The number of batches in the sum part.
    pub batches: u64,
    /// The number of packets that count in the sum part.
    pub accepted: u64,
    /// The machine-readable reason if there is no sum part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DoneMark {
    /// Returns the mark of a window with this sum part.
    pub(crate) fn from_sum_part(name: &SumPartName, group: &Group) -> Self {
        Self {
            sum_part: Some(name.objects().header),
            batches: group.results.len() as u64,
            accepted: group.accepted(),
            reason: None,
        }
    }

    /// Returns the mark of a window that has no sum part and gets none without an operator.
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

/// Writes the mark unless it exists.
///
/// # Errors
/// An error of the own bucket.
pub async fn mark_done(
    buckets: &Buckets,
    window: &WindowName,
    mark: &DoneMark,
) -> Result<(), Error> {
    let text = serde_json::to_vec(mark).map_err(|error| Error::Internal(error.to_string()))?;
    match buckets.create_record(&window.done(), &text).await {
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Marks a window that will never have anything to sum, with the reason of `error`.
///
/// # Errors
/// An error of the own bucket.
pub async fn mark_nothing(
    buckets: &Buckets,
    window: &WindowName,
    error: &Error,
) -> Result<(), Error> {
    mark_done(buckets, window, &DoneMark::nothing(error.reason())).await
}
