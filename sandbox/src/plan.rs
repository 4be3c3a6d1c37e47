//! The content of one ingestion batch: honest packets, with hostile ones among them.

use rayon::prelude::*;
use tallybox_client::ClientError;
use tallybox_client::traffic::{Generated, Traffic};
use tallybox_crypto::ecies::OVERHEAD;
use tallybox_crypto::prio2::SEED_LENGTH;
use tallybox_model::path::BatchName;
use tallybox_model::role::Role;
use tallybox_model::time::Window;

use crate::error::Error;
use crate::hostile::Attack;
use crate::ingest::BatchPair;

/// Start of the traffic indices of hostile packets, apart from those of honest ones.
const HOSTILE_INDEX: u64 = 1 << 48;

/// The packets of one batch. Each position is computed independently, so packets can be made in any
/// order.
#[derive(Debug, Clone)]
pub struct BatchPlan {
    /// The name of the batch.
    pub name: BatchName,
    /// The time range of its packets.
    pub interval: Window,
    /// Traffic index of its first honest packet; the others follow consecutively.
    pub first: u64,
    /// Number of honest packets; at least 1 if there are hostile ones.
    pub honest: u64,
    /// The hostile packets, in order.
    pub attacks: Vec<Attack>,
    /// Index of the batch among those of its metric, from 0.
    pub ordinal: u64,
}

/// A packet of the batch.
#[derive(Debug)]
pub struct Made {
    /// The report and its plaintext.
    pub generated: Generated,
    /// The kind of attack; `None` if the packet is honest.
    pub attack: Option<Attack>,
}

impl BatchPlan {
    /// Returns the number of packets.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.honest + self.attacks.len() as u64
    }

    /// Makes the packet at `position`, which must be below [`Self::packets`]. The hostile packets
    /// follow the first honest one, whose id some of them copy.
    ///
    /// # Errors
    /// As [`Traffic::packet`].
    pub fn make(&self, traffic: &Traffic, position: u64) -> Result<Made, ClientError> {
        let hostile = position
            .checked_sub(1)
            .and_then(|index| Some((index, *self.attacks.get(usize::try_from(index).ok()?)?)));
        let generated = match hostile {
            Some((index, attack)) => {
                attack.make(traffic, HOSTILE_INDEX | self.ordinal << 24 | index)?
            }
            None if position == 0 => traffic.packet(self.first)?,
            None => traffic.packet(self.first + position - self.attacks.len() as u64)?,
        };
        let attack = hostile.map(|(_, attack)| attack);
        Ok(Made { generated, attack })
    }
}

/// Makes the packets of a batch on all cores and writes them to both mailboxes, in order. Calls
/// `each` for every packet. Blocking.
pub(crate) fn write_batch(
    plan: &BatchPlan,
    traffic: &Traffic,
    mut pair: BatchPair,
    mut each: impl FnMut(&Made),
) -> Result<(), Error> {
    let packets = plan.packets();
    let at_once = chunk(traffic.metric().bins());
    let mut start = 0;
    while start < packets {
        let end = packets.min(start + at_once);
        let made = (start..end)
            .into_par_iter()
            .map(|position| plan.make(traffic, position));
        for made in made.collect::<Result<Vec<Made>, ClientError>>()? {
            let point = pair.point(&made.generated.report);
            let point = made.attack.map_or(point, |attack| attack.point(point));
            pair.append(&made.generated.report, point)?;
            each(&made);
        }
        start = end;
    }
    pair.finish()?;
    Ok(())
}

/// Returns the approximate size of a packet in a processor's batch, for progress bars and for
/// [`chunk`].
pub(crate) fn packet_bytes(bins: usize, role: Role) -> u64 {
    let share = match role {
        Role::First => 4 * (bins + 3 + (bins + 1).next_power_of_two()),
        Role::Second => SEED_LENGTH,
    };
    // The constant covers packet id, key id, evaluation point and length fields.
    (share + OVERHEAD + 62) as u64
}

/// Returns the number of packets that are made at a time: about two mebibytes.
fn chunk(bins: usize) -> u64 {
    ((2 << 20) / packet_bytes(bins, Role::First)).clamp(16, 2048)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use tallybox_client::traffic::Metric;

    use super::*;
    use crate::keys::SandboxKeys;
    use crate::schedule;

    fn plan(honest: u64, attacks: usize) -> BatchPlan {
        let (name, interval) = schedule::batch(1, &"a".parse().unwrap(), 0, 1).unwrap();
        BatchPlan {
            name,
            interval,
            first: 100,
            honest,
            attacks: vec![Attack::OtherPoint; attacks],
            ordinal: 0,
        }
    }

    #[test]
    fn hostile_packets_stand_among_honest_ones() {
        let metric = Metric::fake(1);
        let traffic = Traffic::new(
            1,
            &metric,
            SandboxKeys::from_seed(1, &[1]).for_clients(1).unwrap(),
            None,
        )
        .unwrap();
        for (honest, attacks) in [(1, 0), (5, 0), (1, 9), (9, 1), (10, 20), (3, 3)] {
            let plan = plan(honest, attacks);
            let mut ids = BTreeSet::new();
            let mut hostile = 0;
            for position in 0..plan.packets() {
                let made = plan.make(&traffic, position).unwrap();
                assert!(
                    ids.insert(made.generated.report.id),
                    "{honest} {attacks} {position}"
                );
                assert!(position > 0 || made.attack.is_none());
                hostile += usize::from(made.attack.is_some());
            }
            assert_eq!(hostile, attacks);
            for index in 100..100 + honest {
                assert!(ids.contains(&traffic.packet(index).unwrap().report.id));
            }
        }
    }
}
