//! A small portal with hostile names, and with windows whose numbers must not be shown.

use std::sync::Arc;

use axum::Router;
use serde_json::json;
use tallybox_model::registry::Registry;
use tallybox_model::time::{BatchTime, Window};
use tallybox_portal::store::{FindingRow, SumState, WindowRow};
use tallybox_portal::web::{Memory, Site, SiteOptions, router};
use tallybox_service::clock::Clock;

pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const NOW: i64 = 20_787 * DAY + 12 * 3_600_000;
/// Far above the minimum of a real deployment, so that suppressed numbers have many digits and
/// cannot appear by chance.
pub(crate) const MINIMUM: u64 = 1_000_000;
pub(crate) const HOSTILE: &str = "<script>alert('x')</script>";

pub(crate) fn registry() -> Registry {
    let metric = |kind: &str, labels: &[&str], bins: usize| {
        json!({
            "state": "accept", "epsilon": 4.0, "cadence-hours": 24, "meaning": HOSTILE,
            "encoding": {"kind": kind, "bins": bins, "labels": labels},
        })
    };
    let registry = json!({"version": 1, "metrics": {
        "answers-v1": metric("histogram", &["none", HOSTILE, "=1+1"], 3),
        "numbers-v1": metric("bounded-integer", &[], 2),
    }});
    serde_json::from_value(registry).unwrap()
}

pub(crate) fn row(metric: &str, instance: &str, days_ago: i64, reports: u64) -> WindowRow {
    let day = NOW.div_euclid(DAY) - days_ago;
    let time = |day: i64| BatchTime::from_millis(day * DAY).unwrap();
    let bins = if metric == "answers-v1" { 3 } else { 2 };
    WindowRow {
        instance: instance.parse().unwrap(),
        aggregation: metric.parse().unwrap(),
        window: Window::new(time(day), time(day + 1)).unwrap(),
        version: 0,
        state: SumState::Summed,
        reports,
        rejected: 7,
        batches: 3,
        epsilon: 4.0,
        sums: (0..bins).map(|bin| reports / (bin + 2)).collect(),
        evidence: format!("{instance}/{metric}/{day}/0"),
        added: (day + 1) * DAY,
    }
}

/// Five days of two metrics and two instances. One window is suppressed by its state, one only by
/// its number of reports, and one by its correction; each has numbers that must not be shown.
pub(crate) fn world() -> (Vec<WindowRow>, Vec<FindingRow>) {
    let mut rows = Vec::new();
    for days_ago in 3..8 {
        for instance in ["north-a", "south-b"] {
            rows.push(row("numbers-v1", instance, days_ago, 2_000_003));
        }
        rows.push(row("answers-v1", "north-a", days_ago, 3_000_001));
    }
    let by_state = WindowRow {
        state: SumState::BelowMinimum,
        ..row("answers-v1", "south-b", 3, 987_653)
    };
    let by_reports = row("answers-v1", "south-b", 4, 876_543);
    let older = WindowRow {
        state: SumState::Superseded,
        ..row("answers-v1", "south-b", 5, 1_234_567)
    };
    let corrected = WindowRow {
        version: 1,
        ..row("answers-v1", "south-b", 5, 765_433)
    };
    let one_side = WindowRow {
        state: SumState::OneSide,
        ..row("answers-v1", "south-b", 6, 0)
    };
    let finding = |row: &WindowRow, message: &str| FindingRow {
        instance: row.instance.clone(),
        aggregation: row.aggregation.clone(),
        window: row.window,
        kind: "counts-differ".to_owned(),
        message: message.to_owned(),
        next_step: HOSTILE.to_owned(),
        first_seen: row.added,
        resolved: None,
    };
    let findings = vec![
        finding(&by_state, "the parts count 987653 and 987653 packets"),
        finding(&one_side, HOSTILE),
    ];
    rows.extend([by_state, by_reports, older, corrected, one_side]);
    (rows, findings)
}

pub(crate) fn pages() -> Router {
    let (rows, findings) = world();
    let source = Memory::new(registry(), rows, findings, Box::new(|_| None));
    site(source, MINIMUM)
}

pub(crate) fn site(source: Memory, minimum: u64) -> Router {
    let options = SiteOptions {
        name: HOSTILE.to_owned(),
        demo: true,
        minimum,
    };
    router(Site::new(Arc::new(source), Clock::manual(NOW), options))
}
