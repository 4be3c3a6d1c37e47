//! Packet key documents, made of a key and what the command line restricts it to.

use super::Error;
use crate::packet_keys::{created, minute};
use clap::Args;
use std::time::{SystemTime, UNIX_EPOCH};
use tallybox_crypto::{PacketKeyDocument, PacketPrivateKey};
use tallybox_model::id::Instance;

/// What a packet key belongs to.
#[derive(Debug, Args)]
pub(super) struct Restriction {
    /// The instance whose packets a packet key opens, LOCALITY-INGESTOR
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<Instance>,
    /// The number of bins of every packet that a packet key opens
    #[arg(long, value_name = "N")]
    bins: Option<u32>,
    /// The identifier under which packets name a packet key [default: packet- and 8 digits of its fingerprint]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When a packet key was made, YYYY-MM-DDTHH:MM:SSZ [default: now for a new key; 1970 for a bare one]
    #[arg(long, value_name = "TIME")]
    created: Option<String>,
}

impl Restriction {
    /// Whether anything of it is given.
    pub(super) fn is_given(&self) -> bool {
        self.instance.is_some() || self.bins.is_some() || self.id.is_some() || self.created.is_some()
    }
}

/// The document of a key; `made` is when it was made, if the command line does not say.
pub(super) fn document(
    key: PacketPrivateKey,
    restriction: &Restriction,
    made: &str,
) -> Result<PacketKeyDocument, Error> {
    let (Some(instance), Some(bins)) = (&restriction.instance, restriction.bins) else {
        return Err(Error::Setting(
            "a packet key belongs to one instance and one number of bins: give --instance INSTANCE and --bins N, or \
             --encoding x963-base64 for a bare key of the predecessor's, which needs `points: per-packet`"
                .to_owned(),
        ));
    };
    let created = restriction.created.as_deref().unwrap_or(made);
    if minute(created).is_none() {
        return Err(Error::Setting(format!(
            "--created is YYYY-MM-DDTHH:MM:SSZ, not {created:?}"
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
    // Whether the members can be written shows here, before any file exists.
    document
        .to_json()
        .map_err(|source| super::bad_key("--instance, --bins, --id", source))?;
    Ok(document)
}

/// An identifier for a key: what it is for, and the first digits of its fingerprint.
pub(super) fn suggested_id(kind: &str, fingerprint: &str) -> String {
    let short: String = fingerprint.chars().take(8).collect();
    format!("{kind}-{short}")
}

/// What time it is, as documents have it.
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    created(i64::try_from(since.as_millis()).unwrap_or_default())
}
