//! Limits that all queues share: the size of messages and the length of reasons.

use std::time::Duration;

use crate::QueueError;

/// Maximum size of a message in memory and in a directory, in bytes, which is the limit of the task
/// format.
pub(crate) const MESSAGE_BYTES: usize = 10 << 20;

/// Maximum length of a reason, in bytes. Attributes of messages in the clouds are limited.
pub(crate) const REASON_BYTES: usize = 900;

/// Delay of a rejected message that is returned because there is no queue of rejected messages.
pub(crate) const REJECTED_DELAY: Duration = Duration::from_secs(6 * 3600);

/// Refuses a message that exceeds the limit of the queue.
pub(crate) fn too_large(queue: &str, size: usize, limit: usize) -> Result<(), QueueError> {
    if size <= limit {
        return Ok(());
    }
    Err(QueueError::TooLarge {
        queue: queue.to_owned(),
        size,
        limit,
    })
}

/// Converts a reason to the form that every queue accepts: one line, not empty, of limited length.
pub(crate) fn fit_reason(reason: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut fitted: String = reason.trim().chars().map(line).collect();
    let end = fitted.floor_char_boundary(REASON_BYTES);
    fitted.truncate(end);
    if fitted.is_empty() {
        "no reason was given".clone_into(&mut fitted);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(
            fit_reason("batch 3f: no key\nat all\u{0}"),
            "batch 3f: no key at all "
        );
        assert_eq!(fit_reason(" \n"), "no reason was given");
        let long = fit_reason(&"ä".repeat(1000));
        assert!(long.len() <= REASON_BYTES && long.len() > REASON_BYTES - 2);
    }
}
