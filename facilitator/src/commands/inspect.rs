//! `facilitator inspect`

use super::options::processor;
use crate::error::Error;
use crate::inspect::{Inspector, Target};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use tallybox_crypto::VerifyingKey;
use tallybox_model::id::KeyId;
use tallybox_service::exit::Exit;
use tallybox_service::key_file::read_public;
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Examples:
  A batch, by the common prefix of its objects' names (DATE/UUID):
    facilitator inspect mailbox/org.example.count/2026/01/31/12/00/5fd2ffef-...
  Did this processor write this sum part, and is it intact?
    facilitator -c first.yaml inspect sums/i/a/202601311200-202601311600.sum_0
  Does a batch verify with this public key? (needs no configuration)
    facilitator inspect --key k1=ingestor.pem mailbox/org.example.count/...
  An object in a cloud; the credentials come from the configuration, if it
  names the bucket:
    facilitator -c first.yaml inspect s3://us-west-1/mailbox/a/2026/.../5f.batch
  Whose key is this?
    facilitator -c first.yaml inspect keys/from-the-peer.pem
  After a conflict: how do the two objects differ?
    facilitator inspect --diff out/a/2026/.../5f.validity_0 backup/5f.validity_0

Exit codes:
  0  readable, and no verification failed; with --diff: the same bytes
  3  malformed, or a signature, a digest or the path is wrong
  4  nothing there (yet), or a part of a batch is missing
  5  --diff found a difference
The summary is printed in every case except when nothing is there.";

/// Identify a file, object, batch or folder, show who signed it, and verify it; writes nothing
///
/// A batch can be given by any one of its objects or by the common prefix of their names. Ingestion
/// and validation batches in both forms, sum parts, their single files, prepared batches, records
/// of the own bucket, manifests and keys are recognised by content, whatever their name. --key
/// verifies signatures with the given public key. --config also verifies with the keys of the
/// configuration and opens prepared batches; everything else works without it. Shares, verification
/// messages, evaluation points and private keys are never shown.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Inspect {
    /// A path (relative to the working directory), or a bucket's URL followed by an object's key
    #[arg(value_name = "PATH-OR-URL", required_unless_present = "diff")]
    target: Option<String>,
    /// A public key in any encoding, and the identifier that signatures use for it; may be repeated
    #[arg(long, value_name = "ID=FILE", value_parser = given_key)]
    key: Vec<(KeyId, PathBuf)>,
    /// Compare two objects, batches, sum parts or records, and show the differences
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "target")]
    diff: Vec<String>,
}

impl Inspect {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let processor = match options.config {
            Some(_) => Some(processor(options)?),
            None => None,
        };
        let locate = |text: &String| Target::locate(text, processor.as_deref());
        let targets = self
            .target
            .iter()
            .chain(&self.diff)
            .map(locate)
            .collect::<Result<Vec<_>, _>>()?;
        let bar = options.output.progress(None, "inspect");
        let shown = bar.clone();
        let progress = Arc::new(move |packets, bytes| shown.advance(packets, bytes));
        let keys = self.key.iter().map(|(id, file)| {
            let key = read_public(file, "public key", VerifyingKey::parse)?;
            Ok((id.clone(), key))
        });
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        let inspector = Inspector::new(processor.clone())
            .with_keys(&keys)
            .with_progress(progress);
        let report = match targets.as_slice() {
            [a, b] => inspector.diff(a, b).await,
            [target] => inspector.inspect(target).await,
            _ => Err(Error::Setting(
                "inspect takes either one PATH-OR-URL or --diff A B".to_owned(),
            )),
        };
        bar.finish();
        let report = report?;
        options.print(&report)?;
        Ok(report.outcome)
    }
}

/// Splits `ID=FILE` into its two parts.
fn given_key(text: &str) -> Result<(KeyId, PathBuf), String> {
    match text.split_once('=') {
        Some((id, file)) if !id.is_empty() && !file.is_empty() => {
            Ok((id.to_owned(), PathBuf::from(file)))
        }
        _ => {
            Err("expected ID=FILE: a key's identifier and the file with its public half".to_owned())
        }
    }
}
