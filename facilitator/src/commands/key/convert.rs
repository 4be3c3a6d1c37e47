//! `facilitator key convert`

use super::document::{Restriction, document};
use super::encoding::{encode, read};
use super::output::{write_public, write_secret};
use crate::error::Error;
use crate::key_encoding::{AnyKey, KeyEncoding};
use clap::Args;
use std::path::PathBuf;
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Examples:
  facilitator key convert rotator-secret --encoding x963-base64 --out packet.b64
  facilitator key convert signing.pem --encoding pkcs8-base64 --out signing.b64
  facilitator key convert packet.b64 --instance us-ct-ingestor --bins 5 \\
      --id first-packet-1 --out packet-5-bins.json

With --instance and --bins, a bare packet key becomes a document. Do this only
once for each key, and only if the key has opened packets of this instance and
number of bins alone. A second document of the same key would let packets be
evaluated twice, which reveals their contents.";

/// The creation time assumed for a bare key, which carries none. The earliest time makes checks of
/// the key's earlier use cover everything.
const UNKNOWN_CREATION_TIME: &str = "1970-01-01T00:00:00Z";

/// Write a key in another encoding to a new file; a private one with mode 0600
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Convert {
    /// The key's file, in any encoding; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The encoding to write: see `facilitator key --help` [default: packet-document with
    /// --instance and --bins]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING")]
    encoding: Option<KeyEncoding>,
    #[command(flatten)]
    restriction: Restriction,
    /// The common name of the certificate request
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// The file to create; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Convert {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None if self.restriction.is_given() => KeyEncoding::PacketDocument,
            None => {
                return Err(Error::Setting(
                    "give --encoding, or --instance and --bins".to_owned(),
                ));
            }
        };
        let file = self.file.display().to_string();
        let key = self.restricted(read(&self.file)?, encoding, &file)?;
        let text = encode(&key, encoding, self.common_name.as_deref(), &file)?;
        if encoding.is_private() {
            write_secret(&self.out, &text)?;
        } else {
            write_public(&self.out, &text)?;
        }
        if !options.output.quiet {
            eprintln!("fingerprint {}", key.fingerprint());
        }
        Ok(())
    }
    /// Returns the key, as a packet key document if the target encoding is one.
    fn restricted(&self, key: AnyKey, encoding: KeyEncoding, file: &str) -> Result<AnyKey, Error> {
        match key {
            AnyKey::Private(key) if encoding == KeyEncoding::PacketDocument => {
                let document = document(*key, &self.restriction, UNKNOWN_CREATION_TIME)?;
                Ok(AnyKey::Packet(Box::new(document)))
            }
            AnyKey::Packet(_) if self.restriction.is_given() => Err(Error::Setting(format!(
                "{file}: the key is a document already, and its instance and number of bins cannot be changed; omit \
                 --instance, --bins, --id and --created"
            ))),
            _ if self.restriction.is_given() => Err(Error::Setting(
                "--instance, --bins, --id and --created apply only when a bare packet key becomes a document"
                    .to_owned(),
            )),
            key => Ok(key),
        }
    }
}
