//! `facilitator key`

mod convert;
mod document;
mod encoding;
mod generate;
mod output;
mod public;
mod record;

use crate::error::Error;
use clap::{Args, Subcommand};
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Encodings (docs/formats.md specifies each byte by byte):
  packet keys
    packet-document   JSON of id, instance, bins, time and private key
  private keys
    pkcs8-base64      base64 of PKCS#8; ENPA's batch signing keys
    pkcs8-pem         PEM `PRIVATE KEY`
    x963-base64       base64 of point and scalar; ENPA's packet decryption keys
    rotator-material  the secrets of ENPA's key-rotator
  public keys
    spki-pem          PEM `PUBLIC KEY`: batch signing keys in manifests
    spki-base64       base64 of SPKI
    x962-base64       base64 of the point: the form for ENPA's command line
    csr-pem           PEM `CERTIFICATE REQUEST`: packet keys in manifests; made
                      of the private key and --common-name
  sealing keys
    base64            base64 of 32 bytes
  record keys         derived from sealing keys by `facilitator key record`

Every command that reads a key detects the encoding.";

/// Create keys, and convert them between encodings
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    Generate(generate::Generate),
    Public(public::Public),
    Convert(convert::Convert),
    Record(record::Record),
}

impl Key {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        match &self.command {
            KeyCommand::Generate(command) => command.run(options),
            KeyCommand::Public(command) => command.run(options),
            KeyCommand::Convert(command) => command.run(options),
            KeyCommand::Record(command) => command.run(options),
        }
    }
}
