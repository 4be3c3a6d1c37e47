//! Retries of reads. An agreed set depends on dozens of small objects; if one read in fifty failed,
//! hardly any task would complete without retries.

use crate::error::Error;
use std::time::Duration;
use tallybox_service::cause::chain;

/// The most attempts for one read.
const READ_ATTEMPTS: u32 = 4;

/// Reads, and reads again at once while a bucket fails temporarily.
pub(crate) async fn retry_read<T, F>(read: impl FnMut() -> F) -> Result<T, Error>
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
