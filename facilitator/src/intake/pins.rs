//! The pin of a packet key in the own bucket: its instance, its number of bins and its evaluation point, and the prepared
//! batches that witness them.
//!
//! Every pin is fixed before the first prepared batch of its key exists, and the footer of each such batch repeats it. So
//! a pin that is missing although a prepared batch names the key has been lost or removed. It is restored from the
//! footer, which nobody but this processor can seal, and the task fails once, so that somebody looks.

use crate::config::Points;
use crate::error::Error;
use crate::prepared::{Footer, KeyUse, PreparedError, PreparedReader};
use crate::processor::{PacketKey, Processor};
use futures::TryStreamExt as _;
use tallybox_model::id::AggregationId;
use tallybox_model::path::{BatchName, OWN_DIRECTORIES, pinned_point};
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, ListRange, SharedBucket};

/// The longest text of a pin.
const TEXT_BYTES: u64 = 4 << 10;
/// Footers that are looked at for a key without a pin: so many of the aggregation of which it shows a packet, then so many
/// of the others. A key that is in use is named by the newest ones.
const FOOTERS: usize = 256;
/// Days with prepared batches that are looked at. Prepared batches of longer ago are deleted by then.
const DAYS: usize = 62;
/// By how much a batch may be dated before its key was made, in minutes: the start of a long window, and a wrong clock.
const BEFORE_CREATION: i64 = 2 * 24 * 60;

/// What the own bucket holds of a key, looked at once a process: a pin never changes. That a key has none may change,
/// but then [`fix`] meets the one that is there.
///
/// # Errors
/// The own bucket's; [`Error::KeyMisused`] if the key may not be used as this processor is configured.
pub(super) async fn known(processor: &Processor, key: &PacketKey) -> Result<Option<KeyUse>, Error> {
    let pin = match processor.cache.pin(&key.fingerprint) {
        Some(pin) => pin,
        None => load(processor, &key.fingerprint).await?,
    };
    if let Some(pin) = &pin {
        check(
            processor,
            key,
            pin,
            &pinned_point(&processor.instance, &key.fingerprint),
        )?;
    }
    Ok(pin)
}

/// Fixes what a batch is the first to show of a key.
///
/// # Errors
/// [`Error::PinMissing`] if a prepared batch was made with the key before: then its pin is restored, and this run is
/// void; [`Error::PointRace`] if another run fixed another pin meanwhile; or the own bucket's.
pub(super) async fn fix(
    processor: &Processor,
    aggregation: &AggregationId,
    key: &PacketKey,
    pin: KeyUse,
) -> Result<(), Error> {
    if let Some((witness, before)) = witness(processor, aggregation, key).await? {
        // Another process may have fixed the pin since this one looked.
        return match load(processor, &key.fingerprint).await? {
            None => restore(processor, key, &before, &witness).await,
            Some(fixed) if fixed.point == pin.point && fixed.bins == pin.bins => Ok(()),
            Some(_) => Err(Error::PointRace { key: pin.key }),
        };
    }
    publish(processor, pin).await
}

/// Compares what a prepared batch says of our keys with their pins.
///
/// # Errors
/// [`Error::PinContradicted`] if they differ; [`Error::PinMissing`] if there is none, which is restored;
/// [`Error::KeyMisused`]; or the own bucket's.
pub(super) async fn agree(processor: &Processor, object: &str, footer: &Footer) -> Result<(), Error> {
    for before in &footer.keys {
        // A key that is no longer configured opens nothing any more.
        let Some(key) = processor.packet_keys.iter().find(|key| key.fingerprint == before.key) else {
            continue;
        };
        check(processor, key, before, object)?;
        let pin = match known(processor, key).await? {
            Some(pin) => Some(pin),
            // Another process may have fixed it since this one looked.
            None => load(processor, &key.fingerprint).await?,
        };
        match pin {
            None => return restore(processor, key, before, object).await,
            Some(pin) if pin.point == before.point => {}
            Some(pin) => {
                let error = Error::PinContradicted {
                    key: pin.key,
                    pin: pinned_point(&processor.instance, &key.fingerprint),
                    witness: object.to_owned(),
                };
                processor.cache.alarm("pin-contradicted");
                tracing::error!(key = key.id, %error, "pin of a packet key was replaced");
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Looks into the own bucket for a key's pin, and remembers what is there.
async fn load(processor: &Processor, fingerprint: &str) -> Result<Option<KeyUse>, Error> {
    let object = pinned_point(&processor.instance, fingerprint);
    let pin = match processor.read_record(&object, TEXT_BYTES).await? {
        None => None,
        Some(text) => {
            let pin: Option<KeyUse> = serde_json::from_slice(&text).ok();
            let pin = pin.filter(|pin| pin.key == fingerprint);
            Some(pin.ok_or_else(|| Error::Internal(format!("{object} in the own bucket is no pin of this key")))?)
        }
    };
    processor.cache.set_pin(fingerprint, pin.clone());
    Ok(pin)
}

/// Whether a key may be used as this processor is configured, by what it was used for before.
fn check(processor: &Processor, key: &PacketKey, before: &KeyUse, object: &str) -> Result<(), Error> {
    if before.instance != processor.instance {
        return Err(misused(
            processor,
            key,
            object,
            "another instance than the configuration",
        ));
    }
    if before.bins.is_some() && before.bins != key.bins {
        return Err(misused(
            processor,
            key,
            object,
            "another number of bins than the key's file",
        ));
    }
    if before.point.is_none() && processor.points == Points::Pinned {
        return Err(misused(
            processor,
            key,
            object,
            "that each packet had a point of its own (points: per-packet)",
        ));
    }
    Ok(())
}

fn misused(processor: &Processor, key: &PacketKey, object: &str, says: &'static str) -> Error {
    let error = Error::KeyMisused {
        key: key.fingerprint.clone(),
        object: object.to_owned(),
        says,
    };
    processor.cache.alarm("key-misused");
    tracing::error!(key = key.id, %error, "packet key cannot be used");
    error
}

/// Makes a lost pin again as a prepared batch says it, and calls for somebody.
async fn restore(processor: &Processor, key: &PacketKey, before: &KeyUse, object: &str) -> Result<(), Error> {
    check(processor, key, before, object)?;
    publish(processor, before.clone()).await?;
    let error = Error::PinMissing {
        key: key.fingerprint.clone(),
        pin: pinned_point(&processor.instance, &key.fingerprint),
        witness: object.to_owned(),
    };
    processor.cache.alarm("pin-missing");
    tracing::error!(key = key.id, %error, "pin of a packet key was missing");
    Err(error)
}

async fn publish(processor: &Processor, pin: KeyUse) -> Result<(), Error> {
    let object = pinned_point(&processor.instance, &pin.key);
    let text = serde_json::to_vec(&pin).map_err(|error| Error::Internal(error.to_string()))?;
    match processor.create_record(&object, &text).await {
        Err(BucketError::Conflict { .. }) => {
            processor.cache.forget_pin(&pin.key);
            Err(Error::PointRace { key: pin.key })
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            let key = pin.key.clone();
            processor.cache.set_pin(&key, Some(pin));
            Ok(())
        }
    }
}

/// The newest prepared batch that was made with a key, and what its footer says of the key. None is looked at that is
/// dated before the key was made, and none twice by one process.
async fn witness(
    processor: &Processor,
    aggregation: &AggregationId,
    key: &PacketKey,
) -> Result<Option<(String, KeyUse)>, Error> {
    let mut others = processor.buckets.own.list_directories("").await?;
    others.retain(|name| {
        let is_name = name.parse::<AggregationId>().is_ok();
        is_name && name != aggregation.as_str() && !OWN_DIRECTORIES.contains(&name.as_str())
    });
    for aggregations in [&[aggregation.to_string()][..], &others] {
        let heard = hear_some(processor, aggregations, key).await?;
        if heard.is_some() {
            return Ok(heard);
        }
    }
    Ok(None)
}

/// Looks at the newest prepared batches of some aggregations until one names the key.
async fn hear_some(
    processor: &Processor,
    aggregations: &[String],
    key: &PacketKey,
) -> Result<Option<(String, KeyUse)>, Error> {
    let own = &processor.buckets.own;
    let earliest = key.created.and_then(|time| time.plus_minutes(-BEFORE_CREATION));
    let mut left = FOOTERS;
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
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.date));
        for (name, object) in names {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            hear(processor, &name, &object).await?;
            if let Some(witness) = processor.cache.witness(&key.fingerprint) {
                return Ok(Some(witness));
            }
        }
    }
    Ok(None)
}

/// Looks at the footer of a prepared batch for the packet keys that it was made with.
async fn hear(processor: &Processor, name: &BatchName, object: &str) -> Result<(), Error> {
    if processor.cache.has_testified(object) {
        return Ok(());
    }
    let owner = super::owner(processor);
    match PreparedReader::open_footer(&processor.buckets.own, owner, &processor.sealing_keys, name).await {
        Ok(footer) => {
            processor
                .cache
                .testify(object, footer.as_ref().map_or(&[], |footer| &footer.keys));
            Ok(())
        }
        Err(PreparedError::Bucket(error)) => Err(error.into()),
        Err(error) => {
            // What is damaged says nothing about the key; its own task will tell of it.
            tracing::warn!(%error, "prepared batch cannot be asked for its packet keys");
            Ok(())
        }
    }
}

/// The directories of the days of which there are prepared batches, those of one day together, the newest day first.
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
                if found >= DAYS {
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
    days.sort_by(|one, other| other.cmp(one));
    let mut together: Vec<(String, Vec<String>)> = Vec::new();
    for (date, directory) in days {
        match together.last_mut() {
            Some((last, directories)) if *last == date => directories.push(directory),
            _ => together.push((date, vec![directory])),
        }
    }
    Ok(together
        .into_iter()
        .take(DAYS)
        .map(|(_, directories)| directories)
        .collect())
}

/// The directories in a directory that are named by so many digits, the greatest first.
async fn newest(own: &SharedBucket, directory: &str, digits: usize) -> Result<Vec<String>, Error> {
    let is_number = |name: &str| name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit());
    let mut found = own.list_directories(directory).await?;
    found.retain(|inner| inner.rsplit('/').next().is_some_and(is_number));
    found.sort();
    found.reverse();
    Ok(found)
}

/// Whether a day `YYYY/MM/DD` ends after a time.
fn is_after(day: &str, earliest: Option<BatchTime>) -> bool {
    let Some(earliest) = earliest else {
        return true;
    };
    let end: Option<BatchTime> = format!("{day}/23/59").parse().ok();
    end.is_some_and(|end| end >= earliest)
}
