//! Gathers the batches that a roster lists: those of the previous roster that are still open, and
//! new ones.

use super::agreement::memory;
use super::agreement_state::AgreementState;
use super::candidates::{Candidates, ExistingObjects, list_candidates};
use super::judge::judge;
use super::policy::RosterPolicy;
use super::signed::{self, Signature};
use super::store::listed::Listed;
use super::store::verdicts::{Verdicts, VerdictsWriter};
use super::summary::{Alarm, RosterSummary};
use super::summed::without_rosters;
use crate::error::Error;
use crate::intake::find_prepared;
use crate::processor::Processor;
use crate::progress::ProgressCallback;
use std::sync::Arc;
use tallybox_model::path::BatchName;
use tallybox_model::roster::{DatedBatch, MOST_ENTRIES, OpenReason, WindowName};
use tallybox_model::time::Window;

/// The most objects without a valid signature that are read per window. Objects after these wait
/// for the next window.
const MOST_UNSIGNED_OBJECTS: u64 = 4096;

/// The inputs for one window.
pub(super) struct Gathering<'a> {
    pub(super) processor: &'a Arc<Processor>,
    pub(super) name: &'a WindowName,
    pub(super) state: &'a AgreementState,
    pub(super) progress: &'a ProgressCallback,
}

impl Gathering<'_> {
    /// Writes the verdicts of the window unless they exist, and returns the existing ones.
    pub(super) async fn verdicts(&self, summary: &mut RosterSummary) -> Result<Verdicts, Error> {
        let (processor, name) = (self.processor, self.name);
        if let Some(verdicts) = Verdicts::open(processor, name).await? {
            return Ok(verdicts);
        }
        let mut writer = VerdictsWriter::create(processor, name).await?;
        let existing = self.carry(&mut writer).await?;
        let (mut unsigned, mut left_out) = (0, 0);
        // Batches with a known signature come first, so that unsigned names cannot displace them.
        let (verified, unverified): (Vec<_>, Vec<_>) = existing
            .into_iter()
            .partition(|(_, existing)| existing.listed || existing.prepared);
        for (batch, existing) in verified.into_iter().chain(unverified) {
            if writer.batches() >= MOST_ENTRIES || unsigned >= MOST_UNSIGNED_OBJECTS {
                left_out += 1;
                continue;
            }
            let listed = self.listed(&mut writer, (batch, existing), summary).await?;
            unsigned += u64::from(!listed);
        }
        if left_out > 0 {
            summary.alarm(Alarm::LeftOut {
                window: name.to_string(),
                batches: left_out,
            });
        }
        writer.finish().await?;
        let verdicts = Verdicts::open(processor, name).await?;
        verdicts.ok_or_else(|| Error::Internal(format!("{} disappeared", name.verdicts())))
    }

    /// Lists the batches of the previous roster again that can be summed and are still open.
    /// Returns all other batches that this roster may list.
    async fn carry(&self, writer: &mut VerdictsWriter) -> Result<Candidates, Error> {
        let (processor, name, policy) = (self.processor, self.name, &self.state.policy);
        let dates = dates(policy, name)?;
        let summed = without_rosters(&processor.buckets, name, dates).await?;
        let mut existing = list_candidates(&processor.buckets, name, dates).await?;
        for listed in before(processor, policy, name).await? {
            let batch = listed.batch();
            if self.state.history.is_closed(&batch) || summed.contains(&batch) {
                continue;
            }
            if !self.is_open(batch) {
                // The batch has expired, unless the peer has not written its first roster: this
                // roster reports it once more.
                existing.entry(batch).or_default().listed = true;
                continue;
            }
            let previous = policy.previous(name.window).unwrap_or(name.window);
            match listed.relisted_in(previous) {
                Some(relisted) => {
                    existing.remove(&batch);
                    writer.listed(&relisted).await?;
                }
                None => existing.entry(batch).or_default().listed = true,
            }
        }
        existing.retain(|batch, _| !self.state.history.is_closed(batch) && !summed.contains(batch));
        existing.retain(|batch, _| self.is_open(*batch) || self.is_remembered(*batch));
        Ok(existing)
    }

    fn is_open(&self, batch: DatedBatch) -> bool {
        let policy = &self.state.policy;
        policy.is_within(batch, self.name.window, policy.terms.maximum_age)
    }

    fn is_remembered(&self, batch: DatedBatch) -> bool {
        let policy = &self.state.policy;
        // Until both processors have written their first rosters, no window reports that a batch
        // has expired, so no batch is dropped.
        let begins = self
            .state
            .theirs
            .is_none_or(|theirs| self.name.window.start() <= theirs.start);
        begins || policy.is_within(batch, self.name.window, memory(policy.terms.maximum_age))
    }

    fn batch(&self, batch: DatedBatch) -> BatchName {
        BatchName {
            aggregation: self.name.aggregation.clone(),
            date: batch.date,
            id: batch.id,
        }
    }

    /// Lists a batch with its verdict, or with the reason for which there is none. Returns `false`
    /// if no object of the batch has a valid signature; then the batch is not listed.
    async fn listed(
        &self,
        writer: &mut VerdictsWriter,
        (batch, existing): (DatedBatch, ExistingObjects),
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
            // An error that proves nothing about the batch, such as a failed bucket, makes the
            // roster wait.
            let batch = self.batch(batch);
            let has_validation = existing.validation;
            match judge(
                self.processor,
                writer,
                &batch,
                has_validation,
                self.progress,
            )
            .await?
            {
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
        let name = self.batch(batch);
        if existing.ingestion {
            match signed::ingestion(self.processor, &name).await? {
                Signature::Good => return Ok(true),
                Signature::Missing => {}
                Signature::Bad(problem) => summary.alarm(Alarm::Unsigned {
                    object: name.ingestion().signature,
                    problem,
                }),
            }
        }
        if existing.validation {
            match signed::validation(self.processor, &name).await? {
                Signature::Good => return Ok(true),
                Signature::Missing => {}
                Signature::Bad(problem) => summary.alarm(Alarm::Unsigned {
                    object: name
                        .validation(self.processor.buckets.role.peer())
                        .signature,
                    problem,
                }),
            }
        }
        if !existing.prepared {
            return Ok(false);
        }
        // The mailbox may already have deleted a batch that we have processed.
        match find_prepared(self.processor, &name).await {
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

/// Returns the batches of our roster of the previous window.
async fn before(
    processor: &Processor,
    policy: &RosterPolicy,
    name: &WindowName,
) -> Result<Vec<Listed>, Error> {
    // The first possible window has no previous one.
    let Some(window) = policy.previous(name.window) else {
        return Ok(Vec::new());
    };
    let before = WindowName {
        aggregation: name.aggregation.clone(),
        window,
    };
    let verdicts = Verdicts::open(processor, &before).await?;
    Ok(verdicts.map(|verdicts| verdicts.listed).unwrap_or_default())
}

/// Returns the dates of the batches that are not too old, and of those that are reported as too
/// late.
fn dates(policy: &RosterPolicy, name: &WindowName) -> Result<Window, Error> {
    let start = policy.back(name.window, memory(policy.terms.maximum_age));
    Window::new(start, name.window.end()).map_err(|error| Error::Internal(error.to_string()))
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
