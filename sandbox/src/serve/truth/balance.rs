//! Compares sums with the posted reports, and explains the reports that are in no sum.

use std::collections::{BTreeMap, BTreeSet};

use tallybox_client::traffic::Tally;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::time::Window;

use super::audit::{Audit, Batch};
use super::discrepancy::Discrepancy;
use super::posted_reports::SharedPostedReports;
use crate::error::Error;
use crate::portal::Total;
use crate::serve::stored_state::read_packets;

/// The state of a window at the portal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AtPortal {
    /// Number of metrics of which a roster or a sum part exists.
    pub(crate) metrics: usize,
    /// Number of metrics with nothing left to do.
    pub(crate) over: usize,
    /// Number of packets in their sums.
    pub(crate) counted: u64,
}

/// Acknowledged reports that are in no sum, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Reports in no batch.
    pub(super) unbatched: u64,
    /// Reports in a batch that both sides have excluded or let expire.
    pub(super) given_up: u64,
    /// Reports in a batch that waits because its window had too few packets.
    pub(super) below_minimum: u64,
    /// Reports in a batch that is not decided.
    pub(super) open: u64,
    /// Packets of other clients in batches that are not decided, whether or not they are valid.
    pub(super) foreign_open: u64,
}

impl Audit {
    /// Compares a sum with the posted reports. Returns the answers of the reports in it, and the
    /// number of other clients' reports.
    pub(super) fn compare_sum(
        &mut self,
        window: Window,
        metric: &AggregationId,
        total: &Total,
    ) -> (Tally, u64) {
        let discrepancies = &mut self.discrepancies;
        let mut posted_reports = self.posted_reports.lock();
        let mut truth = Tally::new(total.sums.len());
        let mut counted = BTreeSet::new();
        let mut foreign = 0_u64;
        for id in &total.batches {
            let Some(batch) = self.batches.get_mut(id) else {
                continue;
            };
            if let Some(before) = batch.summed.replace(window) {
                discrepancies.note(
                    Discrepancy::Double,
                    format!("batch {} is summed in {before} and in {window}", batch.name),
                );
            }
            for packet in &batch.packets {
                let is_valid = !total.invalid.contains(packet);
                let Some(number) = posted_reports.find_report(*packet) else {
                    if is_valid {
                        foreign += u64::from(counted.insert(*packet));
                        posted_reports.count_foreign(*packet);
                    }
                    continue;
                };
                let honest = posted_reports.entries[number].honest;
                if !is_valid {
                    if honest {
                        let sentence =
                            format!("{metric} {window}: honest report {number} is not counted");
                        discrepancies.note(Discrepancy::Lost, sentence);
                    }
                    continue;
                }
                // An id that a batch of the window repeats counts once.
                if !counted.insert(*packet) {
                    continue;
                }
                if let Some(before) = posted_reports.count(number, window) {
                    let sentence =
                        format!("report {number} is counted in {before} and in {window}");
                    discrepancies.note(Discrepancy::Double, sentence);
                }
                if !honest {
                    let sentence = format!("{metric} {window}: hostile report {number} is counted");
                    discrepancies.note(Discrepancy::Wrong, sentence);
                }
                truth.add_answer(&posted_reports.entries[number].answer);
            }
        }
        let right = |(sum, truth): (&u64, &u64)| (*truth..=*truth + foreign).contains(sum);
        if total.accepted != counted.len() as u64
            || !total.sums.iter().zip(&truth.noisy_counts).all(right)
        {
            let (accepted, sums) = (total.accepted, &total.sums);
            discrepancies.note(
                Discrepancy::Wrong,
                format!(
                    "{metric} {window}: {} reports add to {:?}, the sum parts hold {accepted} and {sums:?}",
                    counted.len(),
                    truth.noisy_counts
                ),
            );
        }
        (truth, foreign)
    }

    /// Returns the state of a window at the portal.
    pub(crate) fn at_portal(&self, window: Window) -> AtPortal {
        let mut at = AtPortal::default();
        for metric in self.metrics.keys() {
            let Some(state) = self.windows.get(&(window, metric.clone())) else {
                continue;
            };
            at.metrics += 1;
            at.over += usize::from(state.is_over());
            at.counted += state.summed.map_or(0, |summed| summed.counted);
        }
        at
    }

    /// Returns the number of summed windows, over all metrics.
    pub(crate) fn summed(&self) -> u64 {
        self.windows
            .values()
            .filter(|state| state.summed.is_some())
            .count() as u64
    }

    /// Returns the number of batches of a window and the number of packets in them.
    pub(crate) fn ingested(&self, window: Window) -> (u64, u64) {
        let in_window = self
            .batches
            .values()
            .filter(|batch| window.contains(batch.name.date));
        in_window.fold((0, 0), |(batches, packets), batch| {
            (batches + 1, packets + batch.packets.len() as u64)
        })
    }

    /// Returns the number of packets in these batches.
    pub(crate) fn packets_in(&self, batches: &[BatchId]) -> u64 {
        let found = batches.iter().filter_map(|id| self.batches.get(id));
        found.map(|batch| batch.packets.len() as u64).sum()
    }

    /// Returns the number of acknowledged reports and windows that are not settled. The result is 0
    /// once every report is counted or its absence is explained.
    pub(crate) fn unsettled(&self) -> u64 {
        let left = self.left();
        let waiting = self
            .windows
            .values()
            .filter(|state| state.parts != [false; 2] && state.summed.is_none());
        left.unbatched + left.open + left.foreign_open + waiting.count() as u64
    }

    pub(super) fn left(&self) -> Left {
        let below: BTreeMap<&AggregationId, Window> = self
            .windows
            .iter()
            .filter(|(_, state)| state.is_below_minimum())
            .map(|((window, metric), _)| (metric, *window))
            .collect();
        let is_below = |batch: &Batch| {
            let window = below.get(&batch.name.aggregation);
            window.is_some_and(|window| batch.name.date < window.end())
        };
        let mut left = Left::default();
        let open = |batch: &&Batch| batch.summed.is_none() && !batch.given_up && !is_below(batch);
        left.foreign_open = self
            .batches
            .values()
            .filter(open)
            .map(|batch| batch.foreign)
            .sum();
        let posted_reports = self.posted_reports.lock();
        for number in posted_reports.compare_sums().missing {
            let batch = posted_reports.entries[number].batch;
            let batch = batch.and_then(|id| self.batches.get(&id));
            let count = match batch {
                None => &mut left.unbatched,
                Some(batch) if batch.given_up => &mut left.given_up,
                Some(batch) if is_below(batch) => &mut left.below_minimum,
                Some(_) => &mut left.open,
            };
            *count += 1;
        }
        left
    }

    /// Makes the final checks: every window that was agreed on or has a sum part has both, and both
    /// mailboxes hold the same batches. `dropped` is the number of reports that the ingestor's
    /// records declare as dropped.
    pub(super) async fn close(&mut self, dropped: u64) -> Result<Left, Error> {
        let mut left = self.left();
        for ((window, metric), state) in &self.windows {
            let agreed = state.agreed.iter().any(|agreed| {
                agreed
                    .as_ref()
                    .is_some_and(|agreed| !agreed.batches.is_empty())
            });
            let anything = agreed || state.parts != [false; 2];
            if anything && state.summed.is_none() && !state.reported {
                let sentence = match state.parts {
                    [true, true] => "both sum parts exist, but name a batch that does not",
                    [false, false] => "both sides agreed on it, but no sum part exists",
                    _ => "only one sum part exists",
                };
                self.discrepancies.note(
                    Discrepancy::Unsummable,
                    format!("{metric} {window}: {sentence}"),
                );
            }
        }
        for batch in self.batches.values() {
            let second = read_packets(&*self.ingestion[1], &batch.name).await;
            if second.is_err() || second.is_ok_and(|second| second != batch.packets) {
                let sentence = format!(
                    "the second processor's mailbox lacks the batch or holds another one: {}",
                    batch.name
                );
                self.discrepancies.note(Discrepancy::Lost, sentence);
            }
        }
        if left.unbatched > dropped {
            for _ in dropped..left.unbatched {
                self.discrepancies
                    .note(Discrepancy::Lost, "an acknowledged report is in no batch");
            }
        }
        left.unbatched = left.unbatched.min(dropped);
        for _ in 0..left.open {
            self.discrepancies.note(
                Discrepancy::Lost,
                "an acknowledged report is in a batch that is not summed",
            );
        }
        for _ in 0..left.foreign_open {
            let sentence = "a report of another client is in a batch that is not summed";
            self.discrepancies.note(Discrepancy::Lost, sentence);
        }
        Ok(left)
    }

    /// Makes the final check of the spool: every report in it is accounted for. `waiting` is the
    /// number of reports of all clients in the spool that are in no batch.
    pub(crate) fn close_spool(&mut self, waiting: u64) {
        for _ in self.left().unbatched..waiting {
            let sentence = "a report of another client is in the spool and in no batch";
            self.discrepancies.note(Discrepancy::Lost, sentence);
        }
    }

    pub(super) fn posted_reports(&self) -> &SharedPostedReports {
        &self.posted_reports
    }
}
