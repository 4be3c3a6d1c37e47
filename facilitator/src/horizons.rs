//! Checks that the rules of rosters fit retention periods, delays and the number of clients.

use crate::config::{Config, Rosters};
use crate::error::Error;
use tallybox_model::registry::{MetricState, Registry};
use tallybox_model::roster::RosterTerms;

const MINUTES_A_DAY: u64 = 24 * 60;

/// Refuses rules with which a batch could be listed whose objects are already deleted, a packet
/// could count twice, or a metric could never be released.
///
/// # Errors
/// [`Error::Setting`] that names the settings and their values.
pub(crate) fn check(config: &Config, metrics: Option<&Registry>) -> Result<(), Error> {
    let Some(rosters) = &config.rosters else {
        return Ok(());
    };
    fit(rosters).map_err(Error::Setting)?;
    let clients = config
        .registry
        .as_ref()
        .and_then(|registry| registry.clients);
    let (Some(metrics), Some(clients)) = (metrics, clients) else {
        return Ok(());
    };
    can_be_reached(rosters, metrics, clients, config.minimum_contributions).map_err(Error::Setting)
}

/// Compares the periods that have to be shorter with those that have to be longer.
fn fit(rosters: &Rosters) -> Result<(), String> {
    if rosters.period_minutes == 0 {
        return Err("rosters: period-minutes must be at least 1".to_owned());
    }
    if rosters.maximum_age_windows < RosterTerms::SMALLEST_AGE {
        return Err(format!(
            "rosters: maximum-age-windows must be at least {}",
            RosterTerms::SMALLEST_AGE
        ));
    }
    let horizons = &rosters.horizons;
    let windows = |count: u32| u64::from(count) * u64::from(rosters.period_minutes);
    let days = |days: u32| u64::from(days) * MINUTES_A_DAY;
    let hours = |hours: u32| u64::from(hours) * 60;
    let age = windows(rosters.maximum_age_windows);
    let needed = age + u64::from(rosters.grace_minutes) + days(horizons.repair_days);
    let retention = [
        ("mailboxes-days", horizons.mailboxes_days),
        ("prepared-days", horizons.prepared_days),
        ("packet-keys-days", horizons.packet_keys_days),
    ];
    for (name, retention) in retention {
        if days(retention) <= needed {
            return Err(format!(
                "rosters: {name} ({retention} days) must be longer than maximum-age-windows, \
                 grace-minutes and repair-days together ({}); otherwise a batch could be listed \
                 whose objects are already deleted",
                in_days(needed)
            ));
        }
    }
    let can_come = hours(horizons.acceptance_hours) + hours(horizons.carry_hours) + age;
    let remembered = windows(rosters.replay_horizon_windows);
    if remembered < can_come {
        return Err(format!(
            "rosters: replay-horizon-windows ({}) must be at least acceptance-hours, carry-hours \
             and maximum-age-windows together ({}); otherwise a packet could count twice",
            in_days(remembered),
            in_days(can_come)
        ));
    }
    Ok(())
}

fn in_days(minutes: u64) -> String {
    format!("{:.2} days", minutes as f64 / MINUTES_A_DAY as f64)
}

/// Checks that every metric can reach the minimum. Batches of too few packets stay open, so a
/// metric can use all windows up to the maximum age.
fn can_be_reached(
    rosters: &Rosters,
    metrics: &Registry,
    clients: u64,
    minimum: u64,
) -> Result<(), String> {
    let minutes =
        (f64::from(rosters.maximum_age_windows) + 1.0) * f64::from(rosters.period_minutes);
    for (name, entry) in &metrics.metrics {
        if entry.state == MetricState::Closed {
            continue;
        }
        let reports = (minutes / (f64::from(entry.cadence_hours) * 60.0)).ceil();
        let most = clients as f64 * entry.sampling * reports;
        if most < minimum as f64 {
            return Err(format!(
                "rosters: metric {name} can never reach minimum-contributions ({minimum}): \
                 {clients} clients with sampling {} and a report every {} hours send at most \
                 {most:.0} reports in the {} windows for which a batch stays open",
                entry.sampling,
                entry.cadence_hours,
                u64::from(rosters.maximum_age_windows) + 1
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rosters() -> Rosters {
        serde_json::from_str("{}").unwrap()
    }

    #[test]
    fn the_defaults_fit() {
        fit(&rosters()).unwrap();
    }

    #[test]
    fn what_is_kept_too_short_is_refused() {
        // A week of age, an hour of grace, three days for repairs: 10.04 days.
        for (days, good) in [(10, false), (11, true)] {
            for name in ["mailboxes-days", "prepared-days", "packet-keys-days"] {
                let mut rosters = rosters();
                let field = match name {
                    "mailboxes-days" => &mut rosters.horizons.mailboxes_days,
                    "prepared-days" => &mut rosters.horizons.prepared_days,
                    _ => &mut rosters.horizons.packet_keys_days,
                };
                *field = days;
                let answer = fit(&rosters);
                assert_eq!(answer.is_ok(), good, "{answer:?}");
                let says =
                    |problem: String| problem.contains(name) && problem.contains("10.04 days");
                assert!(good || answer.is_err_and(says));
            }
        }
    }

    #[test]
    fn a_replay_horizon_that_forgets_too_early_is_refused() {
        // A week of age, two days of acceptance, one day of carrying over: 80 windows of three
        // hours.
        for (windows, good) in [(79, false), (80, true)] {
            let rosters = Rosters {
                replay_horizon_windows: windows,
                ..rosters()
            };
            assert_eq!(fit(&rosters).is_ok(), good, "{windows}");
        }
        let none = Rosters {
            period_minutes: 0,
            ..rosters()
        };
        assert!(fit(&none).is_err());
        let aged = Rosters {
            maximum_age_windows: 0,
            ..rosters()
        };
        assert!(fit(&aged).unwrap_err().contains("maximum-age-windows"));
        let smallest = Rosters {
            maximum_age_windows: RosterTerms::SMALLEST_AGE,
            ..rosters()
        };
        fit(&smallest).unwrap();
    }

    #[test]
    fn a_metric_that_can_never_be_released_is_refused() {
        let registry = r#"{"version":1,"metrics":{"a":{"state":"accept","encoding":{"kind":"histogram","bins":2},
            "epsilon":1.0,"cadence-hours":24,"sampling":0.5}}}"#;
        let metrics: Registry = serde_json::from_str(registry).unwrap();
        // 57 windows of three hours contain 8 reports of a client. Half of the clients take part: 4
        // reports per client.
        can_be_reached(&rosters(), &metrics, 25, 100).unwrap();
        let refused = can_be_reached(&rosters(), &metrics, 24, 100).unwrap_err();
        assert!(
            refused.contains("metric a") && refused.contains("96 reports"),
            "{refused}"
        );
    }
}
