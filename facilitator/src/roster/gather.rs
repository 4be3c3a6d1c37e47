//! Gathers the batches that a roster lists: those of the previous roster that are still open, and
//! new ones.

use super::agreement::memory;
use super::candidates::{Candidates, ExistingObjects, list_candidates};
use super::judge::judge;
use super::progress::Progress;
use super::signed::{self, Signature};
use super::store::{Listed, RosterStore, Verdicts, VerdictsWriter};
use super::summary::{Alarm, RosterSummary};
use super::summed::without_rosters;
use crate::error::Error;
use crate::intake::find_prepared;
use crate::progress::ProgressCallback;
use tallybox_model::roster::{DatedBatch, MOST_ENTRIES, OpenReason};
use tallybox_model::time::Window;

/// The most objects without a valid signature that are read per window. Objects after these wait
/// for the next window.
const MOST_UNSIGNED_OBJECTS: u64 = 4096;

/// The inputs for one window.
pub(super) struct Gathering<'a> {
    pub(super) store: &'a RosterStore<'a>,
    pub(super) progress: &'a Progress,
    pub(super) window: Window,
    pub(super) callback: &'a ProgressCallback,
}

impl Gathering<'_> {
    /// Writes the verdicts of the window unless they exist, and returns the existing ones.
    pub(super) async fn verdicts(&self, summary: &mut RosterSummary) -> Result<Verdicts, Error> {
        let store = self.store;
        let window = self.window;
        if let Some(verdicts) = store.find_verdicts(window).await? {
            return Ok(verdicts);
        }
        let mut writer = store.create_verdicts(window).await?;
        let candidates = self.carry(&mut writer).await?;
        let mut unsigned = 0;
        let mut left_out = 0;
        // Batches with a known signature come first, so that unsigned names cannot displace them.
        let (verified, unverified): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|(_, existing)| existing.listed || existing.prepared);
        for (batch, existing) in verified.into_iter().chain(unverified) {
            if writer.batches() >= MOST_ENTRIES || unsigned >= MOST_UNSIGNED_OBJECTS {
                left_out += 1;
                continue;
            }
            let is_listed = self.list(&mut writer, batch, existing, summary).await?;
            unsigned += u64::from(!is_listed);
        }
        if left_out > 0 {
            summary.alarm(Alarm::LeftOut {
                window: store.window(window).to_string(),
                batches: left_out,
            });
        }
        writer.finish().await?;
        let verdicts = store.find_verdicts(window).await?;
        verdicts.ok_or_else(|| {
            let object = store.window(window).verdicts();
            Error::Internal(format!("{object} disappeared"))
        })
    }

    /// Lists the batches of the previous roster again that can be summed and are still open.
    /// Returns all other batches that this roster may list.
    async fn carry(&self, writer: &mut VerdictsWriter) -> Result<Candidates, Error> {
        let dates = self.dates()?;
        let summed = without_rosters(self.store, dates).await?;
        let mut candidates = list_candidates(self.store, dates).await?;
        let is_closed =
            |batch: &DatedBatch| self.progress.history.is_closed(batch) || summed.contains(batch);
        if let Some(previous) = self.progress.policy.previous(self.window) {
            let verdicts = self.store.find_verdicts(previous).await?;
            for listed in verdicts.into_iter().flat_map(|verdicts| verdicts.listed) {
                let batch = listed.batch();
                if is_closed(&batch) {
                    continue;
                }
                let relisted = listed.relisted_in(previous);
                match relisted.filter(|_| self.is_open(batch)) {
                    Some(relisted) => {
                        candidates.remove(&batch);
                        writer.listed(&relisted).await?;
                    }
                    // A batch that has expired is reported once more, if the peer has not written
                    // its first roster.
                    None => candidates.entry(batch).or_default().listed = true,
                }
            }
        }
        candidates.retain(|batch, _| !is_closed(batch));
        candidates.retain(|batch, _| self.is_open(*batch) || self.is_remembered(*batch));
        Ok(candidates)
    }

    /// Returns the dates of the batches that are not too old, and of those that are reported as too
    /// late.
    fn dates(&self) -> Result<Window, Error> {
        let policy = &self.progress.policy;
        let start = policy.back(self.window, memory(policy.terms.maximum_age));
        Window::new(start, self.window.end()).map_err(|error| Error::Internal(error.to_string()))
    }

    fn is_open(&self, batch: DatedBatch) -> bool {
        let policy = &self.progress.policy;
        policy.is_within(batch, self.window, policy.terms.maximum_age)
    }

    fn is_remembered(&self, batch: DatedBatch) -> bool {
        let policy = &self.progress.policy;
        // Until both processors have written their first rosters, no window reports that a batch
        // has expired, so no batch is dropped.
        let peer_reach = self.progress.peer_reach;
        let begins = peer_reach.is_none_or(|reach| self.window.start() <= reach.start);
        begins || policy.is_within(batch, self.window, memory(policy.terms.maximum_age))
    }

    /// Lists a batch with its verdict, or with the reason for which there is none. Returns `false`
    /// if no object of the batch has a valid signature; then the batch is not listed.
    async fn list(
        &self,
        writer: &mut VerdictsWriter,
        batch: DatedBatch,
        existing: ExistingObjects,
        summary: &mut RosterSummary,
    ) -> Result<bool, Error> {
        let is_open = self.is_open(batch);
        let is_ours = existing.ingestion || existing.prepared;
        // Intake verifies the signature before it writes a prepared batch. Whether the object is a
        // prepared batch becomes known when it is opened.
        let is_trusted = existing.listed || (existing.prepared && is_open);
        if !is_trusted && !self.is_signed(batch, existing, summary).await? {
            return Ok(false);
        }
        let reason = if !is_open {
            OpenReason::TooLate
        } else if !is_ours {
            OpenReason::NoIngestion
        } else {
            let name = self.store.batch(batch);
            // An error that proves nothing about the batch, such as a failed bucket, makes the
            // roster wait.
            let judged = judge(
                self.store,
                writer,
                &name,
                existing.validation,
                self.callback,
            );
            match judged.await? {
                None => return Ok(true),
                Some(reason) => reason,
            }
        };
        if existing.prepared
            && is_ours_to_prove(reason)
            && !existing.listed
            && !self.is_signed(batch, existing, summary).await?
        {
            return Ok(false);
        }
        writer.listed(&Listed::Open { batch, reason }).await?;
        Ok(true)
    }

    /// Returns whether the ingestor has signed the batch, or the peer a validation batch for it.
    async fn is_signed(
        &self,
        batch: DatedBatch,
        existing: ExistingObjects,
        summary: &mut RosterSummary,
    ) -> Result<bool, Error> {
        let name = self.store.batch(batch);
        let processor = self.store.processor;
        let mut is_good = |signature, object: String| match signature {
            Signature::Good => true,
            Signature::Missing => false,
            Signature::Bad(problem) => {
                summary.alarm(Alarm::Unsigned { object, problem });
                false
            }
        };
        if existing.ingestion {
            let signature = signed::ingestion(self.store, &name).await?;
            if is_good(signature, name.ingestion().signature) {
                return Ok(true);
            }
        }
        if existing.validation {
            let signature = signed::validation(self.store, &name).await?;
            let peer = processor.buckets.role.peer();
            if is_good(signature, name.validation(peer).signature) {
                return Ok(true);
            }
        }
        if !existing.prepared {
            return Ok(false);
        }
        // The mailbox may already have deleted a batch that we have processed.
        match find_prepared(processor, &name).await {
            Ok(prepared) => Ok(prepared.is_some()),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(false),
        }
    }
}

/// Returns whether a reason can arise before the prepared batch is opened, which would prove that
/// the batch is signed.
fn is_ours_to_prove(reason: OpenReason) -> bool {
    !matches!(
        reason,
        OpenReason::NoValidation | OpenReason::BadValidation | OpenReason::NoAcceptedPacket
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_opened_prepared_batch_gives_a_reason_about_validations() {
        for reason in [OpenReason::NoIngestion, OpenReason::TooLate] {
            assert!(is_ours_to_prove(reason), "{reason:?}");
        }
        for reason in [
            OpenReason::NoValidation,
            OpenReason::BadValidation,
            OpenReason::NoAcceptedPacket,
        ] {
            assert!(!is_ours_to_prove(reason), "{reason:?}");
        }
    }
}
