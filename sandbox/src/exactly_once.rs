//! The exactly-once check: what was accepted is found once, and nothing is found twice.
//!
//! The sandbox, the simulation and the load test of the ingestor use the same check. What is counted
//! differs: reports in batches, reports in sums, or batches in sums.

use std::collections::{BTreeMap, BTreeSet};

/// The differences from the rule that each accepted item is found once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrences<T> {
    /// Accepted items that are not found.
    pub missing: BTreeSet<T>,
    /// Items that are found several times, with the number of times.
    pub repeated: BTreeMap<T, usize>,
    /// Items that are found although nobody offered them.
    pub unknown: BTreeSet<T>,
    /// Number of different items that are found.
    pub found: usize,
}

impl<T: Ord + Clone> Occurrences<T> {
    /// Counts the items in `found`. Those in `accepted` have to be among them; those in `offered`,
    /// which contains `accepted`, may be.
    pub fn count(
        accepted: &BTreeSet<T>,
        offered: &BTreeSet<T>,
        found: impl IntoIterator<Item = T>,
    ) -> Self {
        let mut times: BTreeMap<T, usize> = BTreeMap::new();
        for item in found {
            *times.entry(item).or_default() += 1;
        }
        let missing = accepted.iter().filter(|item| !times.contains_key(item));
        let missing = missing.cloned().collect();
        let unknown = times.keys().filter(|item| !offered.contains(item));
        let unknown = unknown.cloned().collect();
        let found = times.len();
        times.retain(|_, times| *times > 1);
        Self {
            missing,
            repeated: times,
            unknown,
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_found() {
        let accepted = BTreeSet::from([1, 2, 3]);
        let offered = BTreeSet::from([1, 2, 3, 4]);
        let occurrences = Occurrences::count(&accepted, &offered, [1, 2, 2, 4, 5]);
        let expected = Occurrences {
            missing: BTreeSet::from([3]),
            repeated: BTreeMap::from([(2, 2)]),
            unknown: BTreeSet::from([5]),
            found: 4,
        };
        assert_eq!(occurrences, expected);
    }
}
