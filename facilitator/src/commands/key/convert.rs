//! `facilitator key convert`

use super::document::{Restriction, document};
use super::output::{write_public, write_secret};
use super::{AnyKey, Arguments, Encoding, Error, encode, read};
use clap::Args;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  facilitator key convert rotator-secret --encoding x963-base64 --out packet.b64
  facilitator key convert signing.pem --encoding pkcs8-base64 --out signing.b64
  facilitator key convert packet.b64 --instance us-ct-ingestor --bins 5 \\
      --id first-packet-1 --out packet-5-bins.json

With --instance and --bins, a bare packet key becomes a document. Do this once
for a key, and only if it has opened packets of this one instance and number of
bins alone: a second document of the same key would let packets be evaluated
twice, which gives their answers away.";

/// When a bare key was made is not known: everything is looked at that may have been made with it.
const UNKNOWN: &str = "1970-01-01T00:00:00Z";

/// Write a key in another encoding to a new file; a private one with mode 0600
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Convert {
    /// The key's file, in any encoding; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The encoding to write: see `facilitator key --help` [default: packet-document with --instance and --bins]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING")]
    encoding: Option<Encoding>,
    #[command(flatten)]
    restriction: Restriction,
    /// The common name of a certificate request
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// The file to make; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Convert {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<(), Error> {
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None if self.restriction.is_given() => Encoding::PacketDocument,
            None => return Err(Error::Setting("give --encoding, or --instance and --bins".to_owned())),
        };
        let file = self.file.display().to_string();
        let key = self.restricted(read(&self.file)?, encoding, &file)?;
        let text = encode(&key, encoding, self.common_name.as_deref(), &file)?;
        if encoding.is_private() {
            write_secret(&self.out, &text)?;
        } else {
            write_public(&self.out, &text)?;
        }
        if !arguments.output.quiet {
            eprintln!("fingerprint {}", key.fingerprint());
        }
        Ok(())
    }
    /// The key, as a document if that is what is to be written.
    fn restricted(&self, key: AnyKey, encoding: Encoding, file: &str) -> Result<AnyKey, Error> {
        match key {
            AnyKey::Private(key) if encoding == Encoding::PacketDocument => {
                let document = document(*key, &self.restriction, UNKNOWN)?;
                Ok(AnyKey::Packet(Box::new(document)))
            }
            AnyKey::Packet(_) if self.restriction.is_given() => Err(Error::Setting(format!(
                "{file}: it is a document already, and a packet key belongs to one instance and one number of bins for good"
            ))),
            _ if self.restriction.is_given() => Err(Error::Setting(
                "--instance, --bins, --id and --created make a document of a bare packet key, and of nothing else"
                    .to_owned(),
            )),
            key => Ok(key),
        }
    }
}
