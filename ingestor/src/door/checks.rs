//! What can be said of a report by itself: one function a question, each with its own problem.

use jiff::Timestamp;
use tallybox_crypto::ecies;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::id::PacketId;
use tallybox_model::registry::MetricState;
use tallybox_model::report::{ProblemKind, ReportUpload, SCHEMA_VERSIONS};
use uuid::Variant;

use super::{Known, Rejection};
use crate::attestation::AttestedKey;
use crate::config::AcceptanceConfig;
use crate::ingestor::{Locality, PacketKey};

/// Longest piece of a client's text that is said back to it, in characters.
const SHOWN: usize = 80;

pub(super) fn schema_version(upload: &ReportUpload) -> Result<(), Rejection> {
    if SCHEMA_VERSIONS.contains(&upload.schema_version) {
        return Ok(());
    }
    let (first, last) = SCHEMA_VERSIONS.into_inner();
    refuse(
        ProblemKind::SchemaVersion,
        format!(
            "version {} of the schema; {first} to {last} are taken",
            upload.schema_version
        ),
    )
}

pub(super) fn metric<'t>(known: Option<&'t Known>, upload: &ReportUpload) -> Result<&'t Known, Rejection> {
    let name: String = upload.metric.chars().take(SHOWN).collect();
    match known {
        None => refuse(
            ProblemKind::UnknownMetric,
            format!("the registry has no metric {name:?}"),
        ),
        Some(known) if known.state == MetricState::Closed => refuse(
            ProblemKind::MetricClosed,
            format!("metric {name} takes no reports any more"),
        ),
        Some(known) => Ok(known),
    }
}

pub(super) fn parameters(known: &Known, upload: &ReportUpload) -> Result<(), Rejection> {
    let entry = &known.parameters;
    let weight = |weight: Option<i32>| weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string());
    let wrong = if upload.bins != entry.bins {
        format!("bins is {}, not {}", entry.bins, upload.bins)
    } else if upload.epsilon.to_bits() != entry.epsilon.to_bits() {
        format!("epsilon is {}, not {}", entry.epsilon, upload.epsilon)
    } else if upload.prime != entry.prime {
        format!("prime is {}, not {}", entry.prime, upload.prime)
    } else if upload.number_of_servers != entry.number_of_servers {
        let (ours, theirs) = (entry.number_of_servers, upload.number_of_servers);
        format!("numberServers is {ours}, not {theirs}")
    } else if upload.hamming_weight != entry.hamming_weight {
        let (ours, theirs) = (weight(entry.hamming_weight), weight(upload.hamming_weight));
        format!("hammingWeight is {ours}, not {theirs}")
    } else {
        return Ok(());
    };
    refuse(
        ProblemKind::ParameterMismatch,
        format!("metric {}: {wrong}", entry.name),
    )
}

/// The canonical spelling of the id.
pub(super) fn id(upload: &ReportUpload) -> Result<String, Rejection> {
    let random = |id: &PacketId| id.0.get_version_num() == 4 && id.0.get_variant() == Variant::RFC4122;
    match upload.id.parse::<PacketId>().ok().filter(random) {
        Some(id) => Ok(id.to_string()),
        None => refuse(
            ProblemKind::BadReportId,
            "uuid has to be a UUID of version 4, such as 3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d",
        ),
    }
}

pub(super) fn created(created: i64, now: i64, acceptance: &AcceptanceConfig) -> Result<(), Rejection> {
    let oldest = now.saturating_sub(i64::from(acceptance.max_age_hours) * 3_600_000);
    let newest = now.saturating_add(i64::from(acceptance.max_ahead_minutes) * 60_000);
    let clock = Timestamp::from_millisecond(now).map_or_else(|_| now.to_string(), |time| time.to_string());
    if created < oldest {
        let hours = acceptance.max_age_hours;
        let detail = format!("created is more than {hours} hours ago; it is {clock} here");
        return refuse(ProblemKind::TooLate, detail);
    }
    if created > newest {
        let minutes = acceptance.max_ahead_minutes;
        let detail = format!("created is more than {minutes} minutes ahead; it is {clock} here");
        return refuse(ProblemKind::TooEarly, detail);
    }
    Ok(())
}

pub(super) fn keys(pairs: &[[PacketKey; 2]], upload: &ReportUpload) -> Result<(), Rejection> {
    let ids = upload.key_ids();
    let same = |[first, second]: &[PacketKey; 2]| [first.id.as_str(), second.id.as_str()] == ids;
    if pairs.iter().any(same) {
        return Ok(());
    }
    refuse(
        ProblemKind::OutdatedKey,
        "the shares are not sealed to a pair of keys that is in use",
    )
}

/// Lengths first, since they cost nothing.
pub(super) fn shares(known: &Known, upload: &ReportUpload) -> Result<(), Rejection> {
    let shares = upload
        .payloads()
        .into_iter()
        .zip(known.lengths)
        .zip(["first", "second"]);
    for ((payload, length), which) in shares.clone() {
        if payload.len() as u64 != length {
            let found = payload.len();
            let detail = format!("the {which} share has {found} bytes, {length} are right for the metric");
            return refuse(ProblemKind::BadShareLength, detail);
        }
    }
    for ((payload, _), which) in shares {
        if let Err(error) = ecies::check_ephemeral(payload) {
            let detail = format!("the {which} share: {error}");
            return refuse(ProblemKind::BadEphemeralKey, detail);
        }
    }
    Ok(())
}

/// The attested key, if the locality looks at attestations and there is one. Fails closed.
pub(super) fn attestation(
    locality: &Locality,
    upload: &ReportUpload,
    now: i64,
) -> Result<Option<AttestedKey>, Rejection> {
    match (locality.attestation, upload.attestation()) {
        (AttestationPolicy::None, _) | (AttestationPolicy::Optional, None) => Ok(None),
        (AttestationPolicy::Required, None) => refuse(
            ProblemKind::AttestationRequired,
            "signature and certificateChain are needed here",
        ),
        (AttestationPolicy::Required | AttestationPolicy::Optional, Some(_)) => {
            let Some(verifier) = &locality.verifier else {
                return refuse(ProblemKind::AttestationFailed, "attestations cannot be checked here");
            };
            let failed = |refusal: crate::attestation::Refusal| {
                Rejection::new(ProblemKind::AttestationFailed, refusal.to_string())
            };
            verifier.verify(upload, now).map(Some).map_err(failed)
        }
    }
}

fn refuse<T>(kind: ProblemKind, detail: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection::new(kind, detail))
}
