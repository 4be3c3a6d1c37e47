//! The report of an inspection: serialized for machines; [`super::show`] formats it for people.

use super::folder::FolderFacts;
use super::header::HeaderFacts;
use super::key_file::KeyFacts;
use super::manifest::ManifestFacts;
use super::name::Family;
use super::packets::PacketFacts;
use super::prepared::PreparedFacts;
use super::signer::Verification;
use crate::sum::FixedSumPart;
use serde::Serialize;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_service::exit::Exit;

/// Everything found at one path or URL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InspectionReport {
    /// The path or URL from the command line.
    pub target: String,
    /// `done` if everything is readable and no verification failed; otherwise the outcome of the
    /// most severe problem.
    pub outcome: Exit,
    /// The batch or object at the path; several if the path is a common prefix of several batches.
    pub found: Vec<ObjectFinding>,
}

impl InspectionReport {
    pub(super) fn new(target: &str, found: Vec<ObjectFinding>) -> Self {
        let exits = || {
            found
                .iter()
                .flat_map(|finding| &finding.problems)
                .map(|problem| problem.exit)
        };
        // A permanent problem is more severe than one that may disappear later.
        let outcome = exits()
            .find(|exit| *exit == Exit::Rejected)
            .or_else(|| exits().next());
        Self {
            target: target.to_owned(),
            outcome: outcome.unwrap_or(Exit::Done),
            found,
        }
    }
}

/// A batch or another object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectFinding {
    /// The kind, for machines.
    pub kind: &'static str,
    /// The kind, for people.
    pub title: String,
    /// The object's name, or the common prefix of its objects' names.
    pub object: String,
    /// The content.
    #[serde(flatten)]
    pub facts: Facts,
    /// Remarks that are not problems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The problems found.
    pub problems: Vec<ObjectProblem>,
}

impl ObjectFinding {
    pub(super) fn new(
        kind: &'static str,
        title: impl Into<String>,
        object: &str,
        facts: Facts,
    ) -> Self {
        let (title, object) = (title.into(), object.to_owned());
        Self {
            kind,
            title,
            object,
            facts,
            notes: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// A problem of an inspected object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectProblem {
    /// The outcome: `rejected`, or `retry` if the problem may disappear later.
    #[serde(rename = "outcome")]
    pub exit: Exit,
    /// The reason, for machines. Rejected batches have the same reasons in other commands.
    pub reason: &'static str,
    /// The object with the problem.
    pub object: String,
    /// A description for people.
    pub message: String,
}

impl ObjectProblem {
    pub(super) fn rejected(reason: &'static str, object: &str, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Rejected,
            reason,
            object: object.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn retry(reason: &'static str, object: &str, message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Retry,
            ..Self::rejected(reason, object, message)
        }
    }
}

/// The content of one kind of object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Facts {
    /// A signed batch, or one of its objects.
    Batch(Box<BatchFacts>),
    /// A prepared batch.
    Prepared(Box<PreparedFacts>),
    /// The record that fixes a sum part before it is published.
    Fixed(Box<FixedSumPart>),
    /// Published keys and mailboxes.
    Manifest(ManifestFacts),
    /// A key.
    Key(KeyFacts),
    /// A folder.
    Folder(FolderFacts),
    /// A short text, or an object of which only the length is known.
    Text {
        /// The length in bytes.
        bytes: u64,
        /// The text, unless it must not be shown.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}

/// The content of a batch's objects.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchFacts {
    /// The kind of batch; unknown for a signature alone.
    pub family: Option<Family>,
    /// The processor that wrote the batch, if the name contains it.
    pub writer: Option<Role>,
    /// The storage form.
    pub form: Option<BatchForm>,
    /// True if header and path match; unknown if the path is not a batch's name.
    pub path_agrees: Option<bool>,
    /// The header.
    pub header: Option<HeaderFacts>,
    /// The packets.
    pub packets: Option<PacketFacts>,
    /// True if the packets have the digest in the header.
    pub digest_matches: Option<bool>,
    /// The signature.
    pub signature: Option<SignatureFacts>,
}

/// The storage form of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchForm {
    /// Header, packets and signature as separate objects.
    ThreeObjects,
    /// Header and packets inside the signature object.
    SingleObject,
}

/// The content of a signature object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignatureFacts {
    /// The key identifier in the signature.
    pub key_identifier: KeyId,
    /// The length of the signature object in bytes.
    pub bytes: u64,
    /// The result of the verification.
    pub verification: Verification,
}
