//! Rosters: each processor publishes a signed list of the batches that it can sum in a window, and
//! both sum exactly the batches that both lists contain. `docs/rosters.md` states the rules.
//!
//! ```text
//! batches, the peer's validation batches --> verdicts (own bucket)
//! verdicts --> our roster (own bucket, then the peer's mailbox)
//! our rosters + the peer's (copied into the own bucket) --> agreed set of each window, in order
//! agreed set + verdicts --> sum part
//! ```
//!
//! | file | content |
//! |---|---|
//! | [`agreement`], `history` | the rules as pure functions: agreed batches, counts, expiry |
//! | `horizons` | checks the rules against retention periods and delays |
//! | `policy`, `agreement_state` | windows; state of the agreement |
//! | `store` | every read and write of a roster object |
//! | `run`, `summary` | the steps of a roster task, and its summary |
//! | `first_window` | the first window of an aggregation |
//! | `peer` | copies the peer's rosters |
//! | `write`, `gather`, `candidates`, `judge`, `signed` | writes our rosters |
//! | `agree`, `validations` | computes agreed sets; publishes validation batches again |
//! | `report` | alarms, and marks of windows without a sum part |
//! | `sum`, `summed` | the sum part of an agreed set; checks against sums without rosters |
//! | `view`, `earlier` | views of windows and batches for operators; results of earlier windows |

mod agree;
pub mod agreement;
mod agreement_state;
mod candidates;
mod earlier;
mod first_window;
mod gather;
mod history;
mod judge;
mod peer;
mod policy;
mod report;
mod run;
mod signed;
mod store;
mod sum;
mod summary;
mod summed;
mod validations;
mod view;
mod write;

pub use earlier::EarlierOutcome;
pub use policy::RosterPolicy;
pub use run::roster;
pub(crate) use store::RosterStore;
pub use sum::aggregate_agreed;
pub use summary::{Alarm, RosterSummary};
pub(crate) use summed::agreed_in;
pub use view::{AgreementOutcome, BatchView, SideView, Whereabouts, WindowView, explain, show};

use crate::buckets::Buckets;
use crate::error::Error;
use crate::limits::Limits;
use tallybox_model::time::Window;

/// Returns whether rosters decide on the batches of a window.
///
/// # Errors
/// [`Error::TouchesRosters`] if the window overlaps windows of rosters and is not one of them, or
/// an error of the own bucket.
pub async fn rostered(buckets: &Buckets, limits: &Limits, window: Window) -> Result<bool, Error> {
    match store::read_policy(buckets, limits).await {
        Ok(policy) => policy.holds(window),
        Err(Error::NoRosters) => Ok(false),
        Err(error) => Err(error),
    }
}
