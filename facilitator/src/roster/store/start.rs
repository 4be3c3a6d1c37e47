//! The records that fix when rosters start: of the instance, and of each aggregation.

use super::{RosterStore, retry_read};
use crate::buckets::Buckets;
use crate::error::Error;
use crate::limits::Limits;
use crate::roster::policy::RosterPolicy;
use tallybox_model::extensions::{ROSTERS_FROM, ROSTERS_UNTIL, RosterSwitch};
use tallybox_model::roster::chain;
use tallybox_model::time::BatchTime;

/// The largest size of a switch record, in bytes.
const SWITCH_BYTES: u64 = 4 << 10;

/// Returns the configured rules with the origin in force: the one in the configuration, or the one
/// that the workflow manager recorded in the own bucket when both processors had announced rosters.
///
/// # Errors
/// [`Error::NoRosters`] if there is no origin, or an error of the own bucket.
pub(crate) async fn read_policy(buckets: &Buckets, limits: &Limits) -> Result<RosterPolicy, Error> {
    let rules = limits.rosters.ok_or(Error::NoRosters)?;
    let (origin, until) = match rules.origin {
        Some(origin) => (Some(origin), None),
        None => (
            retry_read(|| read_switch(buckets, ROSTERS_FROM)).await?,
            retry_read(|| read_switch(buckets, ROSTERS_UNTIL)).await?,
        ),
    };
    let origin = origin.ok_or(Error::NoRosters)?;
    Ok(RosterPolicy::new(&rules, origin, until))
}

async fn read_switch(buckets: &Buckets, object: &str) -> Result<Option<BatchTime>, Error> {
    let Some(text) = buckets.read_record(object, SWITCH_BYTES).await? else {
        return Ok(None);
    };
    let malformed = |error| Error::Internal(format!("{object} in the own bucket: {error}"));
    let switch = RosterSwitch::parse(&text).map_err(malformed)?;
    Ok(Some(switch.window))
}

impl RosterStore<'_> {
    /// Returns the start of the first window with a roster of ours, if it is recorded.
    pub(crate) async fn find_start(&self) -> Result<Option<BatchTime>, Error> {
        let object = chain(self.aggregation);
        retry_read(|| self.processor.buckets.read_text(&object)).await
    }

    /// Records the start of the first window. Returns the recorded start, which may come from
    /// another run.
    pub(crate) async fn record_start(&self, start: BatchTime) -> Result<BatchTime, Error> {
        let object = chain(self.aggregation);
        let before = self.processor.buckets.fix_text(&object, &start).await?;
        Ok(before.unwrap_or(start))
    }
}
