//! `facilitator key generate`

use super::output::write_secret;
use super::{AnyKey, Arguments, Encoding, Error, encode};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use tallybox_crypto::{PacketPrivateKey, SealingKey};
use tallybox_service::output::Summary;

const AFTER_HELP: &str = "\
Examples:
  facilitator key generate --kind signing --out keys/signing.pkcs8.b64
  facilitator key generate --kind packet --out keys/packet.x963.b64
  facilitator key generate --kind sealing --out keys/sealing.b64
  facilitator key generate --kind packet --encoding pkcs8-pem --out - | vault ...

Then give others the public half: see `facilitator key public --help`.";

/// Make a new key and write it to a new file, mode 0600
///
/// An existing file is never overwritten. `--out -` writes the key to standard output, and what is said about it to
/// standard error.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Generate {
    /// What the key is for
    #[arg(long, value_enum)]
    kind: Kind,
    /// The encoding of the private key [default: pkcs8-base64 for signing, x963-base64 for packet, base64 for sealing]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "ENCODING")]
    encoding: Option<Encoding>,
    /// The file to make; `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Signs batches
    Signing,
    /// Opens packets
    Packet,
    /// Seals a processor's own prepared batches
    Sealing,
}

impl Kind {
    fn default_encoding(self) -> Encoding {
        match self {
            Self::Signing => Encoding::Pkcs8Base64,
            Self::Packet => Encoding::X963Base64,
            Self::Sealing => Encoding::Base64,
        }
    }

    /// The encodings in which our programs read such a key.
    fn encodings(self) -> &'static [Encoding] {
        use Encoding::{Base64, Pkcs8Base64, Pkcs8Pem, RotatorMaterial, X963Base64};
        match self {
            Self::Signing => &[Pkcs8Base64, Pkcs8Pem, RotatorMaterial],
            Self::Packet => &[X963Base64, Pkcs8Base64, Pkcs8Pem, RotatorMaterial],
            Self::Sealing => &[Base64],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Packet => "packet",
            Self::Sealing => "sealing",
        }
    }
}

impl Generate {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<(), Error> {
        let encoding = self.encoding.unwrap_or(self.kind.default_encoding());
        let allowed = self.kind.encodings();
        if !allowed.contains(&encoding) {
            let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let kind = self.kind.word();
            return Err(Error::Setting(format!(
                "a {kind} key is written as {}, not {encoding}",
                list.join(", ")
            )));
        }
        let to_stdout = self.out == Path::new("-");
        if to_stdout && arguments.output.json {
            return Err(Error::Setting(
                "--json and --out - both want standard output".to_owned(),
            ));
        }
        let mut rng = rand::rng();
        let key = match self.kind {
            Kind::Sealing => AnyKey::Sealing(SealingKey::generate(&mut rng)),
            Kind::Signing | Kind::Packet => AnyKey::Private(Box::new(PacketPrivateKey::generate(&mut rng))),
        };
        let summary = self.summary(&key, encoding)?;
        write_secret(&self.out, &encode(&key, encoding, None, &summary.file)?)?;
        if to_stdout {
            eprintln!(
                "{}",
                fmt::from_fn(|formatter| summary.human(formatter))
                    .to_string()
                    .trim_end()
            );
            return Ok(());
        }
        arguments.print(&summary)
    }

    fn summary(&self, key: &AnyKey, encoding: Encoding) -> Result<Generated, Error> {
        let fingerprint = key.fingerprint();
        let short: String = fingerprint.chars().take(8).collect();
        let public = if self.kind == Kind::Sealing {
            None
        } else {
            Some(encode(key, Encoding::SpkiPem, None, "")?)
        };
        Ok(Generated {
            kind: self.kind,
            encoding,
            file: self.out.display().to_string(),
            suggested_id: public.is_some().then(|| format!("{}-{short}", self.kind.word())),
            fingerprint,
            public_key: public.map(|text| text.to_string()),
        })
    }
}

/// What is said about a new key. No secret is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Generated {
    kind: Kind,
    encoding: Encoding,
    file: String,
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
        let (kind, place) = (self.kind.word(), if file == "-" { "standard output" } else { file });
        writeln!(f, "new {kind} key in {place} ({encoding})")?;
        let id = self.suggested_id.as_deref().unwrap_or_default();
        match self.kind {
            Kind::Sealing => writeln!(f, "  id            {fingerprint}, in the names of prepared batches")?,
            _ => writeln!(f, "  fingerprint   {fingerprint}\n  suggested id  {id}")?,
        }
        if file == "-" {
            return Ok(());
        }
        match self.kind {
            Kind::Signing => write!(f, "  configure     batch-signing-key: {{ id: {id}, file: {file} }}")?,
            Kind::Packet => write!(
                f,
                "  configure     packet-decryption-keys: [ {{ id: {id}, file: {file} }} ]"
            )?,
            Kind::Sealing => return write!(f, "  configure     prepared-sealing-key: {{ file: {file} }}"),
        }
        let public = if self.kind == Kind::Packet {
            "csr-pem --common-name NAME"
        } else {
            "spki-pem"
        };
        write!(f, "\n  publish       facilitator key public {file} --encoding {public}")
    }
}
