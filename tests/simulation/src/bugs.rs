//! The planted faults. The simulation has to find each of them, which shows that its audit can
//! fail. The product does not contain them: `scripts/planted-faults` adds their code to a copy.

use std::collections::BTreeSet;

use crate::trouble::Trouble;

/// A planted fault, which the simulation of `scripts/planted-faults` can switch on.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// The name by which the code queries the fault.
    pub name: &'static str,
    /// The wrong behaviour.
    pub meaning: &'static str,
    /// The faults without which the wrong behaviour is rare. Runs with the bug have them.
    pub needs: &'static [Trouble],
}

const fn bug(name: &'static str, meaning: &'static str) -> Bug {
    Bug {
        name,
        meaning,
        needs: &[],
    }
}

impl Bug {
    /// Of the other runs, only one in eight has a dishonest processor.
    const fn needs_tampering(self) -> Self {
        Self {
            needs: &[Trouble::Tampering],
            ..self
        }
    }
}

/// All planted faults.
pub const ALL: &[Bug] = &[
    bug(
        "double-listing",
        "an agreed set is computed without regard to the batches that earlier windows sum or exclude",
    ),
    bug(
        "lost-carry",
        "a batch that one roster lists and no window closes is not listed again",
    ),
    bug(
        "late-batch-dropped",
        "a roster lists only the batches of its own window",
    ),
    bug("overwrite", "an existing roster is replaced"),
    bug(
        "twice-is-new",
        "a roster task that is delivered twice writes a roster twice, each from the objects present at that time",
    ),
    bug(
        "skipped-empty-roster",
        "a roster that would list no batch is not written",
    ),
    bug(
        "out-of-order",
        "a window is agreed on before an earlier one is known",
    ),
    bug(
        "expiry-by-clock",
        "the clock decides whether a batch is too old",
    ),
    bug(
        "forgotten-packets",
        "a packet that an earlier window counts is counted again",
    ),
    bug(
        "run-forgets",
        "a packet that an earlier window of the same run counts is counted again",
    ),
    bug(
        "minimum-before-dedupe",
        "the minimum is compared with a number that includes repeated packets",
    ),
    bug(
        "smaller-minimum",
        "the smaller of both sides' minimums applies",
    ),
    bug(
        "larger-age",
        "the larger of both sides' maximum ages applies",
    ),
    bug(
        "live-validation",
        "a sum uses the peer's current validation batch instead of the verdict",
    )
    .needs_tampering(),
    bug(
        "peer-roster-reread",
        "the peer's roster is read again from the mailbox instead of from the copy",
    )
    .needs_tampering(),
    bug(
        "equal-count",
        "two claims about a batch are treated as equal if their numbers of packets are equal",
    ),
    bug(
        "expiry-closes-id",
        "a batch that expires under one date is closed under every date",
    )
    .needs_tampering(),
    bug(
        "unsigned-listed",
        "a roster lists objects without a signature",
    ),
    bug(
        "terms-as-stated",
        "the terms of each roster apply, regardless of the first ones",
    )
    .needs_tampering(),
    bug(
        "unbounded-roster",
        "a roster of the peer may have any number of entries",
    ),
    bug(
        "marker-is-truth",
        "a task that was started once is never started again",
    ),
    bug(
        "lost-reports",
        "the ingestor drops reports that were too few for a batch",
    ),
    bug(
        "bins-unchecked",
        "a packet is evaluated under whatever number of bins its batch states",
    ),
    bug(
        "silence-wears",
        "a packet without a message of the peer counts as a failed proof",
    ),
    bug(
        "forgotten-reports",
        "the ingestor does not search earlier windows for replays",
    ),
    bug(
        "exists-is-there",
        "an object counts as published when a processor's mailbox only claims that it exists",
    ),
    bug(
        "listed-plans-only",
        "a plan that a listing does not show yet is treated as deleted, and the missing objects of its batches are not written",
    ),
    bug(
        "exists-is-delivered",
        "an object counts as delivered when the ingestor's mailboxes only claim that it exists",
    ),
    bug("believed-bad-read", "one bad read is treated as a forgery"),
    bug(
        "summed-twice",
        "without rosters, the batches that another window has summed are ignored",
    ),
    bug(
        "never-held",
        "a sum for which the peer has ruled out nearly all packets is released",
    ),
    bug(
        "key-consumes",
        "a batch whose packets all fail because of a wrong key is taken in, and its validation batch stays empty permanently",
    ),
    bug(
        "window-start-only",
        "only the start of a window decides whether it overlaps the period with rosters",
    ),
    bug(
        "keys-of-any-bins",
        "the ingestor puts packets of one packet key into batches of two numbers of bins",
    ),
    bug(
        "stale-key-blocks",
        "without rosters, a window waits indefinitely for a batch that one side cannot take in",
    ),
    bug(
        "given-up-silently",
        "a window that passes the horizon without a sum leaves no mark",
    ),
    bug(
        "validation-unbounded",
        "a validation batch of the peer may have any number of messages",
    ),
    bug(
        "records-unverified",
        "an object of the own bucket is read without verification of its authentication code",
    ),
];

/// Returns the faults that runs with this planted fault have.
#[must_use]
pub fn needs(name: &str) -> BTreeSet<Trouble> {
    let bug = ALL.iter().find(|bug| bug.name == name);
    let needs = bug.map_or(&[][..], |bug| bug.needs);
    needs.iter().copied().collect()
}

/// Switches one planted fault on and all others off.
///
/// # Errors
/// A message for the user, if the fault is unknown or the build has no planted faults.
pub fn switch(name: &str) -> Result<(), String> {
    let found = ALL.iter().find(|bug| bug.name == name);
    let bug = found.ok_or_else(|| format!("unknown planted fault {name:?}; see --list-bugs"))?;
    switch_on(bug.name)
}

/// Fails in this build; `faults/switch.patch` replaces the body.
fn switch_on(_name: &'static str) -> Result<(), String> {
    Err(
        "this build has no planted faults; run scripts/planted-faults with these arguments"
            .to_owned(),
    )
}
