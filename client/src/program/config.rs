//! The command `tallybox-client config`: shows an ingestor's configuration.

use std::fmt;

use clap::Args;
use serde::Serialize;
use tallybox_model::client_config::{ClientConfig, ClientMetric};
use tallybox_model::registry::EncodingKind;
use tallybox_service::chart::{Align, Screen, Table};
use tallybox_service::output::{Failure, Summary};

use super::server::ServerArgs;
use crate::clock::ClientClock;
use crate::config::ConfigSource;
use crate::noise::RandomisedResponse;
use crate::wire::Timeouts;

/// The options of `config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// A valid configuration.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Shown(ClientConfig);

pub(super) async fn run(args: &ConfigArgs) -> Result<Shown, Failure> {
    let trust = args.server.trust()?;
    let source = ConfigSource::new(
        &args.server.address,
        trust,
        ClientClock::system(),
        Timeouts::default(),
    )?;
    Ok(Shown(source.refresh().await?.document().clone()))
}

impl Summary for Shown {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config) = self;
        writeln!(
            f,
            "locality     {}, ingestor {}",
            config.locality, config.ingestor
        )?;
        writeln!(f, "valid        {} to {}", config.issued, config.expires)?;
        writeln!(
            f,
            "registry     version {}, schema {}",
            config.registry_version, config.schema_version
        )?;
        let limits = &config.limits;
        writeln!(
            f,
            "post         at most {} reports and {} bytes",
            limits.max_reports, limits.max_body_bytes
        )?;
        writeln!(
            f,
            "report       at most {} s old, at most {} s in the future",
            limits.max_age_seconds, limits.max_ahead_seconds
        )?;
        writeln!(
            f,
            "attestation  {}",
            serde_json::to_value(config.attestation)
                .ok()
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default()
        )?;
        writeln!(f)?;
        let columns = [
            ("metric", Align::Left),
            ("bins", Align::Right),
            ("encoding", Align::Left),
            ("epsilon", Align::Right),
            ("flip prob.", Align::Right),
            ("every", Align::Right),
            ("sampled", Align::Right),
            ("sealed to", Align::Left),
        ];
        let mut table = Table::new(Screen::stdout(), &columns);
        for metric in &config.metrics {
            table.row(row(metric));
        }
        write!(f, "{}", table.to_string().trim_end())
    }
}

fn row(metric: &ClientMetric) -> [String; 8] {
    let encoding = match metric.encoding.kind {
        EncodingKind::Histogram => "histogram",
        EncodingKind::BitVector => "bit-vector",
        EncodingKind::BoundedInteger => "bounded-integer",
        EncodingKind::GroupedInteger => "grouped-integer",
    };
    let noise = RandomisedResponse::new(metric.epsilon);
    let flip_probability = noise.map_or_else(
        |_| String::new(),
        |noise| format!("{:.2e}", noise.flip_probability()),
    );
    [
        metric.name.clone(),
        metric.encoding.bins.to_string(),
        encoding.to_owned(),
        metric.epsilon.to_string(),
        flip_probability,
        format!("{} h", metric.cadence_hours),
        metric.sampling.to_string(),
        metric
            .processors
            .each_ref()
            .map(|key| key.encryption_key_id.as_str())
            .join(", "),
    ]
}
