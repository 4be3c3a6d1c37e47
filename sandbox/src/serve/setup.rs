//! Creates the directory of a sandbox, its addresses and its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tallybox_client::traffic::{Metric, Traffic};
use tallybox_estimate::Mechanism;
use tallybox_facilitator::config::Points;
use tallybox_model::client_config::ClientConfig;
use tallybox_model::id::AggregationId;
use tallybox_model::registry::Registry;
use tallybox_model::time::BatchTime;
use tallybox_service::config::load;
use tokio::net::TcpListener;

use super::ServeOptions;
use super::client_traffic::Flow;
use crate::always::{AlwaysOn, served, window_of};
use crate::config_files::Served;
use crate::error::Error;
use crate::keys::bins_of;
use crate::lying_ingestor::HONEST_PER_METRIC;
use crate::roles::Setting;
use crate::world::World;

/// Minimum packets of a sum and of a batch with `--chaos`. Without it the minimum is 1, so that a
/// developer's single report is summed.
const CHAOS_MIN_SUM_PACKETS: u64 = 10;
const CHAOS_MIN_BATCH_PACKETS: u64 = 3;
/// Retention of slabs in hours of the sandbox clock: 15 minutes of real time, for the debug pages.
/// With `--chaos` two minutes, because each batch job reads the plans of all retained slabs.
const SLAB_RETENTION_HOURS: u32 = 150;
const CHAOS_SLAB_RETENTION_HOURS: u32 = 20;

/// Creates keys, configurations and buckets.
pub(super) fn create(
    root: &Path,
    options: &ServeOptions,
    setting: &Setting,
) -> Result<World, Error> {
    let world = World::for_bins(
        root,
        options.seed,
        Points::Pinned,
        &bins_of(&options.metrics),
    )?;
    let now = BatchTime::of_clock(setting.clock.millis());
    let since = window_of(now)
        .ok_or_else(|| {
            Error::Internal("the current time is outside the supported range".to_owned())
        })?
        .start();
    let (minimum, usual) = match options.chaos {
        true => (
            CHAOS_MIN_SUM_PACKETS,
            served(CHAOS_MIN_BATCH_PACKETS, CHAOS_SLAB_RETENTION_HOURS),
        ),
        false => (1, served(1, SLAB_RETENTION_HOURS)),
    };
    AlwaysOn { minimum, since }.write(&world)?;
    let attestation = match &options.attestation {
        Some(attestation) => attestation.lines()?,
        None => None,
    };
    let served = Served {
        attestation: attestation.unwrap_or(usual.attestation.clone()),
        listen: if options.chaos {
            free(options.listen)?
        } else {
            options.listen
        },
        ..usual
    };
    world
        .layout
        .write_ingestor(&options.metrics, options.epsilon, &served)?;
    Ok(world)
}

/// Resolves port 0 to a free port, so that the ingestor has the same port after each restart.
fn free(address: SocketAddr) -> Result<SocketAddr, Error> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map_err(refused(address))
}

pub(super) async fn listen_for_questions(
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Error> {
    if !address.ip().is_loopback() {
        let problem = "--debug-listen must be a loopback address: the debug pages use the secrets of all roles";
        return Err(Error::Setting(problem.to_owned()));
    }
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(refused(address))?;
    let bound = listener.local_addr().map_err(refused(address))?;
    Ok((listener, bound))
}

fn refused(address: SocketAddr) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Setting(format!("cannot listen on {address}: {error}"))
}

/// Returns the noise of each metric.
pub(super) fn mechanisms(flows: &[Flow]) -> Result<BTreeMap<AggregationId, Mechanism>, Error> {
    let mechanism = |flow: &Flow| {
        let mechanism = Mechanism::new(flow.metric.epsilon);
        let mechanism = mechanism.map_err(|error| Error::Internal(error.to_string()))?;
        Ok((flow.aggregation.clone(), mechanism))
    };
    flows.iter().map(mechanism).collect()
}

/// Returns the clients of each metric.
pub(super) fn flows(world: &World, options: &ServeOptions, seed: u64) -> Result<Vec<Flow>, Error> {
    let registry = load::<Registry>(&world.layout.root().join("registry.yaml"))?.value;
    let client_metrics = ClientConfig::metrics_of(&registry, |bins| world.keys.client_keys(bins));
    let flow = |metric: &Metric| {
        let missing =
            || Error::Internal(format!("metric {} is missing in the registry", metric.name));
        let keys = world.keys.for_clients(metric.bins())?;
        let epsilon = Some(options.epsilon.unwrap_or(metric.epsilon));
        let mut client_metrics = client_metrics.iter();
        let client_metric = client_metrics.find(|other| other.name == metric.name);
        Ok(Flow {
            traffic: Traffic::new(seed, metric, keys, epsilon)?,
            metric: client_metric.cloned().ok_or_else(missing)?,
            aggregation: metric.name.parse().map_err(|_| missing())?,
            next: HONEST_PER_METRIC.into(),
        })
    };
    options.metrics.iter().map(flow).collect()
}
