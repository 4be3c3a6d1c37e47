//! The rules by which this processor writes rosters: what its configuration says, and from when on both sides write them.

use super::agreement::memory;
use super::patience::patiently;
use crate::error::Error;
use crate::processor::Processor;
use tallybox_model::extensions::{ROSTERS_FROM, ROSTERS_UNTIL, RosterSwitch};
use tallybox_model::roster::RosterTerms;
use tallybox_model::time::{BatchTime, Window, aligned_window};
use tallybox_transport::{BucketError, read_all};

/// The largest switch that is read.
const SWITCH_BYTES: u64 = 4 << 10;

/// What the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterRules {
    /// Start of the first window of which rosters are written; `None`: as it is fixed in the own bucket.
    pub origin: Option<BatchTime>,
    /// Length of a window in minutes.
    pub period_minutes: u32,
    /// How long after a window's end its roster is written, in minutes.
    pub grace_minutes: u32,
    /// For how many windows before its own a packet id is remembered.
    pub replay_horizon: u32,
    /// The fewest packets for which a sum is released.
    pub minimum: u64,
    /// In how many windows after its own a batch may still be summed.
    pub maximum_age: u32,
}

impl RosterRules {
    /// The rules with the origin that holds: that of the configuration, or what the workflow manager has fixed in the own
    /// bucket once both sides had announced rosters.
    ///
    /// # Errors
    /// [`Error::NoRosters`] if there is no origin; the own bucket's.
    pub async fn policy(&self, processor: &Processor) -> Result<RosterPolicy, Error> {
        let (origin, until) = match self.origin {
            Some(origin) => (Some(origin), None),
            None => (
                switch(processor, ROSTERS_FROM).await?,
                switch(processor, ROSTERS_UNTIL).await?,
            ),
        };
        Ok(RosterPolicy {
            terms: RosterTerms {
                origin: origin.ok_or(Error::NoRosters)?,
                period_minutes: self.period_minutes,
                replay_horizon: self.replay_horizon,
                minimum: self.minimum,
                maximum_age: self.maximum_age,
            },
            grace_minutes: self.grace_minutes,
            until,
        })
    }
}

async fn switch(processor: &Processor, object: &str) -> Result<Option<BatchTime>, Error> {
    patiently!(read_switch(processor, object))
}

async fn read_switch(processor: &Processor, object: &str) -> Result<Option<BatchTime>, Error> {
    match read_all(&*processor.buckets.own, object, SWITCH_BYTES).await {
        Err(BucketError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(text) => {
            let switch = RosterSwitch::parse(&text)
                .map_err(|error| Error::Internal(format!("{object} in the own bucket: {error}")))?;
            Ok(Some(switch.window))
        }
    }
}

/// The rules of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterPolicy {
    /// What stands in every roster.
    pub terms: RosterTerms,
    /// How long after a window's end its roster is written, in minutes.
    pub grace_minutes: u32,
    /// End of the last window of which rosters are written, if they end.
    pub until: Option<BatchTime>,
}

impl RosterPolicy {
    /// The window that holds a time; `None` at the ends of the years 1 to 9999.
    #[must_use]
    pub fn window_of(&self, time: BatchTime) -> Option<Window> {
        aligned_window(time, self.terms.period_minutes)
    }

    /// The start of the window so many windows before, but not before the origin.
    #[must_use]
    pub fn back(&self, window: Window, windows: u32) -> BatchTime {
        let minutes = i64::from(windows) * i64::from(self.terms.period_minutes);
        let start = window.start().plus_minutes(-minutes);
        start.map_or(self.terms.origin, |start| start.max(self.terms.origin))
    }

    /// Whether rosters are written of a window that starts then.
    #[must_use]
    pub fn holds(&self, window: Window) -> bool {
        window.start() >= self.terms.origin && self.until.is_none_or(|until| window.start() < until)
    }

    /// Whether no later window has rosters: then what it leaves open is never summed.
    #[must_use]
    pub fn is_last(&self, window: Window) -> bool {
        self.until.is_some_and(|until| window.end() >= until)
    }

    /// How many windows before a window matter for it.
    #[must_use]
    pub fn horizon(&self) -> u32 {
        memory(self.terms.maximum_age).max(self.terms.replay_horizon)
    }

    /// When the roster of a window is due, in milliseconds since the epoch.
    #[must_use]
    pub fn due_millis(&self, window: Window) -> i64 {
        window.end().millis() + i64::from(self.grace_minutes) * 60_000
    }

    /// Checks that a task names a window of these rules.
    ///
    /// # Errors
    /// [`Error::NoSuchWindow`].
    pub fn check(&self, window: Window) -> Result<(), Error> {
        let problem = if self.window_of(window.start()) != Some(window) {
            format!("it is no window of {} minutes", self.terms.period_minutes)
        } else if window.start() < self.terms.origin {
            format!("rosters are written from {} on", self.terms.origin)
        } else if let Some(until) = self.until.filter(|until| window.end() > *until) {
            format!("rosters are written until {until}")
        } else {
            return Ok(());
        };
        Err(Error::NoSuchWindow {
            window: window.to_string(),
            problem,
        })
    }
}
