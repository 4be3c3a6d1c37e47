//! `facilitator key record`

use super::output::write_secret;
use super::{AnyKey, Arguments, Error, read};
use clap::Args;
use std::path::PathBuf;
use tallybox_transport::RecordKey;

const AFTER_HELP: &str = "\
Example, and the line of workflow-manager.yaml that uses it:
  facilitator key record keys/sealing.b64 --out keys/record.key
  record-keys: [ { file: keys/record.key } ]";

/// Derive from a sealing key the key that authenticates the own bucket's records, for the workflow manager
///
/// Whoever holds a record key can make and verify records of the own bucket, and opens no prepared batch with it. One
/// sealing key always gives the same record key, so the file can be made again. After a rotation of the sealing key,
/// make one of each sealing key, and list them in the same order.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Record {
    /// The sealing key's file; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to make, mode 0600; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Record {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<(), Error> {
        let AnyKey::Sealing(sealing) = read(&self.file)? else {
            let file = self.file.display();
            return Err(Error::Setting(format!(
                "{file}: it is no sealing key; records are made with one"
            )));
        };
        let key = RecordKey::from_bytes(sealing.record_key());
        write_secret(&self.out, &key.to_text())?;
        if !arguments.output.quiet {
            eprintln!("id {}, as records name it", key.id());
        }
        Ok(())
    }
}
