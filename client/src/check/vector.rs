//! The vectors of `docs/clients.md`: metrics with their test keys, and the exact bytes of a report
//! of each.

use serde::Deserialize;
use tallybox_crypto::{KeyError, PacketPrivateKey};
use tallybox_model::report::ReportUpload;
use thiserror::Error;

use super::share::Opened;
use super::{Expected, ReportFault, Which};

const EXAMPLE: &str = include_str!("../../testdata/vectors.json");
const MORE: &str = include_str!("../../testdata/more.json");
const GROUPED: &str = include_str!("../../testdata/grouped.json");
/// The metric of the worked example. The other metrics have the same epsilon.
const NAME: &str = "example-v1";
const EPSILON: f64 = 2.0;

/// An error of this program, not of a report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VectorError {
    /// The built-in vectors cannot be parsed.
    #[error("cannot parse the vectors built into this program")]
    Json(#[from] serde_json::Error),
    /// A test key is not a valid scalar.
    #[error("a test key built into this program is not a valid scalar")]
    Key(#[from] KeyError),
}

/// A metric of the vectors.
#[derive(Debug)]
pub struct TestMetric {
    /// The parameters against which its reports are checked.
    pub expected: Expected,
    /// The exact report of the vector.
    pub exact: Exact,
}

/// The exact bytes of a report.
#[derive(Debug)]
pub struct Exact {
    bins: Vec<u32>,
    split: Split,
    payloads: [Vec<u8>; 2],
    id: Option<String>,
}

#[derive(Deserialize)]
struct Example {
    randomise: Bins,
    split: Split,
    seal: Sealed,
    report: Id,
}

#[derive(Deserialize)]
struct Bins {
    bins: Vec<u32>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Split {
    seed: Hex,
    f0: u32,
    g0: u32,
    proof: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SealedShare {
    key_id: String,
    recipient_scalar: Hex,
    payload: Hex,
}

#[derive(Deserialize)]
struct Sealed {
    first: SealedShare,
    second: SealedShare,
}

#[derive(Deserialize)]
struct More {
    name: String,
    encoded: Vec<u32>,
    #[serde(flatten)]
    split: Split,
    seal: Sealed,
}

/// Bytes as hexadecimal text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let digits: Option<Vec<u8>> = text.as_bytes().iter().map(digit).collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2));
        let digits = digits.ok_or("not hexadecimal")?;
        Ok(Self(
            digits
                .chunks_exact(2)
                .map(|pair| 16 * pair[0] + pair[1])
                .collect(),
        ))
    }
}

/// Returns the metrics of the vectors, the worked example first.
///
/// # Errors
/// [`VectorError`] if the built-in files are damaged.
pub fn test_metrics() -> Result<Vec<TestMetric>, VectorError> {
    let example: Example = serde_json::from_str(EXAMPLE)?;
    let mut more: Vec<More> = serde_json::from_str(MORE)?;
    more.extend(serde_json::from_str::<Vec<More>>(GROUPED)?);
    let mut all = vec![metric(
        NAME.to_owned(),
        example.randomise.bins,
        example.split,
        example.seal,
    )?];
    all[0].exact.id = Some(example.report.id);
    for more in more {
        all.push(metric(more.name, more.encoded, more.split, more.seal)?);
    }
    Ok(all)
}

fn metric(
    name: String,
    bins: Vec<u32>,
    split: Split,
    seal: Sealed,
) -> Result<TestMetric, VectorError> {
    let Sealed { first, second } = seal;
    Ok(TestMetric {
        expected: Expected {
            metric: name,
            bins: bins.len(),
            epsilon: EPSILON,
            keys: [
                private(&first.recipient_scalar)?,
                private(&second.recipient_scalar)?,
            ],
            key_ids: [first.key_id, second.key_id],
        },
        exact: Exact {
            bins,
            split,
            payloads: [first.payload.0, second.payload.0],
            id: None,
        },
    })
}

fn private(scalar: &Hex) -> Result<PacketPrivateKey, KeyError> {
    PacketPrivateKey::from_scalar(&scalar.0)
}

impl Exact {
    /// Compares a report with the vector, in the order in which a client computes the elements.
    pub(super) fn compare(
        &self,
        upload: &ReportUpload,
        opened: &Opened,
    ) -> Result<(), ReportFault> {
        let bins = self.bins.len();
        let element = |name: &str, index: usize| {
            let (found, expected) = (opened.proof[index], self.split.proof[index]);
            differ(name, &found, &expected)
        };
        differ(
            "the seed (Second's share)",
            &hex(&opened.seed),
            &hex(&self.split.seed.0),
        )?;
        for (bin, expected) in self.bins.iter().enumerate() {
            differ(
                &format!("bin {bin} after the noise"),
                &opened.proof[bin],
                expected,
            )?;
        }
        differ("f0", &opened.proof[bins], &self.split.f0)?;
        differ("g0", &opened.proof[bins + 1], &self.split.g0)?;
        for index in bins + 2..self.split.proof.len().min(opened.proof.len()) {
            element(&format!("element {index} of the proof"), index)?;
        }
        for (which, expected) in Which::BOTH.into_iter().zip(&self.payloads) {
            let found = upload.payloads()[which.index()];
            let name = format!("the sealed share for {which}");
            differ(&name, &hex(found), &hex(expected))?;
        }
        self.id
            .as_ref()
            .map_or(Ok(()), |id| differ("payload.uuid", &upload.id, id))
    }
}

fn differ<T: PartialEq + ToString>(
    element: &str,
    found: &T,
    expected: &T,
) -> Result<(), ReportFault> {
    if found == expected {
        return Ok(());
    }
    Err(ReportFault::Vector {
        element: element.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
