//! Dates of batches, windows, and the expiration of keys.

use crate::forge::take_bytes;
use tallybox_model::manifest::Expiration;
use tallybox_model::time::{BatchTime, Window};

pub fn run(data: &[u8]) {
    let mut rest = data;
    let [millis, minutes] = [take_bytes(&mut rest), take_bytes(&mut rest)].map(i64::from_le_bytes);
    if let Some(time) = BatchTime::from_millis(millis) {
        same(time);
        assert!((0..60_000).contains(&(millis - time.millis())), "not the minute that contains {millis}");
        if let Some(later) = time.plus_minutes(minutes) {
            same(later);
            assert_eq!(later.plus_minutes(-minutes), Some(time));
            assert_eq!(Window::new(time, later).is_ok(), minutes > 0);
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(time) = text.parse::<BatchTime>() {
        assert_eq!(time.to_string(), text);
        same(time);
    }
    if let Ok(time) = BatchTime::from_compact(text) {
        assert_eq!(time.compact(), text);
        same(time);
    }
    if let Ok(expiration) = Expiration::parse(text) {
        assert_eq!(expiration.as_str(), text);
        assert!(expiration.has_passed(expiration.timestamp()));
    }
}

/// Asserts that both spellings of a date, and its milliseconds, denote the same date.
fn same(time: BatchTime) {
    assert_eq!(time.to_string().parse(), Ok(time));
    assert_eq!(BatchTime::from_compact(&time.compact()), Ok(time));
    assert_eq!(BatchTime::from_millis(time.millis()), Some(time));
}
