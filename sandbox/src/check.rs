//! The self-check of a run: the sums are correct, and every hostile packet had the expected
//! outcome.

use crate::error::Error;
use crate::flow::Flow;
use crate::observe::{Notes, packet_statuses};
use crate::outcome::RunOutcome;
use crate::portal::Total;

/// Checks that a sum covers all batches and equals the sum of the shared bits.
pub(crate) fn check_total(flow: &Flow, total: &Total) -> Result<(), Error> {
    let fail = |problem: String| Err(Error::Check(format!("{}: {problem}", flow.aggregation)));
    let mut batches: Vec<_> = flow.names().map(|batch| batch.id).collect();
    batches.sort();
    if total.batches != batches {
        return fail(format!(
            "{} of {} batches were summed",
            total.batches.len(),
            batches.len()
        ));
    }
    if total.accepted != flow.expected.packets {
        return fail(format!(
            "{} packets were counted, but {} are valid",
            total.accepted, flow.expected.packets
        ));
    }
    if total.sums != flow.expected.noisy_counts {
        let (sums, expected) = (&total.sums, &flow.expected.noisy_counts);
        return fail(format!(
            "the sums are {sums:?}, but the bits that were shared add to {expected:?}"
        ));
    }
    Ok(())
}

/// Checks that every hostile packet had the expected outcome.
pub(crate) fn check_hostile(
    flow: &Flow,
    notes: &[Notes; 2],
    total: &Total,
    outcome: &mut RunOutcome,
) -> Result<(), Error> {
    for (sent, status) in flow
        .hostile
        .iter()
        .zip(packet_statuses(&flow.hostile, notes, total))
    {
        if !sent.attack.expects(&status) {
            let [first, second] = status.intake;
            return Err(Error::Check(format!(
                "{}: hostile packet {} ({}) had the wrong outcome: first: {first}, second: {second}, then: {status}",
                flow.aggregation, sent.id, sent.attack
            )));
        }
        outcome.add_hostile(sent, &status);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use tallybox_client::traffic::Metric;
    use tallybox_facilitator::config::Points;

    use super::*;
    use crate::flow::flows;
    use crate::run::RunOptions;
    use crate::world::World;

    #[test]
    fn a_wrong_sum_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let world = World::create(directory.path(), Some(1), Points::Pinned).unwrap();
        let metrics = vec![*Metric::named("CodeVerified-v1").unwrap()];
        let options = RunOptions {
            packets: 12,
            metrics,
            seed: Some(1),
            epsilon: None,
        };
        let flow = flows(&world, &options, 1).unwrap().remove(0);
        let mut batches: Vec<_> = flow.batches.iter().map(|batch| batch.name.id).collect();
        batches.sort();
        let good = Total {
            batches,
            accepted: 0,
            parts: [vec![], vec![]],
            sums: vec![0; 6],
            invalid: [].into(),
        };
        assert!(check_total(&flow, &good).is_ok());
        let sums = Total {
            sums: vec![0, 0, 1, 0, 0, 0],
            ..good.clone()
        };
        let count = Total {
            accepted: 1,
            ..good.clone()
        };
        let batch = Total {
            batches: good.batches[1..].to_vec(),
            ..good
        };
        for wrong in [sums, count, batch] {
            assert!(matches!(check_total(&flow, &wrong), Err(Error::Check(_))));
        }
    }
}
