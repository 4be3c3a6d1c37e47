//! Clients post to the ingestor, and it batches what it kept.

use std::sync::Arc;
use std::time::Instant;

use tallybox_client::post::Reporter;
use tallybox_client::traffic::Generated;
use tallybox_ingestor::batch::{BatchOptions, WindowSummary, batch};
use tallybox_ingestor::ingestor::Ingestor;
use tallybox_model::client_config::ClientMetric;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_service::clock::Clock;
use tallybox_service::progress::Progress as Bar;
use tokio::runtime::Handle;

use super::Watch;
use crate::door::{Door, DoorAnswer, post, post_hostile};
use crate::error::Error;
use crate::flow::Flow;
use crate::layout::LOCALITY;
use crate::outcome::Outcome;
use crate::plan::{chunk, packet_bytes};
use crate::schedule;
use crate::stream::in_order;
use crate::world::World;

/// When the clients of a sandbox report: ten minutes into the window.
const REPORTED: i64 = 10 * 60_000;
/// When the ingestor batches: two hours later, when its own window of an hour has ended and settled.
const BATCHED: i64 = 130 * 60_000;

/// Clients post honest reports and others over HTTP, then the ingestor batches what it kept.
pub(crate) async fn post_all(
    world: &World,
    flows: Vec<Flow>,
    watch: &mut Watch,
    outcome: &mut Outcome,
) -> Result<Vec<Flow>, Error> {
    let start = schedule::window()?.start().millis();
    let clock = Clock::manual(start + REPORTED);
    let begin = Instant::now();
    let bar = watch.bar("clients", &flows, Role::First);
    let door = Door::open(world, clock.clone()).await?;
    let reporter = Arc::new(door.reporter(world)?);
    let metrics = reporter.source().current().await;
    let metrics = metrics.map_err(|error| Error::Internal(error.to_string()))?;
    let mut done = Vec::new();
    for flow in flows {
        let metric = metrics
            .metric(flow.aggregation.as_str())
            .map(|metric| metric.metric.clone());
        let metric = metric.ok_or_else(|| Error::Internal(format!("no metric {}", flow.aggregation)))?;
        let poster = Poster {
            reporter: Arc::clone(&reporter),
            now: clock.millis(),
            handle: Handle::current(),
            bar: bar.clone(),
            metric: metric.clone(),
        };
        let posting = tokio::task::spawn_blocking(move || poster.post_honest(flow));
        let mut flow = posting
            .await
            .map_err(|error| Error::Internal(format!("clients: {error}")))??;
        let (answered, kept) = post_hostile(&reporter, &metric, clock.millis(), &flow).await?;
        outcome.add_door(answered);
        flow.kept = [flow.posted.end - flow.posted.start + kept[0], kept[1]];
        done.push(flow);
    }
    bar.finish();
    watch.note("clients", &done, begin);
    let begin = Instant::now();
    let ingestor = Arc::clone(&door.ingestor);
    door.close().await?;
    clock.set(start + BATCHED);
    batch_all(&ingestor, &mut done).await?;
    watch.note("ingestor", &done, begin);
    Ok(done)
}

/// Posts the honest reports of one metric.
struct Poster {
    reporter: Arc<Reporter>,
    metric: ClientMetric,
    now: i64,
    handle: Handle,
    bar: Bar,
}

impl Poster {
    /// Makes reports on all cores and posts them some at a time. Blocking.
    fn post_honest(&self, mut flow: Flow) -> Result<Flow, Error> {
        let bins = flow.traffic.metric().bins();
        let (first, count) = (flow.posted.start, flow.posted.end - flow.posted.start);
        let bytes = packet_bytes(bins, Role::First);
        let at_once = chunk(bins).min(500) as usize;
        let mut waiting = Vec::new();
        let Flow { traffic, expected, .. } = &mut flow;
        let make = |position| traffic.packet(first + position).map_err(Error::from);
        let take = |generated: Generated| {
            expected.add(&generated);
            waiting.push(generated.report);
            self.bar.advance(1, bytes);
            if waiting.len() < at_once {
                return Ok(());
            }
            self.post(std::mem::take(&mut waiting))
        };
        in_order(count, chunk(bins), make, take)?;
        self.post(waiting)?;
        Ok(flow)
    }

    fn post(&self, reports: Vec<tallybox_client::Report>) -> Result<(), Error> {
        if reports.is_empty() {
            return Ok(());
        }
        let answers = self
            .handle
            .block_on(post(&self.reporter, &self.metric, self.now, reports))?;
        match answers.iter().find(|answer| **answer != DoorAnswer::Accepted) {
            None => Ok(()),
            Some(answer) => Err(Error::Check(format!("the door answered {answer} to an honest report"))),
        }
    }
}

/// Batches, and checks that what comes out is what was kept.
async fn batch_all(ingestor: &Ingestor, flows: &mut [Flow]) -> Result<(), Error> {
    let summary = batch(ingestor, &ingestor.localities[LOCALITY], &BatchOptions::default()).await;
    let summary = summary.map_err(Error::ingestor)?;
    let windows: Vec<&WindowSummary> = summary.windows.iter().collect();
    for flow in flows.iter_mut() {
        let batches = windows.iter().flat_map(|window| {
            let own = window
                .batches
                .iter()
                .filter(|batch| batch.aggregation == flow.aggregation);
            own.map(|batch| {
                let name = BatchName {
                    aggregation: batch.aggregation.clone(),
                    date: window.window.start(),
                    id: batch.id,
                };
                (name, batch.packets)
            })
        });
        flow.ingested = batches.collect();
        let batched: u64 = flow.ingested.iter().map(|(_, packets)| packets).sum();
        if batched != flow.kept[0] {
            let (aggregation, kept) = (&flow.aggregation, flow.kept[0]);
            return Err(Error::Check(format!(
                "{aggregation}: {kept} reports were kept, {batched} are batched"
            )));
        }
    }
    let dropped: u64 = windows
        .iter()
        .map(|window| window.replays.ciphertext + window.replays.report)
        .sum();
    let expected: u64 = flows.iter().map(|flow| flow.kept[1]).sum();
    if dropped != expected {
        return Err(Error::Check(format!(
            "{expected} replays were kept, {dropped} were dropped"
        )));
    }
    Ok(())
}
