//! The metrics of ENPA's Android client (Exposure Notifications Private Analytics, 2020 to 2023).

use super::distribution::{AnswerDistribution, Skew};
use crate::encoding::Encoding;

/// A metric: its encoding, its noise and the usual distribution of its answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Versioned name, as in ENPA's uploads and aggregations.
    pub name: &'static str,
    /// The encoding of answers.
    pub encoding: Encoding,
    /// The meaning of the bins.
    pub meaning: &'static str,
    /// How often a client reports.
    pub cadence: Cadence,
    /// Epsilon of the randomised response in real clients.
    pub epsilon: f64,
    /// The distribution of generated answers. It is invented, with a skew like that of real
    /// answers; ENPA's sums are not public.
    pub distribution: AnswerDistribution,
}

/// How often a client reports a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cadence {
    /// Once a day.
    Daily,
    /// Once in two weeks.
    Biweekly,
    /// Only in tests.
    Test,
}

/// Epsilon of every ENPA metric since October 2021, and of the daily metrics before.
const EPSILON: f64 = 8.0;

impl Metric {
    /// Returns the number of bins.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.encoding.bins()
    }

    /// Returns the metric of [`METRICS`] or [`EXAMPLES`] with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        METRICS
            .iter()
            .chain(EXAMPLES)
            .find(|metric| metric.name == name)
    }

    /// Returns ENPA's test metric, which may have any number of bins, each set with probability one
    /// half.
    #[must_use]
    pub const fn fake(bins: usize) -> Self {
        let meaning = "none: each bin is set with probability one half";
        let encoding = Encoding::BitVector { bins };
        Self {
            name: "fakeMetric-v1",
            encoding,
            meaning,
            cadence: Cadence::Test,
            epsilon: EPSILON,
            distribution: AnswerDistribution::Coins,
        }
    }
}

const fn histogram(
    name: &'static str,
    cadence: Cadence,
    weights: &'static [u32],
    meaning: &'static str,
) -> Metric {
    let encoding = Encoding::Histogram {
        bins: weights.len(),
    };
    Metric {
        name,
        encoding,
        meaning,
        cadence,
        epsilon: EPSILON,
        distribution: AnswerDistribution::Single(Skew::Weights(weights)),
    }
}

const fn vector(
    name: &'static str,
    cadence: Cadence,
    bins: usize,
    distribution: AnswerDistribution,
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        encoding: Encoding::BitVector { bins },
        meaning,
        cadence,
        epsilon: EPSILON,
        distribution,
    }
}

const NOTIFIED: &[u32] = &[9600, 240, 110, 35, 15];
const INTERACTIONS: &[u32] = &[9600, 150, 90, 70, 40, 25, 10, 10, 5];
const CODES: AnswerDistribution = AnswerDistribution::AtMostOne {
    silent: 900,
    skew: Skew::Weights(&[2, 60, 20, 10, 5, 3]),
};
const UPLOADS: AnswerDistribution = AnswerDistribution::AtMostOne {
    silent: 940,
    skew: Skew::Weights(&[1, 55, 25, 11, 5, 3]),
};
const REPORT_TYPES: AnswerDistribution = AnswerDistribution::AtMostOne {
    silent: 900,
    skew: Skew::Weights(&[4, 70, 12, 10, 3, 1]),
};
const VACCINE: AnswerDistribution = AnswerDistribution::Nested {
    silent: 930,
    onward: 820,
};

/// The metrics of ENPA's last clients, each in its latest version. Metrics with a declared Hamming
/// weight of 1 are histograms; the others may have no bin set, or several.
pub const METRICS: &[Metric] = &[
    histogram(
        "PeriodicExposureNotification-v1",
        Cadence::Daily,
        NOTIFIED,
        "exposure notification in the last period: none, or its classification 1 to 4",
    ),
    histogram(
        "PeriodicExposureNotificationInteraction-v1",
        Cadence::Daily,
        INTERACTIONS,
        "what the user did with the notification: none, or 4 severities by tapped and dismissed",
    ),
    vector(
        "histogramMetric-v2",
        Cadence::Daily,
        1344,
        AnswerDistribution::Several {
            silent: 550,
            most: 6,
            skew: Skew::Harmonic,
        },
        "risk: 7 ranges of days by 3 of infectiousness, 8 of attenuation and 8 of duration",
    ),
    vector(
        "CodeVerified-v1",
        Cadence::Daily,
        6,
        CODES,
        "verification code entered: error, no notification in 14 days, or classification 1 to 4",
    ),
    vector(
        "KeysUploaded-v1",
        Cadence::Daily,
        6,
        UPLOADS,
        "keys uploaded: error, no notification in 14 days, or classification 1 to 4",
    ),
    vector(
        "DateExposure-v1",
        Cadence::Daily,
        16,
        AnswerDistribution::AtMostOne {
            silent: 930,
            skew: Skew::Harmonic,
        },
        "days from exposure to notification, from 0, 4, 7 and 11, by 4 classifications",
    ),
    vector(
        "KeysUploadedVaccineStatus-v1",
        Cadence::Daily,
        15,
        VACCINE,
        "vaccination of users who upload keys, as nested flags",
    ),
    vector(
        "CodeVerifiedWithReportType14d-v2",
        Cadence::Biweekly,
        6,
        REPORT_TYPES,
        "verification code entered, by report: unknown, test, clinical, self, recursive, revoked",
    ),
    vector(
        "KeysUploadedWithReportType14d-v2",
        Cadence::Biweekly,
        6,
        REPORT_TYPES,
        "keys uploaded, by report: unknown, test, clinical, self, recursive, revoked",
    ),
    vector(
        "SecondaryAttack14d-v2",
        Cadence::Biweekly,
        20,
        AnswerDistribution::AtMostOne {
            silent: 950,
            skew: Skew::Harmonic,
        },
        "positive after a notification: 5 types of report by 4 classifications",
    ),
    histogram(
        "PeriodicExposureNotification14d-v3",
        Cadence::Biweekly,
        NOTIFIED,
        "exposure notification in the last 14 days: none, or its classification 1 to 4",
    ),
    vector(
        "DateExposure14d-v3",
        Cadence::Biweekly,
        48,
        AnswerDistribution::Cumulative {
            silent: 900,
            rows: 4,
            skew: Skew::Harmonic,
        },
        "delay from exposure to notification: 4 classifications by 12 delays, cumulative",
    ),
    vector(
        "KeysUploadedVaccineStatus14d-v3",
        Cadence::Biweekly,
        15,
        VACCINE,
        "vaccination of users who upload keys, as nested flags",
    ),
    Metric::fake(8),
];

/// Additional metrics with encodings that ENPA did not use.
pub const EXAMPLES: &[Metric] = &[Metric {
    name: "exampleMinutes-v1",
    encoding: Encoding::BoundedInteger { bits: 10 },
    meaning: "minutes of use in a day, 0 to 1023: the result is the sum over all clients",
    cadence: Cadence::Test,
    epsilon: EPSILON,
    distribution: AnswerDistribution::SmallInteger,
}];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<&str> = METRICS
            .iter()
            .chain(EXAMPLES)
            .map(|metric| metric.name)
            .collect();
        assert_eq!(names.len(), METRICS.len() + EXAMPLES.len());
        for name in names {
            assert_eq!(Metric::named(name).unwrap().name, name);
            assert!(
                name.parse::<tallybox_model::id::AggregationId>().is_ok(),
                "{name}"
            );
        }
        assert_eq!(Metric::named("unheardOf-v1"), None);
    }

    #[test]
    fn bins_are_enpas() {
        let bins: Vec<usize> = METRICS.iter().map(Metric::bins).collect();
        assert_eq!(bins, [5, 9, 1344, 6, 6, 16, 15, 6, 6, 20, 5, 48, 15, 8]);
        assert!(METRICS.iter().all(|metric| metric.epsilon == 8.0));
    }

    #[test]
    fn weights_are_given_for_every_bin() {
        for metric in METRICS {
            if let AnswerDistribution::Single(Skew::Weights(weights))
            | AnswerDistribution::AtMostOne {
                skew: Skew::Weights(weights),
                ..
            } = metric.distribution
            {
                assert_eq!(weights.len(), metric.bins(), "{}", metric.name);
            }
        }
    }
}
