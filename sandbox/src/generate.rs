//! Ingestion batches for benchmarks: any number of valid packets; the same seed gives the same
//! bytes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use tallybox_client::traffic::{Metric, Tally, Traffic};
use tallybox_crypto::prio2::Prio2;
use tallybox_facilitator::config::Points;
use tallybox_model::digest::Digest;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::{BatchTime, Window};
use tallybox_service::output::{Output, Summary};
use tallybox_service::progress::{Progress, grouped};

use crate::error::Error;
use crate::ingest::{self, BatchPair, BatchSpec};
use crate::plan::{BatchPlan, packet_bytes, write_batch};
use crate::schedule;
use crate::world::World;

/// Options of `generate`.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Packets **per batch**.
    pub packets: u64,
    /// Number of batches.
    pub batches: u64,
    /// Number of bins; each bin of each packet is 0 or 1 with equal probability.
    pub bins: usize,
    /// Seed of all keys and packets.
    pub seed: u64,
    /// The source of evaluation points; the processors are configured accordingly.
    pub points: Points,
    /// Name of the aggregation.
    pub aggregation: AggregationId,
}

/// The content of `generated.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedBatches {
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window that contains all batches.
    pub window: GeneratedWindow,
    /// The batches, in order of their dates.
    pub batches: Vec<GeneratedBatch>,
    /// Packets **per batch**. All are valid.
    pub packets: u64,
    /// Number of bins.
    pub bins: usize,
    /// The seed.
    pub seed: u64,
    /// The sum of both processors' sum parts over all batches, modulo the prime.
    pub true_sums: Vec<u64>,
}

/// A window, in the form of the command line options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GeneratedWindow {
    /// Start of the window, inclusive.
    pub start: BatchTime,
    /// End of the window, exclusive.
    pub end: BatchTime,
}

/// A batch, in the form of the command line options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GeneratedBatch {
    /// The batch id.
    pub id: BatchId,
    /// The date of the batch.
    pub date: BatchTime,
}

/// The summary that the command prints.
#[derive(Debug, Clone, Serialize)]
pub struct GenerateSummary {
    /// The directory.
    pub directory: PathBuf,
    /// The content of `generated.json`.
    #[serde(flatten)]
    pub generated: GeneratedBatches,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Writes batches for both processors, keys and configurations into the directory `root`, which
/// must be new or empty. No noise is added, so the true sums are exact. The epsilon in the headers
/// is that of ENPA's clients; it does not change the sums.
///
/// Memory does not grow with the number of packets. `generated.json` is written last: if it exists,
/// everything is complete.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Occupied`] before anything is written; other errors if a file
/// cannot be written.
pub async fn generate(
    root: &Path,
    options: &GenerateOptions,
    output: Output,
) -> Result<GenerateSummary, Error> {
    let begin = Instant::now();
    check_options(options)?;
    let metric = Metric::fake(options.bins);
    let world = World::for_bins(root, Some(options.seed), options.points, &[options.bins])?;
    let traffic = Traffic::new(
        options.seed,
        &metric,
        world.keys.for_clients(options.bins)?,
        None,
    )?;
    let ingestor = world.ingestor();
    let bytes = options.packets * options.batches * packet_bytes(options.bins, Role::First);
    let bar = output.progress(Some(bytes), "generate");
    let mut work = Work {
        traffic,
        tally: Tally::new(options.bins),
        bar,
    };
    let mut batches = Vec::new();
    for ordinal in 0..options.batches {
        let (name, interval) =
            schedule::batch(options.seed, &options.aggregation, ordinal, options.batches)?;
        batches.push(GeneratedBatch {
            id: name.id,
            date: name.date,
        });
        let pair = ingestor
            .begin(spec(options, &metric, name.clone(), interval)?)
            .await?;
        let first = ordinal * options.packets;
        let plan = BatchPlan {
            name,
            interval,
            first,
            honest: options.packets,
            attacks: Vec::new(),
            ordinal,
        };
        let writing = tokio::task::spawn_blocking(move || work.write(&plan, pair));
        work = writing
            .await
            .map_err(|error| Error::Internal(format!("generate: {error}")))??;
    }
    work.bar.finish();
    let window = schedule::window()?;
    let generated = GeneratedBatches {
        aggregation: options.aggregation.clone(),
        window: GeneratedWindow {
            start: window.start(),
            end: window.end(),
        },
        batches,
        packets: options.packets,
        bins: options.bins,
        seed: options.seed,
        true_sums: work.tally.noisy_counts,
    };
    write_json(&world.layout.generated(), &generated)?;
    Ok(GenerateSummary {
        directory: root.to_owned(),
        generated,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

fn check_options(options: &GenerateOptions) -> Result<(), Error> {
    if options.packets == 0 || options.batches == 0 {
        return Err(Error::Setting(
            "--packets and --batches must be at least 1".to_owned(),
        ));
    }
    Prio2::new(options.bins).map_err(|error| Error::Setting(error.to_string()))?;
    // A sum must stay below the modulus, which is slightly below 2^32.
    match options.packets.checked_mul(options.batches) {
        Some(packets) if packets <= 1 << 31 => Ok(()),
        _ => Err(Error::Setting(
            "a window can have at most 2,147,483,648 packets".to_owned(),
        )),
    }
}

fn spec(
    options: &GenerateOptions,
    metric: &Metric,
    name: BatchName,
    interval: Window,
) -> Result<BatchSpec, Error> {
    let parameters =
        ingest::parameters(options.aggregation.as_str(), options.bins, metric.epsilon)?;
    let text = format!(
        "generated {} {} {:?} {name}",
        options.seed, options.packets, options.points
    );
    Ok(BatchSpec {
        name,
        parameters,
        interval,
        origin: Digest::sha256(text.as_bytes()),
    })
}

/// State that is passed from batch to batch.
struct Work {
    traffic: Traffic,
    tally: Tally,
    bar: Progress,
}

impl Work {
    /// Writes one batch. Blocking.
    fn write(mut self, plan: &BatchPlan, pair: BatchPair) -> Result<Self, Error> {
        let Self {
            traffic,
            tally,
            bar,
        } = &mut self;
        let bytes = packet_bytes(traffic.metric().bins(), Role::First);
        write_batch(plan, traffic, pair, |made| {
            tally.add(&made.generated);
            bar.advance(1, bytes);
        })?;
        Ok(self)
    }
}

fn write_json(path: &Path, generated: &GeneratedBatches) -> Result<(), Error> {
    let mut text =
        serde_json::to_vec_pretty(generated).map_err(|error| Error::Internal(error.to_string()))?;
    text.push(b'\n');
    fs::write(path, text).map_err(Error::file(path))
}

impl Summary for GenerateSummary {
    fn human(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GeneratedBatches {
            aggregation,
            window: GeneratedWindow { start, end },
            batches,
            packets,
            bins,
            ..
        } = &self.generated;
        let all = packets * batches.len() as u64;
        let rate = grouped((all as f64 / self.seconds.max(1e-9)) as u64);
        let all = grouped(all);
        let seconds = self.seconds;
        let directory = self.directory.display();
        let count = match batches.len() {
            1 => "one batch".to_owned(),
            several => format!("{several} batches"),
        };
        write!(
            f,
            "\
{all} packets of {bins} bins for each processor, in {count}
({seconds:.1} s, {rate} packets/s). Next, for both processors and every batch:

"
        )?;
        for role in Role::ALL {
            if let Some(GeneratedBatch { id, date }) = batches.first() {
                write!(
                    f,
                    "  facilitator --config {directory}/{role}.yaml intake-batch \\
      --aggregation {aggregation} --date {date} \\
      --batch {id}
"
                )?;
            }
        }
        f.write_str("\nand then, for both processors:\n\n")?;
        for role in Role::ALL {
            write!(
                f,
                "  facilitator --config {directory}/{role}.yaml aggregate \\
      --aggregation {aggregation} --start {start} --end {end}
"
            )?;
        }
        write!(
            f,
            "\n{directory}/generated.json contains all dates and batches, and the true sums."
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
