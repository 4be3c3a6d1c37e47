//! `facilitator key convert`

use super::output::{write_public, write_secret};
use super::{Arguments, Encoding, Error, encode, read};
use clap::Args;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  facilitator key convert rotator-secret --encoding x963-base64 --out packet.b64
  facilitator key convert signing.pem --encoding pkcs8-base64 --out signing.b64";

/// Write a key in another encoding to a new file; a private one with mode 0600
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Convert {
    /// The key's file, in any encoding; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The encoding to write: see `facilitator key --help`
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING")]
    encoding: Encoding,
    /// The common name of a certificate request
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// The file to make; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Convert {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<(), Error> {
        let key = read(&self.file)?;
        let text = encode(
            &key,
            self.encoding,
            self.common_name.as_deref(),
            &self.file.display().to_string(),
        )?;
        if self.encoding.is_private() {
            write_secret(&self.out, &text)?;
        } else {
            write_public(&self.out, &text)?;
        }
        if !arguments.output.quiet {
            eprintln!("fingerprint {}", key.fingerprint());
        }
        Ok(())
    }
}
