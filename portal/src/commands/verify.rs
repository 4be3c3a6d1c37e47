//! The command `portal verify`: the offline verifier.

use std::path::PathBuf;

use clap::Args;
use tallybox_service::exit::Exit;
use tallybox_service::shell::GlobalOptions;

use crate::error::Error;
use crate::verify::verify;

/// Verify evidence and published sums, with public keys only
///
/// DIR contains evidence objects in evidence/SOURCE/…, as in the portal's bucket, and the public
/// signing keys of both processors in keys/SOURCE/first/ID.pem and keys/SOURCE/second/ID.pem. The
/// command needs no configuration, no database and no network.
///
/// It recomputes everything that leads to a sum: the digest of every file, the signatures of both
/// processors, the equality of their batches, counts and parameters, and the sums. If DIR contains
/// CSV files as `portal sum --format csv` writes them, their sums are compared with the evidence.
/// Compare the printed fingerprints of the keys with those that the processors publish.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct VerifyCommand {
    /// The folder with evidence and keys
    folder: PathBuf,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  everything verifies
  2  the folder does not have the form above, or a file cannot be read
  3  at least one object or published sum does not verify";

impl VerifyCommand {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let progress = options.output.progress(None, "verify");
        let verified = verify(&self.folder, &progress).await;
        progress.finish();
        let verified = verified?;
        options.print(&verified)?;
        Ok(verified.exit())
    }
}
