//! From which window on rosters are used: found out from both announcements, and fixed in the own bucket for good.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tallybox_model::extensions::{
    ANNOUNCED, Bound, EXTENSIONS_SIZE_LIMIT, Extensions, ExtensionsError, Fixed, ROSTERS_FROM, ROSTERS_UNTIL,
    RosterExtension, RosterSwitch, RosterUse, Sighting, is_ahead,
};
use tallybox_model::task::TaskMarker;
use tallybox_model::time::BatchTime;
use tallybox_transport::{BucketError, Created, ListRange};

use crate::announcement::PeerAnnouncement;
use crate::error::Error;
use crate::inventory::Buckets;

/// What we announce, and where the peer does.
#[derive(Clone, Debug)]
pub struct Announcements {
    /// What we announce; `None`: nothing, we do as ENPA does.
    pub ours: Option<RosterExtension>,
    /// Where the peer's announcement is.
    pub peer: Arc<dyn PeerAnnouncement>,
}

/// What is known of the switch to rosters.
#[derive(Clone, Copy, Debug)]
pub struct SwitchState {
    /// For which windows rosters are used.
    pub rosters: RosterUse,
    /// What the last look for the peer's announcement came to, if one was needed.
    pub peer: Option<Sighting>,
}

impl Announcements {
    /// Finds out for which windows rosters are used, and writes nothing.
    ///
    /// # Errors
    /// [`Error::Bucket`], [`Error::Damaged`].
    pub async fn look(&self, buckets: &Buckets, minutes: u32, now: BatchTime) -> Result<SwitchState, Error> {
        let fixed = Fixed {
            from: fixed(buckets, ROSTERS_FROM).await?,
            until: fixed(buckets, ROSTERS_UNTIL).await?,
        };
        let ends = self.ours.is_some_and(|ours| ours.until.is_some());
        let matters = self.ours.is_some() && (fixed.from.is_none() || (ends && fixed.until.is_none()));
        let peer = match matters {
            true => Some(self.peer.look().await),
            false => None,
        };
        let seen = peer.unwrap_or(Sighting::Unknown);
        Ok(SwitchState {
            rosters: RosterUse::of(self.ours, &seen, &fixed, minutes, now),
            peer,
        })
    }

    /// As [`Self::look`], and fixes what has become known.
    ///
    /// # Errors
    /// As [`Self::look`], and [`Error::Setting`] for an announcement of ours that has been changed after it counted, or
    /// that comes too late for a processor that has summed windows already.
    pub async fn settle(&self, buckets: &Buckets, minutes: u32, now: BatchTime) -> Result<SwitchState, Error> {
        if let Some(ours) = self.ours {
            announce(buckets, ours, minutes, now).await?;
        }
        let state = self.look(buckets, minutes, now).await?;
        let mut again = false;
        for (key, bound) in [(ROSTERS_FROM, state.rosters.from), (ROSTERS_UNTIL, state.rosters.until)] {
            // What was fixed before was seen before, or is the same.
            if let (Some(Bound::Known(switch)), Some(_)) = (bound, state.peer)
                && switch.seen == now
            {
                again |= fix(buckets, key, switch, minutes).await? == Created::Exists;
            }
        }
        match again {
            // Another run was first: what it has written counts.
            true => self.look(buckets, minutes, now).await,
            false => Ok(state),
        }
    }
}

/// Fixes a switch, unless one is.
async fn fix(buckets: &Buckets, key: &str, switch: RosterSwitch, minutes: u32) -> Result<Created, Error> {
    let created = buckets.put_record(key, &switch.to_json()).await?;
    if created == Created::New {
        tracing::info!(object_key = key, window = %switch.window, "a switch of rosters is fixed");
        if !is_ahead(switch.window, switch.seen, minutes) {
            tracing::warn!(
                object_key = key,
                window = %switch.window,
                seen = %switch.seen,
                "a switch of rosters was seen less than two windows ahead: windows from then on may have been summed \
                 otherwise"
            );
        }
    }
    Ok(created)
}

/// Keeps what we announce, from the first run on: the peer counts on it.
async fn announce(buckets: &Buckets, ours: RosterExtension, minutes: u32, now: BatchTime) -> Result<(), Error> {
    if let Some(document) = optional(buckets, ANNOUNCED).await? {
        let before = Extensions::parse(&document).map_err(|error| damaged(buckets, ANNOUNCED, error))?;
        return match before.roster {
            Some(before) if before.since == ours.since => Ok(()),
            Some(before) => Err(Error::Setting(format!(
                "roster.since was announced as {}, which the peer may count on: it cannot become {}",
                before.since, ours.since
            ))),
            None => Err(damaged(buckets, ANNOUNCED, "it announces nothing")),
        };
    }
    if !is_ahead(ours.since, now, minutes) && has_summed(buckets).await? {
        return Err(Error::Setting(format!(
            "roster.since has to be at least two windows ahead of its announcement, and {} is not: the peer could not \
             see it in time",
            ours.since
        )));
    }
    let document = Extensions { roster: Some(ours) }.to_json();
    match buckets.put_record(ANNOUNCED, &document).await? {
        Created::New => Ok(()),
        // Another run was first; it is compared the next time.
        Created::Exists => Ok(()),
    }
}

/// Whether a sum was ever asked for.
async fn has_summed(buckets: &Buckets) -> Result<bool, BucketError> {
    let key = |suffix| format!("{}/aggregate{suffix}", TaskMarker::DIRECTORY);
    let range = ListRange {
        start_at: Some(key("-")),
        end_before: Some(key(".")),
    };
    let mut markers = buckets.own.list(TaskMarker::DIRECTORY, range).await?;
    Ok(markers.next().await.transpose()?.is_some())
}

async fn fixed(buckets: &Buckets, key: &str) -> Result<Option<RosterSwitch>, Error> {
    let document = optional(buckets, key).await?;
    let read = |document: Bytes| RosterSwitch::parse(&document);
    document
        .map(read)
        .transpose()
        .map_err(|error: ExtensionsError| damaged(buckets, key, error))
}

async fn optional(buckets: &Buckets, key: &str) -> Result<Option<Bytes>, BucketError> {
    buckets.read_record(key, EXTENSIONS_SIZE_LIMIT as u64).await
}

fn damaged(buckets: &Buckets, key: &str, problem: impl std::fmt::Display) -> Error {
    Error::Damaged {
        object: format!("{}: {key}", buckets.own.location()),
        problem: problem.to_string(),
    }
}
