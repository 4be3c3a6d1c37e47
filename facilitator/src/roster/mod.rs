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
//! | `policy`, `progress` | windows; which objects exist, and how far both sides have agreed |
//! | `store` | every read and write of a roster object |
//! | `run`, `summary` | the steps of a roster task, and its summary |
//! | `load`, `first_window` | the progress when a task begins; the first window of an aggregation |
//! | `adopt_peer` | step 1: copies the peer's rosters |
//! | `write_ours`, `gather`, `candidates`, `judge`, `signed` | step 2: writes our rosters |
//! | `agree`, `validations` | step 3: computes agreed sets; publishes validation batches again |
//! | `report` | step 4: alarms, and marks of windows without a sum part |
//! | `sum`, `summed` | the sum part of an agreed set; checks against sums without rosters |
//! | `view`, `earlier` | views of windows and batches for operators; results of earlier windows |

mod adopt_peer;
mod agree;
pub mod agreement;
mod candidates;
mod earlier;
mod first_window;
mod gather;
mod history;
mod judge;
mod load;
mod policy;
mod progress;
mod report;
mod run;
mod signed;
mod store;
mod sum;
mod summary;
mod summed;
mod validations;
mod view;
mod write_ours;

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
