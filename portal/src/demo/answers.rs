//! True answers of imaginary phones, and the randomised response that a phone applies to them.

use rand_chacha::ChaCha20Rng;
use rand_distr::{Binomial, Distribution as _};
use tallybox_estimate::Mechanism;
use tallybox_model::registry::{EncodingKind, MetricEntry};

/// Draws how many of `number` independent events with this probability happen.
pub(super) fn binomial(number: u64, probability: f64, rng: &mut ChaCha20Rng) -> u64 {
    // The distribution exists for every probability from 0 to 1.
    Binomial::new(number, probability.clamp(0.0, 1.0)).map_or(0, |events| events.sample(rng))
}

/// Draws the sums of a window: true counts of `reports` phones, then the flips of each bit. `wave`
/// is the state of the imaginary epidemic, from 0 to 1.
pub(super) fn sums(
    entry: &MetricEntry,
    reports: u64,
    wave: f64,
    rng: &mut ChaCha20Rng,
) -> Vec<u64> {
    let bins = entry.encoding.bins as usize;
    let truth = match entry.encoding.kind {
        EncodingKind::Histogram => one_hot(bins, reports, wave, rng),
        // The demo has no metric with groups; its fields would be bits like any other.
        EncodingKind::BitVector | EncodingKind::GroupedInteger => (0..bins)
            .map(|bin| binomial(reports, probability(bin, bins, wave), rng))
            .collect(),
        EncodingKind::BoundedInteger => digits(bins, reports, wave, rng),
    };
    // The registry has checked epsilon; without a mechanism, the answers stay as they are.
    let Ok(mechanism) = Mechanism::new(entry.epsilon) else {
        return truth;
    };
    let flip = mechanism.flip_probability();
    let flipped =
        |set: u64| binomial(set, 1.0 - flip, &mut *rng) + binomial(reports - set, flip, &mut *rng);
    truth.into_iter().map(flipped).collect()
}

/// Most phones have nothing to report: the first bin.
fn one_hot(bins: usize, reports: u64, wave: f64, rng: &mut ChaCha20Rng) -> Vec<u64> {
    let mut rest = reports;
    let mut counts = vec![0; bins];
    for bin in (1..bins).rev() {
        let chance = (0.004 + 0.035 * wave) * 0.75_f64.powi((bin as i32 - 1) % 4 * 2);
        counts[bin] = binomial(rest, chance, rng);
        rest -= counts[bin];
    }
    counts[0] = rest;
    counts
}

/// The probability of a yes for each bin: decreasing over groups of four bins; nearly nothing in
/// most bins of a large metric.
fn probability(bin: usize, bins: usize, wave: f64) -> f64 {
    let position = bin as f64 / bins as f64;
    let ripple = 1.0 + 0.35 * ((bin * bin) as f64).sin();
    if bins > 100 {
        return 0.02 * wave * ripple * (-8.0 * position).exp();
    }
    (0.012 + 0.075 * wave) * ripple * (1.0 - 0.85 * position)
}

/// The binary digits of a small number: each phone has three chances for each of five days.
fn digits(bins: usize, reports: u64, wave: f64, rng: &mut ChaCha20Rng) -> Vec<u64> {
    let mut counts = vec![0; bins];
    for _ in 0..reports {
        let number = binomial(15, 0.42 - 0.22 * wave, rng);
        for (bin, count) in counts.iter_mut().enumerate() {
            *count += number >> bin & 1;
        }
    }
    counts
}
