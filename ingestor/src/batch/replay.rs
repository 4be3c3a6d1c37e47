//! Detection of replays: reports that occur earlier in the plan or in a complete window.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::index::Entry;

/// The reason why a report is not batched. `Report` takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// The same report occurred before.
    Report,
    /// Another report has one of the sealed shares.
    Ciphertext,
}

/// Counts of dropped replays and of conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplayCounts {
    /// Reports that occur earlier in the plan, or that were batched in an earlier window.
    pub report: u64,
    /// Other reports with a sealed share that occurs earlier in the plan, or that was batched in an
    /// earlier window.
    pub ciphertext: u64,
    /// Reports whose id another report of the plan has as well. They are batched.
    pub conflicts: u64,
}

/// Number of keys by which replays are recognised: the digests of the whole report and of each
/// share.
pub(super) const KEYS: usize = 3;

/// Returns key number `which` of an entry.
pub(super) fn key(entry: &Entry, which: usize) -> [u8; 16] {
    match which {
        0 => entry.digest,
        1 => entry.ciphertexts[0],
        _ => entry.ciphertexts[1],
    }
}

/// The values of one key for all entries of a plan, sorted.
#[derive(Debug)]
pub(super) struct SortedKeys(Vec<([u8; 16], u32)>);

/// A detector of replays. A report is a replay if any of its keys occurs earlier in the plan or in
/// an earlier record, whether or not the earlier report was batched. The result for one report
/// therefore does not depend on the result for another.
#[derive(Debug)]
pub(super) struct Replays {
    keys: [SortedKeys; KEYS],
    found: Vec<Option<Replay>>,
    counts: ReplayCounts,
}

impl Replays {
    /// Finds the replays within the plan.
    pub(super) fn within(entries: &[Entry]) -> Self {
        let keys = [0, 1, 2].map(|which| SortedKeys::from_entries(entries, which));
        let mut replays = Self {
            keys,
            found: vec![None; entries.len()],
            counts: ReplayCounts::default(),
        };
        for which in 0..KEYS {
            let Self { keys, found, .. } = &mut replays;
            for pair in keys[which]
                .0
                .windows(2)
                .filter(|pair| pair[0].0 == pair[1].0)
            {
                mark(found, pair[1].1, which);
            }
        }
        replays.counts.conflicts = conflicts(entries);
        replays
    }

    /// Marks the entries whose key number `which` occurs in a sorted part of an earlier record.
    /// `at` is the position that the previous parts reached; the caller sets it to 0 for each
    /// record and key.
    pub(super) fn mark_earlier(&mut self, which: usize, record_keys: &[[u8; 16]], at: &mut usize) {
        let Self { keys, found, .. } = self;
        let own = &keys[which].0;
        for record_key in record_keys {
            while own.get(*at).is_some_and(|(key, _)| key < record_key) {
                *at += 1;
            }
            let same = own[*at..].iter().take_while(|(key, _)| key == record_key);
            same.for_each(|(_, entry)| mark(found, *entry, which));
        }
    }

    /// Returns whether each entry is new, and the counts.
    pub(super) fn finish(mut self) -> (Vec<bool>, ReplayCounts) {
        for found in self.found.iter().flatten() {
            match found {
                Replay::Report => self.counts.report += 1,
                Replay::Ciphertext => self.counts.ciphertext += 1,
            }
        }
        (
            self.found.iter().map(Option::is_none).collect(),
            self.counts,
        )
    }
}

impl SortedKeys {
    fn from_entries(entries: &[Entry], which: usize) -> Self {
        let mut keys: Vec<_> = entries
            .iter()
            .zip(0..)
            .map(|(entry, position)| (key(entry, which), position))
            .collect();
        keys.par_sort_unstable();
        Self(keys)
    }
}

fn mark(found: &mut [Option<Replay>], entry: u32, which: usize) {
    let reason = if which == 0 {
        Replay::Report
    } else {
        Replay::Ciphertext
    };
    let replay = &mut found[entry as usize];
    // `Report` takes precedence, so a second reason never replaces it.
    if *replay != Some(Replay::Report) {
        *replay = Some(reason);
    }
}

/// Counts the reports whose id also belongs to a different report of the plan.
fn conflicts(entries: &[Entry]) -> u64 {
    let mut ids: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id, entry.digest))
        .collect();
    ids.par_sort_unstable();
    ids.dedup();
    ids.windows(2).filter(|pair| pair[0].0 == pair[1].0).count() as u64
}

#[cfg(test)]
mod tests {
    use tallybox_crypto::pseudonym::Pseudonym;

    use super::*;

    fn entry(id: u8, digest: u8, ciphertexts: [u8; 2]) -> Entry {
        Entry {
            id: [id; 16],
            digest: [digest; 16],
            ciphertexts: ciphertexts.map(|byte| [byte; 16]),
            pseudonym: Pseudonym {
                packet: [0; 16],
                order: [0; 16],
            },
            group: 0,
            slab: 0,
            position: 0,
            carried_since: 0,
        }
    }

    #[test]
    fn each_key_by_itself_tells_a_replay() {
        let entries = [
            entry(1, 1, [1, 101]),
            entry(1, 1, [1, 101]),
            entry(2, 2, [1, 102]),
            entry(3, 3, [3, 101]),
            entry(4, 4, [4, 104]),
            entry(4, 5, [5, 105]),
            entry(6, 6, [6, 106]),
        ];
        let mut replays = Replays::within(&entries);
        for (which, byte) in [(0, 9), (1, 9), (2, 106)] {
            replays.mark_earlier(which, &[[byte; 16]], &mut 0);
        }
        let (is_new, counts) = replays.finish();
        assert_eq!(is_new, [true, false, false, false, true, true, false]);
        let expected = ReplayCounts {
            report: 1,
            ciphertext: 3,
            conflicts: 1,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn records_are_joined_part_by_part() {
        let entries: Vec<_> = (0..100).map(|n| entry(n, n, [n, n])).collect();
        let mut replays = Replays::within(&entries);
        let mut at = 0;
        for keys in [[10, 20, 30], [30, 31, 99], [200, 201, 202]] {
            replays.mark_earlier(1, &keys.map(|byte| [byte; 16]), &mut at);
        }
        let (is_new, counts) = replays.finish();
        let old: Vec<_> = (0..100).filter(|n| !is_new[*n]).collect();
        assert_eq!((old, counts.ciphertext), (vec![10, 20, 30, 31, 99], 5));
        assert_eq!(counts.conflicts, 0);
    }
}
