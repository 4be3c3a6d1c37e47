//! What the queues agree on: how large a message may be, how long a reason.

use std::time::Duration;

use crate::QueueError;

/// The most bytes of a message in memory and in a directory: what the format of tasks allows.
pub(crate) const MESSAGE_BYTES: usize = 10 << 20;

/// The most bytes of a reason: attributes of messages are small.
pub(crate) const REASON_BYTES: usize = 900;

/// For how long a message is given back that was rejected where there is no place for rejected ones.
pub(crate) const REJECTED_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// Refuses what the queue does not carry.
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

/// The reason as every queue takes it: one line, not empty, not too long.
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
        assert_eq!(fit_reason("batch 3f: no key\nat all\u{0}"), "batch 3f: no key at all ");
        assert_eq!(fit_reason(" \n"), "no reason was given");
        let long = fit_reason(&"ä".repeat(1000));
        assert!(long.len() <= REASON_BYTES && long.len() > REASON_BYTES - 2);
    }
}
