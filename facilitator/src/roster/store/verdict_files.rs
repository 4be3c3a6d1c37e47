//! Finds the verdicts of the batches that a roster lists: a batch that is listed again has its
//! verdict in the file of an earlier window.

use super::listed::{Listed, Verdict};
use super::{RosterStore, Verdicts};
use crate::error::Error;
use std::collections::BTreeMap;
use tallybox_model::roster::{DatedBatch, OpenReason};
use tallybox_model::time::Window;

/// The files of verdicts on which our roster of a window depends, each opened once.
pub(crate) struct VerdictFiles<'a> {
    store: &'a RosterStore<'a>,
    window: Window,
    windows: BTreeMap<DatedBatch, Window>,
    open: BTreeMap<Window, Verdicts>,
}

impl<'a> VerdictFiles<'a> {
    pub(crate) async fn open(store: &'a RosterStore<'a>, window: Window) -> Result<Self, Error> {
        let own = store.find_verdicts(window).await?;
        let own = own.ok_or_else(|| {
            let object = store.window(window).verdicts();
            Error::Internal(format!("{object} is missing"))
        })?;
        let window_of = |listed: &Listed| match listed {
            Listed::New(verdict) => Some((verdict.batch, window)),
            Listed::Relisted {
                batch, verdicts, ..
            } => Some((*batch, *verdicts)),
            Listed::Open { .. } => None,
        };
        Ok(Self {
            store,
            window,
            windows: own.listed.iter().filter_map(window_of).collect(),
            open: BTreeMap::from([(window, own)]),
        })
    }

    /// Returns the batches dated in this window of which the peer rejects every packet.
    pub(crate) fn without_accepted_packet(&self) -> Vec<DatedBatch> {
        let own = self.open.get(&self.window).into_iter();
        let rejected = own
            .flat_map(|own| &own.listed)
            .filter_map(|listed| match listed {
                Listed::Open {
                    batch,
                    reason: OpenReason::NoAcceptedPacket,
                } => Some(*batch),
                _ => None,
            });
        rejected
            .filter(|batch| self.window.contains(batch.date))
            .collect()
    }

    /// Returns the verdict of a batch, and the file that contains it.
    pub(crate) async fn find(&mut self, batch: DatedBatch) -> Result<(&Verdicts, &Verdict), Error> {
        let missing = || {
            Error::Internal(format!(
                "batch {batch}: our roster lists the batch, but its verdict is missing"
            ))
        };
        let window = *self.windows.get(&batch).ok_or_else(missing)?;
        if !self.open.contains_key(&window) {
            let file = self.store.find_verdicts(window).await?;
            self.open.insert(window, file.ok_or_else(missing)?);
        }
        let file = self.open.get(&window).ok_or_else(missing)?;
        let verdict = file.verdict(batch).ok_or_else(missing)?;
        Ok((file, verdict))
    }
}
