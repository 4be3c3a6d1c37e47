//! The two calls into rosters: write them, and sum what they agree on.

use crate::aggregate::AggregateSummary;
use crate::error::Error;
use crate::intake::Progress;
use crate::processor::Processor;
use std::sync::Arc;
use tallybox_model::roster::WindowName;

/// Writes the rosters of all windows up to this one, and what both processors agree on as far as it can be known.
pub(super) async fn roster(processor: &Arc<Processor>, window: &WindowName) -> Result<(), Error> {
    crate::roster::roster(processor, window).await?;
    Ok(())
}

/// Sums what both rosters of the window agree on.
pub(super) async fn aggregate_agreed(
    processor: &Arc<Processor>,
    window: &WindowName,
    progress: Progress,
) -> Result<AggregateSummary, Error> {
    crate::roster::aggregate_agreed(processor, window, progress).await
}
