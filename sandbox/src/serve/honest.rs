//! Honest packets that a sandbox posts to itself, so that there is something to see.

use tallybox_client::traffic::{Metric, Traffic};

use super::Serving;
use crate::door::{DoorAnswer, post};
use crate::error::Error;
use crate::plan::chunk;

impl Serving {
    /// Posts so many honest packets, dealt out to all metrics.
    ///
    /// # Errors
    /// [`Error`] if one cannot be made or posted, or is not accepted.
    pub async fn post_honest(&self, packets: u64, metrics: &[Metric], epsilon: Option<f64>) -> Result<(), Error> {
        let count = metrics.len().max(1) as u64;
        for (place, metric) in (0..).zip(metrics) {
            let packets = packets / count + u64::from(place < packets % count);
            self.post_metric(packets, metric, epsilon).await?;
        }
        Ok(())
    }

    async fn post_metric(&self, packets: u64, metric: &Metric, epsilon: Option<f64>) -> Result<(), Error> {
        let reporter = self.door.reporter(&self.world)?;
        let internal = |error: String| Error::Internal(error);
        let config = reporter.source().current().await;
        let config = config.map_err(|error| internal(error.to_string()))?;
        let trusted = config.metric(metric.name);
        let trusted = trusted.ok_or_else(|| internal(format!("no metric {}", metric.name)))?;
        let at_once = chunk(metric.bins()).clamp(1, 500);
        let mut first = 0;
        while first < packets {
            let indices = first..packets.min(first + at_once);
            first = indices.end;
            let seed = self.seed;
            let (metric, keys) = (*metric, self.world.keys.for_clients());
            let making = tokio::task::spawn_blocking(move || {
                let traffic = Traffic::new(seed, &metric, keys, epsilon)?;
                indices.map(|index| Ok(traffic.packet(index)?.report)).collect()
            });
            let made: Result<Vec<_>, Error> = making.await.map_err(|error| internal(format!("clients: {error}")))?;
            let answers = post(&reporter, &trusted.metric, self.clock.millis(), made?).await?;
            if let Some(answer) = answers.iter().find(|answer| **answer != DoorAnswer::Accepted) {
                return Err(Error::Check(format!("the door answered {answer} to an honest report")));
            }
        }
        Ok(())
    }
}
