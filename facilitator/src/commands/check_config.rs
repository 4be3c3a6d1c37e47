//! `facilitator check-config`

use crate::buckets::Buckets;
use crate::client_keys;
use crate::config::{Config, Points, ValidationForm};
use crate::error::Error;
use crate::processor::Processor;
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::path::Path;
use tallybox_model::cause::chain;
use tallybox_model::id::Instance;
use tallybox_model::role::Role;
use tallybox_service::config::Loaded;
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;
use tallybox_service::shell::GlobalOptions;
use tallybox_transport::SharedBucket;
use tallybox_transport::probe::{CheckResult, Probed, Purpose, probe_all, worst};

/// Check the configuration and every key file that it names, and print a summary; writes nothing
/// without --buckets
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// Also probe every bucket: permissions that are required, permissions that should not be
    /// granted, create-if-absent, the own bucket's clock, and listings that start at a bound. Leaves
    /// an object `tallybox-check` in the mailboxes that this processor writes to
    #[arg(long)]
    buckets: bool,
    /// Compare the packet keys with those that the ingestor announces to clients; takes a URL or a
    /// file, by default the `client-configuration` of the configuration
    #[arg(long, value_name = "URL-OR-FILE")]
    client_config: Option<String>,
}

impl CheckConfig {
    pub(super) async fn run(&self, options: &GlobalOptions) -> Result<Exit, Error> {
        let config = options.load::<Config>()?;
        config.value.worker.check()?;
        let processor = Processor::open(&config)?;
        let mut summary = ConfigSummary::from_processor(&processor);
        summary.client_keys = self.client_keys(&config, &processor).await?;
        if self.buckets {
            let now = processor.resources.clock.millis();
            summary.probed = probe_all(purposes(&processor.buckets), now).await;
        }
        options.print(&summary)?;
        // A mismatch is an error of the configuration. A document or a bucket that cannot be
        // reached may be reachable later.
        if summary
            .client_keys
            .as_ref()
            .is_some_and(|summary| !summary.mismatches.is_empty())
        {
            return Ok(Exit::Usage);
        }
        let unread = summary
            .client_keys
            .as_ref()
            .is_some_and(|summary| summary.problem.is_some());
        Ok(match worst(&summary.probed) {
            Some(CheckResult::Failed) => Exit::Usage,
            Some(_) => Exit::Retry,
            None if unread => Exit::Retry,
            None => Exit::Done,
        })
    }

    /// Compares this processor's packet keys with the ingestor's client configuration, if the
    /// location of that document is known.
    async fn client_keys(
        &self,
        config: &Loaded<Config>,
        processor: &Processor,
    ) -> Result<Option<ClientKeysSummary>, Error> {
        let document = match (&self.client_config, &config.value.client_configuration) {
            (Some(location), _) => client_keys::document(location, Path::new(""))?,
            (None, Some(location)) => client_keys::document(location, &config.directory)?,
            (None, None) => return Ok(None),
        };
        let compared = client_keys::mismatches(&document, processor).await;
        let (mismatches, problem) = match compared {
            Ok(found) => (found.iter().map(ToString::to_string).collect(), None),
            Err(error) => (Vec::new(), Some(chain(&error))),
        };
        Ok(Some(ClientKeysSummary {
            location: document.to_string(),
            mismatches,
            problem,
        }))
    }
}

/// Returns the buckets with their names in the configuration and their purposes.
fn purposes(buckets: &Buckets) -> [(&'static str, &SharedBucket, Purpose); 5] {
    [
        ("ingestion", &buckets.ingestion, Purpose::Inbox),
        ("own", &buckets.own, Purpose::Own),
        (
            "peer-validation-in",
            &buckets.peer_validation_in,
            Purpose::Inbox,
        ),
        (
            "peer-validation-out",
            &buckets.peer_validation_out,
            Purpose::Outbox,
        ),
        ("sum-parts", &buckets.sum_parts, Purpose::Outbox),
    ]
}

/// The summary of a valid configuration. Contains no secrets.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    client_keys: Option<ClientKeysSummary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    probed: Vec<Probed>,
}

/// The result of comparing the announced packet keys with this processor's keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ClientKeysSummary {
    /// The location of the ingestor's client configuration.
    #[serde(rename = "place")]
    location: String,
    mismatches: Vec<String>,
    /// Why the comparison failed.
    problem: Option<String>,
}

impl fmt::Display for ClientKeysSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = &self.location;
        if let Some(problem) = &self.problem {
            return write!(
                f,
                "\n  {:<22} {location}: {problem}",
                "client configuration"
            );
        }
        if self.mismatches.is_empty() {
            return write!(
                f,
                "\n  {:<22} {location}: its packet keys match ours",
                "client configuration"
            );
        }
        let mut mismatches = self.mismatches.iter();
        mismatches
            .try_for_each(|mismatch| write!(f, "\n  {:<22} {location}: {mismatch}", "NOT OUR KEY"))
    }
}

/// A key's identifier and the fingerprint of its public half.
#[derive(Debug, Serialize)]
struct KeySummary {
    id: String,
    fingerprint: String,
}

/// A packet key, and the number of bins that the key is restricted to.
#[derive(Debug, Serialize)]
struct PacketKeySummary {
    id: String,
    fingerprint: String,
    bins: Option<u32>,
}

impl ConfigSummary {
    fn from_processor(processor: &Processor) -> Self {
        let key = |id: &String, fingerprint: String| KeySummary {
            id: id.clone(),
            fingerprint,
        };
        let buckets = &processor.buckets;
        Self {
            instance: processor.buckets.instance.clone(),
            role: processor.buckets.role,
            packet_decryption_keys: processor
                .keys
                .packet
                .iter()
                .map(|k| PacketKeySummary {
                    id: k.id.clone(),
                    fingerprint: k.fingerprint.clone(),
                    bins: k.bins,
                })
                .collect(),
            batch_signing_key: key(
                &processor.keys.signing_id,
                processor.keys.signing.verifying_key().fingerprint(),
            ),
            prepared_sealing_keys: processor
                .keys
                .sealing
                .iter()
                .map(tallybox_crypto::SealingKey::id)
                .collect(),
            record_keys: processor
                .buckets
                .records
                .key_ids()
                .map(str::to_owned)
                .collect(),
            ingestor_public_keys: processor
                .keys
                .ingestor
                .iter()
                .map(|(id, k)| key(id, k.fingerprint()))
                .collect(),
            peer_public_keys: processor
                .keys
                .peer
                .iter()
                .map(|(id, k)| key(id, k.fingerprint()))
                .collect(),
            buckets: purposes(buckets)
                .map(|(name, bucket, _)| (name, bucket.location()))
                .into(),
            points: processor.limits.points,
            metrics: processor
                .limits
                .registry
                .as_ref()
                .map(|registry| registry.metrics.len()),
            validation_form: processor.limits.validation_form,
            minimum_contributions: processor.limits.minimum_contributions,
            legacy_count: processor.limits.legacy_count,
            threads: processor.resources.pool.current_num_threads(),
            client_keys: None,
            probed: Vec::new(),
        }
    }
}

impl Summary for ConfigSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        writeln!(
            f,
            "the configuration is valid: instance {}, role {}",
            self.instance, self.role
        )?;
        let keys = |f: &mut fmt::Formatter<'_>, what: &str, keys: &[KeySummary]| {
            keys.iter()
                .try_for_each(|key| writeln!(f, "  {what:<22} {} ({})", key.id, key.fingerprint))
        };
        for key in &self.packet_decryption_keys {
            let bins = key.bins.map_or_else(
                || "any number of bins".to_owned(),
                |bins| format!("{bins} bins"),
            );
            let (id, fingerprint) = (&key.id, &key.fingerprint);
            writeln!(
                f,
                "  {:<22} {id} ({fingerprint}), {bins}",
                "packet decryption key"
            )?;
        }
        keys(
            f,
            "batch signing key",
            std::slice::from_ref(&self.batch_signing_key),
        )?;
        let mut sealing = self.prepared_sealing_keys.iter().zip(&self.record_keys);
        sealing.try_for_each(|(id, record)| {
            writeln!(
                f,
                "  {:<22} {id} (its record key: {record})",
                "prepared sealing key"
            )
        })?;
        keys(f, "ingestor signs with", &self.ingestor_public_keys)?;
        keys(f, "peer signs with", &self.peer_public_keys)?;
        self.buckets
            .iter()
            .try_for_each(|(name, location)| writeln!(f, "  {name:<22} {location}"))?;
        writeln!(
            f,
            "  {:<22} {}",
            "points",
            text(serde_json::to_value(self.points).unwrap_or_default())
        )?;
        let metrics = self.metrics.map_or_else(
            || "none: headers are not checked against a registry".to_owned(),
            |metrics| format!("{metrics} metrics"),
        );
        writeln!(f, "  {:<22} {metrics}", "registry")?;
        writeln!(
            f,
            "  {:<22} {}",
            "validation form",
            text(serde_json::to_value(self.validation_form).unwrap_or_default())
        )?;
        write!(
            f,
            "  {:<22} {}",
            "minimum contributions", self.minimum_contributions
        )?;
        self.client_keys
            .iter()
            .try_for_each(|summary| write!(f, "{summary}"))?;
        self.probed
            .iter()
            .try_for_each(|bucket| write!(f, "\n{bucket}"))
    }
}
