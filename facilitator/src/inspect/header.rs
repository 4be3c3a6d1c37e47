//! The header of any kind of batch: its fields, and the comparison with the path.

use super::name::{Family, StemName};
use serde::Serialize;
use tallybox_model::avro::{
    AvroError, ContainerReader, FileLimits, Record, RecordKind, decode_one,
};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME, SumPart, ValidationHeader};
use tallybox_model::id::BatchId;
use tallybox_model::time::BatchTime;

/// Milliseconds at the start of the year 2001. An earlier time is probably in seconds, not
/// milliseconds.
const EARLIEST_LIKELY_MILLIS: i64 = 978_307_200_000;

/// The fields of a header file.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeaderFacts {
    /// The record's name.
    pub record: &'static str,
    /// The length of the header file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the header file.
    pub sha256: Digest,
    /// The batch's identifier; a sum part has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_uuid: Option<BatchId>,
    /// The aggregation.
    pub name: String,
    /// The number of bins.
    pub bins: i32,
    /// The parameter of the clients' randomised response.
    pub epsilon: f64,
    /// The modulus of the field.
    pub prime: i64,
    /// The number of processors among which each packet is shared.
    pub number_of_servers: i32,
    /// The number of bins that a client may set, if the header contains it.
    pub hamming_weight: Option<i32>,
    /// Start and end in milliseconds since the epoch: of the packets, or of a sum part's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<(i64, i64)>,
    /// The SHA-256 that the packet file must have.
    pub packet_file_digest: Digest,
    /// The fields that only a sum part has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum_part: Option<SumFacts>,
}

/// The fields that only the header of a sum part has.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SumFacts {
    /// The number of packets that count.
    pub total_individual_clients: i64,
    /// The batches summed.
    pub batches: Vec<BatchId>,
    /// This processor's part of the sum, for each bin.
    pub sum: Vec<i64>,
}

/// Returns the kind of record that a file's own schema names, if it is a known one. Needs only the
/// beginning of the file.
///
/// # Errors
/// [`AvroError`] if the file is not a container file.
pub(super) fn record_in(file: &[u8], limits: &FileLimits) -> Result<Option<RecordKind>, AvroError> {
    let reader = ContainerReader::open(file, limits)?;
    Ok(RecordKind::of_schema(reader.schema().json()))
}

impl HeaderFacts {
    /// Decodes a header file of this kind of batch.
    ///
    /// # Errors
    /// [`AvroError`] that describes what is malformed.
    pub(super) fn decode(
        file: &[u8],
        family: Family,
        limits: &FileLimits,
    ) -> Result<Self, AvroError> {
        let limits = limits.for_header();
        let bytes = (file.len() as u64, Digest::sha256(file));
        Ok(match family {
            Family::IngestionBatch => Self::ingestion(decode_one(file, &limits)?, bytes),
            Family::ValidationBatch => Self::validation(decode_one(file, &limits)?, bytes),
            Family::SumPart => Self::sum_part(decode_one(file, &limits)?, bytes),
        })
    }

    fn ingestion(header: IngestionHeader, file: (u64, Digest)) -> Self {
        let times = (header.batch_start_time, header.batch_end_time);
        let (batch, digest) = (header.batch_uuid, header.packet_file_digest);
        let facts = Self::new(IngestionHeader::KIND, header.parameters(), digest, file);
        Self {
            batch_uuid: Some(batch),
            times: Some(times),
            ..facts
        }
    }

    fn validation(header: ValidationHeader, file: (u64, Digest)) -> Self {
        let (batch, digest) = (header.batch_uuid, header.packet_file_digest);
        let facts = Self::new(ValidationHeader::KIND, header.parameters(), digest, file);
        Self {
            batch_uuid: Some(batch),
            ..facts
        }
    }

    fn sum_part(header: SumPart, file: (u64, Digest)) -> Self {
        let times = (header.aggregation_start_time, header.aggregation_end_time);
        let facts = Self::new(
            SumPart::KIND,
            header.parameters(),
            header.packet_file_digest,
            file,
        );
        let total_individual_clients = header.total_individual_clients;
        let sum = SumFacts {
            total_individual_clients,
            batches: header.batch_uuids,
            sum: header.sum,
        };
        Self {
            times: Some(times),
            sum_part: Some(sum),
            ..facts
        }
    }

    fn new(
        record: RecordKind,
        parameters: BatchParameters,
        digest: Digest,
        (bytes, sha256): (u64, Digest),
    ) -> Self {
        let BatchParameters {
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
        } = parameters;
        Self {
            record: record.name(),
            bytes,
            sha256,
            batch_uuid: None,
            name,
            bins,
            epsilon,
            prime,
            number_of_servers,
            hamming_weight,
            times: None,
            packet_file_digest: digest,
            sum_part: None,
        }
    }

    /// Describes each difference between the header and the path of its object.
    #[must_use]
    pub fn differences(&self, name: &StemName) -> Vec<String> {
        let mut found = Vec::new();
        let aggregation = match name {
            StemName::Batch(name) => {
                if let Some(batch) = self.batch_uuid.filter(|batch| *batch != name.id) {
                    found.push(format!("the header belongs to batch {batch}"));
                }
                &name.aggregation
            }
            StemName::SumPart(name) => {
                let window = (name.window.start().millis(), name.window.end().millis());
                if self.times.is_some_and(|times| times != window) {
                    found.push("the header belongs to another window".to_owned());
                }
                &name.aggregation
            }
        };
        if self.name != aggregation.as_str() {
            found.push(format!("the header belongs to aggregation {:?}", self.name));
        }
        found
    }

    /// Describes what prevents a processor from using the header, and what is unusual.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.prime != PRIME {
            notes.push(format!("the header's prime is {}, not {PRIME}", self.prime));
        }
        if self.number_of_servers != 2 {
            notes.push(format!(
                "the header asks for {} processors, not 2",
                self.number_of_servers
            ));
        }
        if tallybox_crypto::prio2::Prio2::new(usize::try_from(self.bins).unwrap_or(0)).is_err() {
            notes.push("the header's number of bins is not supported".to_owned());
        }
        if self.hamming_weight.is_some() {
            notes.push("the Hamming weight is informative only: Prio2 cannot prove it".to_owned());
        }
        if self
            .times
            .is_some_and(|(start, _)| (1..EARLIEST_LIKELY_MILLIS).contains(&start))
        {
            notes.push(
                "the times look like seconds instead of milliseconds; no processor uses them"
                    .to_owned(),
            );
        }
        if let Some(sum) = &self.sum_part
            && i64::try_from(sum.sum.len()) != Ok(i64::from(self.bins))
        {
            notes.push(format!(
                "the sum has {} elements for {} bins",
                sum.sum.len(),
                self.bins
            ));
        }
        notes
    }

    /// Returns start and end as dates, if they are valid dates.
    pub(super) fn dates(&self) -> Option<(BatchTime, BatchTime)> {
        let (start, end) = self.times?;
        BatchTime::from_millis(start).zip(BatchTime::from_millis(end))
    }
}
