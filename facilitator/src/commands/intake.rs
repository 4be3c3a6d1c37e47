//! `facilitator intake-batch`

use super::options::processor_with;
use crate::error::Error;
use crate::intake::{IntakeSummary, intake};
use clap::Args;
use std::fmt;
use std::sync::Arc;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::time::BatchTime;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

/// Run the intake of one ingestion batch: check each packet, seal the result, and send verification
/// messages to the peer
///
/// Reads the batch from `buckets.ingestion`; writes the prepared batch to `buckets.own` and the
/// validation batch to `buckets.peer-validation-out`. An unusable packet is rejected alone, never
/// with its batch; the summary counts rejected packets by reason. If nearly all packets of a batch
/// of at least 20 fail as they would with a wrong packet key, role or evaluation point of this
/// processor, the command writes nothing (exit code 4, `wrong-key`), unless --accept-rejections
/// confirms that the batch is at fault.
#[derive(Debug, Args)]
pub(super) struct IntakeBatch {
    /// The aggregation: the first component of the batch's object names
    #[arg(long, value_name = "NAME")]
    aggregation: AggregationId,
    /// The batch's date, as in its object names (UTC)
    #[arg(long, value_name = "YYYY/MM/DD/HH/MM")]
    date: BatchTime,
    /// The batch's identifier
    #[arg(long, value_name = "UUID")]
    batch: BatchId,
    /// Complete the intake although nearly all packets fail as with a wrong key: confirms that the
    /// batch is at fault
    #[arg(long)]
    accept_rejections: bool,
}

impl IntakeBatch {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let processor = processor_with(options, |processor| {
            processor.limits.wrong_key.accept = self.accept_rejections
        })?;
        let name = BatchName {
            aggregation: self.aggregation.clone(),
            date: self.date,
            id: self.batch,
        };
        let size = processor
            .buckets
            .ingestion
            .size(&name.ingestion().packets)
            .await
            .ok();
        let bar = options.output.progress(size, "intake");
        let shown = bar.clone();
        let summary = intake(
            &processor,
            &name,
            Arc::new(move |packets, bytes| shown.advance(packets, bytes)),
        )
        .await;
        bar.finish();
        Ok(options.print(&summary?)?)
    }
}

impl Summary for IntakeSummary {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
