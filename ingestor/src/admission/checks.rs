//! Checks that need only the report and the configuration. Each check has its own problem type.

use jiff::Timestamp;
use tallybox_crypto::ecies;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_model::id::PacketId;
use tallybox_model::registry::MetricState;
use tallybox_model::report::{ProblemKind, ReportUpload, SCHEMA_VERSIONS};
use uuid::Variant;

use super::{RegisteredMetric, Rejection};
use crate::attestation::AttestedKey;
use crate::config::AcceptanceConfig;
use crate::ingestor::{KeyPair, Locality};

/// Longest part of a client's text that an answer repeats, in characters.
const QUOTED_CHARS: usize = 80;

pub(super) fn schema_version(upload: &ReportUpload) -> Result<(), Rejection> {
    if SCHEMA_VERSIONS.contains(&upload.schema_version) {
        return Ok(());
    }
    let (first, last) = SCHEMA_VERSIONS.into_inner();
    refuse(
        ProblemKind::SchemaVersion,
        format!(
            "schemaVersion is {}; versions {first} to {last} are accepted",
            upload.schema_version
        ),
    )
}

pub(super) fn metric<'t>(
    registered: Option<&'t RegisteredMetric>,
    upload: &ReportUpload,
) -> Result<&'t RegisteredMetric, Rejection> {
    let name: String = upload.metric.chars().take(QUOTED_CHARS).collect();
    match registered {
        None => refuse(
            ProblemKind::UnknownMetric,
            format!("the registry has no metric {name:?}; fetch the configuration again"),
        ),
        Some(registered) if registered.state == MetricState::Closed => refuse(
            ProblemKind::MetricClosed,
            format!("metric {name} is closed and accepts no more reports"),
        ),
        Some(registered) => Ok(registered),
    }
}

pub(super) fn parameters(
    registered: &RegisteredMetric,
    upload: &ReportUpload,
) -> Result<(), Rejection> {
    let entry = &registered.parameters;
    let weight =
        |weight: Option<i32>| weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string());
    let wrong = if upload.bins != entry.bins {
        format!("bins has to be {}, not {}", entry.bins, upload.bins)
    } else if upload.epsilon.to_bits() != entry.epsilon.to_bits() {
        format!(
            "epsilon has to be {}, not {}",
            entry.epsilon, upload.epsilon
        )
    } else if upload.prime != entry.prime {
        format!("prime has to be {}, not {}", entry.prime, upload.prime)
    } else if upload.number_of_servers != entry.number_of_servers {
        let (ours, theirs) = (entry.number_of_servers, upload.number_of_servers);
        format!("numberServers has to be {ours}, not {theirs}")
    } else if upload.hamming_weight != entry.hamming_weight {
        let (ours, theirs) = (weight(entry.hamming_weight), weight(upload.hamming_weight));
        format!("hammingWeight has to be {ours}, not {theirs}")
    } else {
        return Ok(());
    };
    refuse(
        ProblemKind::ParameterMismatch,
        format!("metric {}: {wrong}", entry.name),
    )
}

/// Returns the id in its canonical spelling.
pub(super) fn id(upload: &ReportUpload) -> Result<String, Rejection> {
    let random =
        |id: &PacketId| id.0.get_version_num() == 4 && id.0.get_variant() == Variant::RFC4122;
    match upload.id.parse::<PacketId>().ok().filter(random) {
        Some(id) => Ok(id.to_string()),
        None => refuse(
            ProblemKind::BadReportId,
            "uuid has to be a UUID of version 4, such as 3f0c8a52-9d1e-4b7a-8c66-0e4f5a6b7c8d",
        ),
    }
}

pub(super) fn created(
    created: i64,
    now: i64,
    acceptance: &AcceptanceConfig,
) -> Result<(), Rejection> {
    let oldest = now.saturating_sub(i64::from(acceptance.max_age_hours) * 3_600_000);
    let newest = now.saturating_add(i64::from(acceptance.max_ahead_minutes) * 60_000);
    let clock =
        Timestamp::from_millisecond(now).map_or_else(|_| now.to_string(), |time| time.to_string());
    if created < oldest {
        let hours = acceptance.max_age_hours;
        let detail = format!(
            "created is more than {hours} hours in the past; the server's clock shows {clock}"
        );
        return refuse(ProblemKind::TooLate, detail);
    }
    if created > newest {
        let minutes = acceptance.max_ahead_minutes;
        let detail = format!(
            "created is more than {minutes} minutes in the future; the server's clock shows {clock}"
        );
        return refuse(ProblemKind::TooEarly, detail);
    }
    Ok(())
}

/// Rejects a report unless it names a pair of keys in use that has the metric's bins. The ingestor
/// can compare only the ids: the processors find out which keys open the shares.
pub(super) fn keys(
    registered: &RegisteredMetric,
    pairs: &[KeyPair],
    upload: &ReportUpload,
) -> Result<(), Rejection> {
    let (named, metric, bins) = (
        upload.key_ids(),
        &registered.parameters.name,
        registered.parameters.bins,
    );
    if let Some(pair) = pairs.iter().find(|pair| key_ids(pair) == named) {
        if u32::try_from(bins) == Ok(pair.bins) {
            return Ok(());
        }
        let detail = format!(
            "key ids {} belong to keys for {} bins, but metric {metric} has {bins} bins",
            format_ids(named),
            pair.bins
        );
        return refuse(ProblemKind::KeyOfOtherBins, detail);
    }
    // Swapped ids get their own problem type: a new configuration, the next step for an outdated
    // key, would not help.
    let [first, second] = named;
    if pairs.iter().any(|pair| key_ids(pair) == [second, first]) {
        return refuse(
            ProblemKind::SwappedShares,
            format!(
                "key ids {} are swapped; the first share and the first key id have to be the first \
                 processor's",
                format_ids(named)
            ),
        );
    }
    let expected = pairs
        .iter()
        .find(|pair| u32::try_from(bins) == Ok(pair.bins));
    let expected = expected.map_or_else(String::new, |pair| {
        format!(
            "; for metric {metric} the configuration names {}",
            format_ids(key_ids(pair))
        )
    });
    refuse(
        ProblemKind::OutdatedKey,
        format!(
            "key ids {} are not a pair in use{expected}",
            format_ids(named)
        ),
    )
}

/// Returns the ids of a pair, the first processor's first.
fn key_ids(pair: &KeyPair) -> [&str; 2] {
    pair.keys.each_ref().map(|key| key.id.as_str())
}

/// Formats two key ids for an answer.
fn format_ids(key_ids: [&str; 2]) -> String {
    let [first, second] = key_ids.map(|id| id.chars().take(QUOTED_CHARS).collect::<String>());
    format!("{first:?} and {second:?}")
}

/// Checks lengths and curve points of the shares: lengths first, since they are cheap to compare.
pub(super) fn shares(
    registered: &RegisteredMetric,
    upload: &ReportUpload,
) -> Result<(), Rejection> {
    let lengths = upload.payloads().map(|payload| payload.len() as u64);
    let [first, second] = registered.lengths;
    // The two shares differ in length for every number of bins, so swapped shares are always
    // recognised.
    if lengths == [second, first] {
        return refuse(
            ProblemKind::SwappedShares,
            format!(
                "the shares have {second} and {first} bytes, so they are swapped: send the first processor's first"
            ),
        );
    }
    for ((found, length), which) in lengths
        .into_iter()
        .zip(registered.lengths)
        .zip(["first", "second"])
    {
        if found != length {
            let detail = format!(
                "the {which} share has {found} bytes; shares of this metric have {length} bytes"
            );
            return refuse(ProblemKind::BadShareLength, detail);
        }
    }
    for (payload, which) in upload.payloads().into_iter().zip(["first", "second"]) {
        if let Err(error) = ecies::check_ephemeral(payload) {
            let detail = format!("the {which} share: {error}");
            return refuse(ProblemKind::BadEphemeralKey, detail);
        }
    }
    Ok(())
}

/// Returns the attested key if the locality verifies attestations and the report has one. An
/// attestation that cannot be verified is rejected.
pub(super) fn attestation(
    locality: &Locality,
    upload: &ReportUpload,
    now: i64,
) -> Result<Option<AttestedKey>, Rejection> {
    match (locality.attestation, upload.attestation()) {
        (AttestationPolicy::None, _) | (AttestationPolicy::Optional, None) => Ok(None),
        (AttestationPolicy::Required, None) => refuse(
            ProblemKind::AttestationRequired,
            "the locality requires attestation: send signature and certificateChain",
        ),
        (AttestationPolicy::Required | AttestationPolicy::Optional, Some(_)) => {
            let Some(verifier) = &locality.verifier else {
                return refuse(
                    ProblemKind::AttestationFailed,
                    "the server cannot verify attestations",
                );
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
