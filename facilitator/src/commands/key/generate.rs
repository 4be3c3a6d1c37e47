//! `facilitator key generate`

use super::document::{Restriction, document};
use super::encoding::encode;
use super::output::{write_public, write_secret};
use crate::error::Error;
use crate::key_encoding::{AnyKey, KeyEncoding};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use tallybox_crypto::{PacketPrivateKey, SealingKey};
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;

const AFTER_HELP: &str = "\
Examples:
  facilitator key generate signing --out keys/signing.pkcs8.b64
  facilitator key generate packet --instance us-ct-ingestor --bins 5 \\
      --out keys/packet-5-bins.json
  facilitator key generate sealing --out keys/sealing.b64
  facilitator key generate signing --for ingestor --out keys/batch-signing.b64
  facilitator key generate signing --encoding pkcs8-pem --out - | vault ...

A packet key belongs to one instance and one number of bins: generate one for
each number of bins that the instance's metrics have. The ingestor needs its
public half, which the command writes to a second file whose name ends in
.x962-public.b64.

Then publish the public half: see `facilitator key public --help`.";

/// Generate a key and write it to a new file, mode 0600
///
/// The command never overwrites a file. `--out -` writes the key to standard output and the summary
/// to standard error. Missing folders are created with access for their owner alone.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Generate {
    /// The purpose of the key
    #[arg(value_enum, value_name = "KIND")]
    kind: Kind,
    #[command(flatten)]
    restriction: Restriction,
    /// The program that will use the key; the summary shows that program's configuration lines
    #[arg(long = "for", value_enum, value_name = "PROGRAM", default_value_t = Program::Facilitator)]
    program: Program,
    /// The encoding of the private key [default: pkcs8-base64 for signing, packet-document for
    /// packet, base64 for sealing]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING")]
    encoding: Option<KeyEncoding>,
    /// The file to create; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The purpose of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Signs batches
    Signing,
    /// Opens packets of one instance and one number of bins
    Packet,
    /// Seals a processor's own prepared batches
    Sealing,
}

/// The program that uses a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Program {
    /// A processor
    Facilitator,
    /// The ingestor, which has signing keys and secrets (encoded as sealing keys)
    Ingestor,
}

impl Kind {
    fn default_encoding(self) -> KeyEncoding {
        match self {
            Self::Signing => KeyEncoding::Pkcs8Base64,
            Self::Packet => KeyEncoding::PacketDocument,
            Self::Sealing => KeyEncoding::Base64,
        }
    }

    /// The encodings in which the programs read such a key.
    fn encodings(self) -> &'static [KeyEncoding] {
        use KeyEncoding::{
            Base64, PacketDocument, Pkcs8Base64, Pkcs8Pem, RotatorMaterial, X963Base64,
        };
        match self {
            Self::Signing => &[Pkcs8Base64, Pkcs8Pem, RotatorMaterial],
            Self::Packet => &[
                PacketDocument,
                X963Base64,
                Pkcs8Base64,
                Pkcs8Pem,
                RotatorMaterial,
            ],
            Self::Sealing => &[Base64],
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Packet => "packet",
            Self::Sealing => "sealing",
        }
    }
}

impl Generate {
    pub(super) fn run(&self, options: &GlobalOptions) -> Result<(), Error> {
        if (self.kind, self.program) == (Kind::Packet, Program::Ingestor) {
            return Err(Error::Setting(
                "an ingestor has no packet keys; it uses the public halves of the processors' keys"
                    .to_owned(),
            ));
        }
        let encoding = self.encoding.unwrap_or(self.kind.default_encoding());
        let allowed = self.kind.encodings();
        if !allowed.contains(&encoding) {
            let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let kind = self.kind.as_str();
            return Err(Error::Setting(format!(
                "a {kind} key can be written as {}, not as {encoding}",
                list.join(", ")
            )));
        }
        let to_stdout = self.out == Path::new("-");
        if to_stdout && options.output.json {
            return Err(Error::Setting(
                "--json and `--out -` both write to standard output; use one of them".to_owned(),
            ));
        }
        let key = self.key(encoding)?;
        let public_file = match &key {
            AnyKey::Packet(_) if !to_stdout => Some(public_file(&self.out)),
            _ => None,
        };
        let summary = self.summary(&key, encoding, public_file.as_deref())?;
        let secret = encode(&key, encoding, None, &summary.file)?;
        if let Some(file) = &public_file {
            // The public half goes first: it does no harm if writing the private key fails.
            write_public(file, &encode(&key, KeyEncoding::X962Base64, None, "")?)?;
        }
        write_secret(&self.out, &secret)?;
        if to_stdout {
            eprintln!(
                "{}",
                fmt::from_fn(|formatter| summary.human(formatter))
                    .to_string()
                    .trim_end()
            );
            return Ok(());
        }
        Ok(options.print(&summary)?)
    }

    fn key(&self, encoding: KeyEncoding) -> Result<AnyKey, Error> {
        let mut rng = rand::rng();
        if encoding != KeyEncoding::PacketDocument && self.restriction.is_given() {
            return Err(Error::Setting(
                "--instance, --bins, --id and --created apply only to packet keys with the encoding packet-document"
                    .to_owned(),
            ));
        }
        Ok(match self.kind {
            Kind::Sealing => AnyKey::Sealing(SealingKey::generate(&mut rng)),
            Kind::Packet if encoding == KeyEncoding::PacketDocument => {
                let now = super::document::now();
                let key = PacketPrivateKey::generate(&mut rng);
                AnyKey::Packet(Box::new(document(key, &self.restriction, &now)?))
            }
            Kind::Signing | Kind::Packet => {
                AnyKey::Private(Box::new(PacketPrivateKey::generate(&mut rng)))
            }
        })
    }

    fn summary(
        &self,
        key: &AnyKey,
        encoding: KeyEncoding,
        public_file: Option<&Path>,
    ) -> Result<Generated, Error> {
        let fingerprint = key.fingerprint();
        let public = if self.kind == Kind::Sealing {
            None
        } else {
            Some(encode(key, KeyEncoding::SpkiPem, None, "")?)
        };
        let id = match key {
            AnyKey::Packet(document) => Some(document.id.clone()),
            AnyKey::Sealing(_) => None,
            _ => Some(super::document::suggested_id(
                self.kind.as_str(),
                &fingerprint,
            )),
        };
        Ok(Generated {
            kind: self.kind,
            program: self.program,
            encoding,
            file: self.out.display().to_string(),
            public_file: public_file.map(|file| file.display().to_string()),
            suggested_id: id,
            fingerprint,
            public_key: public.map(|text| text.to_string()),
        })
    }
}

/// Returns the file for the public half of a packet key.
fn public_file(out: &Path) -> PathBuf {
    let name = out.to_string_lossy();
    let stem = name.strip_suffix(".json").unwrap_or(&name);
    PathBuf::from(format!("{stem}.x962-public.b64"))
}

/// The summary of a new key. Contains no secrets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Generated {
    kind: Kind,
    #[serde(rename = "for")]
    program: Program,
    encoding: KeyEncoding,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_file: Option<String>,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

impl Summary for Generated {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            fingerprint,
            encoding,
            ..
        } = self;
        let (kind, destination) = (
            self.kind.as_str(),
            if file == "-" { "standard output" } else { file },
        );
        writeln!(f, "new {kind} key in {destination} ({encoding})")?;
        let id = self.suggested_id.as_deref().unwrap_or_default();
        let label = if *encoding == KeyEncoding::PacketDocument {
            "key id       "
        } else {
            "suggested id "
        };
        match (self.kind, self.program) {
            (Kind::Sealing, Program::Facilitator) => {
                writeln!(
                    f,
                    "  id            {fingerprint}, in the names of prepared batches"
                )?;
            }
            (Kind::Sealing, Program::Ingestor) => writeln!(f, "  fingerprint   {fingerprint}")?,
            _ => writeln!(f, "  fingerprint   {fingerprint}\n  {label} {id}")?,
        }
        if file == "-" {
            return Ok(());
        }
        f.write_str("  configure     ")?;
        match (self.kind, self.program) {
            (Kind::Signing, Program::Facilitator) => {
                write!(f, "batch-signing-key: {{ id: {id}, file: {file} }}")?
            }
            (Kind::Signing, Program::Ingestor) => write!(
                f,
                "batch-signing-key: {{ id: {id}, file: {file} }}\n  \
                 or            client-config-key: {{ id: {id}, file: {file} }}"
            )?,
            (Kind::Packet, _) => write!(
                f,
                "packet-decryption-keys: [ {{ id: {id}, file: {file} }} ]"
            )?,
            (Kind::Sealing, Program::Facilitator) => {
                return write!(
                    f,
                    "prepared-sealing-key: {{ file: {file} }}\n  \
                     give          facilitator key record {file} --out FILE, to the workflow manager"
                );
            }
            (Kind::Sealing, Program::Ingestor) => {
                return write!(f, "secrets: [ {{ file: {file} }} ]");
            }
        }
        if let Some(public) = &self.public_file {
            return write!(f, "\n  give          {public} to the ingestor");
        }
        let public = if self.kind == Kind::Packet {
            "csr-pem --common-name NAME"
        } else {
            "spki-pem"
        };
        write!(
            f,
            "\n  publish       facilitator key public {file} --encoding {public}"
        )
    }
}
