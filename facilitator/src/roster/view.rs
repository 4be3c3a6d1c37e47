//! Both sides' view of a window, and the way of a batch through the windows: for people who ask why.

use super::agreement::{Roster, age, memory};
use super::chain::from;
use super::document::{decode, roster_bytes};
use super::earlier::{EarlierOutcome, settled_before};
use super::settle::read_agreed;
use crate::error::Error;
use crate::processor::Processor;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use tallybox_model::id::{AggregationId, BatchId};
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, DatedBatch, LastWord, Listing, WindowName};
use tallybox_model::time::{BatchTime, Window};
use tallybox_transport::{BucketError, read_all};

/// What a side says of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SideView {
    /// That it can be summed, or why not.
    pub word: LastWord,
    /// Packets that it would count.
    pub accepted: Option<u64>,
}

/// A batch as one window sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BatchView {
    /// The window.
    pub window: Window,
    /// The batch.
    #[serde(flatten)]
    pub batch: DatedBatch,
    /// How many windows old it is.
    pub age: Option<u32>,
    /// What the first and the second processor say; nothing if it is not in their roster, or there is none.
    pub sides: [Option<SideView>; 2],
    /// What became of it.
    pub outcome: Outcome,
    /// The earlier window that settled it, if one did: this window cannot sum it any more.
    pub earlier: Option<EarlierOutcome>,
}

/// What became of a batch in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is in the sum.
    Summed,
    /// Both sides list other packets of it: it is never summed.
    Excluded,
    /// This was its last window.
    Expired,
    /// A later window can hold it.
    Open,
    /// One of the rosters is not there yet.
    Waiting,
}

impl fmt::Display for Outcome {
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

/// Where a roster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whereabouts {
    /// Nowhere yet.
    Missing,
    /// In the own bucket, for good.
    Own,
    /// The peer's, in the mailbox: the next run takes it in.
    Mailbox,
    /// The peer's, in the mailbox, and nobody can take it in; why not.
    Refused(String),
}

/// Both rosters of a window, side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WindowView {
    /// Which processor looks.
    pub role: Role,
    /// The aggregation.
    pub aggregation: AggregationId,
    /// The window.
    pub window: Window,
    /// Where the first and the second processor's rosters are.
    pub rosters: [Whereabouts; 2],
    /// What is agreed on, if anything is.
    pub agreed: Option<AgreedWindow>,
    /// Every batch of either roster.
    pub batches: Vec<BatchView>,
}

/// Both rosters of a window.
///
/// # Errors
/// [`Error`]: a bucket that fails, a roster of ours that is damaged.
pub async fn show(processor: &Processor, name: &WindowName) -> Result<WindowView, Error> {
    let policy = super::policy(processor).await?;
    policy.check(name.window)?;
    let (first, first_place) = read(processor, name, Role::First).await?;
    let (second, second_place) = read(processor, name, Role::Second).await?;
    let agreed = match read_agreed(processor, name).await {
        Ok(agreed) => Some(agreed),
        Err(Error::NotAgreed { .. }) => None,
        Err(error) => return Err(error),
    };
    let sides = [first.as_ref(), second.as_ref()];
    let all: BTreeSet<DatedBatch> = sides
        .iter()
        .flatten()
        .flat_map(|roster| roster.entries.keys().copied())
        .collect();
    let outcomes = Outcomes::new(agreed.as_ref());
    let mut earlier = settled_before(processor, &policy, name, &all).await?;
    let mut view = |batch: DatedBatch| BatchView {
        window: name.window,
        batch,
        age: age(batch.date, name.window, policy.terms.period_minutes),
        sides: sides.map(|roster| side(roster?.entries.get(&batch)?)),
        outcome: outcomes.of(batch),
        earlier: earlier.remove(&batch),
    };
    let batches = all.into_iter().map(&mut view).collect();
    Ok(WindowView {
        role: processor.role,
        aggregation: name.aggregation.clone(),
        window: name.window,
        rosters: [first_place, second_place],
        agreed,
        batches,
    })
}

/// What each window from a batch's own on says of it, up to the one that settles it.
///
/// # Errors
/// As [`show`]; [`Error::NoSuchWindow`] if the date is before the first window with rosters.
pub async fn explain(
    processor: &Processor,
    aggregation: &AggregationId,
    date: BatchTime,
    batch: BatchId,
) -> Result<Vec<BatchView>, Error> {
    let policy = super::policy(processor).await?;
    let none = || Error::NoSuchWindow {
        window: date.to_string(),
        problem: "no window holds this date".to_owned(),
    };
    let own = policy.window_of(date).ok_or_else(none)?;
    policy.check(own)?;
    let mut views = Vec::new();
    for window in from(&policy, own).take(memory(policy.terms.maximum_age) as usize + 1) {
        let name = WindowName {
            aggregation: aggregation.clone(),
            window,
        };
        let view = show(processor, &name).await?;
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
                Outcome::Open
            } else {
                Outcome::Waiting
            },
            earlier: None,
        });
        let settled = !matches!(found.outcome, Outcome::Open | Outcome::Waiting);
        views.push(found);
        if settled {
            break;
        }
    }
    Ok(views)
}

/// A roster, and where it is: the peer's may be in the mailbox still.
async fn read(processor: &Processor, name: &WindowName, writer: Role) -> Result<(Option<Roster>, Whereabouts), Error> {
    let object = name.roster(writer);
    let limit = roster_bytes(processor);
    let is_ours = writer == processor.role;
    let keys = if is_ours {
        &processor.own_keys
    } else {
        &processor.peer_keys
    };
    if let Some(file) = processor.read_record(&object, limit).await? {
        return Ok((Some(decode(processor, name, writer, keys, &file)?), Whereabouts::Own));
    }
    if is_ours {
        return Ok((None, Whereabouts::Missing));
    }
    let file = match read_all(&*processor.buckets.peer_validation_in, &object, limit).await {
        Err(BucketError::NotFound { .. }) => return Ok((None, Whereabouts::Missing)),
        other => other?,
    };
    Ok(match decode(processor, name, writer, keys, &file) {
        Ok(roster) => (Some(roster), Whereabouts::Mailbox),
        Err(error) => (None, Whereabouts::Refused(error.to_string())),
    })
}

fn side(listing: &Listing) -> Option<SideView> {
    Some(match listing {
        Listing::Summable(claim) => SideView {
            word: LastWord::Summable,
            accepted: Some(claim.accepted),
        },
        Listing::Open(reason) => SideView {
            word: LastWord::Open(*reason),
            accepted: None,
        },
    })
}

/// What a window's agreed set says of each batch; nothing if there is none.
struct Outcomes(Option<HashMap<DatedBatch, Outcome>>);

impl Outcomes {
    fn new(agreed: Option<&AgreedWindow>) -> Self {
        Self(agreed.map(|agreed| {
            let expired = agreed.expired.iter().map(|expired| (expired.batch, Outcome::Expired));
            let excluded = agreed.excluded.iter().map(|batch| (*batch, Outcome::Excluded));
            let summed = agreed.batches.iter().map(|settled| (settled.batch, Outcome::Summed));
            expired.chain(excluded).chain(summed).collect()
        }))
    }

    fn of(&self, batch: DatedBatch) -> Outcome {
        match &self.0 {
            None => Outcome::Waiting,
            Some(outcomes) => outcomes.get(&batch).copied().unwrap_or(Outcome::Open),
        }
    }
}

impl fmt::Display for SideView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.word, self.accepted) {
            (LastWord::Open(reason), _) => f.pad(reason.word()),
            (LastWord::Summable, accepted) => f.pad(&format!("{} packets", accepted.unwrap_or_default())),
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
            "{}, {}, as the {} processor sees it",
            self.aggregation, self.window, self.role
        )?;
        for (role, place) in Role::ALL.into_iter().zip(&self.rosters) {
            match place {
                Whereabouts::Own => {}
                Whereabouts::Missing => writeln!(f, "  the roster of the {role} processor is not here")?,
                Whereabouts::Mailbox => writeln!(
                    f,
                    "  the roster of the {role} processor is in the mailbox; the next run takes it in"
                )?,
                Whereabouts::Refused(problem) => writeln!(
                    f,
                    "  the roster of the {role} processor is in the mailbox and is refused: {problem}"
                )?,
            }
        }
        if self.batches.is_empty() {
            writeln!(f, "  no batch stands in a roster")?;
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
                "  not summed: {packets} packets are fewer than the minimum of {minimum}; the batches stay open"
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
