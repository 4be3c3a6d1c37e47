//! A load generator for an ingestor: many devices that post, cheap enough to run on the machine of
//! the server that it measures.
//!
//! Devices are HTTP/1.1 connections, over plain HTTP on this machine and over TLS elsewhere. Bodies
//! are rendered beforehand and only the report's id is written for each post, so that the server is
//! measured and not the generator.

mod body;
mod connector;
mod device;
mod error;
mod maker;
mod mix;
mod summary;
mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tallybox_service::progress::Progress;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use body::LoadFormat;
pub use error::LoadError;
pub use summary::{Latency, LoadSummary};

use crate::address::Address;
use crate::config::TrustedConfig;
use device::{Device, LoadPlan};
use maker::Maker;
use mix::Mix;
use tally::Tally;

/// The options of the load generator.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Reports per second over all devices; 0 means full speed.
    pub rate: f64,
    /// Number of connections.
    pub devices: usize,
    /// Duration of the run.
    pub duration: Duration,
    /// Limit of reports; `None` means no limit.
    pub reports: Option<u64>,
    /// Reports per post; 1 means single posts.
    pub bulk: usize,
    /// The encoding of posts with several reports.
    pub form: LoadFormat,
    /// Weights of metrics by name; empty means all metrics with equal weights.
    pub metrics: BTreeMap<String, f64>,
    /// Fraction of reports with a fault.
    pub bad: f64,
    /// Fraction of reports that were sent before.
    pub replayed: f64,
    /// Number of packets that are sealed beforehand; 0 seals every report separately.
    pub pool: usize,
    /// Seed of all random choices.
    pub seed: u64,
    /// TLS settings that verify certificates. Default: the system's root certificates.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Generates load until the duration has passed or all reports are posted. Returns the counted
/// responses.
///
/// # Errors
/// [`LoadError`] for invalid options. Failures during the run are counted and are not errors.
pub async fn load(
    address: &Address,
    config: &TrustedConfig,
    options: &LoadOptions,
    progress: &Progress,
) -> Result<LoadSummary, LoadError> {
    check(options)?;
    let mix = Mix::new(config, &options.metrics)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let form = if options.bulk == 1 {
        LoadFormat::Json
    } else {
        options.form
    };
    let maker = Arc::new(Maker::new(
        config.clone(),
        mix,
        form,
        options.pool,
        &mut rng,
    )?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let plan = Arc::new(LoadPlan::new(address, config, options, form)?);
    let started = Instant::now();
    let mut devices = JoinSet::new();
    for number in 0..options.devices {
        let rng = ChaCha8Rng::seed_from_u64(options.seed ^ (1 + number as u64).rotate_left(32));
        let (maker, tally) = (Arc::clone(&maker), Arc::clone(&tally));
        let device = Device::new(
            number,
            Arc::clone(&plan),
            maker,
            tally,
            progress.clone(),
            rng,
        );
        devices.spawn(device.run(started));
    }
    while devices.join_next().await.is_some() {}
    let elapsed = started.elapsed();
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(LoadSummary::new(&tally, elapsed, options.rate > 0.0))
}

fn check(options: &LoadOptions) -> Result<(), LoadError> {
    let shares = [
        options.bad,
        options.replayed,
        options.bad + options.replayed,
    ];
    if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        return Err(LoadError::Setting(
            "the fractions of bad and replayed reports and their sum must be 0 to 1",
        ));
    }
    if options.devices == 0 || options.bulk == 0 {
        return Err(LoadError::Setting(
            "devices and reports per post must be 1 or more",
        ));
    }
    if !(options.rate >= 0.0 && options.rate.is_finite()) {
        return Err(LoadError::Setting(
            "the rate must be 0 or more reports per second",
        ));
    }
    Ok(())
}
