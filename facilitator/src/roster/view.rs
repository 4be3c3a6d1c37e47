//! Views for operators: both rosters of a window, and the windows that list a batch.

use super::agreement::{Roster, age, memory};
use super::earlier::{EarlierOutcome, find_earlier_outcomes};
use super::policy::RosterPolicy;
use super::store::{RosterStore, read_policy};
use crate::error::Error;
use crate::processor::Processor;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, DatedBatch, Listing, ListingStatus, WindowName};
use tallybox_model::time::{BatchTime, Window};

/// The entry of a batch in one processor's roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SideView {
    /// Summable, or the reason for which it is not.
    #[serde(rename = "word")]
    pub status: ListingStatus,
    /// The number of packets that the processor accepts.
    pub accepted: Option<u64>,
}

/// A batch in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchView {
    /// The window.
    pub window: Window,
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// The age of the batch in windows.
    pub age: Option<u32>,
    /// The entries of the first and the second processor; `None` if the batch is not in the roster,
    /// or there is no roster.
    pub sides: [Option<SideView>; 2],
    /// The outcome in this window.
    pub outcome: AgreementOutcome,
    /// The earlier window that summed or excluded the batch, if there is one. Then this window
    /// cannot sum it.
    pub earlier: Option<EarlierOutcome>,
}

/// The outcome of a batch in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgreementOutcome {
    /// The batch is in the sum part.
    Summed,
    /// The two processors list different packets, so the batch is never summed.
    Excluded,
    /// The window was the last one of the batch.
    Expired,
    /// A later window can contain the batch.
    Open,
    /// One of the two rosters is missing.
    Waiting,
}

impl fmt::Display for AgreementOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Summed => "summed",
            Self::Excluded => "excluded",
            Self::Expired => "expired",
            Self::Open => "open",
            Self::Waiting => "waiting",
        })
    }
}

/// The location of a roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whereabouts {
    /// The roster does not exist yet.
    Missing,
    /// The roster is recorded in the own bucket.
    Own,
    /// The peer's roster is in the mailbox; the next run copies it.
    Mailbox,
    /// The peer's roster is in the mailbox and is invalid, with the problem.
    Refused(String),
}

/// Both rosters of a window, with the agreed set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowView {
    /// The processor that shows the view.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// The locations of the first and the second processor's rosters.
    pub rosters: [Whereabouts; 2],
    /// The agreed set, if there is one.
    pub agreed: Option<AgreedWindow>,
    /// Every batch that is in one of the rosters.
    pub batches: Vec<BatchView>,
}

/// Reads both rosters of a window.
///
/// # Errors
/// [`Error`] if a bucket fails or our roster is damaged.
pub async fn show(processor: &Arc<Processor>, name: &WindowName) -> Result<WindowView, Error> {
    let policy = read_policy(&processor.buckets, &processor.limits).await?;
    let store = RosterStore::new(processor, &name.aggregation);
    show_window(&store, &policy, name.window).await
}

async fn show_window(
    store: &RosterStore<'_>,
    policy: &RosterPolicy,
    window: Window,
) -> Result<WindowView, Error> {
    policy.check(window)?;
    let (first, first_whereabouts) = read(store, window, Role::First).await?;
    let (second, second_whereabouts) = read(store, window, Role::Second).await?;
    let agreed = store.find_agreed(window).await?;
    let sides = [first.as_ref(), second.as_ref()];
    let all: BTreeSet<DatedBatch> = sides
        .iter()
        .flatten()
        .flat_map(|roster| roster.entries.keys().copied())
        .collect();
    let outcomes = agreed.as_ref().map(find_outcomes);
    let outcome = |batch| match &outcomes {
        None => AgreementOutcome::Waiting,
        Some(outcomes) => *outcomes.get(&batch).unwrap_or(&AgreementOutcome::Open),
    };
    let mut earlier = find_earlier_outcomes(store, policy, window, &all).await?;
    let mut view = |batch: DatedBatch| BatchView {
        window,
        batch,
        age: age(batch.date, window, policy.terms.period_minutes),
        sides: sides.map(|roster| side(roster?.entries.get(&batch)?)),
        outcome: outcome(batch),
        earlier: earlier.remove(&batch),
    };
    let batches = all.into_iter().map(&mut view).collect();
    Ok(WindowView {
        role: store.processor.buckets.role,
        aggregation: store.aggregation.clone(),
        window,
        rosters: [first_whereabouts, second_whereabouts],
        agreed,
        batches,
    })
}

/// Returns the view of a batch in each window from its own on, up to the window that sums, excludes
/// or expires it.
///
/// # Errors
/// As [`show`]; [`Error::NoSuchWindow`] if the date is before the first window with a roster.
pub async fn explain(
    processor: &Arc<Processor>,
    aggregation: &AggregationId,
    date: BatchTime,
    batch: BatchId,
) -> Result<Vec<BatchView>, Error> {
    let policy = read_policy(&processor.buckets, &processor.limits).await?;
    let store = RosterStore::new(processor, aggregation);
    let none = || Error::NoSuchWindow {
        window: date.to_string(),
        problem: "no window contains this date".to_owned(),
    };
    let own = policy.window_of(date).ok_or_else(none)?;
    policy.check(own)?;
    let mut views = Vec::new();
    let windows = memory(policy.terms.maximum_age) as usize + 1;
    for window in policy.windows_from(own).take(windows) {
        let view = show_window(&store, &policy, window).await?;
        // Rosters are written in order, so there are none for later windows either.
        if view.rosters == [Whereabouts::Missing, Whereabouts::Missing] {
            break;
        }
        let found = view.batches.into_iter().find(|view| view.batch.id == batch);
        let found = found.unwrap_or(BatchView {
            window,
            batch: DatedBatch { date, id: batch },
            age: age(date, window, policy.terms.period_minutes),
            sides: [None, None],
            outcome: if view.agreed.is_some() {
                AgreementOutcome::Open
            } else {
                AgreementOutcome::Waiting
            },
            earlier: None,
        });
        let settled = !matches!(
            found.outcome,
            AgreementOutcome::Open | AgreementOutcome::Waiting
        );
        views.push(found);
        if settled {
            break;
        }
    }
    Ok(views)
}

/// Reads a roster and its location. The peer's roster may still be in the mailbox.
async fn read(
    store: &RosterStore<'_>,
    window: Window,
    writer: Role,
) -> Result<(Option<Roster>, Whereabouts), Error> {
    if let Some(roster) = store.find_roster(window, writer).await? {
        return Ok((Some(roster), Whereabouts::Own));
    }
    if writer == store.processor.buckets.role {
        return Ok((None, Whereabouts::Missing));
    }
    let Some(file) = store.fetch_peer_roster(window).await? else {
        return Ok((None, Whereabouts::Missing));
    };
    Ok(match store.decode(window, writer, &file) {
        Ok(roster) => (Some(roster), Whereabouts::Mailbox),
        Err(error) => (None, Whereabouts::Refused(error.to_string())),
    })
}

fn side(listing: &Listing) -> Option<SideView> {
    Some(match listing {
        Listing::Summable(claim) => SideView {
            status: ListingStatus::Summable,
            accepted: Some(claim.accepted),
        },
        Listing::Open(reason) => SideView {
            status: ListingStatus::Open(*reason),
            accepted: None,
        },
    })
}

/// Returns the outcome of each batch in an agreed set.
fn find_outcomes(agreed: &AgreedWindow) -> HashMap<DatedBatch, AgreementOutcome> {
    let mut outcomes = HashMap::new();
    for expired in &agreed.expired {
        outcomes.insert(expired.batch, AgreementOutcome::Expired);
    }
    for excluded in &agreed.excluded {
        outcomes.insert(*excluded, AgreementOutcome::Excluded);
    }
    for summed in &agreed.batches {
        outcomes.insert(summed.batch, AgreementOutcome::Summed);
    }
    outcomes
}

impl fmt::Display for SideView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.accepted) {
            (ListingStatus::Open(reason), _) => f.pad(reason.as_str()),
            (ListingStatus::Summable, accepted) => {
                f.pad(&format!("{} packets", accepted.unwrap_or_default()))
            }
        }
    }
}

impl fmt::Display for BatchView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for side in &self.sides {
            match side {
                Some(side) => write!(f, "{side:<20}")?,
                None => write!(f, "{:<20}", "-")?,
            }
        }
        match &self.earlier {
            Some(earlier) => write!(f, "{} earlier, in {}", earlier.outcome, earlier.window),
            None => write!(f, "{}", self.outcome),
        }
    }
}

impl fmt::Display for WindowView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {}, view of the {} processor",
            self.aggregation, self.window, self.role
        )?;
        for (role, whereabouts) in Role::ALL.into_iter().zip(&self.rosters) {
            match whereabouts {
                Whereabouts::Own => {}
                Whereabouts::Missing => {
                    writeln!(f, "  the roster of the {role} processor is missing")?
                }
                Whereabouts::Mailbox => writeln!(
                    f,
                    "  the roster of the {role} processor is in the mailbox; the next run copies it"
                )?,
                Whereabouts::Refused(problem) => writeln!(
                    f,
                    "  the roster of the {role} processor in the mailbox is invalid: {problem}"
                )?,
            }
        }
        if self.batches.is_empty() {
            writeln!(f, "  no roster lists a batch")?;
        } else {
            writeln!(f, "  {:<54}{:<20}{:<20}outcome", "batch", "first", "second")?;
        }
        for view in &self.batches {
            writeln!(f, "  {:<54}{view}", view.batch.to_string())?;
        }
        match &self.agreed {
            None => write!(f, "  not agreed yet"),
            Some(AgreedWindow {
                below_minimum: Some(packets),
                minimum,
                ..
            }) => write!(
                f,
                "  not summed: {packets} packets are below the minimum of {minimum}; the batches \
                 stay open"
            ),
            Some(agreed) => write!(
                f,
                "  agreed: {} batches, {} packets",
                agreed.batches.len(),
                agreed.counted
            ),
        }
    }
}
