//! Checks of an ingestion header, made before any packet is opened.

use crate::error::Error;
use crate::limits::Limits;
use tallybox_crypto::prepared::CHUNK;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME};
use tallybox_model::path::BatchName;
use tallybox_model::registry::Registry;

/// The most bins of a batch: a share has to fit into one chunk of a prepared batch.
const MAX_BINS: usize = CHUNK / 4;

/// An ingestion header that this processor supports.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    /// The parameters of the batch.
    pub(super) parameters: BatchParameters,
    /// Prio2 at the batch's dimension.
    pub(super) prio2: Prio2,
    /// The digest of the header file.
    pub(super) digest: Digest,
}

impl Checked {
    /// Checks that the header belongs to the path, that Prio2 with two processors supports it, and
    /// that its parameters are those of the metric in the registry, if there is a registry.
    pub(super) fn new(
        limits: &Limits,
        name: &BatchName,
        header: &IngestionHeader,
        digest: Digest,
    ) -> Result<Self, Error> {
        let refuse = |reason, problem| {
            Err(Error::Header {
                batch: name.clone(),
                reason,
                problem,
            })
        };
        if header.batch_uuid != name.id {
            return refuse(
                "header-mismatch",
                format!("the header belongs to batch {}", header.batch_uuid),
            );
        }
        if header.name != name.aggregation.as_str() {
            return refuse(
                "header-mismatch",
                format!("the header belongs to aggregation {:?}", header.name),
            );
        }
        if header.prime != PRIME {
            return refuse(
                "other-prime",
                format!("the header's prime is {}, not {PRIME}", header.prime),
            );
        }
        if header.number_of_servers != 2 {
            return refuse(
                "number-of-servers",
                format!(
                    "the header asks for {} processors, not 2",
                    header.number_of_servers
                ),
            );
        }
        let bins = usize::try_from(header.bins).unwrap_or(0);
        if bins > MAX_BINS {
            return refuse(
                "bins",
                format!("the header has {bins} bins; at most {MAX_BINS} are supported"),
            );
        }
        let prio2 = Prio2::new(bins).map_err(|source| Error::Bins {
            batch: name.clone(),
            source,
        })?;
        if let Some(registry) = &limits.registry {
            registered(registry, name, &header.parameters())?;
        }
        Ok(Self {
            parameters: header.parameters(),
            prio2,
            digest,
        })
    }
}

/// Refuses a batch whose metric is not in the registry or whose parameters differ from the
/// registry.
fn registered(
    registry: &Registry,
    name: &BatchName,
    header: &BatchParameters,
) -> Result<(), Error> {
    let refuse = |reason, problem| {
        Err(Error::Header {
            batch: name.clone(),
            reason,
            problem,
        })
    };
    let Some((metric, entry)) = registry.entry(name.aggregation.as_str()) else {
        return refuse(
            "unknown-metric",
            "the registry has no entry for this metric; if the metric is new, update the registry \
             and run again"
                .to_owned(),
        );
    };
    let wanted = entry.parameters(metric);
    let weight =
        |weight: Option<i32>| weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string());
    let fields = [
        ("bins", header.bins.to_string(), wanted.bins.to_string()),
        ("prime", header.prime.to_string(), wanted.prime.to_string()),
        (
            "number of servers",
            header.number_of_servers.to_string(),
            wanted.number_of_servers.to_string(),
        ),
        (
            "Hamming weight",
            weight(header.hamming_weight),
            weight(wanted.hamming_weight),
        ),
        (
            "epsilon",
            header.epsilon.to_string(),
            wanted.epsilon.to_string(),
        ),
    ];
    if header.same(&wanted) {
        return Ok(());
    }
    let differs = fields.iter().filter(|(_, found, wanted)| found != wanted);
    let differs: Vec<String> = differs
        .map(|(field, found, wanted)| format!("{field} {found}, not {wanted}"))
        .collect();
    refuse(
        "other-parameters",
        format!(
            "the header differs from the registry: {}",
            differs.join("; ")
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const REGISTRY: &str = r#"{"version":1,"metrics":{"a":{"state":"accept","encoding":{"kind":"histogram","bins":5},
        "epsilon":8.0,"cadence-hours":24}}}"#;

    #[test]
    fn a_header_has_to_say_what_the_registry_says() {
        let registry: Registry = serde_json::from_str(REGISTRY).unwrap();
        let name = |aggregation: &str| {
            let text =
                format!("{aggregation}/2026/01/31/12/00/00112233-4455-6677-8899-aabbccddeeff");
            BatchName::parse(&text).unwrap()
        };
        let good = BatchParameters {
            name: "a".to_owned(),
            bins: 5,
            epsilon: 8.0,
            prime: PRIME,
            number_of_servers: 2,
            hamming_weight: None,
        };
        registered(&registry, &name("a"), &good).unwrap();
        let refused = |parameters: BatchParameters, aggregation: &str| {
            let error = registered(&registry, &name(aggregation), &parameters).unwrap_err();
            (error.reason(), error.to_string())
        };
        let close = f64::from_bits(8.0_f64.to_bits() + 1);
        for (parameters, named) in [
            (
                BatchParameters {
                    bins: 9,
                    ..good.clone()
                },
                "bins 9, not 5",
            ),
            (
                BatchParameters {
                    prime: 7,
                    ..good.clone()
                },
                "prime 7",
            ),
            (
                BatchParameters {
                    number_of_servers: 3,
                    ..good.clone()
                },
                "servers 3",
            ),
            (
                BatchParameters {
                    hamming_weight: Some(1),
                    ..good.clone()
                },
                "weight 1, not none",
            ),
            (
                BatchParameters {
                    epsilon: close,
                    ..good.clone()
                },
                "epsilon 8.000000000000002",
            ),
        ] {
            let (reason, text) = refused(parameters, "a");
            assert_eq!(reason, "other-parameters");
            assert!(text.contains(named), "{named}: {text}");
        }
        assert_eq!(refused(good, "b").0, "unknown-metric");
    }
}
