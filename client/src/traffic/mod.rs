//! A generator of realistic traffic with known answers. Every packet is a pure function of a seed,
//! a metric and an index, so packets can be generated in any order and on any number of threads.
//!
//! For tests, benchmarks and the sandbox only: all randomness derives from the seed, so the seed
//! reveals every bit.

mod answer;
mod distribution;
mod draw;
mod hostile;
mod metric;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use tallybox_crypto::prio2::{Prio2, Randomness};
use tallybox_model::id::PacketId;

pub use answer::Tally;
pub use distribution::{AnswerDistribution, Skew};
pub use hostile::{ExpectedOutcome, Hostility};
pub use metric::{Cadence, EXAMPLES, METRICS, Metric};

use crate::error::{ClientError, EncodeError};
use crate::noise::RandomisedResponse;
use crate::report::{Client, ProcessorKey, Report, draw_id};
use draw::Picker;

/// Separates the generator's key from any other use of the seed.
const DOMAIN: &[u8] = b"tallybox traffic v1";

/// An unlimited sequence of reports of one metric.
#[derive(Debug, Clone)]
pub struct Traffic {
    metric: Metric,
    client: Client,
    noise: Option<RandomisedResponse>,
    prio2: Prio2,
    picker: Picker,
    key: [u8; 32],
}

/// A generated report with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The report that the client sends.
    pub report: Report,
    /// The bins of the client's answer.
    pub true_bits: Vec<bool>,
    /// The bins that are shared, after randomised response.
    pub noisy_bits: Vec<bool>,
}

/// The bins of a generated report, without the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedAnswer {
    /// The bins of the client's answer.
    pub true_bits: Vec<bool>,
    /// The bins that are shared, after randomised response.
    pub noisy_bits: Vec<bool>,
}

impl Traffic {
    /// Creates the traffic of `metric` for `processors`, which are in the order of their index.
    /// Without an epsilon no noise is added, so that sums are exact; [`Metric::epsilon`] is the
    /// value of real clients. The answers do not depend on epsilon.
    ///
    /// # Errors
    /// [`ClientError`] if epsilon is out of range, if there are not two processors, or if the
    /// metric has no bins or too many.
    pub fn new(
        seed: u64,
        metric: &Metric,
        processors: Vec<ProcessorKey>,
        epsilon: Option<f64>,
    ) -> Result<Self, ClientError> {
        let hash = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(seed.to_be_bytes())
            .chain_update(metric.name);
        Ok(Self {
            metric: *metric,
            client: Client::new(processors)?,
            noise: epsilon.map(RandomisedResponse::new).transpose()?,
            prio2: Prio2::new(metric.bins())?,
            picker: metric.distribution.picker(metric.bins()),
            key: hash.finalize().into(),
        })
    }

    /// Returns the metric.
    #[must_use]
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// Returns the noise, if any.
    #[must_use]
    pub fn noise(&self) -> Option<&RandomisedResponse> {
        self.noise.as_ref()
    }

    /// Returns the bins of packet `index` without making the packet.
    ///
    /// # Errors
    /// [`ClientError::Encode`] if the metric's distribution does not match its encoding.
    pub fn answer(&self, index: u64) -> Result<GeneratedAnswer, ClientError> {
        self.start(index).map(|(answer, _, _)| answer)
    }

    /// Returns packet `index`.
    ///
    /// # Errors
    /// [`ClientError::Encode`] if the metric's distribution does not match its encoding.
    pub fn packet(&self, index: u64) -> Result<Generated, ClientError> {
        let (
            GeneratedAnswer {
                true_bits,
                noisy_bits,
            },
            id,
            mut rng,
        ) = self.start(index)?;
        let randomness = Randomness::draw(&mut rng);
        let shares = self.prio2.split(&noisy_bits, &randomness)?;
        let report = self.client.seal(id, &shares, &mut rng)?;
        Ok(Generated {
            report,
            true_bits,
            noisy_bits,
        })
    }

    /// Computes the answer, the id, and the state of the random generator before splitting. Each
    /// packet has its own random stream.
    fn start(&self, index: u64) -> Result<(GeneratedAnswer, PacketId, ChaCha20Rng), ClientError> {
        let mut rng = ChaCha20Rng::from_seed(self.key);
        rng.set_stream(index);
        let id = draw_id(&mut rng);
        let true_bits = self.true_bits(&mut rng).map_err(|source| {
            let metric = self.metric.name.to_owned();
            ClientError::Encode { metric, source }
        })?;
        let noisy_bits = match &self.noise {
            None => true_bits.clone(),
            Some(noise) => noise.randomise(&true_bits, &mut rng),
        };
        Ok((
            GeneratedAnswer {
                true_bits,
                noisy_bits,
            },
            id,
            rng,
        ))
    }

    fn true_bits(&self, rng: &mut ChaCha20Rng) -> Result<Vec<bool>, EncodeError> {
        let value = self
            .metric
            .distribution
            .draw(self.metric.bins(), &self.picker, rng);
        self.metric.encoding.encode(&value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
