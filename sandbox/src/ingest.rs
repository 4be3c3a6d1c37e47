//! The simulated ingestor: it signs one batch with the same packets for each processor.

use std::fmt;
use std::sync::Arc;

use tallybox_client::Report;
use tallybox_facilitator::config::Points;
use tallybox_model::digest::Digest;
use tallybox_model::header::{BatchParameters, IngestionHeader, PRIME};
use tallybox_model::marker::ENCODER_GENERATION;
use tallybox_model::packet::DataSharePacket;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_transport::SharedBucket;
use tallybox_transport::batch::{BatchWriter, Written};
use uuid::fmt::Hyphenated;

use crate::error::Error;
use crate::keys::{INGESTOR_KEY_ID, SandboxKeys, packet_key_id};
use crate::layout::{BucketKind, Layout};

/// The simulated ingestor. It cannot decrypt packets, and it chooses the evaluation points.
#[derive(Debug)]
pub struct SimulatedIngestor {
    keys: Arc<SandboxKeys>,
    mailboxes: [SharedBucket; 2],
    points: Points,
}

/// The description of a batch to be written.
#[derive(Debug, Clone)]
pub struct BatchSpec {
    /// The name of the batch.
    pub name: BatchName,
    /// The parameters of the aggregation.
    pub parameters: BatchParameters,
    /// The time range of its packets.
    pub interval: Window,
    /// Digest of all inputs that determine the packets. The sync markers are derived from it.
    pub origin: Digest,
}

/// A batch for both processors that is being written.
pub struct BatchPair {
    keys: Arc<SandboxKeys>,
    spec: BatchSpec,
    point: Option<i64>,
    writers: [BatchWriter; 2],
}

impl SimulatedIngestor {
    /// Creates the simulated ingestor of a sandbox.
    #[must_use]
    pub fn new(layout: &Layout, keys: Arc<SandboxKeys>, points: Points) -> Self {
        let mailboxes = Role::ALL.map(|role| layout.bucket(BucketKind::Ingestion, role));
        Self {
            keys,
            mailboxes,
            points,
        }
    }

    /// Returns the evaluation point of all packets with this number of bins; `None` if each packet
    /// has its own.
    fn point(&self, bins: i32) -> Option<i64> {
        let bins = usize::try_from(bins).unwrap_or_default();
        let [first, second] = Role::ALL.map(|role| packet_key_id(role, bins));
        (self.points == Points::Pinned).then(|| self.keys.secret.point([&first, &second]))
    }

    /// Starts a batch in both processors' mailboxes.
    ///
    /// # Errors
    /// [`Error::Batch`] if a mailbox fails.
    pub async fn begin(&self, spec: BatchSpec) -> Result<BatchPair, Error> {
        let create = |role: Role| {
            let bucket = Arc::clone(&self.mailboxes[role.index()]);
            let (objects, inputs) = (spec.name.ingestion(), vec![spec.origin]);
            BatchWriter::create::<DataSharePacket<'static>>(
                bucket,
                objects,
                ENCODER_GENERATION,
                inputs,
            )
        };
        let writers = [create(Role::First).await?, create(Role::Second).await?];
        Ok(BatchPair {
            keys: Arc::clone(&self.keys),
            point: self.point(spec.parameters.bins),
            spec,
            writers,
        })
    }
}

impl BatchPair {
    /// Returns the evaluation point of a report.
    #[must_use]
    pub fn point(&self, report: &Report) -> i64 {
        self.point
            .unwrap_or_else(|| self.keys.secret.point_of_packet(report.id.as_bytes()))
    }

    /// Appends each processor's share of a report to its batch, with an evaluation point. Blocking.
    ///
    /// # Errors
    /// [`Error::Batch`] if a mailbox fails.
    pub fn append(&mut self, report: &Report, point: i64) -> Result<(), Error> {
        let mut buffer = [0; Hyphenated::LENGTH];
        let id: &str = report.id.0.hyphenated().encode_lower(&mut buffer);
        for (writer, share) in self.writers.iter_mut().zip(&report.shares) {
            writer.append(&DataSharePacket {
                id,
                encrypted_payload: &share.payload,
                encryption_key_id: share.key_id.as_deref(),
                r_pit: point,
                version_configuration: None,
                device_nonce: None,
            })?;
        }
        Ok(())
    }

    /// Ends both batches with header and signature. Blocking.
    ///
    /// # Errors
    /// [`Error::Batch`] if a mailbox fails or holds another batch of this name.
    pub fn finish(self) -> Result<[Written; 2], Error> {
        let Self {
            keys,
            spec,
            writers: [first, second],
            ..
        } = self;
        let header = |packets| {
            let interval = (spec.interval.start().millis(), spec.interval.end().millis());
            IngestionHeader::new(spec.name.id, spec.parameters.clone(), interval, packets)
        };
        let key = (INGESTOR_KEY_ID, &keys.ingestor_signing);
        Ok([first.finish(header, key)?, second.finish(header, key)?])
    }
}

impl fmt::Debug for BatchPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchPair")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Returns the parameters of a batch with this number of bins, for two processors and the field of
/// Prio2.
///
/// # Errors
/// [`Error::Setting`] if the number of bins does not fit into a header.
pub fn parameters(aggregation: &str, bins: usize, epsilon: f64) -> Result<BatchParameters, Error> {
    let bins = i32::try_from(bins).map_err(|_| {
        Error::Setting(format!("{bins} bins are more than a batch header can name"))
    })?;
    let name = aggregation.to_owned();
    Ok(BatchParameters {
        name,
        bins,
        epsilon,
        prime: PRIME,
        number_of_servers: 2,
        hamming_weight: None,
    })
}
