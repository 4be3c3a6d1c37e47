//! Compares the configuration with that of the same processor's facilitator.

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
    let mut pairs = vec![
        (
            "instance",
            manager.instance.to_string(),
            theirs.instance.to_string(),
        ),
        (
            "role",
            manager.policy.role.to_string(),
            theirs.role.to_string(),
        ),
    ];
    let buckets = &manager.buckets;
    for (name, ours, theirs) in [
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
        pairs.push((name, ours.location(), theirs.open(directory)?.location()));
    }
    if let Some(queues) = &theirs.queues {
        for (name, kind, theirs) in [
            ("queues.intake", QueueKind::Intake, &queues.intake),
            ("queues.aggregate", QueueKind::Aggregate, &queues.aggregate),
        ] {
            if let Some(theirs) = theirs {
                pairs.push((
                    name,
                    manager.starter.location(kind),
                    theirs.open(directory)?.location(),
                ));
            }
        }
    }
    let ours = manager.announcements.ours;
    let mut differences: Vec<String> = match (&theirs.rosters, ours) {
        (Some(_), Some(_)) | (None, None) => Vec::new(),
        (Some(_), None) => vec![
            "the facilitator's configuration has `rosters`, this one has no `roster`".to_owned(),
        ],
        (None, Some(_)) => vec![
            "this configuration has `roster`, and the facilitator's has no `rosters`".to_owned(),
        ],
    };
    if let Some(rosters) = &theirs.rosters {
        let policy = &manager.policy;
        for (name, ours, theirs) in [
            (
                "period-minutes",
                policy.period_minutes,
                rosters.period_minutes,
            ),
            ("grace-minutes", policy.grace_minutes, rosters.grace_minutes),
        ] {
            pairs.push((name, ours.to_string(), theirs.to_string()));
        }
    }
    let other = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
    differences.extend(
        other.map(|(name, ours, theirs)| {
            format!("{name}: {ours} here, {theirs} at the facilitator")
        }),
    );
    Ok(differences)
}
