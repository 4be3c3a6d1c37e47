//! Reports to post: good and bad ones that are sealed beforehand, or sealed one at a time.

use std::sync::Arc;

use rand::{CryptoRng, Rng};
use tallybox_model::report::{ProblemKind, ReportUpload};

use super::body::{LoadFormat, PLACEHOLDER, Template};
use super::error::LoadError;
use super::mix::Mix;
use crate::config::TrustedConfig;
use crate::encoding::{Encoding, Value};

/// Ten days in milliseconds.
const TEN_DAYS: i64 = 10 * 86_400_000;

/// A fault: the expected problem, and the change to the report.
type Fault = (ProblemKind, fn(&mut ReportUpload));

/// The faults of bad reports.
const FAULTS: [Fault; 8] = [
    (ProblemKind::UnknownMetric, |report| {
        report.metric = "unheardOf-v1".to_owned();
    }),
    (ProblemKind::ParameterMismatch, |report| {
        report.epsilon += 1.0
    }),
    (ProblemKind::SchemaVersion, |report| {
        report.schema_version = 99
    }),
    (ProblemKind::OutdatedKey, |report| {
        report.key_id_first = "a-key-of-long-ago".to_owned();
    }),
    (ProblemKind::BadShareLength, |report| {
        report
            .payload_first
            .truncate(report.payload_first.len() - 4);
    }),
    (ProblemKind::BadEphemeralKey, |report| {
        // Coordinates above the prime of the curve.
        report.payload_second[1..65].fill(0xff);
    }),
    (ProblemKind::TooLate, |report| {
        report.created = report.created.map(|created| created - TEN_DAYS);
    }),
    (ProblemKind::TooEarly, |report| {
        report.created = report.created.map(|created| created + TEN_DAYS);
    }),
];

/// A report to post, and its expected problem.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) template: Arc<Template>,
    pub(super) fault: Option<ProblemKind>,
}

/// The source of reports.
pub(super) struct Maker {
    config: TrustedConfig,
    mix: Mix,
    form: LoadFormat,
    good: Vec<Ready>,
    bad: Vec<Ready>,
}

impl Maker {
    /// Seals `pool` reports of the mix, and one report with each fault.
    pub(super) fn new(
        config: TrustedConfig,
        mix: Mix,
        form: LoadFormat,
        pool: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LoadError> {
        let mut maker = Self {
            config,
            mix,
            form,
            good: Vec::with_capacity(pool),
            bad: Vec::with_capacity(FAULTS.len()),
        };
        for _ in 0..pool {
            let ready = maker.seal(None, rng)?;
            maker.good.push(ready);
        }
        for fault in FAULTS {
            let ready = maker.seal(Some(fault), rng)?;
            maker.bad.push(ready);
        }
        Ok(maker)
    }

    /// Returns a good report.
    pub(super) fn good(&self, rng: &mut impl CryptoRng) -> Result<Ready, LoadError> {
        match self.good.len() {
            0 => self.seal(None, rng),
            length => Ok(self.good[below(length, rng)].clone()),
        }
    }

    /// Returns a bad report.
    pub(super) fn bad(&self, rng: &mut impl CryptoRng) -> Ready {
        self.bad[below(self.bad.len(), rng)].clone()
    }

    fn seal(&self, fault: Option<Fault>, rng: &mut impl CryptoRng) -> Result<Ready, LoadError> {
        let metric = self.mix.draw(rng);
        let bits = metric.encoding.encode(&draw_value(metric.encoding, rng));
        let bits = bits.map_err(|error| LoadError::Render(error.to_string()))?;
        let noisy = metric.noise.randomise(&bits, rng);
        let report = metric.client.report_with(&metric.prio2, &noisy, rng)?;
        let created = jiff::Timestamp::now().as_millisecond();
        let schema_version = self.config.document().schema_version;
        let mut upload = report.into_upload(&metric.metric, schema_version, Some(created));
        upload.id = PLACEHOLDER.to_owned();
        if let Some((_, spoil)) = fault {
            spoil(&mut upload);
        }
        Ok(Ready {
            template: Arc::new(Template::new(upload, self.form)?),
            fault: fault.map(|(kind, _)| kind),
        })
    }
}

/// Draws an answer from a uniform distribution.
fn draw_value(encoding: Encoding, rng: &mut impl Rng) -> Value {
    match encoding {
        Encoding::Histogram { bins } => Value::Bucket(below(bins, rng)),
        Encoding::BitVector { bins } => {
            Value::Bits((0..bins).map(|_| rng.next_u32() & 1 == 1).collect())
        }
        Encoding::BoundedInteger { bits } => Value::Integer(draw_integer(bits, rng)),
        Encoding::GroupedInteger { groups, bits } => Value::Grouped {
            group: below(groups, rng),
            integer: draw_integer(bits, rng),
        },
    }
}

fn draw_integer(bits: u32, rng: &mut impl Rng) -> u64 {
    rng.next_u64() >> (64 - bits.clamp(1, 64))
}

/// Draws a number below `bound`, which is above 0. The bias of 1 in 2^32 does not matter here.
fn below(bound: usize, rng: &mut impl Rng) -> usize {
    (rng.next_u64() % bound as u64) as usize
}
