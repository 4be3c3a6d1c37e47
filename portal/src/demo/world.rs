//! Which windows exist, and what went wrong with some of them.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::registry::{MetricEntry, Registry};
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::batch::BatchError;

use super::MINIMUM;
use super::answers::{binomial, sums};
use crate::pair::Finding;
use crate::store::{FindingRow, SumState, WindowRow};

/// Days before today.
const DAYS: i64 = 60;
const DAY_MILLIS: i64 = 86_400_000;
const HOUR_MILLIS: i64 = 3_600_000;

/// Instances and their number of reports a day.
const INSTANCES: [(&str, f64); 4] = [
    ("north-ios", 5_200.0),
    ("north-android", 3_900.0),
    ("south-ios", 1_450.0),
    ("south-android", 128.0),
];

/// Reports per batch.
const BATCH: u64 = 900;

/// What happens to a window.
enum Fate {
    Summed,
    Corrected,
    Missing,
    OneSide,
    Refused(Finding),
    RefusedAtFirst(Finding),
}

/// Generates rows and findings.
pub(super) fn generate(registry: &Registry, now: i64) -> (Vec<WindowRow>, Vec<FindingRow>) {
    let today = now.div_euclid(DAY_MILLIS);
    let mut rows = Vec::new();
    let mut findings = Vec::new();
    for (number, (name, entry)) in registry.metrics.iter().enumerate() {
        for (place, (instance, size)) in INSTANCES.into_iter().enumerate() {
            // The constant names of this file are valid.
            let Ok(instance) = instance.parse::<Instance>() else {
                continue;
            };
            // Series of their own, so that a change of one metric does not change the others.
            let seed = (number * INSTANCES.len() + place) as u64;
            let mut series = Series {
                name,
                entry,
                instance,
                size,
                rng: ChaCha20Rng::seed_from_u64(seed),
            };
            for day in 0..DAYS {
                if let Some(window) = day_window(today - DAYS + day) {
                    series.add(day, window, &mut rows, &mut findings);
                }
            }
        }
    }
    (rows, findings)
}

fn day_window(day: i64) -> Option<Window> {
    let start = BatchTime::from_millis(day * DAY_MILLIS)?;
    Window::new(start, start.plus_minutes(24 * 60)?).ok()
}

/// The windows of one metric and instance.
struct Series<'a> {
    name: &'a AggregationId,
    entry: &'a MetricEntry,
    instance: Instance,
    size: f64,
    rng: ChaCha20Rng,
}

impl Series<'_> {
    fn add(
        &mut self,
        day: i64,
        window: Window,
        rows: &mut Vec<WindowRow>,
        findings: &mut Vec<FindingRow>,
    ) {
        let row = self.summed(day, window);
        match self.fate(day) {
            Fate::Missing => {}
            Fate::Summed => rows.push(row),
            Fate::Corrected => {
                let mut earlier = row.clone();
                earlier.state = SumState::Superseded;
                earlier.reports = row.reports - row.reports / 50;
                earlier.sums = row.sums.iter().map(|sum| sum - sum / 50).collect();
                earlier.added -= 20 * HOUR_MILLIS;
                let corrected = WindowRow {
                    version: 1,
                    evidence: evidence_key(&row, 1),
                    ..row
                };
                rows.extend([earlier, corrected]);
            }
            Fate::OneSide => {
                let object = format!("{}.sum_1.sig", stem(&row));
                let source = BatchError::NotThere { object };
                let writer = Role::Second;
                findings.push(self.finding(&row, &Finding::Unverified { writer, source }));
                let row = WindowRow {
                    // The only sum part.
                    evidence: format!("{}.sum_0", stem(&row)),
                    ..row
                };
                rows.push(without_sum(row, SumState::OneSide));
            }
            Fate::Refused(finding) => {
                findings.push(self.finding(&row, &finding));
                rows.push(without_sum(row, SumState::Refused));
            }
            Fate::RefusedAtFirst(finding) => {
                findings.push(FindingRow {
                    resolved: Some(row.added + 30 * HOUR_MILLIS),
                    ..self.finding(&row, &finding)
                });
                rows.push(row);
            }
        }
    }

    /// Returns what happens on a day. Most days nothing does.
    fn fate(&self, day: i64) -> Fate {
        let last = DAYS - 1;
        match (self.name.as_str(), self.instance.as_str(), day) {
            ("CodeVerified-v1", "north-android", day) if day == last => Fate::OneSide,
            ("PeriodicExposureNotification-v1", "north-android", day) if day >= last - 1 => {
                Fate::OneSide
            }
            ("KeysUploaded-v1", "south-ios", 20..=22) => Fate::Missing,
            ("CodeVerified-v1", _, 33 | 34) => Fate::Missing,
            ("DateExposure14d-v3", _, day) if day > last - 5 => Fate::Missing,
            ("PeriodicExposureNotification-v1", "north-ios", 44) => Fate::Corrected,
            ("PeriodicExposureNotification-v1", "south-ios", 47) => Fate::Missing,
            ("PeriodicExposureNotification-v1", "north-ios", 52) => {
                Fate::Refused(Finding::Counts {
                    first: 5_163,
                    second: 5_162,
                })
            }
            ("CodeVerified-v1", _, 24) => Fate::Refused(Finding::Rejected { only: [0, 2] }),
            ("DaysToUpload-v1", "south-ios", 30) => Fate::RefusedAtFirst(Finding::Batches {
                counts: [2, 1],
                only_first: Vec::new(),
                only_second: Vec::new(),
            }),
            _ => Fate::Summed,
        }
    }

    fn summed(&mut self, day: i64, window: Window) -> WindowRow {
        let reports = self.reports(day);
        let sums = sums(self.entry, reports, wave(day), &mut self.rng);
        let added = window.end().millis() + 3 * HOUR_MILLIS + self.rng.random_range(0..HOUR_MILLIS);
        let row = WindowRow {
            instance: self.instance.clone(),
            aggregation: self.name.clone(),
            window,
            version: 0,
            state: SumState::Summed,
            reports,
            rejected: binomial(reports, 0.0008, &mut self.rng),
            batches: reports / BATCH + 1,
            epsilon: self.entry.epsilon,
            sums,
            evidence: String::new(),
            added,
        };
        let row = WindowRow {
            evidence: evidence_key(&row, 0),
            ..row
        };
        if row.reports < MINIMUM {
            without_sum(row, SumState::BelowMinimum)
        } else {
            row
        }
    }

    /// Fewer phones report on Sundays, and few take part in the study of secondary attacks.
    fn reports(&mut self, day: i64) -> u64 {
        let weekly = if day % 7 == 3 { 0.72 } else { 1.0 };
        let growth = 1.0 + 0.002 * day as f64;
        let part = if self.name.as_str().starts_with("SecondaryAttack") {
            0.022
        } else {
            1.0
        };
        let expected = self.size * weekly * growth * part;
        // The phones that could report are more than those that do.
        binomial((2.0 * expected) as u64, 0.5, &mut self.rng)
    }

    fn finding(&self, row: &WindowRow, finding: &Finding) -> FindingRow {
        FindingRow {
            instance: self.instance.clone(),
            aggregation: self.name.clone(),
            window: row.window,
            kind: finding.kind().to_owned(),
            message: finding.to_string(),
            next_step: finding.next_step(),
            first_seen: row.added,
            resolved: None,
        }
    }
}

/// The imaginary epidemic: a peak after six weeks.
fn wave(day: i64) -> f64 {
    let distance = (day - 42) as f64 / 13.0;
    0.12 + 0.88 * (-distance * distance).exp()
}

fn without_sum(row: WindowRow, state: SumState) -> WindowRow {
    WindowRow {
        state,
        sums: Vec::new(),
        ..row
    }
}

fn evidence_key(row: &WindowRow, version: u32) -> String {
    format!("{}/{version}", stem(row))
}

fn stem(row: &WindowRow) -> String {
    let (start, end) = (row.window.start().compact(), row.window.end().compact());
    format!("{}/{}/{start}-{end}", row.instance, row.aggregation)
}
