//! Sums of windows are the sum of their union: adding counts window by window is the same as
//! counting all reports at once, and so are all estimates.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tallybox_estimate::{Counts, Level, Mechanism};

const BINS: usize = 6;

/// A window: its noisy reports, each with one bit for each bin.
fn window() -> impl Strategy<Value = Vec<[bool; BINS]>> {
    prop::collection::vec(prop::array::uniform6(any::<bool>()), 0..40)
}

fn counts(mechanism: Mechanism, reports: &[[bool; BINS]]) -> Counts {
    let sums = (0..BINS).map(|bin| reports.iter().filter(|bits| bits[bin]).count() as u64);
    Counts::new(mechanism, reports.len() as u64, sums.collect()).unwrap()
}

proptest! {
    #[test]
    fn sums_of_windows_are_the_sum_of_their_union(
        epsilon in 0.5..12.0_f64,
        windows in prop::collection::vec(window(), 1..8),
        weights in prop::array::uniform6(-9.0..9.0_f64),
    ) {
        let mechanism = Mechanism::new(epsilon).unwrap();
        let parts: Vec<Counts> = windows
            .iter()
            .map(|reports| counts(mechanism, reports))
            .collect();
        let total = Counts::total(parts.iter().map(|part| ("a-v1", part))).unwrap();
        let union = counts(mechanism, &windows.concat());
        prop_assert_eq!(&total, &union);
        // Values add, and so do the variances of independent windows.
        let level = Level::default();
        let each: Vec<_> = parts
            .iter()
            .map(|part| part.weighted_sum(&weights, level).unwrap())
            .collect();
        let whole = union.weighted_sum(&weights, level).unwrap();
        let value: f64 = each.iter().map(|part| part.value).sum();
        let variance: f64 = each.iter().map(|part| part.standard_error.powi(2)).sum();
        prop_assert!((value - whole.value).abs() <= 1e-9 * (1.0 + value.abs()) * 40.0);
        prop_assert!((variance.sqrt() - whole.standard_error).abs() <= 1e-9 * (1.0 + variance));
    }

    #[test]
    fn different_epsilons_never_have_a_total(
        epsilon in 0.5..12.0_f64,
        other in 0.5..12.0_f64,
        reports in window(),
    ) {
        prop_assume!(epsilon != other);
        let first = counts(Mechanism::new(epsilon).unwrap(), &reports);
        let second = counts(Mechanism::new(other).unwrap(), &reports);
        prop_assert!(Counts::total([("a-v1", &first), ("a-v1", &second)]).is_err());
    }

    /// No finite input gives NaN or an interval whose ends are exchanged.
    #[test]
    fn every_estimate_is_a_number(
        epsilon in 0.01..60.0_f64,
        extra in 0..5_000_u64,
        reports in window(),
        weights in prop::array::uniform6(-1e6..1e6_f64),
    ) {
        let few = counts(Mechanism::new(epsilon).unwrap(), &reports);
        let reports = few.reports() + extra;
        let counts = Counts::new(few.mechanism(), reports, few.sums().to_vec()).unwrap();
        let level = Level::default();
        let mut found = counts.bins(level);
        found.push(counts.weighted_sum(&weights, level).unwrap());
        found.push(counts.integer(level).unwrap().sum);
        found.extend(counts.histogram_mean(&weights, level));
        for estimate in found {
            let interval = estimate.interval;
            prop_assert!(estimate.value.is_finite() && estimate.standard_error >= 0.0);
            prop_assert!(interval.lower <= interval.upper, "{:?}", estimate);
        }
        let edges = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0];
        if let Ok(median) = counts.histogram_quantile(&edges, 0.5, level) {
            prop_assert!(median.interval.lower <= median.interval.upper, "{:?}", median);
            prop_assert!((0.0..=13.0).contains(&median.value), "{:?}", median);
        }
        for group in counts.group_means(2, level).unwrap() {
            prop_assert!(group.mean.is_none_or(f64::is_finite));
            if let Some(interval) = group.interval.bounded() {
                prop_assert!(interval.lower <= interval.upper, "{:?}", group);
            }
        }
    }
}
