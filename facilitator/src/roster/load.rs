//! Reads the progress of an aggregation's rosters when a task begins.

use super::agreement::memory;
use super::first_window::find_first_window;
use super::policy::RosterPolicy;
use super::progress::Progress;
use super::store::RosterStore;
use crate::error::Error;
use tallybox_model::role::Role;
use tallybox_model::roster::AgreedWindow;
use tallybox_model::time::{BatchTime, Window};

/// Reads the progress as far as the rosters up to `window` depend on it. The first call records the
/// window with which the rosters of the aggregation start.
pub(super) async fn read_progress(
    store: &RosterStore<'_>,
    configured: RosterPolicy,
    window: Window,
) -> Result<Progress, Error> {
    let recent = configured.back(window, configured.horizon());
    let mut own = store.list_own(recent).await?;
    let mut mailbox = None;
    let start = match store.find_start().await? {
        Some(start) => start,
        None => {
            let rosters = store.list_mailbox(recent).await?;
            let first = find_first_window(store, &configured, window, &rosters).await?;
            mailbox = Some(rosters);
            store.record_start(first.start()).await?
        }
    };
    if start < recent && (own.our_rosters.is_empty() || own.agreed.is_empty()) {
        // No rosters for as long as the horizon: they continue where they ended, however long ago.
        own = store.list_own(start).await?;
    }
    let mut progress = Progress::new(configured, start, own);
    let last = read_last_agreed(store, &progress).await?;
    progress.policy = policy_in_force(store.processor.buckets.role, configured, last.as_ref());
    let horizon = progress.policy.horizon();
    let needed = progress.policy.back_from(progress.next, horizon).max(start);
    // The first open window may be far back, or the terms in force may have a longer horizon than
    // the configuration.
    if needed < recent {
        progress.set_listing(store.list_own(needed).await?);
    }
    progress.mailbox_rosters = match mailbox {
        Some(rosters) => rosters,
        None => store.list_mailbox(progress.next).await?,
    };
    read_history(store, &mut progress, needed, last).await?;
    Ok(progress)
}

/// Returns the agreed set of the last window before the first open one, if there is such a window.
async fn read_last_agreed(
    store: &RosterStore<'_>,
    progress: &Progress,
) -> Result<Option<AgreedWindow>, Error> {
    let before = progress.next.plus_minutes(-1);
    let before = before.filter(|before| *before >= progress.start);
    match before.and_then(|before| progress.policy.window_of(before)) {
        Some(last) => store.read_agreed(last).await.map(Some),
        None => Ok(None),
    }
}

/// Returns our rules with the terms that the last agreed set fixes for us. Later changes of the
/// configuration have no effect, except on the minimum: both processors compute with the same
/// terms, whatever one of them changes.
fn policy_in_force(
    role: Role,
    configured: RosterPolicy,
    last: Option<&AgreedWindow>,
) -> RosterPolicy {
    match last.and_then(|agreed| agreed.terms) {
        Some(fixed) => RosterPolicy {
            terms: fixed[role.index()].with_minimum_of(&configured.terms),
            ..configured
        },
        None => configured,
    }
}

/// Reads the results of the agreed windows from `needed` on. `last` is the agreed set of the last
/// of them.
async fn read_history(
    store: &RosterStore<'_>,
    progress: &mut Progress,
    needed: BatchTime,
    mut last: Option<AgreedWindow>,
) -> Result<(), Error> {
    let policy = progress.policy;
    let next = progress.next;
    let remembered = policy.back_from(next, memory(policy.terms.maximum_age));
    let first = policy.window_of(needed).into_iter();
    let before = first.flat_map(|first| policy.windows_from(first));
    // All these windows are agreed on, whether the listing shows their sets or not.
    for window in before.take_while(|window| window.start() < next) {
        if window.start() < remembered && progress.agreed.contains(&window) {
            continue;
        }
        let agreed = match last.take_if(|last| last.window == window) {
            Some(last) => last,
            None => store.read_agreed(window).await?,
        };
        if window.start() >= remembered {
            progress.history.push(&agreed);
        }
        progress.add_agreed(&agreed);
    }
    Ok(())
}
