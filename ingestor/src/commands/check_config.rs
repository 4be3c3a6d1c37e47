//! `ingestor check-config`: validates the configuration.

use std::fmt;

use clap::Args;
use serde::Serialize;
use tallybox_model::client_config::AttestationPolicy;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::probe::{CheckResult, Probed, Purpose, probe, worst};

use super::options::ingestor;
use crate::error::Error;
use crate::ingestor::{Ingestor, Locality};

/// Check the configuration and every file that it names, and print a summary; writes nothing
/// without --buckets
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// Also probe the spool and every mailbox: permissions that are required, permissions that
    /// should not be granted, create-if-absent, the spool's clock, and listings that start at a
    /// bound. Leaves an object `tallybox-check` in the mailboxes
    #[arg(long)]
    buckets: bool,
}

impl CheckConfig {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let ingestor = ingestor(options)?;
        let mut summary = ConfigSummary::from_ingestor(&ingestor);
        if self.buckets {
            summary.probed = probe_all(&ingestor).await;
        }
        options.print(&summary)?;
        Ok(match worst(&summary.probed) {
            Some(CheckResult::Failed) => Exit::Usage,
            Some(_) => Exit::Retry,
            None => Exit::Done,
        })
    }
}

async fn probe_all(ingestor: &Ingestor) -> Vec<Probed> {
    let now = ingestor.clock.millis();
    let mut probed = vec![probe("spool", &*ingestor.spool, Purpose::Own, now).await];
    for (name, locality) in &ingestor.localities {
        for (side, mailbox) in ["first", "second"].iter().zip(&locality.mailboxes) {
            let name = format!("{name}, {side}-mailbox");
            probed.push(probe(&name, &**mailbox, Purpose::Outbox, now).await);
        }
    }
    probed
}

/// The summary of a configuration. Contains no secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigSummary {
    ingestor: String,
    spool: String,
    batch_signing_key: KeySummary,
    client_config_key: KeySummary,
    secrets: Vec<String>,
    record_keys: Vec<String>,
    registry_version: u64,
    metrics: usize,
    localities: Vec<LocalitySummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    probed: Vec<Probed>,
}

/// The id of a key and the fingerprint of its public half.
#[derive(Debug, Serialize)]
struct KeySummary {
    id: String,
    fingerprint: String,
}

/// The summary of a locality.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct LocalitySummary {
    instance: String,
    attestation: AttestationPolicy,
    packet_keys: Vec<PairSummary>,
    mailboxes: [String; 2],
}

/// The summary of a pair of packet keys.
#[derive(Debug, Serialize)]
struct PairSummary {
    bins: u32,
    keys: [KeySummary; 2],
}

impl ConfigSummary {
    fn from_ingestor(ingestor: &Ingestor) -> Self {
        let key = |id: &str, fingerprint: String| KeySummary {
            id: id.to_owned(),
            fingerprint,
        };
        let locality = |locality: &Locality| LocalitySummary {
            instance: locality.instance.to_string(),
            attestation: locality.attestation,
            packet_keys: locality
                .key_pairs
                .iter()
                .map(|pair| PairSummary {
                    bins: pair.bins,
                    keys: pair
                        .keys
                        .each_ref()
                        .map(|half| key(&half.id, half.public.fingerprint())),
                })
                .collect(),
            mailboxes: locality
                .mailboxes
                .each_ref()
                .map(|mailbox| mailbox.location()),
        };
        let registry = ingestor.registry.current();
        Self {
            ingestor: ingestor.name.clone(),
            spool: ingestor.spool.location(),
            batch_signing_key: key(
                ingestor.signer.key_id(),
                ingestor.signer.verifying_key().fingerprint(),
            ),
            client_config_key: key(
                &ingestor.config_key.0,
                ingestor.config_key.1.verifying_key().fingerprint(),
            ),
            secrets: ingestor
                .secrets
                .iter()
                .map(tallybox_crypto::IngestorSecret::id)
                .collect(),
            record_keys: ingestor.records.key_ids().map(str::to_owned).collect(),
            registry_version: registry.version,
            metrics: registry.metrics.len(),
            localities: ingestor.localities.values().map(locality).collect(),
            probed: Vec::new(),
        }
    }
}

impl Summary for ConfigSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration is valid: ingestor {}", self.ingestor)?;
        writeln!(f, "  {:<22} {}", "spool", self.spool)?;
        for (what, key) in [
            ("batch signing key", &self.batch_signing_key),
            ("client config key", &self.client_config_key),
        ] {
            writeln!(f, "  {what:<22} {} ({})", key.id, key.fingerprint)?;
        }
        writeln!(f, "  {:<22} {}", "secrets", self.secrets.join(", "))?;
        writeln!(
            f,
            "  {:<22} {} (derived from the secrets)",
            "record keys",
            self.record_keys.join(", ")
        )?;
        write!(
            f,
            "  {:<22} version {}, {} metrics",
            "registry", self.registry_version, self.metrics
        )?;
        for locality in &self.localities {
            let text = serde_json::to_value(locality.attestation).unwrap_or_default();
            let text = text.as_str().unwrap_or_default().to_owned();
            write!(f, "\n  {:<22} attestation {text}", locality.instance)?;
            for PairSummary {
                bins,
                keys: [first, second],
            } in &locality.packet_keys
            {
                write!(
                    f,
                    "\n    {:<20} {} and {}, {bins} bins",
                    "packet keys", first.id, second.id
                )?;
            }
            for mailbox in &locality.mailboxes {
                write!(f, "\n    {:<20} {mailbox}", "mailbox")?;
            }
        }
        self.probed
            .iter()
            .try_for_each(|bucket| write!(f, "\n{bucket}"))
    }
}
