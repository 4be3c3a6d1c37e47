//! The agreed sets in the own bucket.

use super::{RosterStore, retry_read};
use crate::error::Error;
use crate::sum::{DoneMark, mark_done};
use tallybox_model::roster::AgreedWindow;
use tallybox_model::time::Window;

/// The largest size of an agreed set, in bytes: larger than the set of two rosters with the most
/// entries.
pub(crate) const AGREED_BYTES: u64 = 64 << 20;

impl RosterStore<'_> {
    /// Reads the agreed set of a window; `None` if there is none yet. Unlike
    /// [`Self::read_agreed`], the read is not retried.
    pub(crate) async fn find_agreed(&self, window: Window) -> Result<Option<AgreedWindow>, Error> {
        let object = self.window(window).agreed();
        let record = self.processor.buckets.read_record(&object, AGREED_BYTES);
        let Some(text) = record.await? else {
            return Ok(None);
        };
        let agreed: AgreedWindow = serde_json::from_slice(&text).map_err(|error| {
            Error::Internal(format!("{object} in the own bucket is malformed: {error}"))
        })?;
        if agreed.format != AgreedWindow::FORMAT {
            return Err(Error::Internal(format!(
                "{object} has the unsupported format {}",
                agreed.format
            )));
        }
        Ok(Some(agreed))
    }

    /// Reads the agreed set of a window.
    ///
    /// # Errors
    /// [`Error::NotAgreed`] if there is none yet, or an error of the own bucket.
    pub(crate) async fn read_agreed(&self, window: Window) -> Result<AgreedWindow, Error> {
        let agreed = retry_read(|| self.find_agreed(window)).await?;
        agreed.ok_or_else(|| not_agreed(window))
    }

    /// Records the agreed set of a window.
    pub(crate) async fn record_agreed(&self, agreed: &AgreedWindow) -> Result<(), Error> {
        let object = self.window(agreed.window).agreed();
        let text =
            serde_json::to_vec(agreed).map_err(|error| Error::Internal(error.to_string()))?;
        self.processor.buckets.create_record(&object, &text).await?;
        Ok(())
    }

    /// Marks a window as done that sums no batch.
    pub(crate) async fn mark_nothing_agreed(&self, window: Window) -> Result<(), Error> {
        let mark = DoneMark::nothing("nothing-agreed");
        mark_done(&self.processor.buckets, &self.window(window), &mark).await
    }
}

/// Returns the error for a window without an agreed set.
pub(crate) fn not_agreed(window: Window) -> Error {
    Error::NotAgreed {
        window: window.to_string(),
        problem: "one of the two rosters is missing".to_owned(),
    }
}
