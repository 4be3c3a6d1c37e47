//! Finds the first wrong element of a report, for developers of clients. The check opens both
//! shares, so it needs the private packet keys: those of the vectors in `docs/clients.md`, or those
//! of a sandbox.

mod fault;
mod share;
mod vector;

pub use fault::{ReportFault, Which};
pub use vector::{Exact, TestMetric, VectorError, test_metrics};

use serde::Serialize;
use tallybox_crypto::PacketPrivateKey;
use tallybox_crypto::prio2::Prio2;
use tallybox_model::header::PRIME;
use tallybox_model::id::PacketId;
use tallybox_model::report::json::JsonReport;
use tallybox_model::report::{ReportUpload, SCHEMA_VERSIONS};

/// A metric, with the private keys to which its shares are sealed.
#[derive(Debug)]
pub struct Expected {
    /// The name of the metric.
    pub metric: String,
    /// The number of bins.
    pub bins: usize,
    /// The parameter of the randomised response.
    pub epsilon: f64,
    /// The ids of both packet keys, the first processor's first.
    pub key_ids: [String; 2],
    /// The private packet keys.
    pub keys: [PacketPrivateKey; 2],
}

/// The result for a correct report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Good {
    /// The metric.
    pub metric: String,
    /// The id of the report.
    pub id: String,
    /// The bins as they are counted, with noise.
    pub bins: Vec<u8>,
    /// True if every byte was compared with a vector.
    pub exact: bool,
}

/// Parses a JSON report.
///
/// # Errors
/// [`ReportFault::NotAReport`] with the position in the text.
pub fn read(text: &[u8]) -> Result<ReportUpload, ReportFault> {
    let report: JsonReport = serde_json::from_slice(text).map_err(ReportFault::NotAReport)?;
    ReportUpload::try_from(report).map_err(ReportFault::Member)
}

/// Checks a report as the ingestor and both processors do, from the outer elements to the inner
/// ones. With `exact`, also compares it with a vector.
///
/// # Errors
/// The first [`ReportFault`].
pub fn check(
    upload: &ReportUpload,
    expected: &Expected,
    exact: Option<&Exact>,
) -> Result<Good, ReportFault> {
    let prio2 = Prio2::new(expected.bins).map_err(ReportFault::Bins)?;
    id(upload)?;
    parameters(upload, expected)?;
    key_ids(upload, expected)?;
    let opened = share::open(upload, &prio2, &expected.keys)?;
    if let Some(exact) = exact {
        exact.compare(upload, &opened)?;
    }
    let bits = share::verify(&prio2, &opened)?;
    Ok(Good {
        metric: expected.metric.clone(),
        id: upload.id.clone(),
        bins: bits.into_iter().map(u8::from).collect(),
        exact: exact.is_some(),
    })
}

fn id(upload: &ReportUpload) -> Result<(), ReportFault> {
    let id = upload.id.parse::<PacketId>().ok();
    let id =
        id.filter(|id| id.0.get_version_num() == 4 && id.0.get_variant() == uuid::Variant::RFC4122);
    match id {
        Some(id) if id.to_string() == upload.id => Ok(()),
        _ => Err(ReportFault::Id {
            found: upload.id.clone(),
        }),
    }
}

fn parameters(upload: &ReportUpload, expected: &Expected) -> Result<(), ReportFault> {
    if !SCHEMA_VERSIONS.contains(&upload.schema_version) {
        return Err(ReportFault::parameter(
            "schemaVersion",
            upload.schema_version,
            "1 or 2",
        ));
    }
    if upload.prime != PRIME {
        return Err(ReportFault::parameter(
            "prioParams.prime",
            upload.prime,
            PRIME,
        ));
    }
    if usize::try_from(upload.bins) != Ok(expected.bins) {
        return Err(ReportFault::parameter(
            "prioParams.bins",
            upload.bins,
            expected.bins,
        ));
    }
    // Compared bit by bit: clients copy the value and do not compute it.
    if upload.epsilon.to_bits() != expected.epsilon.to_bits() {
        return Err(ReportFault::parameter(
            "prioParams.epsilon",
            upload.epsilon,
            expected.epsilon,
        ));
    }
    if upload.number_of_servers != 2 {
        return Err(ReportFault::parameter(
            "prioParams.numberServers",
            upload.number_of_servers,
            2,
        ));
    }
    match upload.hamming_weight {
        Some(weight) => Err(ReportFault::parameter(
            "prioParams.hammingWeight",
            weight,
            "none",
        )),
        None => Ok(()),
    }
}

fn key_ids(upload: &ReportUpload, expected: &Expected) -> Result<(), ReportFault> {
    let (found, [first, second]) = (upload.key_ids(), &expected.key_ids);
    // Checked first, because swapped ids also differ from the expected ones.
    if found == [second, first] {
        return Err(ReportFault::KeyIdsExchanged);
    }
    for (which, (found, expected)) in Which::BOTH
        .into_iter()
        .zip(found.into_iter().zip(&expected.key_ids))
    {
        if found != expected {
            return Err(ReportFault::KeyId {
                which,
                found: found.to_owned(),
                expected: expected.clone(),
            });
        }
    }
    Ok(())
}
