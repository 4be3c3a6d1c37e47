//! `facilitator key record`

use super::encoding::read;
use super::output::write_secret;
use crate::error::Error;
use crate::key_encoding::AnyKey;
use clap::Args;
use std::path::PathBuf;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::RecordKey;

const AFTER_HELP: &str = "\
Example, and the line of workflow-manager.yaml that uses it:
  facilitator key record keys/sealing.b64 --out keys/record.key
  record-keys: [ { file: keys/record.key } ]";

/// Derive a record key from a sealing key, for the workflow manager
///
/// Record keys authenticate the records of the own bucket. The holder of a record key can create
/// and verify such records, but cannot open prepared batches. One sealing key always gives the same
/// record key, so the file can be created again. After a rotation of the sealing key, derive a
/// record key from each sealing key and list them in the same order.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Record {
    /// The sealing key's file; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to create, mode 0600; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Record {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let AnyKey::Sealing(sealing) = read(&self.file)? else {
            let file = self.file.display();
            return Err(Error::Setting(format!(
                "{file}: not a sealing key; record keys are derived from sealing keys"
            )));
        };
        let key = RecordKey::from_bytes(sealing.record_key());
        write_secret(&self.out, &key.to_text())?;
        if !options.output.quiet {
            eprintln!("id {}, as records name it", key.id());
        }
        Ok(())
    }
}
