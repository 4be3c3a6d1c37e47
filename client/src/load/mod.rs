//! Load for an ingestor: many devices that post, cheap enough to share a machine with the server it measures.
//!
//! Devices are connections of HTTP/1.1, over plain HTTP on this machine and TLS elsewhere. Bodies are rendered beforehand, and only the report's id is
//! written anew for each post, so that what is measured is the server.

mod body;
mod device;
mod line;
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

pub use body::Form;
pub use summary::{Latency, LoadSummary};

use crate::address::Address;
use crate::config::TrustedConfig;
use crate::error::ClientError;
use device::{Device, Plan};
use maker::Maker;
use mix::Mix;
use tally::Tally;

/// What load to make.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Reports a second, over all devices; 0 is as fast as it goes.
    pub rate: f64,
    /// Connections.
    pub devices: usize,
    /// For how long.
    pub duration: Duration,
    /// How many reports at most; none is no limit.
    pub reports: Option<u64>,
    /// Reports a post; 1 is single posts.
    pub bulk: usize,
    /// How posts of many are written down.
    pub form: Form,
    /// Weights of metrics by name; none is all metrics of the configuration alike.
    pub metrics: BTreeMap<String, f64>,
    /// Share of reports with a fault.
    pub bad: f64,
    /// Share of reports that were sent before.
    pub replayed: f64,
    /// How many packets are sealed beforehand; 0 seals every report anew.
    pub pool: usize,
    /// What all choices follow from.
    pub seed: u64,
    /// How certificates are checked over TLS; by the roots of the system, if not given.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Why there is no load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No certificate could be checked.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// A metric that the configuration does not have.
    #[error("metric {0} is not in the configuration")]
    NoMetric(String),
    /// Nothing to report.
    #[error("there is no metric with a weight above 0")]
    NoMetrics,
    /// A number that makes no sense.
    #[error("{0}")]
    Setting(&'static str),
    /// A report cannot be made.
    #[error("a report cannot be made")]
    Make(#[from] ClientError),
    /// A report cannot be written down.
    #[error("a report cannot be rendered: {0}")]
    Render(String),
}

/// Makes load until the time is over or all reports are posted, and says what came back.
///
/// # Errors
/// [`LoadError`] for options that cannot be; what goes wrong on the way is counted, never an error.
pub async fn load(
    address: &Address,
    config: &TrustedConfig,
    options: &LoadOptions,
    progress: &Progress,
) -> Result<LoadSummary, LoadError> {
    check(options)?;
    let mix = Mix::new(config, &options.metrics)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let form = if options.bulk == 1 { Form::Json } else { options.form };
    let maker = Arc::new(Maker::new(config.clone(), mix, form, options.pool, &mut rng)?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let plan = Arc::new(Plan::new(address, config, options, form)?);
    let started = Instant::now();
    let mut devices = JoinSet::new();
    for number in 0..options.devices {
        let rng = ChaCha8Rng::seed_from_u64(options.seed ^ (1 + number as u64).rotate_left(32));
        let (maker, tally) = (Arc::clone(&maker), Arc::clone(&tally));
        let device = Device::new(number, Arc::clone(&plan), maker, tally, progress.clone(), rng);
        devices.spawn(device.run(started));
    }
    while devices.join_next().await.is_some() {}
    let elapsed = started.elapsed();
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(LoadSummary::new(&tally, elapsed, options.rate > 0.0))
}

fn check(options: &LoadOptions) -> Result<(), LoadError> {
    let shares = [options.bad, options.replayed, options.bad + options.replayed];
    if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        return Err(LoadError::Setting(
            "the shares of bad and replayed reports are 0 to 1, both together too",
        ));
    }
    if options.devices == 0 || options.bulk == 0 {
        return Err(LoadError::Setting("there has to be a device and a report a post"));
    }
    if !(options.rate >= 0.0 && options.rate.is_finite()) {
        return Err(LoadError::Setting("the rate is 0 or more reports a second"));
    }
    Ok(())
}
