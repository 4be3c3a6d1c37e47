//! The rules of a processor: what it accepts, what it refuses, and when it releases a sum part.

use crate::config::{Config, Points, Rosters, ValidationForm};
use crate::error::Error;
use crate::horizons;
use crate::packet_keys::{self, PacketKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallybox_model::avro::FileLimits;
use tallybox_model::id::AggregationId;
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::registry::Registry;
use tallybox_model::time::BatchTime;
use tallybox_service::config::{Loaded, load};

/// The rules of a processor.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How evaluation points are assigned to packets.
    pub points: Points,
    /// The form of the validation batches.
    pub validation_form: ValidationForm,
    /// The fewest accepted packets for which a sum part is released.
    pub minimum_contributions: u64,
    /// The fractions of rejected packets above which a sum part is held.
    pub rejections: RejectionLimits,
    /// The rules by which windows are agreed on; `None` without rosters.
    pub rosters: Option<RosterRules>,
    /// The rule for batches that fail as with a wrong key of this processor.
    pub wrong_key: WrongKeyRule,
    /// Without rosters: the number of minutes after a window's end for which the window waits for a
    /// batch that its task names.
    pub leave_out_after_minutes: u32,
    /// The accepted metrics and their parameters. Without a registry every header is accepted.
    pub registry: Option<Arc<Registry>>,
    /// The numbers of failed proofs at which a packet key raises an alarm and at which it is
    /// refused.
    pub wear: WearLimits,
    /// True if packets are counted as the predecessor counts them.
    pub legacy_count: bool,
    /// Size limits for files that other parties wrote.
    pub files: FileLimits,
    /// The generation of the encoders: [`ENCODER_GENERATION`], except in tests of a generation
    /// change.
    pub generation: u32,
}

impl Limits {
    /// Reads the rules from a configuration and its registry.
    ///
    /// # Errors
    /// [`Error`] that names the settings that are missing or contradict each other.
    pub(crate) fn read(config: &Loaded<Config>, keys: &[PacketKey]) -> Result<Self, Error> {
        let value = &config.value;
        let registry = read_registry(config)?;
        horizons::check(value, registry.as_ref())?;
        if let Some(registry) = &registry {
            packet_keys::cover(registry, keys)?;
        }
        accept_risk(value)?;
        if value.minimum_contributions == 0 {
            return Err(Error::Setting(
                "minimum-contributions must be at least 1: a sum over no packets protects no \
                 client"
                    .to_owned(),
            ));
        }
        let rosters = value.rosters.as_ref();
        Ok(Self {
            points: value.points,
            validation_form: value.validation_form,
            minimum_contributions: value.minimum_contributions,
            rejections: RejectionLimits::read(value)?,
            rosters: rosters.map(|rosters| RosterRules::new(value, rosters)),
            wrong_key: WrongKeyRule::default(),
            leave_out_after_minutes: value.leave_out_after_minutes,
            registry: registry.map(Arc::new),
            wear: WearLimits::default(),
            legacy_count: value.legacy_count,
            files: value.limits.clone(),
            generation: ENCODER_GENERATION,
        })
    }
}

/// Refuses `points: per-packet` unless the configuration accepts its risk, and logs a warning if it
/// does.
fn accept_risk(config: &Config) -> Result<(), Error> {
    if config.points == Points::Pinned {
        return Ok(());
    }
    if !config.accept_replay_risk {
        return Err(Error::Setting(
            "points: per-packet needs `accept-replay-risk: true`: without a pinned point, a \
             ciphertext that is in two batches is evaluated twice, and a peer that can insert \
             ciphertexts into batches, or an ingestor that writes a packet twice, learns the \
             client's answer; see \"One point per packet key\" in docs/operating.md"
                .to_owned(),
        ));
    }
    tracing::warn!(
        instance = %config.instance,
        role = %config.role,
        "points: per-packet does not protect clients whose packets are copied into a second \
         batch; the risk is accepted by accept-replay-risk"
    );
    Ok(())
}

/// Reads the registry that the configuration names.
fn read_registry(config: &Loaded<Config>) -> Result<Option<Registry>, Error> {
    let Some(registry) = &config.value.registry else {
        return Ok(None);
    };
    let loaded = load::<Registry>(&config.resolve(&registry.file))?;
    Ok(Some(loaded.value))
}

/// The rule that holds back a batch whose packets nearly all fail as with a wrong key of this
/// processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKeyRule {
    /// The smallest number of packets at which the rule applies.
    pub packets: u64,
    /// True if an operator has confirmed that the batch itself is at fault.
    pub accept: bool,
}

impl Default for WrongKeyRule {
    fn default() -> Self {
        Self {
            packets: 20,
            accept: false,
        }
    }
}

/// The largest fractions of packets that may be lost because of the peer.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectionLimits {
    /// The limit of metrics without a limit of their own.
    pub default: f64,
    /// The limits of single metrics.
    pub by_metric: BTreeMap<AggregationId, f64>,
}

impl RejectionLimits {
    fn read(config: &Config) -> Result<Self, Error> {
        let by_metric = &config.maximum_rejected_share_by_metric;
        let default = config.maximum_rejected_share;
        for share in by_metric.values().chain([&default]) {
            // A limit of 0 would hold every window with one bad packet; NaN compares false to
            // everything and so would be no limit.
            if !(*share > 0.0 && *share <= 1.0) {
                return Err(Error::Setting(format!(
                    "maximum-rejected-share: {share} is out of range; it must be greater than 0 \
                     and at most 1"
                )));
            }
        }
        Ok(Self {
            default,
            by_metric: by_metric.clone(),
        })
    }

    pub(crate) fn maximum_share(&self, aggregation: &AggregationId) -> f64 {
        let own = self.by_metric.get(aggregation).copied();
        own.unwrap_or(self.default)
    }
}

/// The rules by which windows are agreed on, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterRules {
    /// Start of the first window with a roster; `None` if the origin in the own bucket applies.
    pub origin: Option<BatchTime>,
    /// Length of a window in minutes.
    pub period_minutes: u32,
    /// Minutes from a window's end until its roster is written.
    pub grace_minutes: u32,
    /// The number of earlier windows whose packet ids are stored.
    pub replay_horizon: u32,
    /// The fewest packets for which a sum is released.
    pub minimum: u64,
    /// The number of windows after its own in which a batch may still be summed.
    pub maximum_age: u32,
}

impl RosterRules {
    fn new(config: &Config, rosters: &Rosters) -> Self {
        Self {
            origin: rosters.origin,
            period_minutes: rosters.period_minutes,
            grace_minutes: rosters.grace_minutes,
            replay_horizon: rosters.replay_horizon_windows,
            minimum: config.minimum_contributions,
            maximum_age: rosters.maximum_age_windows,
        }
    }
}

/// Limits on failed proofs. The limits of a key are these values divided by n, the smallest power
/// of two above the key's number of bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WearLimits {
    /// An alarm is raised from this number on.
    pub alarm: u64,
    /// Further packets under the key are rejected from this number on.
    pub refuse: u64,
}

impl Default for WearLimits {
    fn default() -> Self {
        Self {
            alarm: 1 << 20,
            refuse: 1 << 24,
        }
    }
}

impl WearLimits {
    /// Returns the limits of a key with this number of bins.
    #[must_use]
    pub fn for_bins(self, bins: u32) -> Self {
        let points = u64::from(bins).saturating_add(1).next_power_of_two();
        Self {
            alarm: self.alarm / points,
            refuse: self.refuse / points,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_follow_from_the_smallest_power_of_two_above_the_bins() {
        for (bins, points) in [
            (1, 2),
            (2, 4),
            (3, 4),
            (4, 8),
            (5, 8),
            (7, 8),
            (8, 16),
            (9, 16),
        ] {
            let limits = WearLimits::default().for_bins(bins);
            assert_eq!(
                (limits.alarm, limits.refuse),
                ((1 << 20) / points, (1 << 24) / points),
                "{bins}"
            );
        }
    }

    #[test]
    fn a_metric_has_a_limit_of_its_own() {
        let limits = RejectionLimits {
            default: 0.75,
            by_metric: [("a".parse().unwrap(), 0.5)].into(),
        };
        assert!((limits.maximum_share(&"a".parse().unwrap()) - 0.5).abs() < f64::EPSILON);
        assert!((limits.maximum_share(&"b".parse().unwrap()) - 0.75).abs() < f64::EPSILON);
    }
}
