//! The two calls into rosters: write them, and sum what they agree on.

use crate::aggregate::AggregateSummary;
use crate::error::Error;
use crate::intake::Progress;
use crate::processor::Processor;
use std::sync::Arc;
use tallybox_model::roster::WindowName;

/// Writes the rosters of all windows up to this one, and what both processors agree on as far as it can be known.
pub(super) async fn roster(_processor: &Arc<Processor>, _window: &WindowName) -> Result<(), Error> {
    Err(not_there())
}

/// Sums what both rosters of the window agree on.
pub(super) async fn aggregate_agreed(
    _processor: &Arc<Processor>,
    _window: &WindowName,
    _progress: Progress,
) -> Result<AggregateSummary, Error> {
    Err(not_there())
}

fn not_there() -> Error {
    Error::Internal("rosters are not there yet".to_owned())
}
