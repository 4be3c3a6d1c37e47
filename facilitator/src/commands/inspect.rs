//! `facilitator inspect`

use super::Arguments;
use crate::error::Error;
use crate::inspect::{Inspector, Target};
use crate::processor::read_public;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use tallybox_model::id::KeyId;
use tallybox_service::exit::Exit;

const AFTER_HELP: &str = "\
Examples:
  A batch, by the common beginning of its objects' names (DATE/UUID):
    facilitator inspect mailbox/org.example.count/2026/01/31/12/00/5fd2ffef-...
  Is this sum part ours, and unharmed?
    facilitator -c first.yaml inspect sums/i/a/202601311200-202601311600.sum_0
  Does a batch verify with this public key? No configuration is needed:
    facilitator inspect --key k1=ingestor.pem mailbox/org.example.count/...
  An object in a cloud; credentials as in the configuration, if it has the bucket:
    facilitator -c first.yaml inspect s3://us-west-1/mailbox/a/2026/.../5f.batch
  Whose key is that?
    facilitator -c first.yaml inspect keys/from-the-peer.pem
  After a conflict: what differs?
    facilitator inspect --diff out/a/2026/.../5f.validity_0 backup/5f.validity_0

Exit codes:
  0  readable, and nothing verified wrong; with --diff: the same bytes
  3  malformed, or a signature, a digest or the path is wrong
  4  nothing there (yet), or a part of a batch is missing
  5  --diff found a difference
The summary is printed with all of them, unless nothing is there.";

/// Say what a file, object, batch or folder is, who signed it, and whether it verifies; nothing is written
///
/// Any one object of a batch, or the common beginning of their names, stands for the batch. It knows ingestion and
/// validation batches in both forms, sum parts, their single files, prepared batches, fixed records, manifests and
/// keys by their content, whatever the name. With --key it verifies signatures with that public key, with --config also
/// with the keys of the configuration, and opens prepared batches; everything else works without. Shares, messages, evaluation points and private keys
/// are never shown.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Inspect {
    /// A path (relative to the working directory) or the URL of a bucket with an object's key behind it
    #[arg(value_name = "PATH-OR-URL", required_unless_present = "diff")]
    target: Option<String>,
    /// A public key, in any encoding, and the identifier under which signatures name it; can be given several times
    #[arg(long, value_name = "ID=FILE", value_parser = given_key)]
    key: Vec<(KeyId, PathBuf)>,
    /// Say whether two objects, batches, sum parts or fixed records are the same, and if not, what differs
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "target")]
    diff: Vec<String>,
}

impl Inspect {
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let processor = match arguments.config {
            Some(_) => Some(arguments.processor()?),
            None => None,
        };
        let locate = |text: &String| Target::locate(text, processor.as_deref());
        let targets = self
            .target
            .iter()
            .chain(&self.diff)
            .map(locate)
            .collect::<Result<Vec<_>, _>>()?;
        let bar = arguments.output.progress(None, "inspect");
        let shown = bar.clone();
        let progress = Arc::new(move |packets, bytes| shown.advance(packets, bytes));
        let keys = self.key.iter().map(|(id, file)| Ok((id.clone(), read_public(file)?)));
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        let inspector = Inspector::new(processor.clone())
            .with_keys(keys)
            .with_progress(progress);
        match targets.as_slice() {
            [a, b] => {
                let difference = inspector.diff(a, b).await;
                bar.finish();
                let difference = difference?;
                arguments.print(&difference)?;
                Ok(difference.outcome)
            }
            [target] => {
                let report = inspector.inspect(target).await;
                bar.finish();
                let report = report?;
                arguments.print(&report)?;
                Ok(report.outcome)
            }
            _ => Err(Error::Setting(
                "inspect takes one PATH-OR-URL, or --diff A B".to_owned(),
            )),
        }
    }
}

/// Takes `ID=FILE` apart.
fn given_key(text: &str) -> Result<(KeyId, PathBuf), String> {
    match text.split_once('=') {
        Some((id, file)) if !id.is_empty() && !file.is_empty() => Ok((id.to_owned(), PathBuf::from(file))),
        _ => Err("has to be ID=FILE, a key's identifier and the file of its public half".to_owned()),
    }
}
