//! Cases that ENPA wrote, and configurations of processors that read them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallybox_crypto::{PacketKeyDocument, PacketPrivateKey, SealingKey};
use tallybox_facilitator::config::Config;
use tallybox_facilitator::processor::Processor;
use tallybox_model::id::AggregationId;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;
use tallybox_service::config::NamedKey;
use tallybox_transport::RecordKey;

/// Returns the folder of ENPA's test vectors.
#[must_use]
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors")
}

/// Returns ENPA's name of a processor: `pha` or `facilitator`.
#[must_use]
pub fn side(role: Role) -> &'static str {
    match role {
        Role::First => "pha",
        Role::Second => "facilitator",
    }
}

/// A case: the input files of an aggregation, and ENPA's output.
pub struct Case {
    /// The folder of the case.
    pub folder: PathBuf,
    /// The content of `expected.json`.
    pub expected: Value,
}

impl Case {
    /// Loads the case of this name (`dim8`, `bad/short-share`).
    ///
    /// # Panics
    /// If the case does not exist.
    #[must_use]
    pub fn load(name: &str) -> Self {
        let folder = vectors().join(name);
        let text =
            std::fs::read(folder.join("expected.json")).expect("the case has an expected.json");
        Self {
            folder,
            expected: serde_json::from_slice(&text).expect("expected.json is JSON"),
        }
    }

    /// Returns the aggregation of the case.
    ///
    /// # Panics
    /// If the case has no aggregation.
    #[must_use]
    pub fn aggregation(&self) -> AggregationId {
        self.expected["aggregation_id"]
            .as_str()
            .expect("a name")
            .parse()
            .expect("a good name")
    }

    /// Returns the batches of the case.
    ///
    /// # Panics
    /// If the case is malformed.
    #[must_use]
    pub fn batches(&self) -> Vec<BatchName> {
        let batch = |pair: &Value| BatchName {
            aggregation: self.aggregation(),
            id: pair[0].as_str().expect("a batch").parse().expect("a uuid"),
            date: pair[1]
                .as_str()
                .expect("a date")
                .parse()
                .expect("a good date"),
        };
        self.expected["batches"]
            .as_array()
            .expect("batches")
            .iter()
            .map(batch)
            .collect()
    }

    /// Returns the window that ENPA summed.
    ///
    /// # Panics
    /// Never: the window is constant.
    #[must_use]
    pub fn window() -> Window {
        let time = |text: &str| text.parse().expect("a good date");
        Window::new(time("2023/11/14/22/00"), time("2023/11/14/23/00")).expect("a good window")
    }

    /// Returns the folder in which ENPA's ingestor wrote for this processor.
    #[must_use]
    pub fn ingestion(&self, role: Role) -> PathBuf {
        self.folder.join(format!("ingestion-{}", side(role)))
    }

    /// Returns the folder in which ENPA's processor of the other role wrote for this one.
    #[must_use]
    pub fn validation_for(&self, role: Role) -> PathBuf {
        self.folder.join(format!("validation-for-{}", side(role)))
    }

    /// Returns the folder of ENPA's sum part.
    #[must_use]
    pub fn sum_part(&self, role: Role) -> PathBuf {
        self.folder.join(format!("sum-{}", side(role)))
    }
}

/// The directories of one processor.
#[derive(Clone, Debug)]
pub struct BucketPaths {
    /// The mailbox of the ingestor's batches.
    pub ingestion: PathBuf,
    /// The own bucket.
    pub own: PathBuf,
    /// The mailbox of the peer's validation batches.
    pub validation_in: PathBuf,
    /// The mailbox of validation batches for the peer.
    pub validation_out: PathBuf,
    /// The mailbox of sum parts for the portal.
    pub sum_parts: PathBuf,
}

impl BucketPaths {
    /// Returns the directories of a processor under `root` that reads ENPA's files, including those
    /// of ENPA's processor as its peer.
    #[must_use]
    pub fn beside_predecessor(case: &Case, root: &Path, role: Role) -> Self {
        Self {
            ingestion: case.ingestion(role),
            own: root.join(format!("own-{role}")),
            validation_in: case.validation_for(role),
            validation_out: root.join(format!("validation-for-{}", role.peer())),
            sum_parts: root.join(format!("sum-{role}")),
        }
    }

    /// Returns the directories of a processor under `root` whose peer is a Tallybox processor, too.
    #[must_use]
    pub fn beside_tallybox(case: &Case, root: &Path, role: Role) -> Self {
        let validation_in = root.join(format!("validation-for-{role}"));
        Self {
            validation_in,
            ..Self::beside_predecessor(case, root, role)
        }
    }
}

/// Writes a configuration file with ENPA's keys in the documented form, and appends `more`.
///
/// # Panics
/// If the folder cannot be written.
#[must_use]
pub fn write_config(folder: &Path, role: Role, paths: &BucketPaths, more: &str) -> PathBuf {
    let (side, peer, keys) = (side(role), side(role.peer()), folder.join("keys"));
    std::fs::create_dir_all(&keys).expect("a folder");
    for file in std::fs::read_dir(vectors().join("keys")).expect("ENPA's keys") {
        let file = file.expect("a key");
        let text = std::fs::read_to_string(file.path()).expect("a key");
        write_private(&keys.join(file.file_name()), &text);
    }
    let keys = keys.display();
    let sealing = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    write_private(&folder.join("sealing.b64"), sealing);
    let record = SealingKey::parse(sealing)
        .expect("a sealing key")
        .record_key();
    write_private(
        &folder.join("record.b64"),
        &RecordKey::from_bytes(record).to_text(),
    );
    let text = format!(
        "instance: interop
role: {role}
packet-decryption-keys:
  - {{ id: {side}-packet-2, file: {keys}/{side}-packet-2.x963-private.b64 }}
  - {{ id: {side}-packet-1, file: {keys}/{side}-packet-1.x963-private.b64 }}
batch-signing-key: {{ id: {side}-key-1, file: {keys}/{side}-signing.pkcs8.b64 }}
prepared-sealing-key: {{ file: sealing.b64 }}
buckets:
  ingestion: {ingestion}
  own: {own}
  peer-validation-in: {validation_in}
  peer-validation-out: {validation_out}
  sum-parts: {sum_parts}
ingestor-public-keys: {{ ingestor-key-1: {keys}/ingestor-signing.spki.pem }}
peer-public-keys: {{ {peer}-key-1: {keys}/{peer}-signing.spki.pem }}
points: per-packet
accept-replay-risk: true
minimum-contributions: 1
{more}",
        ingestion = paths.ingestion.display(),
        own = paths.own.display(),
        validation_in = paths.validation_in.display(),
        validation_out = paths.validation_out.display(),
        sum_parts = paths.sum_parts.display(),
    );
    let path = folder.join(format!("{role}.yaml"));
    std::fs::write(&path, text).expect("a config file");
    path
}

/// Writes a file that only its owner can read, as the programs require for secrets.
///
/// # Panics
/// If the file cannot be written.
pub fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

/// Writes the packet keys of a processor as documents for this number of bins, as a configuration
/// with `points: pinned` needs them.
///
/// # Panics
/// If the folder cannot be written.
#[must_use]
pub fn packet_documents(folder: &Path, role: Role, bins: u32) -> Vec<NamedKey> {
    let document = |number: u32| {
        let id = format!("{}-packet-{number}", side(role));
        let bare = vectors().join(format!("keys/{id}.x963-private.b64"));
        let bare = std::fs::read_to_string(bare).expect("a key file");
        let document = PacketKeyDocument {
            id: id.clone(),
            instance: "interop".to_owned(),
            bins,
            created: "2023-11-01T00:00:00Z".to_owned(),
            key: PacketPrivateKey::parse(&bare).expect("a key"),
        };
        let file = folder.join(format!("{id}-{bins}-bins.json"));
        write_private(&file, &document.to_json().expect("a document"));
        NamedKey { id, file }
    };
    vec![document(2), document(1)]
}

/// Opens the processor of a configuration file.
///
/// # Panics
/// If the configuration is invalid.
#[must_use]
pub fn open(config: &Path) -> Arc<Processor> {
    let config = tallybox_service::config::load::<Config>(config).expect("a good config");
    Arc::new(Processor::open(&config).expect("a processor"))
}
