//! Known faults, each of which a simulation has to find: what shows that it can fail.

/// A fault that can be switched on in a build with the feature `faults`.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What it is called where it stands in the code.
    pub name: &'static str,
    /// What is done wrong.
    pub meaning: &'static str,
}

const fn bug(name: &'static str, meaning: &'static str) -> Bug {
    Bug { name, meaning }
}

/// All of them.
pub const ALL: &[Bug] = &[
    bug(
        "double-listing",
        "an agreed set is computed without what earlier windows settled",
    ),
    bug(
        "lost-carry",
        "a batch that one roster lists and no window settles is not listed again",
    ),
    bug(
        "late-batch-dropped",
        "a roster lists the batches of its own window only",
    ),
    bug("overwrite", "a roster that stands already is replaced"),
    bug(
        "twice-is-new",
        "a roster task that comes twice makes a roster twice, each by what is there then",
    ),
    bug(
        "skipped-empty-roster",
        "a roster that would list nothing is not written",
    ),
    bug("out-of-order", "a window is settled before an earlier one is known"),
    bug("expiry-by-clock", "whether a batch is too old is told by the clock"),
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
        "the minimum is compared with packets of which some do not count",
    ),
    bug("smaller-minimum", "the smaller of both sides' minimums holds"),
    bug("larger-age", "the larger of both sides' maximum ages holds"),
    bug(
        "live-validation",
        "a sum is made of the peer's validation as it is then, not of the verdict",
    ),
    bug(
        "peer-roster-reread",
        "the peer's roster is read from the mailbox again, not from the copy",
    ),
    bug(
        "equal-count",
        "two claims on a batch are taken for the same if they count as many packets",
    ),
    bug(
        "expiry-closes-id",
        "a batch that expires under one date is closed under every date",
    ),
    bug("unsigned-listed", "a roster lists what nobody has signed"),
    bug(
        "terms-as-stated",
        "the terms of each roster hold, whatever the first ones said",
    ),
    bug(
        "unbounded-roster",
        "a roster of the peer's may have any number of entries",
    ),
    bug("marker-is-truth", "a task that was started once is never started again"),
    bug("lost-reports", "the ingestor forgets what was too few for a batch"),
    bug(
        "bins-unchecked",
        "a packet is evaluated at whatever number of bins its batch says",
    ),
    bug(
        "silence-wears",
        "a packet without the peer's message counts as a failed proof",
    ),
    bug(
        "forgotten-reports",
        "the ingestor does not look for replays in earlier windows",
    ),
    bug(
        "exists-is-there",
        "what a processor's mailbox only says to hold counts as published",
    ),
    bug(
        "listed-plans-only",
        "a plan that a listing does not show yet counts as gone, and with it what its batches still lack",
    ),
    bug(
        "exists-is-delivered",
        "what the ingestor's mailboxes only say to hold counts as delivered",
    ),
    bug("believed-bad-read", "one bad read is taken for a forgery"),
    bug(
        "summed-twice",
        "without rosters, what another window has summed is not looked at",
    ),
    bug(
        "never-held",
        "a sum from which the peer has taken nearly all packets is released",
    ),
    bug(
        "key-consumes",
        "a batch that a wrong key makes fail is taken in, and its validation is empty for good",
    ),
    bug(
        "window-start-only",
        "whether a window touches the time of rosters is told by its start",
    ),
    bug(
        "keys-of-any-bins",
        "the ingestor puts packets of one packet key into batches of two numbers of bins",
    ),
    bug(
        "stale-key-blocks",
        "without rosters, a window waits for ever for a batch that one side cannot take in",
    ),
    bug(
        "given-up-silently",
        "a window that passes the horizon without a sum leaves no mark",
    ),
    bug(
        "validation-unbounded",
        "a validation of the peer's may have any number of messages",
    ),
    bug(
        "records-unverified",
        "an object of the own bucket is read without a look at its authentication code",
    ),
];

/// Switches a fault on, and every other off.
///
/// # Errors
/// A sentence, if there is no such fault or this build has none.
pub fn switch(name: &str) -> Result<(), String> {
    let known = ALL.iter().find(|bug| bug.name == name);
    let bug = known.ok_or_else(|| format!("no fault is called {name:?}: see --list-bugs"))?;
    turn_on(bug.name)
}

#[cfg(feature = "faults")]
fn turn_on(name: &'static str) -> Result<(), String> {
    tallybox_service::fault::switch(Some(name));
    Ok(())
}

#[cfg(not(feature = "faults"))]
fn turn_on(_: &'static str) -> Result<(), String> {
    Err("this build has no faults: build it with --features faults".to_owned())
}
