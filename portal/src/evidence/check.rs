//! The verification of an evidence object: digests, signatures, agreement, sums.

use bytes::Bytes;

use super::name::EvidenceName;
use super::object::Evidence;
use crate::keys::PortalKeys;
use crate::pair::{Finding, Findings, Part, PartKind, WindowSum, join};
use tallybox_model::role::Role;

/// What is wrong with an evidence object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The name is not that of an evidence object.
    #[error("not the name of an evidence object")]
    Name,
    /// The evidence belongs to a source whose keys are not known.
    #[error("no keys of this source are known")]
    Source,
    /// A correction exists, but not the version that it corrects.
    #[error("version {latest} exists, but an earlier version does not")]
    Gap {
        /// The latest version.
        latest: u32,
    },
    /// The object is not an archive as the portal writes it.
    #[error("{0}")]
    Damaged(String),
    /// A file is not the one whose digest the object contains.
    #[error("{file} differs from its digest in SHA256SUMS")]
    Digest {
        /// The file.
        file: String,
    },
    /// A published sum differs from the evidence.
    #[error("{file} states {published} for bin {bin}, but the evidence proves {proven}")]
    Published {
        /// The file.
        file: String,
        /// The bin.
        bin: usize,
        /// The published sum and number of reports.
        published: String,
        /// Those of the evidence.
        proven: String,
    },
    /// There is no valid evidence of a published sum.
    #[error("{file} states sums of this window, but no evidence proves them")]
    Unproven {
        /// The file.
        file: String,
    },
    /// The sum parts in the object cannot be added.
    #[error(transparent)]
    Findings(#[from] Findings),
}

impl Fault {
    /// Returns the machine-readable kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Name => "foreign-object",
            Self::Source => "unknown-source",
            Self::Gap { .. } => "version-missing",
            Self::Published { .. } => "published-sum",
            Self::Unproven { .. } => "unproven-sum",
            Self::Damaged(_) => "damaged-evidence",
            Self::Digest { .. } => "evidence-digest",
            Self::Findings(findings) => findings.reason(),
        }
    }

    /// Returns the likely cause and the next step.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Name => "only the portal may write into the evidence; find out who wrote this object".to_owned(),
            Self::Source => "add the source with the public keys of both processors".to_owned(),
            Self::Gap { .. } => "evidence is never removed; restore the earlier version from a backup".to_owned(),
            Self::Damaged(_) | Self::Digest { .. } => "the evidence was changed or damaged after it was written; restore the object from a backup, or remove it and collect the window again".to_owned(),
            Self::Published { .. } => {
                "do not use the published number; ask the publisher for the evidence of the version that was published".to_owned()
            }
            Self::Unproven { .. } => "ask the publisher for the evidence of the window".to_owned(),
            Self::Findings(findings) => {
                let step = findings.0.first().map(Finding::next_step);
                step.unwrap_or_default()
            }
        }
    }
}

/// Verifies an evidence object, and recomputes its sum: every byte of the archive, both signatures
/// and all digests, the agreement of both parts, and the range of each sum.
///
/// # Errors
/// [`Fault`].
pub fn check(name: &EvidenceName, object: &Bytes, keys: &PortalKeys) -> Result<WindowSum, Fault> {
    let evidence = Evidence::decode(name, object)?;
    Ok(evidence.verify(keys)?)
}

impl Evidence {
    /// Verifies both sum parts and adds them.
    ///
    /// # Errors
    /// [`Findings`] of both parts.
    pub fn verify(&self, keys: &PortalKeys) -> Result<WindowSum, Findings> {
        let verify = |writer: Role| {
            let kind = PartKind::of(self.name.part(writer));
            Part::verify(kind, &self.parts[writer.index()], keys)
        };
        match (verify(Role::First), verify(Role::Second)) {
            (Ok(first), Ok(second)) => join(&first, &second),
            (first, second) => {
                let findings = [first.err(), second.err()];
                Err(Findings(findings.into_iter().flatten().collect()))
            }
        }
    }
}
