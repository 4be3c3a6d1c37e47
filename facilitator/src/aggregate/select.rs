//! The selection of the batches of a window.

use super::AggregateTask;
use crate::buckets::Buckets;
use crate::error::Error;
use futures::TryStreamExt as _;
use tallybox_model::path::{BatchName, window_range};
use tallybox_transport::ListRange;

/// The selected batches, and the number of other objects in the listing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The batches, ordered by date and identifier, without repetitions.
    pub batches: Vec<BatchName>,
    /// The number of objects that belong to no batch.
    pub foreign_objects: u64,
}

/// Returns the batches that the task names or, if it names none, those of the window in the
/// ingestion bucket.
///
/// # Errors
/// An error of the ingestion bucket; [`Error::Setting`] if the task names a batch outside its
/// window.
pub async fn select(buckets: &Buckets, task: &AggregateTask) -> Result<Selection, Error> {
    let mut selection = if task.batches.is_empty() {
        list(buckets, task).await?
    } else {
        named(task)?
    };
    selection.batches.sort();
    selection.batches.dedup();
    Ok(selection)
}

fn named(task: &AggregateTask) -> Result<Selection, Error> {
    let outside = |name: &&BatchName| {
        !task.window.contains(name.date) || name.aggregation != task.aggregation
    };
    if let Some(name) = task.batches.iter().find(outside) {
        return Err(Error::Setting(format!(
            "batch {name} is outside the window {}",
            task.window
        )));
    }
    Ok(Selection {
        batches: task.batches.clone(),
        foreign_objects: 0,
    })
}

async fn list(buckets: &Buckets, task: &AggregateTask) -> Result<Selection, Error> {
    let (start, end) = window_range(&task.aggregation, &task.window);
    let range = ListRange {
        start_at: Some(start),
        end_before: Some(end),
    };
    let mut entries = buckets
        .ingestion
        .list(task.aggregation.as_str(), range)
        .await?;
    let mut selection = Selection::default();
    while let Some(entry) = entries.try_next().await? {
        if let Some(name) = BatchName::from_ingestion_signature(&entry.key) {
            selection.batches.push(name);
        } else if BatchName::from_ingestion_object(&entry.key).is_none() {
            selection.foreign_objects += 1;
        }
    }
    Ok(selection)
}
