//! The sums of a sandbox: the portal's own verification and addition of both sum parts of a window.

use std::collections::BTreeSet;

use tallybox_estimate::{Counts, Debiased, EstimateError, Level, Mechanism};
use tallybox_model::id::{AggregationId, BatchId, Instance, PacketId};
use tallybox_model::path::SumPartName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_portal::keys::PortalKeys;
use tallybox_portal::pair::{Finding, Part, PartKind, join, read_files};
use tallybox_transport::SharedBucket;
use tallybox_transport::batch::TrustedKeys;

use crate::error::Error;
use crate::keys::signing_key_id;
use crate::layout::{BucketKind, INSTANCE};
use crate::world::World;

/// The sum of a window.
#[derive(Debug, Clone)]
pub struct Total {
    /// The batches that were summed.
    pub batches: Vec<BatchId>,
    /// Number of packets that were counted.
    pub accepted: u64,
    /// The two sum parts, one field element per bin. Each alone is indistinguishable from random
    /// numbers.
    pub parts: [Vec<i64>; 2],
    /// The sums, one per bin.
    pub sums: Vec<u64>,
    /// The packets that were not counted.
    pub invalid: BTreeSet<PacketId>,
}

impl Total {
    /// Estimates the sum of numbers whose binary digits are the bins.
    pub(crate) fn estimated_sum(&self, epsilon: f64) -> Result<Debiased, EstimateError> {
        let mechanism = Mechanism::new(epsilon)?;
        let counts = Counts::new(mechanism, self.accepted, self.sums.clone())?;
        Ok(counts.integer(Level::default())?.sum.into())
    }
}

/// The locations of sum parts, and the keys that verify them.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The instance.
    pub instance: Instance,
    /// The processors' mailboxes, in order of their index.
    pub mailboxes: [SharedBucket; 2],
    /// The keys that verify each processor's signatures.
    pub trusted: [TrustedKeys; 2],
}

/// Adds both sum parts of a window of a sandbox.
///
/// # Errors
/// As [`Parts::total`].
pub async fn total(
    world: &World,
    aggregation: &AggregationId,
    window: Window,
) -> Result<Total, Error> {
    Parts::open(world)?.total(aggregation, window).await
}

impl Parts {
    /// Returns the sum parts' locations and keys of a sandbox.
    ///
    /// # Errors
    /// Never in fact: the instance is a constant.
    pub fn open(world: &World) -> Result<Self, Error> {
        let trusted = |role: Role| {
            let key = world.keys.processors[role.index()].signing.verifying_key();
            TrustedKeys::from([(signing_key_id(role), key)])
        };
        Ok(Self {
            instance: INSTANCE.parse().map_err(|_| {
                Error::Internal("the sandbox's instance name is invalid".to_owned())
            })?,
            mailboxes: Role::ALL.map(|role| world.layout.bucket(BucketKind::Sum, role)),
            trusted: Role::ALL.map(trusted),
        })
    }

    /// Reads, verifies, compares and adds both sum parts, as the portal does.
    ///
    /// # Errors
    /// [`Error::Batch`] if a sum part does not exist or does not verify; [`Error::Check`] with the
    /// portal's findings if the two parts do not belong together.
    pub async fn total(&self, aggregation: &AggregationId, window: Window) -> Result<Total, Error> {
        let first = self.read(aggregation, window, Role::First).await?;
        let second = self.read(aggregation, window, Role::Second).await?;
        let sum = join(&first, &second).map_err(|findings| Error::Check(findings.to_string()))?;
        Ok(Total {
            batches: sum.batches,
            accepted: sum.count,
            sums: sum.sums,
            parts: [first.header.sum, second.header.sum],
            invalid: first.rejected,
        })
    }

    /// Returns the name of a processor's sum part.
    #[must_use]
    pub fn name(&self, aggregation: &AggregationId, window: Window, writer: Role) -> SumPartName {
        SumPartName {
            instance: self.instance.clone(),
            aggregation: aggregation.clone(),
            window,
            writer,
        }
    }

    /// Reads and verifies one processor's sum part.
    async fn read(
        &self,
        aggregation: &AggregationId,
        window: Window,
        writer: Role,
    ) -> Result<Part, Error> {
        let kind = PartKind::of(self.name(aggregation, window, writer));
        let keys = PortalKeys::new(self.trusted.clone());
        let files = read_files(&*self.mailboxes[writer.index()], &kind.objects).await?;
        Part::verify(kind, &files, &keys).map_err(|finding| match finding {
            Finding::Unverified { source, .. } => source.into(),
            other => Error::Check(other.to_string()),
        })
    }
}
