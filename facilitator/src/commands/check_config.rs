//! `facilitator check-config`

use super::Arguments;
use crate::config::{Points, ValidationForm};
use crate::error::Error;
use crate::processor::Processor;
use clap::Args;
use serde::Serialize;
use std::fmt;
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_transport::probe::{Probed, Purpose, Verdict, probe, worst};

/// Read the configuration and every key file it names, and say what they come to; nothing is written without --buckets
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// Probe every bucket, too: rights that are needed and rights that should be missing, creation of absent objects
    /// only, the bucket's clock, listings from a bound on. Leaves an object `tallybox-check` in the mailboxes that this
    /// processor writes to
    #[arg(long)]
    buckets: bool,
}

impl CheckConfig {
    pub(super) async fn run(&self, arguments: &Arguments) -> Result<Exit, Error> {
        let processor = arguments.processor()?;
        let mut summary = ConfigSummary::of(&processor);
        if self.buckets {
            summary.probed = probe_all(&processor).await;
        }
        arguments.print(&summary)?;
        Ok(match worst(&summary.probed) {
            Some(Verdict::Failed) => Exit::Usage,
            Some(_) => Exit::Retry,
            None => Exit::Done,
        })
    }
}

async fn probe_all(processor: &Processor) -> Vec<Probed> {
    let buckets = &processor.buckets;
    let mut probed = Vec::new();
    for (name, bucket, purpose) in [
        ("ingestion", &buckets.ingestion, Purpose::Inbox),
        ("own", &buckets.own, Purpose::Own),
        ("peer-validation-in", &buckets.peer_validation_in, Purpose::Inbox),
        ("peer-validation-out", &buckets.peer_validation_out, Purpose::Outbox),
        ("sum-parts", &buckets.sum_parts, Purpose::Outbox),
    ] {
        probed.push(probe(name, &**bucket, purpose, processor.clock.millis()).await);
    }
    probed
}

/// What the configuration comes to. No secret is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ConfigSummary {
    instance: Instance,
    role: Role,
    packet_decryption_keys: Vec<PacketKeySummary>,
    batch_signing_key: KeySummary,
    prepared_sealing_keys: Vec<String>,
    record_keys: Vec<String>,
    ingestor_public_keys: Vec<KeySummary>,
    peer_public_keys: Vec<KeySummary>,
    buckets: Vec<(&'static str, String)>,
    points: Points,
    metrics: Option<usize>,
    validation_form: ValidationForm,
    minimum_contributions: u64,
    legacy_count: bool,
    threads: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    probed: Vec<Probed>,
}

/// A key's identifier and the fingerprint of its public half.
#[derive(Debug, Serialize)]
struct KeySummary {
    id: String,
    fingerprint: String,
}

/// A packet key, and the number of bins that it belongs to.
#[derive(Debug, Serialize)]
struct PacketKeySummary {
    id: String,
    fingerprint: String,
    bins: Option<u32>,
}

impl ConfigSummary {
    fn of(processor: &Processor) -> Self {
        let key = |id: &String, fingerprint: String| KeySummary {
            id: id.clone(),
            fingerprint,
        };
        let buckets = &processor.buckets;
        Self {
            instance: processor.instance.clone(),
            role: processor.role,
            packet_decryption_keys: processor
                .packet_keys
                .iter()
                .map(|k| PacketKeySummary {
                    id: k.id.clone(),
                    fingerprint: k.fingerprint.clone(),
                    bins: k.bins,
                })
                .collect(),
            batch_signing_key: key(
                &processor.signing_key_id,
                processor.signing_key.verifying_key().fingerprint(),
            ),
            prepared_sealing_keys: processor
                .sealing_keys
                .iter()
                .map(tallybox_crypto::SealingKey::id)
                .collect(),
            record_keys: processor.records.key_ids().map(str::to_owned).collect(),
            ingestor_public_keys: processor
                .ingestor_keys
                .iter()
                .map(|(id, k)| key(id, k.fingerprint()))
                .collect(),
            peer_public_keys: processor
                .peer_keys
                .iter()
                .map(|(id, k)| key(id, k.fingerprint()))
                .collect(),
            buckets: vec![
                ("ingestion", buckets.ingestion.location()),
                ("own", buckets.own.location()),
                ("peer-validation-in", buckets.peer_validation_in.location()),
                ("peer-validation-out", buckets.peer_validation_out.location()),
                ("sum-parts", buckets.sum_parts.location()),
            ],
            points: processor.points,
            metrics: processor.registry.as_ref().map(|registry| registry.metrics.len()),
            validation_form: processor.validation_form,
            minimum_contributions: processor.minimum_contributions,
            legacy_count: processor.legacy_count,
            threads: processor.pool.current_num_threads(),
            probed: Vec::new(),
        }
    }
}

impl Summary for ConfigSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        writeln!(
            f,
            "the configuration is good: instance {}, role {}",
            self.instance, self.role
        )?;
        let keys = |f: &mut fmt::Formatter<'_>, what: &str, keys: &[KeySummary]| {
            keys.iter()
                .try_for_each(|key| writeln!(f, "  {what:<22} {} ({})", key.id, key.fingerprint))
        };
        for key in &self.packet_decryption_keys {
            let bins = key
                .bins
                .map_or_else(|| "any number of bins".to_owned(), |bins| format!("{bins} bins"));
            let (id, fingerprint) = (&key.id, &key.fingerprint);
            writeln!(f, "  {:<22} {id} ({fingerprint}), {bins}", "packet decryption key")?;
        }
        keys(f, "batch signing key", std::slice::from_ref(&self.batch_signing_key))?;
        let mut sealing = self.prepared_sealing_keys.iter().zip(&self.record_keys);
        sealing.try_for_each(|(id, record)| {
            writeln!(f, "  {:<22} {id} (its record key: {record})", "prepared sealing key")
        })?;
        keys(f, "ingestor signs with", &self.ingestor_public_keys)?;
        keys(f, "peer signs with", &self.peer_public_keys)?;
        self.buckets
            .iter()
            .try_for_each(|(name, place)| writeln!(f, "  {name:<22} {place}"))?;
        writeln!(
            f,
            "  {:<22} {}",
            "points",
            word(serde_json::to_value(self.points).unwrap_or_default())
        )?;
        let metrics = self.metrics.map_or_else(
            || "none: headers are taken as they are".to_owned(),
            |metrics| format!("{metrics} metrics"),
        );
        writeln!(f, "  {:<22} {metrics}", "registry")?;
        writeln!(
            f,
            "  {:<22} {}",
            "validation form",
            word(serde_json::to_value(self.validation_form).unwrap_or_default())
        )?;
        write!(f, "  {:<22} {}", "minimum contributions", self.minimum_contributions)?;
        self.probed.iter().try_for_each(|bucket| write!(f, "\n{bucket}"))
    }
}
