//! Determines from which window on rosters are used, from both announcements, and records the
//! result permanently in the processor's own bucket.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tallybox_model::extensions::{
    ANNOUNCED, Bound, EXTENSIONS_SIZE_LIMIT, Extensions, ExtensionsError, Fixed, ROSTERS_FROM,
    ROSTERS_UNTIL, RosterExtension, RosterSwitch, RosterUse, Sighting, is_ahead,
};
use tallybox_model::task::TaskMarker;
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, Created, ListRange};

use crate::announcement::PeerAnnouncement;
use crate::error::Error;
use crate::inventory::ManagerBuckets;

/// The announcements of both processors.
#[derive(Clone, Debug)]
pub struct Announcements {
    /// This processor's announcement; `None` if it announces nothing and works as ENPA does.
    pub ours: Option<RosterExtension>,
    /// The source of the peer's announcement.
    pub peer: Arc<dyn PeerAnnouncement>,
}

/// The current state of the switch to rosters.
#[derive(Clone, Copy, Debug)]
pub struct SwitchState {
    /// The windows for which rosters are used.
    pub rosters: RosterUse,
    /// The result of reading the peer's announcement, if that was necessary.
    pub peer: Option<Sighting>,
}

impl Announcements {
    /// Determines for which windows rosters are used. Writes nothing.
    ///
    /// # Errors
    /// [`Error::Bucket`], [`Error::Damaged`].
    pub async fn observe(
        &self,
        buckets: &ManagerBuckets,
        minutes: u32,
        now: BatchTime,
    ) -> Result<SwitchState, Error> {
        let fixed = Fixed {
            from: fixed(buckets, ROSTERS_FROM).await?,
            until: fixed(buckets, ROSTERS_UNTIL).await?,
        };
        let ends = self.ours.is_some_and(|ours| ours.until.is_some());
        let matters =
            self.ours.is_some() && (fixed.from.is_none() || (ends && fixed.until.is_none()));
        let peer = match matters {
            true => Some(self.peer.observe().await),
            false => None,
        };
        let sighting = peer.unwrap_or(Sighting::Unknown);
        Ok(SwitchState {
            rosters: RosterUse::of(self.ours, &sighting, &fixed, minutes, now),
            peer,
        })
    }

    /// Does the same as [`Self::observe`], and records newly determined switches.
    ///
    /// # Errors
    /// As [`Self::observe`], and [`Error::Setting`] if this processor's announcement differs
    /// from the recorded one, or comes too late because windows have been summed already.
    pub async fn fix_switch(
        &self,
        buckets: &ManagerBuckets,
        minutes: u32,
        now: BatchTime,
    ) -> Result<SwitchState, Error> {
        if let Some(ours) = self.ours {
            announce(buckets, ours, minutes, now).await?;
        }
        let state = self.observe(buckets, minutes, now).await?;
        let mut recorded_before = false;
        for (key, bound) in [
            (ROSTERS_FROM, state.rosters.from),
            (ROSTERS_UNTIL, state.rosters.until),
        ] {
            // Only a switch that this run has observed first needs a record; an earlier one has it.
            if let (Some(Bound::Known(switch)), Some(_)) = (bound, state.peer)
                && switch.seen == now
            {
                recorded_before |= fix(buckets, key, switch, minutes).await? == Created::Exists;
            }
        }
        match recorded_before {
            // Another run has recorded a switch first; its record is binding.
            true => self.observe(buckets, minutes, now).await,
            false => Ok(state),
        }
    }
}

/// Records a switch, unless one is already recorded.
async fn fix(
    buckets: &ManagerBuckets,
    key: &str,
    switch: RosterSwitch,
    minutes: u32,
) -> Result<Created, Error> {
    let created = buckets.put_record(key, &switch.to_json()).await?;
    if created == Created::New {
        tracing::info!(object_key = key, window = %switch.window, "a roster switch is recorded");
        if !is_ahead(switch.window, switch.seen, minutes) {
            tracing::warn!(
                object_key = key,
                window = %switch.window,
                seen = %switch.seen,
                "a roster switch was seen less than two windows ahead: later windows may have been summed in \
                 the other mode"
            );
        }
    }
    Ok(created)
}

/// Records this processor's announcement at the first run, because the peer relies on it.
async fn announce(
    buckets: &ManagerBuckets,
    ours: RosterExtension,
    minutes: u32,
    now: BatchTime,
) -> Result<(), Error> {
    if let Some(document) = optional(buckets, ANNOUNCED).await? {
        let before =
            Extensions::parse(&document).map_err(|error| damaged(buckets, ANNOUNCED, error))?;
        return match before.roster {
            Some(before) if before.since == ours.since => Ok(()),
            Some(before) => Err(Error::Setting(format!(
                "roster.since was announced as {}, and the peer may rely on it: it cannot be changed to {}",
                before.since, ours.since
            ))),
            None => Err(damaged(
                buckets,
                ANNOUNCED,
                "the record announces no rosters",
            )),
        };
    }
    if !is_ahead(ours.since, now, minutes) && has_summed(buckets).await? {
        return Err(Error::Setting(format!(
            "roster.since must be at least two windows ahead of its announcement, and {} is not: the peer might not \
             see it in time; choose a later time",
            ours.since
        )));
    }
    let document = Extensions { roster: Some(ours) }.to_json();
    match buckets.put_record(ANNOUNCED, &document).await? {
        Created::New => Ok(()),
        // Another run has recorded an announcement first; the next run compares it.
        Created::Exists => Ok(()),
    }
}

/// Returns whether a sum was ever started.
async fn has_summed(buckets: &ManagerBuckets) -> Result<bool, BucketError> {
    let key = |suffix| format!("{}/aggregate{suffix}", TaskMarker::DIRECTORY);
    let range = ListRange {
        start_at: Some(key("-")),
        end_before: Some(key(".")),
    };
    let mut markers = buckets.own.list(TaskMarker::DIRECTORY, range).await?;
    Ok(markers.next().await.transpose()?.is_some())
}

async fn fixed(buckets: &ManagerBuckets, key: &str) -> Result<Option<RosterSwitch>, Error> {
    let document = optional(buckets, key).await?;
    let read = |document: Bytes| RosterSwitch::parse(&document);
    document
        .map(read)
        .transpose()
        .map_err(|error: ExtensionsError| damaged(buckets, key, error))
}

async fn optional(buckets: &ManagerBuckets, key: &str) -> Result<Option<Bytes>, BucketError> {
    buckets.read_record(key, EXTENSIONS_SIZE_LIMIT as u64).await
}

fn damaged(buckets: &ManagerBuckets, key: &str, problem: impl std::fmt::Display) -> Error {
    Error::Damaged {
        object: format!("{}: {key}", buckets.own.location()),
        problem: problem.to_string(),
    }
}
