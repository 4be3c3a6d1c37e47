//! What an inspection answers: for machines as it is, for people as [`super::show`] lays it out.

use super::folder::FolderFacts;
use super::header::HeaderFacts;
use super::key_file::KeyFacts;
use super::manifest::ManifestFacts;
use super::name::Family;
use super::packets::PacketFacts;
use super::prepared::PreparedFacts;
use super::signer::Verification;
use crate::aggregate::FixedSumPart;
use serde::Serialize;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_service::exit::Exit;

/// Everything that was found at one path or URL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The path or URL, as it was given.
    pub target: String,
    /// `done` if all is readable and nothing verified wrong, else what the gravest problem comes to.
    pub outcome: Exit,
    /// One entry a batch or object; several if the path is the common beginning of several batches.
    pub found: Vec<Finding>,
}

impl Report {
    pub(super) fn new(target: &str, found: Vec<Finding>) -> Self {
        let exits = || {
            found
                .iter()
                .flat_map(|finding| &finding.problems)
                .map(|problem| problem.exit)
        };
        // What never can succeed weighs more than what may succeed later.
        let outcome = exits().find(|exit| *exit == Exit::Rejected).or_else(|| exits().next());
        Self {
            target: target.to_owned(),
            outcome: outcome.unwrap_or(Exit::Done),
            found,
        }
    }
}

/// A batch, or another object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What it is, in a word for machines.
    pub kind: &'static str,
    /// What it is, in words.
    pub title: String,
    /// The object, or the common beginning of its objects' names.
    pub object: String,
    /// What it says.
    #[serde(flatten)]
    pub facts: Facts,
    /// What is worth knowing and no fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Finding {
    pub(super) fn new(kind: &'static str, title: impl Into<String>, object: &str, facts: Facts) -> Self {
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

/// Something that is wrong.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// What it comes to: `rejected`, or `retry` for what may be there later.
    #[serde(rename = "outcome")]
    pub exit: Exit,
    /// A word for machines; those of rejected batches are the same as in other commands.
    pub reason: &'static str,
    /// The object it is about.
    pub object: String,
    /// In words.
    pub message: String,
}

impl Problem {
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

/// What one kind of thing says.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Facts {
    /// A signed batch, or one object of it.
    Batch(Box<BatchFacts>),
    /// The sealed record of an intake.
    Prepared(Box<PreparedFacts>),
    /// What is fixed of a sum part.
    Fixed(Box<FixedSumPart>),
    /// Published keys and mailboxes.
    Manifest(ManifestFacts),
    /// A key.
    Key(KeyFacts),
    /// A folder.
    Folder(FolderFacts),
    /// A short text, or nothing.
    Text {
        /// Length in bytes.
        bytes: u64,
        /// The text, unless it is not to be shown.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}

/// What the objects of a batch say.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchFacts {
    /// The kind of batch; unknown for a signature alone.
    pub family: Option<Family>,
    /// Which processor wrote it, where the name says so.
    pub writer: Option<Role>,
    /// How it is stored.
    pub form: Option<Form>,
    /// Whether header and path belong together; unknown if the path is no batch's.
    pub path_agrees: Option<bool>,
    /// The header.
    pub header: Option<HeaderFacts>,
    /// The packets.
    pub packets: Option<PacketFacts>,
    /// Whether the packets have the digest that the header names.
    pub digest_matches: Option<bool>,
    /// The signature.
    pub signature: Option<SignatureFacts>,
}

/// How a batch is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Header, packets and signature as objects of their own.
    ThreeObjects,
    /// All inside the signature object.
    SingleObject,
}

/// What a signature object says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignatureFacts {
    /// The key that it names.
    pub key_identifier: KeyId,
    /// Length of the signature object in bytes.
    pub bytes: u64,
    /// What became of it.
    pub verification: Verification,
}
