//! The command `tallybox-client load`: the command line of the load generator.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tallybox_service::output::{Failure, Output};

use super::server::ServerArgs;
use crate::clock::ClientClock;
use crate::config::ConfigSource;
use crate::load::{LoadFormat, LoadOptions, LoadSummary, load};
use crate::wire::Timeouts;

pub(super) const NOTES: &str = "\
The packets of the pool are sent repeatedly under new report ids. Admission accepts each of them, but the batcher \
recognises them as replays by their ciphertexts and counts each packet once. Such load measures admission. With \
--pool 0, every report is sealed separately, and all good reports are counted.

Reports are sent again only with --replayed; reports that the ingestor sheds with 429 or 503 are counted and not \
retried. Disable the ingestor's rate limits by network, because all devices have the same address.

Examples:
  tallybox-client load http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=config-1.pub
      single posts at full speed over 800 connections, for ten seconds
  tallybox-client load http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=config-1.pub \\
      --bulk 500 --format avro --devices 8 --rate 60000 --duration 60
      60,000 reports a second in posts of 500
  tallybox-client load http://127.0.0.1:8080 --locality us-ca \\
      --key config-1=config-1.pub \\
      --reports 10000 --bad 0.05 --replayed 0.1 --pool 0 --json
      ten thousand reports, some bad, some replayed, all sealed separately";

/// Limit of the duration in seconds: a year.
const MAX_SECONDS: f64 = 365.0 * 86_400.0;

/// The options of `load`.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Reports per second over all devices; 0 means full speed
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    rate: f64,
    /// Virtual devices: each has one connection and one post in flight. An ingestor responds only
    /// when a slab is durable, so 800 devices at 0.1 s send at most 8,000 posts per second
    #[arg(long, value_name = "N", default_value_t = 800)]
    devices: usize,
    /// Duration of the run in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    duration: f64,
    /// Stop after this number of reports, if the duration has not passed before
    #[arg(long, value_name = "N")]
    reports: Option<u64>,
    /// Reports per post; 1 means single posts, which are always JSON
    #[arg(long, value_name = "N", default_value_t = 1)]
    bulk: usize,
    /// Encoding of posts with several reports
    #[arg(long, value_enum, default_value_t = Format::Avro)]
    format: Format,
    /// A metric and its weight; repeat for several. Default: all metrics of the configuration with
    /// equal weight
    #[arg(long = "metrics", value_name = "NAME[=WEIGHT]", value_delimiter = ',')]
    metrics: Vec<Weighted>,
    /// Fraction of bad reports, 0 to 1: eight faults in turn
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    bad: f64,
    /// Fraction of replayed reports, 0 to 1: reports that the same device has sent before and that
    /// were accepted
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    replayed: f64,
    /// Packets that are sealed beforehand and sent repeatedly under new report ids, as replays to
    /// the batcher; 0 seals every report
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pool: usize,
    /// Seed of packets, ids and choices; a repeated seed repeats the ids, which are then already
    /// accepted. Default: random
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Threads of the generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Avro,
}

/// A metric and its weight.
#[derive(Debug, Clone)]
struct Weighted {
    name: String,
    weight: f64,
}

impl FromStr for Weighted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
        Ok(Self {
            name: name.to_owned(),
            weight: weight.parse().map_err(|_| "the weight must be a number")?,
        })
    }
}

pub(super) async fn run(args: &LoadArgs, output: Output) -> Result<LoadSummary, Failure> {
    let address = &args.server.address;
    let source = ConfigSource::new(
        address,
        args.server.trust()?,
        ClientClock::system(),
        Timeouts::default(),
    )?;
    let config = source.refresh().await?;
    let metrics = args.metrics.iter();
    let metrics: BTreeMap<_, _> = metrics
        .map(|metric| (metric.name.clone(), metric.weight))
        .collect();
    let options = LoadOptions {
        rate: args.rate,
        devices: args.devices,
        duration: Duration::from_secs_f64(args.duration.clamp(0.0, MAX_SECONDS)),
        reports: args.reports,
        bulk: args.bulk,
        form: match args.format {
            Format::Json => LoadFormat::Json,
            Format::Avro => LoadFormat::Avro,
        },
        metrics,
        bad: args.bad,
        replayed: args.replayed,
        pool: args.pool,
        seed: args.seed.unwrap_or_else(rand::random),
        tls: None,
    };
    let progress = output.progress(None, "posting");
    let summary = load(address, &config, &options, &progress).await;
    progress.finish();
    Ok(summary?)
}
