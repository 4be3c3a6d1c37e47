//! `facilitator key public`

use super::encoding::{encode, read};
use super::output::write_public;
use crate::error::Error;
use crate::key_encoding::{AnyKey, KeyEncoding};
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Examples:
  For a manifest, a batch signing key:
    facilitator key public keys/signing.pkcs8.b64
  For a manifest, a packet key:
    facilitator key public keys/packet.x963.b64 \\
        --encoding csr-pem --common-name us-ct.example.org
  For ENPA's command line, from PEM:
    facilitator key public peer.pem --encoding x962-base64
  From standard input:
    vault ... | facilitator key public -";

/// Print the public half of a key, or a public key in another encoding
///
/// Reads a private or public key in any encoding. Standard output receives only the key; the
/// fingerprint goes to standard error.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Public {
    /// The key's file; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// spki-pem, spki-base64, x962-base64, or csr-pem (needs the private key and --common-name)
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING", default_value_t = KeyEncoding::SpkiPem)]
    encoding: KeyEncoding,
    /// The common name of the certificate request: the name under which the key is published
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// Write to this new file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The encodings of public keys.
const PUBLIC: [KeyEncoding; 4] = [
    KeyEncoding::SpkiPem,
    KeyEncoding::SpkiBase64,
    KeyEncoding::X962Base64,
    KeyEncoding::CsrPem,
];

impl Public {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        let Self { encoding, .. } = *self;
        if !PUBLIC.contains(&encoding) {
            let problem =
                format!("{encoding} is an encoding of private keys: see `facilitator key convert`");
            return Err(Error::Setting(problem));
        }
        let file = self.file.display().to_string();
        let key = read(&self.file)?;
        if matches!(key, AnyKey::Sealing(_)) {
            return Err(Error::Setting(format!(
                "{file}: a sealing key has no public half"
            )));
        }
        let text = encode(&key, encoding, self.common_name.as_deref(), &file)?;
        let (fingerprint, key) = (key.fingerprint(), text.trim_end().to_owned());
        let out = self.out.as_deref().unwrap_or(Path::new("-"));
        if out != Path::new("-") {
            write_public(out, &text)?;
        }
        let summary = Published {
            encoding,
            fingerprint,
            key,
        };
        if options.output.json {
            return Ok(options.print(&summary)?);
        }
        if out == Path::new("-") {
            options.print(&summary)?;
        }
        if !options.output.quiet {
            eprintln!("fingerprint {}", summary.fingerprint);
        }
        Ok(())
    }
}

/// The published half of a key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Published {
    encoding: KeyEncoding,
    fingerprint: String,
    key: String,
}

impl Summary for Published {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}
