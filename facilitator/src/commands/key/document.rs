//! Packet key documents, created from a key and the restrictions on the command line.

use crate::error::Error;
use crate::packet_keys::{created, minute};
use clap::Args;
use std::time::{SystemTime, UNIX_EPOCH};
use tallybox_crypto::{PacketKeyDocument, PacketPrivateKey};
use tallybox_model::id::Instance;

/// The instance and the number of bins that a packet key is restricted to.
#[derive(Debug, Args)]
pub(super) struct Restriction {
    /// The instance whose packets the packet key opens, LOCALITY-INGESTOR
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<Instance>,
    /// The number of bins of every packet that the packet key opens
    #[arg(long, value_name = "N")]
    bins: Option<u32>,
    /// The identifier that packets use for the packet key [default: packet- and the first 8 digits
    /// of its fingerprint]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When the packet key was created, YYYY-MM-DDTHH:MM:SSZ [default: now for a new key; 1970 for
    /// a bare one]
    #[arg(long, value_name = "TIME")]
    created: Option<String>,
}

impl Restriction {
    /// Returns whether any of the options is given.
    pub(super) fn is_given(&self) -> bool {
        self.instance.is_some()
            || self.bins.is_some()
            || self.id.is_some()
            || self.created.is_some()
    }
}

/// Creates the document of a key. `made` is the creation time if the command line gives none.
pub(super) fn document(
    key: PacketPrivateKey,
    restriction: &Restriction,
    made: &str,
) -> Result<PacketKeyDocument, Error> {
    let (Some(instance), Some(bins)) = (&restriction.instance, restriction.bins) else {
        return Err(Error::Setting(
            "a packet key belongs to one instance and one number of bins: give --instance INSTANCE and --bins N, or \
             --encoding x963-base64 for a bare ENPA key, which needs `points: per-packet`"
                .to_owned(),
        ));
    };
    let created = restriction.created.as_deref().unwrap_or(made);
    if minute(created).is_none() {
        return Err(Error::Setting(format!(
            "--created: expected YYYY-MM-DDTHH:MM:SSZ, found {created:?}"
        )));
    }
    let fingerprint = key.public().fingerprint();
    let id = restriction.id.clone();
    let document = PacketKeyDocument {
        id: id.unwrap_or_else(|| suggested_id("packet", &fingerprint)),
        instance: instance.to_string(),
        bins,
        created: created.to_owned(),
        key,
    };
    // Encoding the document now reports invalid fields before any file exists.
    document
        .to_json()
        .map_err(|source| super::encoding::bad_key("--instance, --bins, --id", source))?;
    Ok(document)
}

/// Suggests an identifier for a key: its purpose and the first digits of its fingerprint.
pub(super) fn suggested_id(kind: &str, fingerprint: &str) -> String {
    let short: String = fingerprint.chars().take(8).collect();
    format!("{kind}-{short}")
}

/// Returns the current time in the format of key documents.
pub(super) fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    created(i64::try_from(since.as_millis()).unwrap_or_default())
}
