//! What the tests of the portal share.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod postgres;
pub(crate) mod world;

use tallybox_model::time::{BatchTime, Window};
use tallybox_portal::store::{SumState, WindowRow};

/// The window of an hour that begins `hour` hours after 2023-11-14 00:00.
pub(crate) fn window(hour: i64) -> Window {
    let start: BatchTime = "2023/11/14/00/00".parse().unwrap();
    let time = |hour: i64| start.plus_minutes(60 * hour).unwrap();
    Window::new(time(hour), time(hour + 1)).unwrap()
}

/// A sum of three bins.
pub(crate) fn row(instance: &str, aggregation: &str, hour: i64) -> WindowRow {
    WindowRow {
        instance: instance.parse().unwrap(),
        aggregation: aggregation.parse().unwrap(),
        window: window(hour),
        version: 0,
        state: SumState::Summed,
        reports: 100,
        rejected: 1,
        batches: 2,
        epsilon: 12.5,
        sums: vec![0, 40, 60],
        evidence: format!("s/{instance}/{aggregation}/{hour}.evidence"),
        added: 1_700_000_000_000 + hour,
    }
}
