//! Units and formatting of virtual time.

use tallybox_model::time::BatchTime;

use crate::schedule::Millis;

/// A minute, in milliseconds.
pub const MINUTE_MILLIS: Millis = 60_000;
/// An hour, in milliseconds.
pub const HOUR_MILLIS: Millis = 60 * MINUTE_MILLIS;

/// Formats a time for traces, with milliseconds.
#[must_use]
pub fn clock(millis: Millis) -> String {
    let minute = BatchTime::of_clock(millis);
    format!(
        "{minute}:{:06.3}",
        millis.rem_euclid(MINUTE_MILLIS) as f64 / 1000.0
    )
}
