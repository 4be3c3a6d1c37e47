//! First stages of a run: clients post reports to the ingestor, and the ingestor writes batches.

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
use crate::error::Error;
use crate::flow::Flow;
use crate::ingestor_server::{IngestorServer, PostAnswer, post, post_hostile};
use crate::layout::LOCALITY;
use crate::outcome::RunOutcome;
use crate::plan::{chunk, packet_bytes};
use crate::schedule;
use crate::stream::in_order;
use crate::world::World;

/// Offset of the clients' reports from the start of the window: ten minutes.
const REPORTS_OFFSET_MILLIS: i64 = 10 * 60_000;
/// Offset of the batch job: two hours after the reports, when the ingestor's window of an hour has
/// ended and settled.
const BATCH_OFFSET_MILLIS: i64 = 130 * 60_000;

/// Posts honest and hostile reports over HTTP, then lets the ingestor batch the accepted ones.
pub(crate) async fn post_all(
    world: &World,
    flows: Vec<Flow>,
    watch: &mut Watch,
    outcome: &mut RunOutcome,
) -> Result<Vec<Flow>, Error> {
    let start = schedule::window()?.start().millis();
    let clock = Clock::manual(start + REPORTS_OFFSET_MILLIS);
    let begin = Instant::now();
    let bar = watch.bar("clients", &flows, Role::First);
    let server = IngestorServer::open(world, clock.clone()).await?;
    let reporter = Arc::new(server.reporter(world)?);
    let metrics = reporter.source().current().await;
    let metrics = metrics.map_err(|error| Error::Internal(error.to_string()))?;
    let mut done = Vec::new();
    for flow in flows {
        let metric = metrics
            .metric(flow.aggregation.as_str())
            .map(|metric| metric.metric.clone());
        let metric = metric.ok_or_else(|| {
            Error::Internal(format!(
                "metric {} is missing in the client configuration",
                flow.aggregation
            ))
        })?;
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
        let (answered, accepted) = post_hostile(&reporter, &metric, clock.millis(), &flow).await?;
        outcome.add_admissions(answered);
        flow.accepted = [
            flow.posted.end - flow.posted.start + accepted[0],
            accepted[1],
        ];
        done.push(flow);
    }
    bar.finish();
    watch.note("clients", &done, begin);
    let begin = Instant::now();
    let ingestor = Arc::clone(&server.ingestor);
    server.close().await?;
    clock.set(start + BATCH_OFFSET_MILLIS);
    batch_all(&ingestor, &mut done).await?;
    watch.note("ingestor", &done, begin);
    Ok(done)
}

/// A client that posts the honest reports of one metric.
struct Poster {
    reporter: Arc<Reporter>,
    metric: ClientMetric,
    now: i64,
    handle: Handle,
    bar: Bar,
}

impl Poster {
    /// Makes reports on all cores and posts them in groups. Blocking.
    fn post_honest(&self, mut flow: Flow) -> Result<Flow, Error> {
        let bins = flow.traffic.metric().bins();
        let (first, count) = (flow.posted.start, flow.posted.end - flow.posted.start);
        let bytes = packet_bytes(bins, Role::First);
        let at_once = chunk(bins).min(500) as usize;
        let mut waiting = Vec::new();
        let Flow {
            traffic, expected, ..
        } = &mut flow;
        let make = |position| traffic.packet(first + position).map_err(Error::from);
        let consume = |generated: Generated| {
            expected.add(&generated);
            waiting.push(generated.report);
            self.bar.advance(1, bytes);
            if waiting.len() < at_once {
                return Ok(());
            }
            self.post(std::mem::take(&mut waiting))
        };
        in_order(count, chunk(bins), make, consume)?;
        self.post(waiting)?;
        Ok(flow)
    }

    fn post(&self, reports: Vec<tallybox_client::Report>) -> Result<(), Error> {
        if reports.is_empty() {
            return Ok(());
        }
        let answers =
            self.handle
                .block_on(post(&self.reporter, &self.metric, self.now, reports))?;
        match answers
            .iter()
            .find(|answer| **answer != PostAnswer::Accepted)
        {
            None => Ok(()),
            Some(answer) => Err(Error::Check(format!(
                "the ingestor answered {answer} to an honest report"
            ))),
        }
    }
}

/// Runs the batch job, and checks that its batches hold exactly the accepted reports.
async fn batch_all(ingestor: &Ingestor, flows: &mut [Flow]) -> Result<(), Error> {
    let summary = batch(
        ingestor,
        &ingestor.localities[LOCALITY],
        &BatchOptions::default(),
    )
    .await;
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
        if batched != flow.accepted[0] {
            let (aggregation, accepted) = (&flow.aggregation, flow.accepted[0]);
            return Err(Error::Check(format!(
                "{aggregation}: the ingestor accepted {accepted} reports, but batched {batched}"
            )));
        }
    }
    let dropped: u64 = windows
        .iter()
        .map(|window| window.replays.ciphertext + window.replays.report)
        .sum();
    let expected: u64 = flows.iter().map(|flow| flow.accepted[1]).sum();
    if dropped != expected {
        return Err(Error::Check(format!(
            "the ingestor accepted {expected} replays, but dropped {dropped}"
        )));
    }
    Ok(())
}
