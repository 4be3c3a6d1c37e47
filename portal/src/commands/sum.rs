//! The command `portal sum`: two sum part files in, a table, JSON or CSV out.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tallybox_model::registry::Registry;
use tallybox_service::config::load;
use tallybox_service::exit::Exit;
use tallybox_service::key_file::FileError;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::LocalBucket;

use crate::error::Error;
use crate::keys::{KeyOption, PortalKeys};
use crate::pair::{Finding, Findings, Part, PartKind, WindowSum, join, read_files};
use crate::report::{Refusal, SumReport};

/// Verify the two sum parts of a window, and add them
///
/// FIRST and SECOND are the files of the first and the second processor, such as
/// 202311142200-202311142300.sum_0 and 202311142200-202311142300.sum_1. The other two files of each
/// part (.sig and .invalid_uuid_N.avro) have to be in the same folder.
///
/// The command verifies both signatures and digests, and compares the windows, parameters, batches,
/// counts and rejected packets of both parts. If anything differs, it prints no sum, but every
/// difference with its likely cause and the next step, and exits with 3.
///
/// The estimate of a bin is its sum without the expected noise of the clients; the interval contains
/// the true number in 95 of 100 cases.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct SumCommand {
    /// A file of the first processor's sum part
    first: PathBuf,
    /// A file of the second processor's sum part
    second: PathBuf,
    /// A public signing key: the id that the signature names, and the file (PEM or base64, as in
    /// manifests). With more than two keys, write first:ID=FILE or second:ID=FILE
    #[arg(long = "key", value_name = "ID=FILE", required = true)]
    keys: Vec<KeyOption>,
    /// The metric registry, for the names of the bins and the meaning of the metric
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Do not show sums of fewer packets than this
    #[arg(long, value_name = "N", default_value_t = 0)]
    minimum: u64,
    /// How the sums are printed; --json prints JSON instead
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The forms of the result for people and spreadsheets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table with bars
    Table,
    /// Comma-separated values, one line per bin
    Csv,
}

const AFTER_HELP: &str = "\
Examples:
  portal sum first/202311142200-202311142300.sum_0 second/202311142200-202311142300.sum_1 \\
    --key pha-key-1=pha.pem --key facilitator-key-1=facilitator.pem
  portal sum A.sum_0 B.sum_1 --key first:k1=a.pem --key second:k2=b.pem \\
    --registry registry.yaml --format csv > window.csv";

impl SumCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let keys = PortalKeys::read(&self.keys)?;
        let registry = match &self.registry {
            Some(file) => Some(load::<Registry>(file)?.value),
            None => None,
        };
        match self.add(&keys).await {
            Ok(sum) if sum.count < self.minimum => Err(Error::BelowMinimum {
                count: sum.count,
                minimum: self.minimum,
            }),
            Ok(sum) => {
                let report = SumReport::new(sum, registry.as_ref())?;
                match self.format {
                    Format::Csv if !options.output.json => options.print(&report.into_csv()?)?,
                    _ => options.print(&report)?,
                }
                Ok(Exit::Done)
            }
            // Machines read all findings; the shell prints the same as one line.
            Err(Error::Findings(findings)) => Ok(Refusal::new(findings).print(options)?),
            Err(error) => Err(error),
        }
    }

    async fn add(&self, keys: &PortalKeys) -> Result<WindowSum, Error> {
        let first = read_part(&self.first, keys).await?;
        let second = read_part(&self.second, keys).await?;
        match (first, second) {
            (Ok(first), Ok(second)) => Ok(join(&first, &second)?),
            (first, second) => {
                let findings = [first.err(), second.err()];
                Err(Findings(findings.into_iter().flatten().collect()).into())
            }
        }
    }
}

/// Reads and verifies the sum part that one of its files names.
async fn read_part(file: &Path, keys: &PortalKeys) -> Result<Result<Part, Finding>, Error> {
    // An absolute path, because the folders around the file name instance and aggregation.
    let path = std::path::absolute(file).map_err(|source| FileError::unreadable(file, source))?;
    let kind = path
        .file_name()
        .and_then(|name| PartKind::parse(name.to_str()?));
    let (Some(mut kind), Some(folder)) = (kind, path.parent()) else {
        return Err(Error::Usage(format!(
            "{}: not a file of a sum part: its name ends in .sum_0, .sum_1, .sig or .invalid_uuid_N.avro",
            file.display()
        )));
    };
    kind.name = path
        .to_str()
        .and_then(PartKind::parse)
        .and_then(|kind| kind.name);
    match read_files(&LocalBucket::new(folder), &kind.objects).await {
        Ok(files) => Ok(Part::verify(kind, &files, keys)),
        Err(source) => Ok(Err(Finding::Unverified {
            writer: kind.writer,
            source,
        })),
    }
}
