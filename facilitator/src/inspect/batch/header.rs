//! The header of any kind of batch: its fields, and the comparison with the path.

use super::present::Present;
use crate::inspect::facts::{Fact, Facts};
use crate::inspect::family::Family;
use serde_json::{Number, Value as Json};
use tallybox_crypto::prio2::Prio2;
use tallybox_model::avro::{AvroError, ContainerReader, FileLimits, RecordKind, decode_one};
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME, SumPart, ValidationHeader};
use tallybox_model::id::BatchId;
use tallybox_model::path::{BatchKind, BatchName, BatchPart, SumPartName, possible_keys};
use tallybox_model::time::BatchTime;

/// Milliseconds at the start of the year 2001. An earlier time is probably in seconds, not
/// milliseconds.
const EARLIEST_LIKELY_MILLIS: i64 = 978_307_200_000;

/// Returns the kind of record that a file's own schema names, if it is a known one. Needs only the
/// beginning of the file.
///
/// # Errors
/// [`AvroError`] if the file is not a container file.
pub(crate) fn record_in(file: &[u8], limits: &FileLimits) -> Result<Option<RecordKind>, AvroError> {
    let reader = ContainerReader::open(file, limits)?;
    Ok(RecordKind::of_schema(reader.schema().json()))
}

/// A decoded header.
#[derive(Debug)]
pub(crate) struct Header {
    family: Family,
    parameters: BatchParameters,
    /// The batch's identifier; a sum part has none.
    batch: Option<BatchId>,
    /// Start and end in milliseconds since the epoch: of the packets, or of a sum part's window.
    times: Option<(i64, i64)>,
    /// The SHA-256 that the packet file must have.
    pub(super) packets: Digest,
    /// The number of elements of a sum, and the fields that only a sum part has.
    sum: Option<(usize, Facts)>,
}

impl Header {
    /// Decodes the header file of this kind of batch.
    pub(super) fn decode(
        file: &[u8],
        family: Family,
        limits: &FileLimits,
    ) -> Result<Self, AvroError> {
        Ok(match family {
            Family::IngestionBatch => {
                let header: IngestionHeader = decode_one(file, limits)?;
                let times = (header.batch_start_time, header.batch_end_time);
                Self {
                    batch: Some(header.batch_uuid),
                    times: Some(times),
                    ..Self::new(family, header.parameters(), header.packet_file_digest)
                }
            }
            Family::ValidationBatch => {
                let header: ValidationHeader = decode_one(file, limits)?;
                Self {
                    batch: Some(header.batch_uuid),
                    ..Self::new(family, header.parameters(), header.packet_file_digest)
                }
            }
            Family::SumPart => {
                let header: SumPart = decode_one(file, limits)?;
                let times = (header.aggregation_start_time, header.aggregation_end_time);
                Self {
                    times: Some(times),
                    sum: Some(sum_facts(&header)),
                    ..Self::new(family, header.parameters(), header.packet_file_digest)
                }
            }
        })
    }

    fn new(family: Family, parameters: BatchParameters, packets: Digest) -> Self {
        Self {
            family,
            parameters,
            batch: None,
            times: None,
            packets,
            sum: None,
        }
    }

    pub(super) fn bins(&self) -> usize {
        usize::try_from(self.parameters.bins).unwrap_or(0)
    }

    /// Returns the fields of the header.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        let record = self.family.record(BatchPart::Header).map(RecordKind::name);
        facts.head(Fact::new("record", record).unnamed());
        if let Some(batch) = self.batch {
            facts.add(Fact::new("batch-uuid", batch.to_string()).row("batch"));
        }
        let parameters = &self.parameters;
        facts.add(Fact::new("name", parameters.name.as_str()).row("aggregation"));
        let epsilon = match Number::from_f64(parameters.epsilon) {
            Some(number) => Json::Number(number),
            // JSON cannot express NaN and infinity.
            None => Json::String(parameters.epsilon.to_string()),
        };
        facts.row(
            "parameters",
            [
                Fact::new("bins", parameters.bins).unit("bins"),
                Fact::new("epsilon", epsilon),
                Fact::new("prime", parameters.prime),
                Fact::new("number-of-servers", parameters.number_of_servers).unit("servers"),
                Fact::new("hamming-weight", parameters.hamming_weight),
            ],
        );
        if let Some((start, end)) = self.times {
            let label = if self.sum.is_some() {
                "window"
            } else {
                "times"
            };
            let times = Fact::new("times", vec![start, end]).row(label);
            facts.add(
                match BatchTime::from_millis(start).zip(BatchTime::from_millis(end)) {
                    Some((start, end)) => times.shown(format!("{start} to {end}")),
                    None => times.shown(format!("{start} ms to {end} ms")),
                },
            );
        }
        facts.add(Fact::new("packet-file-digest", self.packets.to_hex()).row("digest"));
        if let Some((_, sum)) = &self.sum {
            facts.add(Fact::group("sum-part", sum.clone()));
        }
        facts
    }

    /// Describes each difference between the header and the path of its object; `None` if the path
    /// is not the name of a batch.
    pub(super) fn differences(&self, present: &Present) -> Option<Vec<String>> {
        let (stem, kind) = present.name.as_ref()?;
        let mut found = Vec::new();
        let aggregation = match kind {
            BatchKind::SumPart(writer) => {
                let name =
                    possible_keys(stem).find_map(|stem| SumPartName::parse(stem, *writer))?;
                let window = (name.window.start().millis(), name.window.end().millis());
                if self.times.is_some_and(|times| times != window) {
                    found.push("the header belongs to another window".to_owned());
                }
                name.aggregation
            }
            BatchKind::Ingestion | BatchKind::Validation(_) => {
                let name = possible_keys(stem).find_map(BatchName::parse)?;
                if let Some(batch) = self.batch.filter(|batch| *batch != name.id) {
                    found.push(format!("the header belongs to batch {batch}"));
                }
                name.aggregation
            }
        };
        let name = &self.parameters.name;
        if name != aggregation.as_str() {
            found.push(format!("the header belongs to aggregation {name:?}"));
        }
        Some(found)
    }

    /// Describes what prevents a processor from using the header, and what is unusual.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let BatchParameters {
            prime,
            number_of_servers: servers,
            ..
        } = self.parameters;
        if prime != PRIME {
            notes.push(format!("the header's prime is {prime}, not {PRIME}"));
        }
        if servers != 2 {
            notes.push(format!("the header asks for {servers} processors, not 2"));
        }
        if Prio2::new(self.bins()).is_err() {
            notes.push("the header's number of bins is not supported".to_owned());
        }
        if self.parameters.hamming_weight.is_some() {
            notes.push("the Hamming weight is informative only: Prio2 cannot prove it".to_owned());
        }
        let seconds = 1..EARLIEST_LIKELY_MILLIS;
        if self
            .times
            .is_some_and(|(start, _)| seconds.contains(&start))
        {
            let note =
                "the times look like seconds instead of milliseconds; no processor uses them";
            notes.push(note.to_owned());
        }
        let elements = self.sum.as_ref().map(|(elements, _)| *elements);
        if let Some(elements) = elements.filter(|elements| *elements != self.bins()) {
            let bins = self.parameters.bins;
            notes.push(format!("the sum has {elements} elements for {bins} bins"));
        }
        notes
    }
}

/// Returns the number of elements of the sum, and the fields that only a sum part has.
fn sum_facts(header: &SumPart) -> (usize, Facts) {
    let mut facts = Facts::default();
    let clients = header.total_individual_clients;
    facts.head(Fact::new("total-individual-clients", clients).unit("clients"));
    let batches: Vec<String> = header.batch_uuids.iter().map(ToString::to_string).collect();
    facts.add(Fact::new("batches", batches));
    facts.add(Fact::new("sum", header.sum.clone()));
    (header.sum.len(), facts)
}
