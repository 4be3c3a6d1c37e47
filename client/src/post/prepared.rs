//! A report that may not be durable yet.

use std::fmt;

use tallybox_model::report::ReportUpload;

use crate::config::{TrustedConfig, TrustedMetric};
use crate::encoding::{Encoding, Value};
use crate::error::{ClientError, EncodeError};
use crate::report::draw_id;
use rand::CryptoRng;
use tallybox_crypto::prio2::Randomness;

/// A report, ready to be posted any number of times under one id.
///
/// An application that survives its process stores [`Prepared::upload`], which contains no answer
/// in clear, and converts it back later. Such a report cannot be made again after a change of keys.
#[derive(Clone)]
pub struct Prepared {
    upload: ReportUpload,
    answer: Option<Answer>,
}

/// The answer behind a report, from which it can be made again for another configuration.
#[derive(Clone)]
struct Answer {
    value: Value,
    /// The bins with noise. They are reused, because new noise for each report of one answer would
    /// average out.
    noisy: Vec<bool>,
    encoding: Encoding,
    epsilon: f64,
}

/// Reasons why a report could not be made.
pub(super) enum MakeError {
    Encode(EncodeError),
    Make(ClientError),
}

impl Prepared {
    /// Returns the upload that is posted.
    #[must_use]
    pub fn upload(&self) -> &ReportUpload {
        &self.upload
    }

    pub(super) fn upload_mut(&mut self) -> &mut ReportUpload {
        &mut self.upload
    }

    /// Encodes, randomises, splits and seals an answer.
    pub(super) fn make(
        config: &TrustedConfig,
        metric: &TrustedMetric,
        value: &Value,
        created: i64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, MakeError> {
        let bits = metric.encoding.encode(value).map_err(MakeError::Encode)?;
        let answer = Answer {
            value: value.clone(),
            noisy: metric.noise.randomise(&bits, rng),
            encoding: metric.encoding,
            epsilon: metric.noise.epsilon(),
        };
        Self::from_answer(answer, config, metric, created, rng).map_err(MakeError::Make)
    }

    fn from_answer(
        answer: Answer,
        config: &TrustedConfig,
        metric: &TrustedMetric,
        created: i64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, ClientError> {
        let id = draw_id(rng);
        let shares = metric.prio2.split(&answer.noisy, &Randomness::draw(rng))?;
        let report = metric.client.seal(id, &shares, rng)?;
        Ok(Self {
            upload: report.into_upload(
                &metric.metric,
                config.document().schema_version,
                Some(created),
            ),
            answer: Some(answer),
        })
    }

    /// Makes a new report of the same answer for this configuration. `None` if the metric no longer
    /// exists, or the answer is unknown or does not match it.
    pub(super) fn remake(
        &self,
        config: &TrustedConfig,
        created: i64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Self> {
        let answer = self.answer.as_ref()?;
        let metric = config.metric(&self.upload.metric)?;
        // The noise is reused only if it was drawn for the same encoding and epsilon.
        if answer.encoding == metric.encoding && answer.epsilon == metric.noise.epsilon() {
            Self::from_answer(answer.clone(), config, metric, created, rng).ok()
        } else {
            Self::make(config, metric, &answer.value, created, rng).ok()
        }
    }
}

impl From<ReportUpload> for Prepared {
    fn from(upload: ReportUpload) -> Self {
        Self {
            upload,
            answer: None,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("metric", &self.upload.metric)
            .field("id", &self.upload.id)
            .finish_non_exhaustive()
    }
}
