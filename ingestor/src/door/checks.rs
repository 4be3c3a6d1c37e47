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
use crate::ingestor::{KeyPair, Locality};

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

/// Refuses a report unless it names a pair of keys in use that has the metric's bins. Only the ids can be compared here:
/// the processors check which keys really open the shares.
pub(super) fn keys(known: &Known, pairs: &[KeyPair], upload: &ReportUpload) -> Result<(), Rejection> {
    let (named, metric, bins) = (upload.key_ids(), &known.parameters.name, known.parameters.bins);
    if let Some(pair) = pairs.iter().find(|pair| ids(pair) == named) {
        if u32::try_from(bins) == Ok(pair.bins) {
            return Ok(());
        }
        let detail = format!(
            "keys {} are for {} bins, metric {metric} has {bins}",
            both(named),
            pair.bins
        );
        return refuse(ProblemKind::KeyOfOtherBins, detail);
    }
    // A developer who has exchanged the shares would fetch the configuration again and again.
    let [first, second] = named;
    if pairs.iter().any(|pair| ids(pair) == [second, first]) {
        return refuse(
            ProblemKind::SwappedShares,
            format!(
                "{} are the first processor's key after the second's; the first share and key id are the first \
                 processor's",
                both(named)
            ),
        );
    }
    let expected = pairs.iter().find(|pair| u32::try_from(bins) == Ok(pair.bins));
    let expected = expected.map_or_else(String::new, |pair| {
        format!("; for metric {metric} the configuration names {}", both(ids(pair)))
    });
    refuse(
        ProblemKind::OutdatedKey,
        format!("keys {} are no pair in use{expected}", both(named)),
    )
}

/// The ids of a pair, the first processor's first.
fn ids(pair: &KeyPair) -> [&str; 2] {
    pair.keys.each_ref().map(|key| key.id.as_str())
}

/// Two key ids as they are said back to a client.
fn both(ids: [&str; 2]) -> String {
    let [first, second] = ids.map(|id| id.chars().take(SHOWN).collect::<String>());
    format!("{first:?} and {second:?}")
}

/// Lengths first, since they cost nothing.
pub(super) fn shares(known: &Known, upload: &ReportUpload) -> Result<(), Rejection> {
    let lengths = upload.payloads().map(|payload| payload.len() as u64);
    let [first, second] = known.lengths;
    // No number of bins gives both shares one length, so they cannot be taken for each other.
    if lengths == [second, first] {
        return refuse(
            ProblemKind::SwappedShares,
            format!("the shares have {second} and {first} bytes: the second processor's comes before the first's"),
        );
    }
    for ((found, length), which) in lengths.into_iter().zip(known.lengths).zip(["first", "second"]) {
        if found != length {
            let detail = format!("the {which} share has {found} bytes, {length} are right for the metric");
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
