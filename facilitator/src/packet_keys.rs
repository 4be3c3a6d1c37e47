//! The packet keys of a processor, and the restrictions on their use.

use crate::config::{Config, Points};
use crate::error::Error;
use tallybox_crypto::{PacketKeyDocument, PacketKeyFile, PacketPrivateKey};
use tallybox_model::id::KeyId;
use tallybox_model::registry::{MetricState, Registry};
use tallybox_model::time::BatchTime;
use tallybox_service::config::{Loaded, NamedKey};
use tallybox_service::key_file::read_secret;

/// A packet decryption key, and the identifier by which packets may name it.
#[derive(Debug)]
pub struct PacketKey {
    /// The identifier.
    pub id: KeyId,
    /// The key.
    pub key: PacketPrivateKey,
    /// The fingerprint of the public half, as in names of objects.
    pub fingerprint: String,
    /// The number of bins of all packets under this key; `None` for a bare key, whose file does not
    /// contain it.
    pub bins: Option<u32>,
    /// The minute in which the key was created; `None` for a bare key.
    pub created: Option<BatchTime>,
}

/// Reads the packet keys that a configuration names, in the same order.
///
/// # Errors
/// [`Error`] that names the file, for a key of another instance or identifier, or for a bare key
/// although points are pinned.
pub(crate) fn read(config: &Loaded<Config>) -> Result<Vec<PacketKey>, Error> {
    let keys = config.value.packet_decryption_keys.iter();
    let keys = keys
        .map(|key| read_key(config, key))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, key) in keys.iter().enumerate() {
        if let Some(first) = keys[..index]
            .iter()
            .find(|first| first.fingerprint == key.fingerprint)
        {
            return Err(Error::Setting(format!(
                "packet-decryption-keys: {} and {} are the same key ({}); a key is for a single \
                 number of bins, so each identifier needs a key of its own",
                first.id, key.id, key.fingerprint
            )));
        }
    }
    Ok(keys)
}

fn read_key(config: &Loaded<Config>, key: &NamedKey) -> Result<PacketKey, Error> {
    let path = config.resolve(&key.file);
    let file = path.display().to_string();
    match read_secret(&path, "packet decryption key", PacketKeyFile::parse)? {
        PacketKeyFile::Document(document) => restricted(config, key, &file, *document),
        PacketKeyFile::Bare(bare) => {
            if config.value.points == Points::Pinned {
                return Err(refused_bare(config, key, &file));
            }
            Ok(PacketKey {
                id: key.id.clone(),
                fingerprint: bare.public().fingerprint(),
                key: *bare,
                bins: None,
                created: None,
            })
        }
    }
}

fn refused_bare(config: &Loaded<Config>, key: &NamedKey, file: &str) -> Error {
    Error::Setting(format!(
        "{file}: a bare packet key states neither instance nor number of bins, so its packets \
         could be evaluated a second time in another batch; generate a new key with `facilitator \
         key generate packet --instance {} --bins N` or, if this key has only opened packets of \
         this instance and of one number of bins, convert it with `facilitator key convert {file} \
         --instance {0} --bins N --id {} --out FILE`; bare keys are accepted only with `points: \
         per-packet`",
        config.value.instance, key.id
    ))
}

/// Checks that a key document fits the configuration.
fn restricted(
    config: &Loaded<Config>,
    key: &NamedKey,
    file: &str,
    document: PacketKeyDocument,
) -> Result<PacketKey, Error> {
    let instance = config.value.instance.as_str();
    if document.instance != instance {
        return Err(Error::Setting(format!(
            "{file}: the packet key belongs to instance {:?}, but this processor to {instance:?}; \
             a key that two instances use lets a packet be evaluated twice, which reveals \
             its answer; generate a key for this instance with `facilitator key generate packet \
             --instance {instance} --bins {}`",
            document.instance, document.bins
        )));
    }
    if document.id != key.id {
        return Err(Error::Setting(format!(
            "{file}: the packet key's identifier is {:?} in its file and {:?} in \
             packet-decryption-keys; correct the identifier or the path of the file",
            document.id, key.id
        )));
    }
    let created = minute(&document.created).ok_or_else(|| {
        let created = &document.created;
        Error::Setting(format!(
            "{file}: `created` is {created:?}, which is not a time"
        ))
    })?;
    Ok(PacketKey {
        id: document.id,
        fingerprint: document.key.public().fingerprint(),
        key: document.key,
        bins: Some(document.bins),
        created: Some(created),
    })
}

/// Refuses a registry with a metric for which no packet key exists.
///
/// # Errors
/// [`Error::Setting`] that names the metric.
pub(crate) fn cover(registry: &Registry, keys: &[PacketKey]) -> Result<(), Error> {
    for (name, entry) in &registry.metrics {
        let bins = entry.encoding.bins;
        let opens = |key: &PacketKey| key.bins.is_none_or(|key_bins| key_bins == bins);
        if entry.state != MetricState::Closed && !keys.iter().any(opens) {
            return Err(Error::Setting(format!(
                "registry: metric {name} has {bins} bins, but no key of packet-decryption-keys is \
                 for {bins} bins, so its packets could not be counted; generate one with \
                 `facilitator key generate packet --bins {bins}`"
            )));
        }
    }
    Ok(())
}

/// Parses a time `YYYY-MM-DDTHH:MM:SSZ`, truncated to minutes.
pub(crate) fn minute(time: &str) -> Option<BatchTime> {
    let minutes = time.get(..16)?;
    minutes.replace(['-', 'T', ':'], "/").parse().ok()
}

/// Formats a time as in key documents, from milliseconds since the epoch.
pub(crate) fn created(millis: i64) -> String {
    let text = BatchTime::of_clock(millis).to_string();
    let (date, time) = text.split_at(10);
    format!(
        "{}T{}:00Z",
        date.replace('/', "-"),
        time[1..].replace('/', ":")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_of_documents_are_minutes() {
        let minute_of = |text| minute(text).map(|time| time.to_string());
        assert_eq!(
            minute_of("2026-01-31T12:05:59Z").as_deref(),
            Some("2026/01/31/12/05")
        );
        assert_eq!(minute_of("2026-02-30T12:05:59Z"), None);
        assert_eq!(minute_of("2026"), None);
        let time: BatchTime = "2026/01/31/12/05".parse().unwrap();
        assert_eq!(created(time.millis() + 59_999), "2026-01-31T12:05:00Z");
        assert_eq!(minute(&created(time.millis())), Some(time));
    }
}
