//! The comparison and addition of two verified sum parts.

use serde::Serialize;
use tallybox_crypto::prio2::MODULUS;
use tallybox_model::header::SumPart;
use tallybox_model::id::{BatchId, Instance};
use tallybox_model::role::Role;
use tallybox_model::time::Window;

use super::finding::{Finding, Findings, Values, difference};
use super::part::{FileDigest, Part, SignedBy};

/// The sum of one window of one aggregation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowSum {
    /// The aggregation.
    pub aggregation: String,
    /// The pair of locality and ingestor, if the names of the parts contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// The window.
    pub window: Window,
    /// Parameter of the clients' randomised response.
    pub epsilon: f64,
    /// Number of packets in the sums.
    pub count: u64,
    /// Number of packets that the processors rejected.
    pub rejected: usize,
    /// The sum of each bin, with the clients' noise.
    pub sums: Vec<u64>,
    /// The batches that were summed.
    pub batches: Vec<BatchId>,
    /// What proves the sum, in order of the processors' index.
    pub evidence: [PartOrigin; 2],
}

/// The verified origin of one sum part.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartOrigin {
    /// The processor.
    pub writer: Role,
    /// The key that signed the part.
    pub signed_by: SignedBy,
    /// The files.
    pub files: Vec<FileDigest>,
}

/// Compares the two sum parts of a window, and adds them modulo the prime.
///
/// # Errors
/// [`Findings`]: every difference between the parts that prevents the addition, or a sum that is
/// larger than the number of packets.
pub fn join(first: &Part, second: &Part) -> Result<WindowSum, Findings> {
    let findings = compare(first, second);
    if !findings.is_empty() {
        return Err(Findings(findings));
    }
    let prime = u64::from(MODULUS);
    // `Part::verify` has checked that all elements are in 0..p, so neither conversion loses a value.
    let element = |sum: &i64| sum.unsigned_abs();
    let pairs = first.header.sum.iter().zip(&second.header.sum);
    let sums: Vec<u64> = pairs
        .map(|(one, two)| (element(one) + element(two)) % prime)
        .collect();
    let count = first.header.total_individual_clients.unsigned_abs();
    let impossible: Vec<usize> = (0..sums.len()).filter(|bin| sums[*bin] > count).collect();
    if let Some(&bin) = impossible.first() {
        return Err(Findings::from(Finding::OutOfRange {
            bin,
            sum: sums[bin],
            count,
            bins: impossible.len(),
        }));
    }
    Ok(WindowSum {
        aggregation: first.header.name.clone(),
        instance: first.instance().cloned(),
        window: first.window,
        epsilon: first.header.epsilon,
        count,
        rejected: first.rejected.len(),
        sums,
        batches: first.header.batch_uuids.clone(),
        evidence: [first, second].map(|part| PartOrigin {
            writer: part.kind.writer,
            signed_by: part.signed_by.clone(),
            files: part.digests.clone(),
        }),
    })
}

/// Returns all differences. Parts of different windows are not compared further.
fn compare(first: &Part, second: &Part) -> Vec<Finding> {
    match (first.kind.writer, second.kind.writer) {
        (Role::First, Role::Second) => {}
        (Role::Second, Role::First) => return vec![Finding::Swapped],
        (one, _) => return vec![Finding::OneSide(one)],
    }
    if first.signed_by.fingerprint == second.signed_by.fingerprint {
        let fingerprint = first.signed_by.fingerprint.clone();
        return vec![Finding::OneKey { fingerprint }];
    }
    if let Some(values) = other_window(first, second) {
        return vec![Finding::OtherWindow(values)];
    }
    let (one, two) = (&first.header, &second.header);
    let mut findings: Vec<Finding> = parameters(one, two).map(Finding::Parameters).collect();
    let (only_first, only_second) = difference(&one.batch_uuids, &two.batch_uuids);
    if !only_first.is_empty() || !only_second.is_empty() {
        findings.push(Finding::Batches {
            counts: [one.batch_uuids.len(), two.batch_uuids.len()],
            only_first,
            only_second,
        });
    }
    let counts = [one, two].map(|header| header.total_individual_clients);
    if counts[0] != counts[1] {
        findings.push(Finding::Counts {
            first: counts[0],
            second: counts[1],
        });
    }
    if first.rejected != second.rejected {
        let only = |part: &Part, other: &Part| part.rejected.difference(&other.rejected).count();
        findings.push(Finding::Rejected {
            only: [only(first, second), only(second, first)],
        });
    }
    findings
}

/// Returns what shows that the parts do not belong to one window of one aggregation.
fn other_window(first: &Part, second: &Part) -> Option<Values> {
    let instance = |part: &Part| part.instance().map(ToString::to_string);
    let both = instance(first).zip(instance(second));
    let instances = both.map(|(first, second)| ("instance", first, second));
    let names = [first, second].map(|part| part.header.name.clone());
    let [first_name, second_name] = names;
    let windows = [first, second].map(|part| part.window.to_string());
    let [first_window, second_window] = windows;
    let all = [
        instances,
        Some(("aggregation", first_name, second_name)),
        Some(("window", first_window, second_window)),
    ];
    let (field, first, second) = all.into_iter().flatten().find(|(_, one, two)| one != two)?;
    Some(Values {
        field,
        first,
        second,
    })
}

/// Returns the parameters that differ. Epsilon is compared bit for bit.
fn parameters(first: &SumPart, second: &SumPart) -> impl Iterator<Item = Values> + use<> {
    let fields = |header: &SumPart| {
        [
            ("bins", header.bins.to_string()),
            ("epsilon", header.epsilon.to_string()),
            ("number of servers", header.number_of_servers.to_string()),
            ("hamming weight", format!("{:?}", header.hamming_weight)),
        ]
    };
    let pairs = fields(first).into_iter().zip(fields(second));
    pairs
        .filter(|((_, first), (_, second))| first != second)
        .map(|((field, first), (_, second))| Values {
            field,
            first,
            second,
        })
}
