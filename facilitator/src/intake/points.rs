//! The evaluation points of packets: all packets of an ingestor under one packet key have the same
//! point, the first one seen, and the same number of bins.
//!
//! A ciphertext that is evaluated at two points, or at one point with two numbers of bins, gives
//! both processors a linear equation in the client's bits. So the number of bins of a key is
//! compared before anything of a packet is computed. The point of a key is pinned in the own bucket
//! when it is first seen, and a packet with another point is rejected. A foreign ingestor that
//! draws a point for each packet cannot be pinned; the configuration has to state that.

use super::pins;
use crate::buckets::Buckets;
use crate::config::Points;
use crate::error::Error;
use crate::keys::Keys;
use crate::prepared::KeyUse;
use crate::processor::Processor;
use crate::reason::PacketReason;
use crate::wear;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tallybox_crypto::prio2::{Evaluator, Point, Prio2};
use tallybox_model::id::AggregationId;

/// The state of one key during the intake of a batch.
#[derive(Debug, Default)]
struct Slot {
    /// The reason to reject every packet of the batch under this key, if there is one.
    refused: Option<PacketReason>,
    /// The key's point, if it has one.
    pin: Option<Pin>,
    /// True if each packet has a point of its own.
    per_packet: bool,
    /// True if the own bucket already contains the key's pin.
    fixed: bool,
}

/// A key's point. `Debug` omits it.
struct Pin {
    value: u32,
    /// The weights, computed once per batch. `None` until a packet of the batch uses the point.
    evaluator: Option<Arc<Evaluator>>,
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").finish_non_exhaustive()
    }
}

/// The evaluation points for the packets of one batch, by packet key.
#[derive(Debug)]
pub struct BatchPoints {
    mode: Points,
    slots: RwLock<Vec<Slot>>,
    /// The keys without a pin under which packets were evaluated.
    used: Vec<AtomicBool>,
    /// With a point for each packet: the last evaluator, because some ingestors use one point for
    /// all packets.
    last: RwLock<Option<(u32, Arc<Evaluator>)>>,
}

impl BatchPoints {
    /// Reads the pins of the processor's keys, each once per process, and determines which keys fit
    /// batches of this dimension.
    ///
    /// # Errors
    /// An error of the own bucket; [`Error::KeyMisused`].
    pub async fn load(processor: &Processor, prio2: &Prio2) -> Result<Arc<Self>, Error> {
        let failures = wear::read_failures(processor).await?;
        let mut slots = Vec::with_capacity(processor.keys.packet.len());
        for key in &processor.keys.packet {
            let pin = pins::read_pin(processor, key).await?;
            let point = pin.as_ref().and_then(|pin| pin.point);
            let fits = |bins| usize::try_from(bins) == Ok(prio2.bins());
            let changed = !key.bins.is_none_or(fits);
            let worn_out = wear::is_worn_out(&processor.limits, key, &failures)
                .then_some(PacketReason::KeyWornOut);
            slots.push(Slot {
                refused: worn_out.or(changed.then_some(PacketReason::BinsChanged)),
                // A key that has a point keeps it, even if the configuration changes later.
                per_packet: processor.limits.points == Points::PerPacket && point.is_none(),
                pin: point.map(|value| Pin {
                    value,
                    evaluator: None,
                }),
                fixed: pin.is_some(),
            });
        }
        Ok(Arc::new(Self {
            mode: processor.limits.points,
            used: slots.iter().map(|_| AtomicBool::new(false)).collect(),
            slots: RwLock::new(slots),
            last: RwLock::default(),
        }))
    }

    /// Returns whether each packet may have a point of its own.
    #[must_use]
    pub fn per_packet(&self) -> bool {
        self.mode == Points::PerPacket
    }

    /// Returns the evaluator for packets of this key at this point, or `None` if the key has no
    /// point yet.
    ///
    /// # Errors
    /// [`PacketReason::KeyWornOut`] if too many proofs have failed under the key;
    /// [`PacketReason::BinsChanged`] if the key belongs to another number of bins;
    /// [`PacketReason::PointChanged`] if the key has another point.
    pub fn evaluator(
        &self,
        key: usize,
        point: Point,
        prio2: &Prio2,
    ) -> Result<Option<Arc<Evaluator>>, PacketReason> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(key) else {
            return Ok(None);
        };
        if let Some(reason) = slot.refused {
            return Err(reason);
        }
        if slot.per_packet {
            self.used[key].store(true, Ordering::Relaxed);
            return Ok(Some(self.unpinned(point, prio2)));
        }
        match &slot.pin {
            None => Ok(None),
            Some(pin) if pin.value != point.value() => Err(PacketReason::PointChanged),
            Some(Pin {
                evaluator: Some(evaluator),
                ..
            }) => Ok(Some(Arc::clone(evaluator))),
            Some(_) => {
                // `pin` takes the write lock.
                drop(slots);
                Ok(Some(self.pin(key, point, prio2)))
            }
        }
    }

    /// Sets the key's point if it has none. Only the collector may call this function, in the order
    /// of the file, so that the first packet of the file decides.
    pub fn pin(&self, key: usize, point: Point, prio2: &Prio2) -> Arc<Evaluator> {
        let evaluator = Arc::new(prio2.evaluator(point));
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let pin = slots[key].pin.get_or_insert(Pin {
            value: point.value(),
            evaluator: None,
        });
        Arc::clone(pin.evaluator.get_or_insert(evaluator))
    }

    /// Returns the keys under which packets were evaluated, ordered by fingerprint, for the footer
    /// of the prepared batch.
    #[must_use]
    pub fn uses(&self, keys: &Keys, buckets: &Buckets) -> Vec<KeyUse> {
        let mut uses: Vec<KeyUse> = self
            .all(keys, buckets)
            .into_iter()
            .map(|(_, _, using)| using)
            .collect();
        uses.sort_by(|a, b| a.key.cmp(&b.key));
        uses
    }

    /// Writes the pins of the keys that this batch is the first to use. The caller has to verify
    /// the batch's digest first.
    ///
    /// # Errors
    /// [`Error::PinMissing`], [`Error::PointRace`], or an error of the own bucket.
    pub async fn fix(
        &self,
        processor: &Processor,
        aggregation: &AggregationId,
    ) -> Result<(), Error> {
        for (index, fixed, using) in self.all(&processor.keys, &processor.buckets) {
            if !fixed {
                pins::fix(processor, aggregation, &processor.keys.packet[index], using).await?;
            }
        }
        Ok(())
    }

    /// Returns the keys under which packets were evaluated: index, whether the pin is written, and
    /// its content.
    fn all(&self, keys: &Keys, buckets: &Buckets) -> Vec<(usize, bool, KeyUse)> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let using = |(index, slot): (usize, &Slot)| {
            let point = slot.pin.as_ref().filter(|pin| pin.evaluator.is_some());
            let used = point.is_some() || self.used[index].load(Ordering::Relaxed);
            let key = &keys.packet[index];
            let using = KeyUse {
                key: key.fingerprint.clone(),
                instance: buckets.instance.clone(),
                bins: key.bins,
                point: point.map(|pin| pin.value),
            };
            used.then_some((index, slot.fixed, using))
        };
        slots.iter().enumerate().filter_map(using).collect()
    }

    fn unpinned(&self, point: Point, prio2: &Prio2) -> Arc<Evaluator> {
        if let Some((value, evaluator)) = &*self.last.read().unwrap_or_else(PoisonError::into_inner)
            && *value == point.value()
        {
            return Arc::clone(evaluator);
        }
        let evaluator = Arc::new(prio2.evaluator(point));
        *self.last.write().unwrap_or_else(PoisonError::into_inner) =
            Some((point.value(), Arc::clone(&evaluator)));
        evaluator
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_point_is_refused_before_the_first_is_fixed() {
        let prio2 = Prio2::new(8).unwrap();
        let [first, second] =
            [998_314_904, 123_456_789].map(|value| Point::new(value, &prio2).unwrap());
        let points = BatchPoints {
            mode: Points::Pinned,
            slots: RwLock::new(vec![Slot::default(), Slot::default()]),
            used: Vec::new(),
            last: RwLock::default(),
        };
        let evaluator = |key, point| {
            points
                .evaluator(key, point, &prio2)
                .map(|found| found.is_some())
        };
        assert_eq!(evaluator(0, first), Ok(false));
        points.pin(0, first, &prio2);
        assert!(!points.slots.read().unwrap()[0].fixed);
        assert_eq!(evaluator(0, second), Err(PacketReason::PointChanged));
        assert_eq!(evaluator(0, first), Ok(true));
        assert_eq!(
            evaluator(1, second),
            Ok(false),
            "the other key has no point yet"
        );
    }

    #[test]
    fn with_a_point_for_each_packet_the_last_evaluator_serves_its_own_point_only() {
        let prio2 = Prio2::new(8).unwrap();
        let [first, second] =
            [998_314_904, 123_456_789].map(|value| Point::new(value, &prio2).unwrap());
        let points = BatchPoints {
            mode: Points::PerPacket,
            slots: RwLock::new(Vec::new()),
            used: Vec::new(),
            last: RwLock::default(),
        };
        let [one, other, again] =
            [first, second, second].map(|point| points.unpinned(point, &prio2));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&other, &again));
    }
}
