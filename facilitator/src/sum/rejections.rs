//! The limit on packets of a window that are lost because of the peer: above it the sum part is
//! held until an operator releases it.
//!
//! The peer influences which packets are in a sum: a packet whose verification message it omits or
//! corrupts does not count. No check can prevent that. But a sum from which the peer has removed
//! nearly all packets is not released until a person has examined it.

use super::AggregateSummary;
use crate::buckets::Buckets;
use crate::error::Error;
use crate::limits::Limits;
use crate::reason::PeerRejections;
use serde::Serialize;
use tallybox_model::roster::WindowName;
use tallybox_transport::BucketError;

/// The largest size of a release record, in bytes.
const RELEASE_BYTES: u64 = 4 << 10;

/// Logs a warning for a window in which more than a few packets are lost because of the peer.
pub(crate) fn alarm(name: &WindowName, summary: &AggregateSummary) {
    let rejections = &summary.rejections;
    if rejections.is_alarming() {
        tracing::warn!(
            window = %name,
            messages = rejections.messages,
            rejected = rejections.rejected,
            share = rejections.share(),
            reasons = ?summary.rejected_by_reason,
            "many packets of a window do not count because of the peer's messages; compare with \
             the peer's summaries"
        );
    }
}

/// Checks that the fraction of rejected packets is within the metric's limit, or that an operator
/// has released the window with exactly these counts. A window above the limit is marked as held,
/// so that it is visible and not started again.
///
/// # Errors
/// [`Error::Held`], or an error of the own bucket.
pub(crate) async fn check_share(
    buckets: &Buckets,
    limits: &Limits,
    name: &WindowName,
    summary: &AggregateSummary,
    dry_run: bool,
) -> Result<(), Error> {
    let (rejections, maximum) = (
        summary.rejections,
        limits.rejections.maximum_share(&name.aggregation),
    );
    if rejections.share() <= maximum || is_released(buckets, name, rejections).await? {
        return Ok(());
    }
    if !dry_run {
        mark_held(buckets, name, rejections).await?;
    }
    Err(Error::Held {
        window: name.window.to_string(),
        rejections,
        maximum,
    })
}

async fn mark_held(
    buckets: &Buckets,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<(), Error> {
    let text =
        serde_json::to_vec(&rejections).map_err(|error| Error::Internal(error.to_string()))?;
    match buckets.create_record(&name.held(), &text).await {
        // The window is already marked as held, with other counts.
        Ok(_) | Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Releases a held window for exactly these counts; the next run sums it.
///
/// # Errors
/// An error of the own bucket.
pub async fn release(
    buckets: &Buckets,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<(), Error> {
    let text = release_text(name, rejections)?;
    buckets
        .create_record(
            &name.released(rejections.rejected, rejections.messages),
            &text,
        )
        .await?;
    Ok(())
}

async fn is_released(
    buckets: &Buckets,
    name: &WindowName,
    rejections: PeerRejections,
) -> Result<bool, Error> {
    let object = name.released(rejections.rejected, rejections.messages);
    match buckets.read_record(&object, RELEASE_BYTES).await? {
        None => Ok(false),
        Some(text) if text == release_text(name, rejections)? => Ok(true),
        Some(_) => Err(Error::Internal(format!(
            "{object} in the own bucket is malformed"
        ))),
    }
}

fn release_text(name: &WindowName, rejections: PeerRejections) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Release {
        window: String,
        #[serde(flatten)]
        rejections: PeerRejections,
    }
    let release = Release {
        window: name.to_string(),
        rejections,
    };
    serde_json::to_vec(&release).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tallybox_model::time::Window;

    #[test]
    fn a_release_names_the_window_and_the_counts() {
        let name = WindowName {
            aggregation: "a".parse().unwrap(),
            window: Window::new(
                "2026/01/31/12/00".parse().unwrap(),
                "2026/01/31/13/00".parse().unwrap(),
            )
            .unwrap(),
        };
        let rejections = PeerRejections {
            messages: 7,
            rejected: 5,
        };
        let text: serde_json::Value =
            serde_json::from_slice(&release_text(&name, rejections).unwrap()).unwrap();
        let expected =
            serde_json::json!({ "window": name.to_string(), "messages": 7, "rejected": 5 });
        assert_eq!(text, expected);
    }
}
