//! The command `tallybox-client check`: finds the first wrong element of a report, for developers
//! of clients.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use tallybox_crypto::PacketKeyDocument;
use tallybox_model::report::ReportUpload;
use tallybox_service::exit::Exit;
use tallybox_service::output::{Failure, Summary};

use crate::check::{Exact, Expected, Good, ReportFault, VectorError, check, read, test_metrics};

pub(super) const NOTES: &str = "\
Without --packet-key, the report must be for a metric of the vectors that
docs/clients.md describes (example-v1, bit-vector-v1, ...), sealed to the test
keys there. With the packet keys of a sandbox, it may be for any of its metrics:
  tallybox-client check report.json --packet-key demo/keys/FIRST.json \\
      --packet-key demo/keys/SECOND.json";

/// The options of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The report as JSON, in the form in which it is posted
    #[arg(value_name = "FILE")]
    report: PathBuf,
    /// Require the report to equal the vector of its metric, byte for byte
    #[arg(long, conflicts_with = "packet_keys")]
    exact: bool,
    /// A private packet key, in the format of `facilitator key generate packet`: First's, then
    /// Second's
    #[arg(long = "packet-key", value_name = "FILE")]
    packet_keys: Vec<PathBuf>,
    /// With --packet-key: the epsilon of the metric
    #[arg(
        long,
        value_name = "E",
        default_value_t = 8.0,
        requires = "packet_keys"
    )]
    epsilon: f64,
}

pub(super) fn run(args: &CheckArgs) -> Result<Good, Failure> {
    let text = std::fs::read(&args.report);
    let text = text.map_err(|error| {
        Failure::new(Exit::Usage, "report", error).object(args.report.display())
    })?;
    let upload = read(&text)?;
    let (expected, exact) = match args.packet_keys.as_slice() {
        [] => vector_parameters(&upload)?,
        [first, second] => (
            document_parameters(args, &upload, [first.as_path(), second.as_path()])?,
            None,
        ),
        _ => {
            return Err(Failure::new(
                Exit::Usage,
                "packet-key",
                "give two keys: First's, then Second's",
            ));
        }
    };
    Ok(check(
        &upload,
        &expected,
        exact.filter(|_| args.exact).as_ref(),
    )?)
}

/// Returns the vector for the metric of a report.
fn vector_parameters(upload: &ReportUpload) -> Result<(Expected, Option<Exact>), Failure> {
    let mut all = test_metrics()?;
    match all
        .iter()
        .position(|metric| metric.expected.metric == upload.metric)
    {
        Some(index) => {
            let metric = all.swap_remove(index);
            Ok((metric.expected, Some(metric.exact)))
        }
        None => {
            let available: Vec<&str> = all
                .iter()
                .map(|metric| metric.expected.metric.as_str())
                .collect();
            Err(Failure::from(ReportFault::Metric {
                found: upload.metric.clone(),
                available: available.join(", "),
            }))
        }
    }
}

/// Returns the parameters of a report from two key documents.
fn document_parameters(
    args: &CheckArgs,
    upload: &ReportUpload,
    files: [&Path; 2],
) -> Result<Expected, Failure> {
    let read = |file: &Path| {
        let named = |error: &dyn std::error::Error| {
            Failure::from_error(Exit::Usage, "packet-key", error).object(file.display())
        };
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        PacketKeyDocument::parse(&text).map_err(|error| named(&error))
    };
    let [first, second] = [read(files[0])?, read(files[1])?];
    if first.bins != second.bins {
        let problem = format!(
            "the keys are for {} and {} bins; give two keys for the same number of bins",
            first.bins, second.bins
        );
        return Err(Failure::new(Exit::Usage, "packet-key", problem));
    }
    Ok(Expected {
        metric: upload.metric.clone(),
        bins: first.bins as usize,
        epsilon: args.epsilon,
        key_ids: [first.id, second.id],
        keys: [first.key, second.key],
    })
}

impl From<ReportFault> for Failure {
    fn from(fault: ReportFault) -> Self {
        Self::from_error(Exit::Rejected, fault.reason(), &fault)
    }
}

impl From<VectorError> for Failure {
    fn from(error: VectorError) -> Self {
        Self::from_error(Exit::Retry, "vectors", &error)
    }
}

impl Summary for Good {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bins: String = self.bins.iter().map(u8::to_string).collect();
        writeln!(f, "metric      {}", self.metric)?;
        writeln!(f, "report      {}", self.id)?;
        writeln!(f, "bins        {bins}, as counted")?;
        match self.exact {
            true => write!(f, "outcome     correct, and identical to the vector"),
            false => write!(
                f,
                "outcome     correct: both shares open, and the proof is valid"
            ),
        }
    }
}
