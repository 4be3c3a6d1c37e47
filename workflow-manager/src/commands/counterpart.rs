//! Compares the configuration with that of the same processor's facilitator.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_queue::QueuePlace;
use tallybox_service::config::load;
use tallybox_transport::BucketPlace;

use crate::error::Error;
use crate::manager::Manager;
use tallybox_model::task::QueueKind;

/// The relevant part of the facilitator's configuration; other keys are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Counterpart {
    instance: Instance,
    role: Role,
    buckets: Buckets,
    #[serde(default)]
    queues: Option<Queues>,
    #[serde(default)]
    rosters: Option<Rosters>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Buckets {
    ingestion: BucketPlace,
    own: BucketPlace,
    peer_validation_in: BucketPlace,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Queues {
    #[serde(default)]
    intake: Option<QueuePlace>,
    #[serde(default)]
    aggregate: Option<QueuePlace>,
}

/// Roster settings, with the facilitator's defaults.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Rosters {
    period_minutes: u32,
    grace_minutes: u32,
}

impl Default for Rosters {
    fn default() -> Self {
        Self {
            period_minutes: 180,
            grace_minutes: 60,
        }
    }
}

/// Returns the differences between the facilitator's configuration and this manager's, as messages.
///
/// # Errors
/// If the file cannot be read, or a location in it is invalid.
pub(super) fn compare(manager: &Manager, file: &Path) -> Result<Vec<String>, Error> {
    let theirs = load::<Counterpart>(file)?;
    let (directory, theirs) = (&theirs.directory, theirs.value);
    let mut differences = Vec::new();
    let mut compare = |key: &str, ours: &dyn fmt::Display, theirs: &dyn fmt::Display| {
        let (ours, theirs) = (ours.to_string(), theirs.to_string());
        if ours != theirs {
            differences.push(format!("{key}: {ours} here, {theirs} at the facilitator"));
        }
    };
    let (buckets, policy) = (&manager.buckets, &manager.policy);
    compare("instance", &manager.instance, &theirs.instance);
    compare("role", &policy.role, &theirs.role);
    for (key, ours, theirs) in [
        (
            "buckets.ingestion",
            &buckets.ingestion,
            &theirs.buckets.ingestion,
        ),
        ("buckets.own", &buckets.own, &theirs.buckets.own),
        (
            "buckets.peer-validation-in",
            &buckets.peer_validation_in,
            &theirs.buckets.peer_validation_in,
        ),
    ] {
        let theirs = theirs.open(directory)?;
        compare(key, &ours.location(), &theirs.location());
    }
    for kind in QueueKind::ALL {
        let place = theirs.queues.as_ref().and_then(|queues| match kind {
            QueueKind::Intake => queues.intake.as_ref(),
            QueueKind::Aggregate => queues.aggregate.as_ref(),
        });
        if let Some(place) = place {
            let ours = manager.starter.location(kind);
            let theirs = place.open(directory)?.location();
            compare(&format!("queues.{kind}"), &ours, &theirs);
        }
    }
    if let Some(rosters) = &theirs.rosters {
        let (period, grace) = (rosters.period_minutes, rosters.grace_minutes);
        compare("period-minutes", &policy.period_minutes, &period);
        compare("grace-minutes", &policy.grace_minutes, &grace);
    }
    let only_one_uses_rosters = match (&theirs.rosters, manager.announcements.ours) {
        (Some(_), Some(_)) | (None, None) => None,
        (Some(_), None) => {
            Some("the facilitator's configuration has `rosters`, this one has no `roster`")
        }
        (None, Some(_)) => {
            Some("this configuration has `roster`, and the facilitator's has no `rosters`")
        }
    };
    let first = only_one_uses_rosters.map(str::to_owned);
    Ok(first.into_iter().chain(differences).collect())
}
