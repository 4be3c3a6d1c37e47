//! Evaluation points: one for all packets of an ingestor under one packet key, the first seen.
//!
//! A ciphertext that is evaluated at two points gives both processors a linear equation in the client's bits, so a
//! point, once seen, is fixed in the own bucket, and a packet with another is rejected before a message is computed.
//! Where a foreign ingestor draws a point a packet, nothing can be pinned; the configuration says so.

use crate::config::Points;
use crate::error::Error;
use crate::processor::Processor;
use crate::reason::PacketReason;
use std::sync::{Arc, PoisonError, RwLock};
use tallybox_crypto::prio2::{Evaluator, Point, Prio2};
use tallybox_model::path::pinned_point;
use tallybox_transport::{BucketError, publish_bytes, read_all};

/// The longest text of a pinned point.
const TEXT_BYTES: u64 = 16;

/// One key's point.
#[derive(Clone, Debug)]
struct Pin {
    value: u32,
    /// The weights, made once a batch.
    evaluator: Option<Arc<Evaluator>>,
    /// Whether it stands in the own bucket already.
    fixed: bool,
}

/// The points that stand during the intake of one batch.
#[derive(Debug)]
pub struct PointBook {
    mode: Points,
    pins: RwLock<Vec<Option<Pin>>>,
    /// With a point a packet: the last one used, since some ingestors use one for all.
    last: RwLock<Option<(u32, Arc<Evaluator>)>>,
}

impl PointBook {
    /// Reads the points that stand fixed for our keys, each once a process: a point never changes. That a key has none may
    /// change, but then [`fix`](Self::fix) meets the one that stands.
    ///
    /// # Errors
    /// The own bucket's.
    pub async fn load(processor: &Processor) -> Result<Arc<Self>, Error> {
        let mut pins = vec![None; processor.packet_keys.len()];
        if processor.points == Points::Pinned {
            for (pin, key) in pins.iter_mut().zip(&processor.packet_keys) {
                let known = match processor.cache.pin(&key.fingerprint) {
                    Some(known) => known,
                    None => load_pin(processor, &key.fingerprint).await?,
                };
                *pin = known.map(|value| Pin {
                    value,
                    evaluator: None,
                    fixed: true,
                });
            }
        }
        Ok(Arc::new(Self {
            mode: processor.points,
            pins: RwLock::new(pins),
            last: RwLock::default(),
        }))
    }

    /// Whether each packet may have a point of its own.
    #[must_use]
    pub fn per_packet(&self) -> bool {
        self.mode == Points::PerPacket
    }

    /// What evaluates a packet of this key at this point: `None` if the key has no point yet.
    ///
    /// # Errors
    /// [`PacketReason::PointChanged`] if the key has another.
    pub fn evaluator(&self, key: usize, point: Point, prio2: &Prio2) -> Result<Option<Arc<Evaluator>>, PacketReason> {
        if self.per_packet() {
            return Ok(Some(self.unpinned(point, prio2)));
        }
        let pins = self.pins.read().unwrap_or_else(PoisonError::into_inner);
        match pins.get(key).and_then(Option::as_ref) {
            None => Ok(None),
            Some(pin) if pin.value != point.value() => Err(PacketReason::PointChanged),
            Some(Pin {
                evaluator: Some(evaluator),
                ..
            }) => Ok(Some(Arc::clone(evaluator))),
            Some(_) => {
                drop(pins);
                Ok(Some(self.pin(key, point, prio2)))
            }
        }
    }

    /// Makes this point the key's, if it has none; only the collector may call it, in the order of the file.
    pub fn pin(&self, key: usize, point: Point, prio2: &Prio2) -> Arc<Evaluator> {
        let evaluator = Arc::new(prio2.evaluator(point));
        let mut pins = self.pins.write().unwrap_or_else(PoisonError::into_inner);
        let pin = pins[key].get_or_insert(Pin {
            value: point.value(),
            evaluator: None,
            fixed: false,
        });
        Arc::clone(pin.evaluator.get_or_insert(evaluator))
    }

    /// Fixes the points that this batch was the first to show. Only after the batch's digest is verified.
    ///
    /// # Errors
    /// [`Error::PointRace`] if another run fixed another one meanwhile, or the own bucket's.
    pub async fn fix(&self, processor: &Processor) -> Result<(), Error> {
        let pins = self.pins.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (pin, key) in pins.iter().zip(&processor.packet_keys) {
            let Some(Pin {
                value, fixed: false, ..
            }) = pin
            else {
                continue;
            };
            let object = pinned_point(&processor.instance, &key.fingerprint);
            let fixed = publish_bytes(&*processor.buckets.own, &object, value.to_string().into(), false).await;
            match fixed {
                Err(BucketError::Conflict { .. }) => {
                    processor.cache.forget_pin(&key.fingerprint);
                    return Err(Error::PointRace {
                        key: key.fingerprint.clone(),
                    });
                }
                other => other.map(|_| ())?,
            }
            processor.cache.set_pin(&key.fingerprint, Some(*value));
        }
        Ok(())
    }

    fn unpinned(&self, point: Point, prio2: &Prio2) -> Arc<Evaluator> {
        if let Some((value, evaluator)) = &*self.last.read().unwrap_or_else(PoisonError::into_inner)
            && *value == point.value()
        {
            return Arc::clone(evaluator);
        }
        let evaluator = Arc::new(prio2.evaluator(point));
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some((point.value(), Arc::clone(&evaluator)));
        evaluator
    }
}

/// Looks into the own bucket for a key's point, and remembers what is there.
async fn load_pin(processor: &Processor, fingerprint: &str) -> Result<Option<u32>, Error> {
    let object = pinned_point(&processor.instance, fingerprint);
    let value = match read_all(&*processor.buckets.own, &object, TEXT_BYTES).await {
        Err(BucketError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
        Ok(text) => {
            let value = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            Some(value.ok_or_else(|| Error::Internal(format!("{object} in the own bucket is no point")))?)
        }
    };
    processor.cache.set_pin(fingerprint, value);
    Ok(value)
}
