//! The kinds of batches, by the records in their objects.

use tallybox_model::avro::RecordKind;
use tallybox_model::path::{BatchKind, BatchPart};
use tallybox_model::role::Role;

/// The three kinds of batch, in the order of the flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Family {
    /// Written by the ingestor for a processor.
    IngestionBatch,
    /// Written by a processor for its peer.
    ValidationBatch,
    /// Written by a processor for the portal.
    SumPart,
}

impl Family {
    const ALL: [Self; 3] = [Self::IngestionBatch, Self::ValidationBatch, Self::SumPart];

    pub(super) fn of_name(kind: BatchKind) -> Self {
        match kind {
            BatchKind::Ingestion => Self::IngestionBatch,
            BatchKind::Validation(_) => Self::ValidationBatch,
            BatchKind::SumPart(_) => Self::SumPart,
        }
    }

    /// Returns the record of the header or of the packets; `None` for the signature, whose record is
    /// the same for all kinds.
    pub(super) fn record(self, part: BatchPart) -> Option<RecordKind> {
        match (self, part) {
            (Self::IngestionBatch, BatchPart::Header) => Some(RecordKind::IngestionHeader),
            (Self::IngestionBatch, BatchPart::Packets) => Some(RecordKind::DataSharePacket),
            (Self::ValidationBatch, BatchPart::Header) => Some(RecordKind::ValidationHeader),
            (Self::ValidationBatch, BatchPart::Packets) => Some(RecordKind::ValidationPacket),
            (Self::SumPart, BatchPart::Header) => Some(RecordKind::SumPart),
            (Self::SumPart, BatchPart::Packets) => Some(RecordKind::InvalidPacket),
            (_, BatchPart::Signature) => None,
        }
    }

    /// Returns the kind of batch that has this record in this part.
    pub(super) fn of_record(record: RecordKind, part: BatchPart) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.record(part) == Some(record))
    }

    /// Returns the name of the kind in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IngestionBatch => "ingestion-batch",
            Self::ValidationBatch => "validation-batch",
            Self::SumPart => "sum-part",
        }
    }

    /// Returns the name of the kind for people, with the writer if it is known.
    pub(super) fn title(self, writer: Option<Role>) -> String {
        let name = self.name().replace('-', " ");
        match writer {
            Some(writer) => format!("{name} by the {writer} processor"),
            None => name,
        }
    }
}

/// Puts the indefinite article before the words.
pub(super) fn with_article(label: &str) -> String {
    let article = if label.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {label}")
}
