//! The actors that write batches sealed to retired keys and oversized validation batches. Each has
//! a random stream of its own.

use tallybox_model::path::BatchName;
use tallybox_model::role::Role;

use super::RunState;
use crate::oversize::oversize;
use crate::process::Actor;
use crate::stale::{Fixing, Stale, fix_as_before};
use crate::time::{HOUR_MILLIS, MINUTE_MILLIS};
use crate::timer::Timer;

impl RunState<'_> {
    /// A dishonest processor chooses to enlarge the next validation batch that it writes.
    pub(super) fn wait_to_oversize(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let victim = if self.sizes.chance(500) {
            Role::First
        } else {
            Role::Second
        };
        // A validation batch that was written before now may already have been read.
        let _ = self.storage.validation[victim.index()].fresh();
        self.oversize_target = Some(victim);
    }

    /// Enlarges the validation batch if it has just been written.
    pub(super) async fn oversize(&mut self) {
        let Some(victim) = self.oversize_target else {
            return;
        };
        let now = self.schedule.now();
        let Some(act) = oversize(
            &self.storage,
            victim,
            &self.violations,
            (&mut self.sizes, now),
        )
        .await
        else {
            return;
        };
        self.record_tampering(vec![act]);
        self.oversize_target = None;
        let next = now + self.sizes.between(20 * MINUTE_MILLIS, 2 * HOUR_MILLIS);
        self.schedule.timer(next, Timer::Oversize);
    }

    /// A dishonest ingestor writes a batch for which one side has no packet key, either into the
    /// current window or into one without any other batch.
    pub(super) async fn stale_key(&mut self) {
        if self.schedule.is_fault_free() {
            return;
        }
        let now = self.schedule.now();
        let keys = self.storage.ingestion[0].keys();
        let batches = keys
            .iter()
            .filter_map(|key| BatchName::from_ingestion_signature(key));
        let originals: Vec<BatchName> = batches
            .filter(|name| !self.violations.is_no_batch(name))
            .collect();
        let alone = self.violations.stale.is_empty();
        if let Some(original) = self.retired.pick(&originals)
            && let Some(stale) =
                Stale::draw(original, self.scenario, (now, alone), &mut self.retired)
            && stale.write(&self.storage.ingestion, now).await
        {
            self.schedule.count("stale-key-batches");
            self.schedule.note(|| format!("{stale:?}"));
            if !alone && self.retired.chance(700) {
                let first =
                    stale.window().map_or(now, |window| window.end().millis()) + 20 * MINUTE_MILLIS;
                self.schedule
                    .timer(first, Timer::OldScheduler(self.violations.stale.len()));
            }
            self.violations.stale.push(stale);
        }
        let next = now + self.retired.between(20 * MINUTE_MILLIS, 50 * MINUTE_MILLIS);
        self.schedule.timer(next, Timer::StaleKey);
    }

    /// A workflow manager of an older version names a batch in a window's task that its side has
    /// not taken in, unless the current one has already fixed the window's batches.
    pub(super) async fn old_scheduler(&mut self, number: usize) {
        let stale = &self.violations.stale[number];
        let now = self.schedule.now();
        let is_off = self.off_until(Actor::Manager(stale.victim)).is_some();
        match fix_as_before(&self.storage, stale, is_off, now).await {
            Fixing::Named => self.schedule.count("stale-key-batches-named"),
            Fixing::Waits if !self.schedule.is_fault_free() => {
                self.schedule
                    .timer(now + 2 * MINUTE_MILLIS, Timer::OldScheduler(number));
            }
            Fixing::Waits | Fixing::TooLate => {}
        }
    }
}
