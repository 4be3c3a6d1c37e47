//! The pins of packet keys in the own bucket. The pin of a key records its instance, its number of
//! bins and its evaluation point.
//!
//! A pin is written before the first prepared batch of its key exists, and the footer of each such
//! batch repeats the pin. So a pin that is missing although a prepared batch names the key was lost
//! or removed. It is restored from the footer, which only this processor can seal, and the task
//! fails once, so that an operator investigates.

use crate::buckets::Buckets;
use crate::config::Points;
use crate::error::Error;
use crate::keys::PacketKey;
use crate::prepared::{Footer, KeyUse, Owner, PreparedError, PreparedReader};
use crate::processor::Processor;
use crate::resources::Resources;
use crate::sealed::SealedError;
use futures::TryStreamExt as _;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, pinned_point};
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, ListRange, SharedBucket};

/// The largest size of a pin, in bytes.
const MAX_PIN_BYTES: u64 = 4 << 10;
/// The number of footers that are read to find a key without a pin: as many of the aggregation that
/// shows the key first as of all other aggregations. The newest prepared batches name every key in
/// use.
const MOST_FOOTERS: usize = 256;
/// The number of days with prepared batches that are searched. Older prepared batches are deleted
/// by then.
const MOST_DAYS: usize = 62;
/// The greatest time by which a batch may be dated before the creation of its key, in minutes: it
/// covers the start of a long window, and a wrong clock.
const BEFORE_CREATION_MINUTES: i64 = 2 * 24 * 60;

/// Returns the pin of a key, read once per process, because a pin never changes. A cached absence
/// may be outdated; [`fix`] then finds the existing pin.
///
/// # Errors
/// An error of the own bucket; [`Error::KeyMisused`] if the key may not be used as this processor
/// is configured.
pub(super) async fn read_pin(
    processor: &Processor,
    key: &PacketKey,
) -> Result<Option<KeyUse>, Error> {
    let pin = match processor.resources.cache.pin(&key.fingerprint) {
        Some(pin) => pin,
        None => load(&processor.buckets, &processor.resources, &key.fingerprint).await?,
    };
    if let Some(pin) = &pin {
        check(
            processor,
            key,
            pin,
            &pinned_point(&processor.buckets.instance, &key.fingerprint),
        )?;
    }
    Ok(pin)
}

/// Writes the pin of a key that a batch is the first to use.
///
/// # Errors
/// [`Error::PinMissing`] if an earlier prepared batch was made with the key: then its pin is
/// restored, and the results of this run are discarded; [`Error::PointRace`] if another run wrote
/// another pin at the same time; or an error of the own bucket.
pub(super) async fn fix(
    processor: &Processor,
    aggregation: &AggregationId,
    key: &PacketKey,
    pin: KeyUse,
) -> Result<(), Error> {
    if let Some((witness, before)) = witness(processor, aggregation, key).await? {
        // Another process may have written the pin since this one read it.
        return match load(&processor.buckets, &processor.resources, &key.fingerprint).await? {
            None => restore(processor, key, &before, &witness).await,
            Some(fixed) if fixed.point == pin.point && fixed.bins == pin.bins => Ok(()),
            Some(_) => Err(Error::PointRace { key: pin.key }),
        };
    }
    publish(&processor.buckets, &processor.resources, pin).await
}

/// Compares the keys in the footer of a prepared batch with the pins of the processor's keys.
///
/// # Errors
/// [`Error::PinContradicted`] if they differ; [`Error::PinMissing`] if a pin is missing, after it
/// has been restored; [`Error::KeyMisused`]; or an error of the own bucket.
pub(super) async fn agree(
    processor: &Processor,
    object: &str,
    footer: &Footer,
) -> Result<(), Error> {
    for before in &footer.keys {
        // A key that is no longer configured opens no further packets.
        let Some(key) = processor
            .keys
            .packet
            .iter()
            .find(|key| key.fingerprint == before.key)
        else {
            continue;
        };
        check(processor, key, before, object)?;
        let pin = match read_pin(processor, key).await? {
            Some(pin) => Some(pin),
            // Another process may have written it since this one read it.
            None => load(&processor.buckets, &processor.resources, &key.fingerprint).await?,
        };
        match pin {
            None => return restore(processor, key, before, object).await,
            Some(pin) if pin.point == before.point => {}
            Some(pin) => {
                let error = Error::PinContradicted {
                    key: pin.key,
                    pin: pinned_point(&processor.buckets.instance, &key.fingerprint),
                    witness: object.to_owned(),
                };
                processor.resources.cache.alarm("pin-contradicted");
                tracing::error!(key = key.id, %error, "pin of a packet key was replaced");
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Reads a key's pin from the own bucket into the cache.
async fn load(
    buckets: &Buckets,
    resources: &Resources,
    fingerprint: &str,
) -> Result<Option<KeyUse>, Error> {
    let object = pinned_point(&buckets.instance, fingerprint);
    let pin = match buckets.read_record(&object, MAX_PIN_BYTES).await? {
        None => None,
        Some(text) => {
            let pin: Option<KeyUse> = serde_json::from_slice(&text).ok();
            let pin = pin.filter(|pin| pin.key == fingerprint);
            Some(pin.ok_or_else(|| {
                Error::Internal(format!(
                    "{object} in the own bucket is not a pin of this key"
                ))
            })?)
        }
    };
    resources.cache.set_pin(fingerprint, pin.clone());
    Ok(pin)
}

/// Checks that the key's earlier use permits its use as this processor is configured.
fn check(
    processor: &Processor,
    key: &PacketKey,
    before: &KeyUse,
    object: &str,
) -> Result<(), Error> {
    if before.instance != processor.buckets.instance {
        return Err(misused(
            &processor.resources,
            key,
            object,
            "another instance than the configuration",
        ));
    }
    if before.bins.is_some() && before.bins != key.bins {
        return Err(misused(
            &processor.resources,
            key,
            object,
            "another number of bins than the key's file",
        ));
    }
    if before.point.is_none() && processor.limits.points == Points::Pinned {
        return Err(misused(
            &processor.resources,
            key,
            object,
            "that each packet had a point of its own (points: per-packet)",
        ));
    }
    Ok(())
}

fn misused(resources: &Resources, key: &PacketKey, object: &str, recorded: &'static str) -> Error {
    let error = Error::KeyMisused {
        key: key.fingerprint.clone(),
        object: object.to_owned(),
        recorded,
    };
    resources.cache.alarm("key-misused");
    tracing::error!(key = key.id, %error, "packet key must not be used with this configuration");
    error
}

/// Writes a lost pin again from a prepared batch, and raises an alarm.
async fn restore(
    processor: &Processor,
    key: &PacketKey,
    before: &KeyUse,
    object: &str,
) -> Result<(), Error> {
    check(processor, key, before, object)?;
    publish(&processor.buckets, &processor.resources, before.clone()).await?;
    let error = Error::PinMissing {
        key: key.fingerprint.clone(),
        pin: pinned_point(&processor.buckets.instance, &key.fingerprint),
        witness: object.to_owned(),
    };
    processor.resources.cache.alarm("pin-missing");
    tracing::error!(key = key.id, %error, "pin of a packet key was missing and has been restored");
    Err(error)
}

async fn publish(buckets: &Buckets, resources: &Resources, pin: KeyUse) -> Result<(), Error> {
    let object = pinned_point(&buckets.instance, &pin.key);
    let text = serde_json::to_vec(&pin).map_err(|error| Error::Internal(error.to_string()))?;
    match buckets.create_record(&object, &text).await {
        Err(BucketError::Conflict { .. }) => {
            resources.cache.remove_pin(&pin.key);
            Err(Error::PointRace { key: pin.key })
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            let key = pin.key.clone();
            resources.cache.set_pin(&key, Some(pin));
            Ok(())
        }
    }
}

/// Returns the newest prepared batch that was made with a key, and the key's entry in its footer.
/// The search skips batches that are dated before the key was created, and each process reads a
/// footer only once.
async fn witness(
    processor: &Processor,
    aggregation: &AggregationId,
    key: &PacketKey,
) -> Result<Option<(String, KeyUse)>, Error> {
    let mut others = processor.buckets.own.list_directories("").await?;
    others.retain(|name| {
        name.parse::<AggregationId>()
            .is_ok_and(|other| other != *aggregation)
    });
    for aggregations in [&[aggregation.to_string()][..], &others] {
        let witness = find_witness(processor, aggregations, key).await?;
        if witness.is_some() {
            return Ok(witness);
        }
    }
    Ok(None)
}

/// Reads the newest prepared batches of some aggregations until one names the key.
async fn find_witness(
    processor: &Processor,
    aggregations: &[String],
    key: &PacketKey,
) -> Result<Option<(String, KeyUse)>, Error> {
    let own = &processor.buckets.own;
    let earliest = key
        .created
        .and_then(|time| time.plus_minutes(-BEFORE_CREATION_MINUTES));
    let mut left = MOST_FOOTERS;
    for day in days(own, aggregations, earliest).await? {
        let mut names: Vec<(BatchName, String)> = Vec::new();
        for directory in &day {
            let listed = own.list(directory, ListRange::default()).await?;
            let keys: Vec<String> = listed.map_ok(|entry| entry.key).try_collect().await?;
            names.extend(
                keys.into_iter()
                    .filter_map(|key| Some((BatchName::from_prepared(&key)?, key))),
            );
        }
        // Newest first, because the newest batches name every key in use.
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.date));
        for (name, object) in names {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            read_keys(processor, &name, &object).await?;
            if let Some(witness) = processor.resources.cache.witness(&key.fingerprint) {
                return Ok(Some(witness));
            }
        }
    }
    Ok(None)
}

/// Reads the packet keys from the footer of a prepared batch into the cache.
async fn read_keys(processor: &Processor, name: &BatchName, object: &str) -> Result<(), Error> {
    if processor.resources.cache.has_keys_of(object) {
        return Ok(());
    }
    let owner = owner(&processor.buckets);
    match PreparedReader::open_footer(&processor.buckets.own, owner, &processor.keys.sealing, name)
        .await
    {
        Ok(footer) => {
            processor
                .resources
                .cache
                .store_keys_of(object, footer.as_ref().map_or(&[], |footer| &footer.keys));
            Ok(())
        }
        Err(PreparedError(SealedError::Bucket(error))) => Err(error.into()),
        Err(error) => {
            // A damaged batch proves nothing about the key; its own task reports the damage.
            tracing::warn!(%error, "packet keys of a prepared batch cannot be read");
            Ok(())
        }
    }
}

/// Returns the directories of the days with prepared batches, those of one day together, the newest
/// day first.
async fn days(
    own: &SharedBucket,
    aggregations: &[String],
    earliest: Option<BatchTime>,
) -> Result<Vec<Vec<String>>, Error> {
    let mut days: Vec<(String, String)> = Vec::new();
    for aggregation in aggregations {
        let mut found = 0;
        for year in newest(own, aggregation, 4).await? {
            for month in newest(own, &year, 2).await? {
                if found >= MOST_DAYS {
                    break;
                }
                for day in newest(own, &month, 2).await? {
                    let date = day[aggregation.len() + 1..].to_owned();
                    if is_after(&date, earliest) {
                        days.push((date, day));
                        found += 1;
                    }
                }
            }
        }
    }
    days.sort_by(|a, b| b.cmp(a));
    let mut together: Vec<(String, Vec<String>)> = Vec::new();
    for (date, directory) in days {
        match together.last_mut() {
            Some((last, directories)) if *last == date => directories.push(directory),
            _ => together.push((date, vec![directory])),
        }
    }
    Ok(together
        .into_iter()
        .take(MOST_DAYS)
        .map(|(_, directories)| directories)
        .collect())
}

/// Returns the subdirectories whose names have the given number of digits, the greatest first.
async fn newest(own: &SharedBucket, directory: &str, digits: usize) -> Result<Vec<String>, Error> {
    let is_number =
        |name: &str| name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
    let mut found = own.list_directories(directory).await?;
    found.retain(|inner| inner.rsplit('/').next().is_some_and(is_number));
    found.sort();
    found.reverse();
    Ok(found)
}

/// Returns whether a day `YYYY/MM/DD` ends after a time.
fn is_after(day: &str, earliest: Option<BatchTime>) -> bool {
    let Some(earliest) = earliest else {
        return true;
    };
    let end: Option<BatchTime> = format!("{day}/23/59").parse().ok();
    end.is_some_and(|end| end >= earliest)
}

pub(super) fn owner(buckets: &Buckets) -> Owner<'_> {
    Owner {
        instance: &buckets.instance,
        role: buckets.role,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use tallybox_transport::{memory, publish_bytes};

    #[tokio::test]
    async fn days_are_searched_from_the_newest_and_all_aggregations_together() {
        let own = memory("own");
        for key in [
            "a/2026/01/30/x",
            "a/2026/01/31/x",
            "b/2026/01/31/x",
            "b/2025/12/31/x",
            // These are not days.
            "a/2026/1/31/x",
            "a/2026/ab/31/x",
            "a/20260/01/31/x",
        ] {
            let bytes = Bytes::from_static(b"x");
            publish_bytes(&*own, key, bytes, false).await.unwrap();
        }
        let aggregations = ["a", "b"].map(str::to_owned);
        let all = days(&own, &aggregations, None).await.unwrap();
        let expected: [&[&str]; 3] = [
            &["b/2026/01/31", "a/2026/01/31"],
            &["a/2026/01/30"],
            &["b/2025/12/31"],
        ];
        assert_eq!(all, expected);
        // A day counts up to its last minute.
        for (earliest, days_found) in [
            ("2026/01/30/23/59", 2),
            ("2026/01/31/00/00", 1),
            ("2026/02/01/00/00", 0),
        ] {
            let earliest = Some(earliest.parse().unwrap());
            let some = days(&own, &aggregations, earliest).await.unwrap();
            assert_eq!(some, expected[..days_found], "{earliest:?}");
        }
    }
}
