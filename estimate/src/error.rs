//! The errors of this crate.

/// The reason why an estimate cannot be computed. Every variant is a fault of the caller's input:
/// the same input fails again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// Epsilon is not a positive finite number.
    #[error("epsilon has to be a finite number above 0, not {0}")]
    Epsilon(f64),
    /// The confidence level is outside its range.
    #[error("the confidence level has to be from 0.5 to 0.9999, not {0}")]
    Level(f64),
    /// A bin has more set bits than there are reports.
    #[error("bin {bin} has a sum of {sum}, above the {reports} reports")]
    SumAboveReports {
        /// The number of the bin, from 0.
        bin: usize,
        /// Its sum.
        sum: u64,
        /// The number of reports.
        reports: u64,
    },
    /// A list has another length than the bins require.
    #[error("{found} {what} for {bins} bins: {expected} are required")]
    Length {
        /// The content of the list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The number of bins.
        bins: usize,
        /// The required length.
        expected: usize,
    },
    /// A weight, value or edge is not finite, or edges do not increase.
    #[error("{what} have to be finite{}", if *.increasing { " and to increase" } else { "" })]
    Numbers {
        /// The content of the list.
        what: &'static str,
        /// Whether the list has to increase.
        increasing: bool,
    },
    /// A quantile's probability is outside its range.
    #[error("the probability of a quantile has to be above 0 and below 1, not {0}")]
    Probability(f64),
    /// A mean or a quantile of no reports.
    #[error("there are no reports, so there is no mean and no quantile")]
    NoReports,
    /// A rate in a population of nobody, or in one that is smaller than the sample.
    #[error("a population of {population} is too small for {reports} reports")]
    Population {
        /// The population.
        population: u64,
        /// The number of reports, or 1 for a rate.
        reports: u64,
    },
    /// A total of no windows.
    #[error("there are no windows to add")]
    NoWindows,
    /// Windows with different epsilons. Their counts have different distributions.
    #[error("windows with epsilon {first} and {second} cannot be added: show them separately")]
    MixedEpsilon {
        /// Epsilon of the first window.
        first: f64,
        /// Epsilon of a later window.
        second: f64,
    },
    /// Windows of different metrics, or of different versions of one.
    #[error("windows of metrics {first} and {second} cannot be added: show them separately")]
    MixedMetric {
        /// Metric of the first window.
        first: String,
        /// Metric of a later window.
        second: String,
    },
    /// Windows with different numbers of bins.
    #[error("windows with {first} and {second} bins cannot be added")]
    MixedBins {
        /// Number of bins of the first window.
        first: usize,
        /// Number of bins of a later window.
        second: usize,
    },
    /// A total that exceeds 64 bits.
    #[error("the number of reports exceeds 64 bits")]
    Overflow,
}
